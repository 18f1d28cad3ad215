//! From captured packets to what the stack is given.

use wfpsim_ipsec::Inbound;
use wfpsim_ipsec::Outbound;
use wfpsim_ipsec::Recipe;
use wfpsim_ipsec::Sadb;
use wfpsim_packet::CapturedPacket;
use wfpsim_packet::IpPacket;
use wfpsim_packet::NotIp;
use wfpsim_packet::Timestamp;
use wfpsim_packet::fragment::Layout;
use wfpsim_packet::fragment::Limits;
use wfpsim_packet::fragment::Outcome;
use wfpsim_packet::fragment::Reassembler;

use super::host::Host;
use super::host::Way;
use crate::stack::Received;
use crate::stack::Security;
use crate::stack::Transmitted;

/// One thing that happens to the host.
#[derive(Clone, Debug)]
pub struct Step {
    /// The number of the captured packet that completed it, from 1.
    pub number: u64,
    /// The numbers of the fragments that it was put together from; empty if the captured packet is whole.
    pub pieces: Vec<u64>,
    /// When.
    pub time: Timestamp,
    /// What.
    pub action: Action,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Action {
    /// A packet arrives.
    Receive(Received),
    /// A packet is sent.
    Transmit {
        /// The packet, whole and without IPsec.
        packet: Transmitted,
        /// How it is protected on the wire.
        recipe: Option<Recipe>,
        /// How it is cut on the wire.
        layout: Option<Layout>,
    },
    /// The packet never gets as far as a callout.
    Drop {
        /// How many captured packets that is.
        packets: u64,
        /// Why, as a stable key.
        reason: &'static str,
    },
}

/// What is counted while planning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Records of the capture.
    pub records: u64,
    /// Packets from the network to the host, as they are on the wire.
    pub inbound: u64,
    /// Packets from the host to the network, as they are on the wire.
    pub outbound: u64,
    /// Packets from the host to itself.
    pub loopback: u64,
    /// Packets that are fragments, without atomic ones.
    pub fragments: u64,
    /// Exact duplicates of fragments.
    pub fragment_duplicates: u64,
    /// Inbound packets that passed IPsec in transport mode.
    pub ipsec_transport: u64,
    /// Inbound packets that passed IPsec in tunnel mode.
    pub ipsec_tunnel: u64,
}

/// Turns captured packets into steps, in order.
pub struct Planner {
    host: Host,
    sadb: Sadb,
    inbound: Reassembler<u64>,
    outbound: Reassembler<u64>,
    /// What was counted so far.
    pub counts: Planned,
}

impl Planner {
    /// A planner for one capture of `host`, with the keys that are known.
    pub fn new(host: Host, sadb: Sadb) -> Self {
        let reassembler = || Reassembler::new(Limits::default());
        Self {
            host,
            sadb,
            inbound: reassembler(),
            outbound: reassembler(),
            counts: Planned::default(),
        }
    }

    /// What a captured packet comes to: nothing while it waits for other fragments, one step, or several where it ends the
    /// wait of others.
    pub fn plan(&mut self, captured: &CapturedPacket) -> Vec<Step> {
        self.counts.records += 1;
        let mut steps = Vec::new();
        let step = |pieces, action| Step {
            number: captured.number,
            pieces,
            time: captured.time,
            action,
        };
        for lapsed in self
            .inbound
            .expire(captured.time)
            .into_iter()
            .chain(self.outbound.expire(captured.time))
        {
            let action = dropped(&lapsed.tags, INCOMPLETE);
            steps.push(step(lapsed.tags, action));
        }
        let (pieces, action) = match self.packet(captured) {
            Ok(Some((pieces, action))) => (pieces, action),
            Ok(None) => return steps,
            Err((pieces, reason)) => {
                let action = dropped(&pieces, reason);
                (pieces, action)
            }
        };
        steps.push(step(pieces, action));
        steps
    }

    /// What is left when the capture is over.
    pub fn finish(&mut self) -> Vec<Step> {
        let lapsed = self
            .inbound
            .drain()
            .into_iter()
            .chain(self.outbound.drain());
        lapsed
            .map(|lapsed| Step {
                number: self.counts.records,
                action: dropped(&lapsed.tags, INCOMPLETE),
                pieces: lapsed.tags,
                time: Timestamp(0),
            })
            .collect()
    }

