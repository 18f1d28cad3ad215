//! What became of every packet.

use std::fmt;

use crate::machine::Kernel;
use crate::machine::Time;
use crate::verifier::Violation;
use crate::verifier::code;

/// Stands for packet 0 where a step says what it concerns.
const PACKETS: usize = 1 << 56;

/// Which way a packet was going when it was given to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From the network to the transport layer.
    Inbound,
    /// From the transport layer to the network.
    Outbound,
}

/// Where a packet is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The stack has it.
    OnTheWay,
    /// A callout absorbed it and has a reference.
    Held,
    /// It reached the transport layer.
    Delivered,
    /// It reached the wire.
    Sent,
    /// A filter or a callout blocked it.
    Blocked,
    /// The stack dropped it, for this reason.
    Dropped(&'static str),
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnTheWay => write!(f, "on its way"),
            Self::Held => write!(f, "held by a callout"),
            Self::Delivered => write!(f, "delivered to the transport layer"),
            Self::Sent => write!(f, "sent"),
            Self::Blocked => write!(f, "blocked"),
            Self::Dropped(reason) => write!(f, "dropped: {reason}"),
        }
    }
}

/// The account of one packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Which way it was going.
    pub side: Side,
    /// The IP packet, without IPsec.
    pub clean: Vec<u8>,
    /// Whether it goes from the host to itself.
    pub loopback: bool,
    /// Whether an application made its IP header.
    pub raw: bool,
    /// Where it is.
    pub fate: Fate,
    /// How often it came out.
    pub arrivals: u32,
    /// How often a callout took it.
    pub held: u32,
    /// Whether a callout blocked it silently, which is what one does that goes on with a copy of its own.
    pub absorbed: bool,
    /// The endpoint handle that its classify told first.
    pub(super) endpoint: Option<u64>,
    /// Callouts that took it.
    pub(super) taken_by: Vec<u32>,
    /// How often it was injected.
    pub injected: u32,
    /// What its last send injection said besides the packet, as the stack read it.
    pub sent_with: Option<SentWith>,
    /// The pended accept that it belongs to: `Some(None)` while pended, then the clone that completed it (0 for none).
    pub(super) accept: Option<Option<usize>>,
}

/// What a send injection says besides the packet (FWPS_TRANSPORT_SEND_PARAMS0), as the stack read it when it got to the
/// packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentWith {
    /// SCOPE_ID of the remote address.
    pub remote_scope_id: u32,
    /// WSACMSGHDR and what follows; empty if there was none.
    pub control_data: Vec<u8>,
}

/// A packet that came out.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Which packet.
    pub packet: u64,
    /// At the transport layer (inbound) or on the wire (outbound).
    pub side: Side,
    /// The IP packet as it came out.
    pub bytes: Vec<u8>,
    /// When.
    pub time: Time,
}

/// What is counted, each where it happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that a transport layer let pass at once.
    pub permitted_inline: u64,
    /// Packets that a callout took.
    pub held: u64,
    /// Classifies that were pended.
    pub pended: u64,
    /// Reauthorizations that were classified.
    pub reauthorized: u64,
    /// Packets that came back by injection.
    pub reinjected: u64,
    /// IP headers rebuilt.
    pub rebuilt: u64,
    /// Tunnel-mode packets that were let pass before their outer header was taken off.
    pub skipped_tunnel: u64,
    /// Packets blocked without being held.
    pub blocked: u64,
}

impl Kernel {
    /// Begins the account of a packet.
    pub(super) fn open_account(&self, side: Side, clean: Vec<u8>, loopback: bool) -> u64 {
        let number = self.ndis.number_packet();
        let packet = Packet {
            side,
            clean,
            loopback,
            raw: false,
            fate: Fate::OnTheWay,
            arrivals: 0,
            held: 0,
            absorbed: false,
            endpoint: None,
            taken_by: Vec::new(),
            injected: 0,
            sent_with: None,
            accept: None,
        };
        self.stack.packets.borrow_mut().insert(number, packet);
        number
    }

    /// Changes the account of a packet.
    pub(super) fn with_packet<R>(
        &self,
        number: u64,
        change: impl FnOnce(&mut Packet) -> R,
    ) -> Option<R> {
        self.random.touches(PACKETS + number as usize);
        self.got_on();
        self.stack.packets.borrow_mut().get_mut(&number).map(change)
    }

    /// Notes that a callout takes a packet, and says whether it did so before.
    pub(crate) fn taken_before(&self, number: u64, callout: u32) -> bool {
        let before = self.with_packet(number, |packet| {
            let before = packet.taken_by.contains(&callout);
            if !before {
                packet.taken_by.push(callout);
            }
            before
        });
        before == Some(true)
    }

    pub(super) fn set_fate(&self, number: u64, fate: Fate) {
        self.with_packet(number, |packet| packet.fate = fate);
        self.tell_fate(number, fate);
    }

    /// What has become of a packet is told, if it is the one that somebody follows.
    pub(super) fn tell_fate(&self, number: u64, fate: Fate) {
        if self.follows(number) {
            self.tell(fate.to_string());
        }
    }

    /// A packet came out. Coming out twice is a violation at once; with which bytes is the caller's to compare.
    pub(super) fn arrived(&self, number: u64, side: Side, bytes: Vec<u8>) {
        let fate = if side == Side::Inbound {
            Fate::Delivered
        } else {
            Fate::Sent
        };
        let twice = self.with_packet(number, |packet| {
            packet.arrivals += 1;
            packet.fate = fate;
            packet.arrivals > 1
        });
        self.tell_fate(number, fate);
        if twice == Some(true) {
            let summary = format!("packet {number} was {fate} a second time");
            self.bug_check(Violation::new(
                self,
                code::WFPSIM_PACKET_VIOLATION,
                [number, 2, 0, 0],
                "A-42",
                summary,
            ));
        }
        self.stack.arrivals.borrow_mut().push(Arrival {
            packet: number,
            side,
            bytes,
            time: self.now(),
        });
    }
}