    /// What a captured packet completes, with the fragments that it was put together from.
    fn packet(&mut self, captured: &CapturedPacket) -> Result<Option<(Pieces, Action)>, Dropped> {
        let alone = Pieces::new;
        let bytes = captured.ip().map_err(|error| (alone(), not_ip(&error)))?;
        let packet = IpPacket::parse(bytes).map_err(|error| (alone(), error.reason()))?;
        let way = self.host.way(packet.source(), packet.destination());
        match way {
            Way::In => self.counts.inbound += 1,
            Way::Out => self.counts.outbound += 1,
            Way::Loopback => self.counts.loopback += 1,
            Way::Foreign => return Err((alone(), "not_for_host")),
        }
        self.counts.fragments += u64::from(packet.is_fragment());
        let reassembler = if way == Way::In {
            &mut self.inbound
        } else {
            &mut self.outbound
        };
        let (whole, layout, pieces) =
            match reassembler.push(&packet, captured.number, captured.time) {
                Outcome::NotAFragment(_) => (bytes.to_vec(), None, alone()),
                Outcome::Held => return Ok(None),
                Outcome::Duplicate(_) => {
                    self.counts.fragment_duplicates += 1;
                    return Ok(None);
                }
                Outcome::Complete {
                    packet,
                    pieces,
                    layout,
                } => {
                    let pieces: Pieces = pieces.into_iter().map(|piece| piece.tag).collect();
                    // One alone is whole (RFC 6946).
                    let pieces = if pieces.len() > 1 { pieces } else { alone() };
                    (packet, Some(layout), pieces)
                }
                Outcome::Rejected { why, tags } => return Err((tags, why.reason())),
            };
        if way == Way::In {
            let (clean, security) = match self.open(whole) {
                Ok(opened) => opened,
                Err(reason) => return Err((pieces, reason)),
            };
            let received = Received {
                clean,
                security,
                reassembled: !pieces.is_empty(),
                injected_by_other: false,
            };
            return Ok(Some((pieces, Action::Receive(received))));
        }
        let (clean, recipe) = match self.sadb.peel(&whole) {
            Ok(Outbound::Clear) => (whole, None),
            Ok(Outbound::Protected { clean, recipe }) => (clean, Some(recipe)),
            Err(refused) => return Err((pieces, refused.reason())),
        };
        let action = Action::Transmit {
            packet: Transmitted::plain(clean, way == Way::Loopback),
            recipe,
            layout,
        };
        Ok(Some((pieces, action)))
    }

    /// Takes IPsec off an inbound packet, as the stack does before any callout sees it.
    fn open(&mut self, packet: Vec<u8>) -> Result<(Vec<u8>, Security), &'static str> {
        match self
            .sadb
            .open(&packet)
            .map_err(|refused| refused.reason())?
        {
            Inbound::Clear => {
                let keepalive = wfpsim_ipsec::is_nat_keepalive(&packet)
                    && IpPacket::parse(&packet)
                        .is_ok_and(|ip| self.sadb.has_udp_encapsulation_to(ip.destination()));
                if keepalive {
                    Err("ipsec_natt_keepalive")
                } else {
                    Ok((packet, Security::Clear))
                }
            }
            Inbound::Transport(mode) => {
                self.counts.ipsec_transport += 1;
                let security = Security::Transport {
                    laid_out: mode.laid_out,
                    ip_header: mode.ip_header_len,
                    data_end: mode.data_end,
                };
                Ok((mode.clean, security))
            }
            Inbound::Tunnel(mode) => {
                self.counts.ipsec_tunnel += 1;
                let (clean, inner) = self.open(mode.inner)?;
                let (laid_out, inner_offset, data_end) =
                    (mode.laid_out, mode.inner_offset, mode.data_end);
                Ok((
                    clean,
                    Security::Tunnel {
                        laid_out,
                        inner_offset,
                        data_end,
                        inner: Box::new(inner),
                    },
                ))
            }
        }
    }
}

/// The fragments that a packet was put together from, by their numbers; none if it is whole.
type Pieces = Vec<u64>;

/// What never gets as far as a callout, and why.
type Dropped = (Pieces, &'static str);

/// Why fragments are dropped whose others never came.
const INCOMPLETE: &str = "fragment_incomplete";

/// The end of a captured packet, or of fragments, that never get as far as a callout.
fn dropped(pieces: &[u64], reason: &'static str) -> Action {
    Action::Drop {
        packets: pieces.len().max(1) as u64,
        reason,
    }
}

/// The key under which a frame without a usable IP packet is counted.
fn not_ip(error: &NotIp) -> &'static str {
    match error {
        NotIp::UnsupportedLinkType(_) | NotIp::MalformedLink | NotIp::MalformedIp(_) => {
            error.reason()
        }
        NotIp::TruncatedBySnaplen { .. } => "truncated",
        _ => "not_ip",
    }
}
