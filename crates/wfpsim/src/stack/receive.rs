//! What arrives: IPsec off, laid out in memory, and shown to the layers (`climb.rs`).

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0;
use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::account::Fate;
use super::account::Side;
use super::climb::Inbound;
use super::climb::climb;
use super::climb::finish;
use super::climb::settle;
use super::flow;
use super::flow::Shape;
use super::layers::Ask;
use super::queues;
use super::queues::Name;
use crate::fwp::Action;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::ndis;
use crate::ndis::Indication;
use crate::ndis::PacketSpec;

/// Bytes of an Ethernet header, which lie before the IP header of what an adapter received.
const LINK_HEADER: usize = 14;

/// What IPsec made of a packet before any callout sees it.
#[derive(Clone, Debug, Default)]
pub enum Security {
    /// It was not protected.
    #[default]
    Clear,
    /// Transport mode, verified and decrypted in place.
    Transport {
        /// The packet as Windows leaves it: AH or ESP still between the IP and the transport header, the trailer
        /// still behind the data.
        laid_out: Vec<u8>,
        /// From the IP header to the transport header, AH and ESP included.
        ip_header: usize,
        /// Where the data ends.
        data_end: usize,
    },
    /// Tunnel mode: first the outer packet is shown, then the inner one.
    Tunnel {
        /// The packet as Windows leaves it: outer header, AH or ESP, inner packet in the clear, trailer.
        laid_out: Vec<u8>,
        /// Where the inner packet begins.
        inner_offset: usize,
        /// Where it ends.
        data_end: usize,
        /// What the inner packet is itself, if it is protected again.
        inner: Box<Security>,
    },
}

/// A packet from the network, whole and already through IPsec.
#[derive(Clone, Debug)]
pub struct Received {
    /// The packet without IPsec: of a tunnel, the inner one.
    pub clean: Vec<u8>,
    /// What IPsec made of it.
    pub security: Security,
    /// Whether it was put together from fragments.
    pub reassembled: bool,
    /// Whether another driver injected it.
    pub injected_by_other: bool,
}

impl Received {
    /// An ordinary packet.
    pub fn plain(packet: Vec<u8>) -> Self {
        Self {
            clean: packet,
            security: Security::Clear,
            reassembled: false,
            injected_by_other: false,
        }
    }
}

/// The injection handle of the other driver, which is nobody's.
const OTHER_HANDLE: u64 = 1;

pub(super) fn arrive(kernel: &Kernel, received: Received) -> u64 {
    let shape = Shape::of(&received.clean, true);
    let number = kernel.open_account(Side::Inbound, received.clean.clone(), false);
    if kernel.stack.paused.get() {
        kernel.set_fate(number, Fate::Dropped(super::power::PAUSED));
        return number;
    }
    match shape {
        Ok(shape) => {
            let job = move |kernel: &Kernel| receive(kernel, number, shape, received, false);
            queues::enqueue(kernel, Name::Receive(shape.key), Box::new(job));
        }
        Err(reason) => kernel.set_fate(number, Fate::Dropped(reason)),
    }
    number
}

/// A packet that the host sent to itself comes back up.
pub(super) fn loop_back(kernel: &Kernel, packet: u64, bytes: Vec<u8>) {
    match Shape::of(&bytes, true) {
        Ok(shape) => {
            let received = Received::plain(bytes);
            let job = move |kernel: &Kernel| receive(kernel, packet, shape, received, true);
            queues::enqueue(kernel, Name::Receive(shape.key), Box::new(job));
        }
        Err(reason) => kernel.set_fate(packet, Fate::Dropped(reason)),
    }
}

/// The work of one packet, on a thread at PASSIVE_LEVEL that rises to DISPATCH_LEVEL for the packet itself.
fn receive(kernel: &Kernel, packet: u64, shape: Shape, received: Received, loopback: bool) {
    flow::wait_for_connect(kernel, shape.key);
    flow::maybe_reauthorize(kernel, &shape.key);
    kernel.set_irql(irql::DISPATCH);
    let secure = |mode: FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0| {
        let mut information = FWPS_PACKET_LIST_INFORMATION0::default();
        information.ipsecInformation.flags = mode.withSecure().bits;
        information
    };
    let none = FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0::default();
    let mut flags = if loopback {
        consts::FWP_CONDITION_FLAG_IS_LOOPBACK
    } else {
        0
    };
    if received.reassembled {
        flags |= consts::FWP_CONDITION_FLAG_IS_REASSEMBLED;
    }
    let mut security = FWPS_PACKET_LIST_INFORMATION0::default();
    let by_other = received.injected_by_other;
    let (mut bytes, mut ip_header) = (received.clean, shape.ip_header);
    let mut data_end = bytes.len();
    let mut layer = received.security;
    loop {
        match layer {
            Security::Clear => break,
            Security::Transport {
                laid_out,
                ip_header: header,
                data_end: end,
            } => {
                security = secure(none.withTransportMode().withTransportModeVerified());
                (bytes, ip_header, data_end) = (laid_out, header, end);
                break;
            }
            Security::Tunnel {
                laid_out,
                inner_offset,
                data_end: end,
                inner,
            } => {
                security = secure(none.withTunnelMode().withTunnelModeVerified());
                if !tunnel(
                    kernel,
                    packet,
                    &shape,
                    &laid_out,
                    inner_offset,
                    end,
                    security,
                ) {
                    kernel.set_irql(irql::PASSIVE);
                    return;
                }
                security = secure(
                    none.withTunnelMode()
                        .withTunnelModeVerified()
                        .withDeTunneled(),
                );
                layer = *inner;
            }
        }
    }
    let inbound = Inbound {
        packet,
        shape,
        flags,
        security,
        ip_header,
    };
    let list = indicate(kernel, &inbound, &bytes, data_end, "received");
    if shape.key.protocol == flow::UDP && crate::fwp::takes_coalesced(kernel, shape.is_v6()) {
        kernel.ndis.with_mut(list, |list| list.coalesced = true);
    }
    if by_other {
        kernel
            .ndis
            .with_mut(list, |list| list.mark_injected(OTHER_HANDLE, 0));
    }
    climb(kernel, &inbound, list);
    finish(kernel, list);
    kernel.set_irql(irql::PASSIVE);
}

/// Shows the outer packet of a tunnel. True if its inner packet goes on.
fn tunnel(
    kernel: &Kernel,
    packet: u64,
    inner: &Shape,
    laid_out: &[u8],
    offset: usize,
    end: usize,
    security: FWPS_PACKET_LIST_INFORMATION0,
) -> bool {
    // What is inside is no transport protocol of the outer packet: IP in IP, nothing to be read behind the header.
    let mut shape = *inner;
    shape.key.protocol = if laid_out.get(offset).is_some_and(|first| first >> 4 == 6) {
        41
    } else {
        4
    };
    if let Ok(outer) = wfpsim_packet::IpPacket::parse(laid_out) {
        (shape.key.local, shape.key.remote) = (outer.destination(), outer.source());
    }
    (shape.fields, shape.transport_header, shape.error) = ((0, 0), 0, false);
    let inbound = Inbound {
        packet,
        shape,
        flags: 0,
        security,
        ip_header: offset,
    };
    let list = indicate(kernel, &inbound, laid_out, end, "received in a tunnel");
    kernel
        .ndis
        .with_mut(list, |list| list.past.in_tunnel = true);
    let mut ask = Ask::new(&inbound.shape, list);
    (ask.security, ask.ip_header) = (security, Some(offset));
    let outcome = ask.inbound_transport(kernel);
    let passed = outcome.action == Action::Permit;
    if passed {
        kernel.count(|counts| counts.skipped_tunnel += 1);
    } else {
        settle(kernel, packet, list, outcome);
    }
    finish(kernel, list);
    passed
}

/// Makes the net buffer list that the layers are shown.
fn indicate(
    kernel: &Kernel,
    inbound: &Inbound,
    bytes: &[u8],
    data_end: usize,
    what: &str,
) -> *mut NET_BUFFER_LIST {
    let headroom = if kernel.random.percent(kernel.config.freedom.no_headroom) {
        0
    } else {
        LINK_HEADER
    };
    let mut all = vec![0xEE; headroom];
    all.extend_from_slice(bytes);
    let data_start = headroom + inbound.ip_header + inbound.shape.skipped_header();
    let cuts = cuts(kernel, all.len());
    let label = kernel.ledger.told(|| {
        format!(
            "NET_BUFFER_LIST of packet {} ({what}: {})",
            inbound.packet,
            told(&inbound.shape)
        )
    });
    let spec = PacketSpec {
        packet: inbound.packet,
        bytes: all,
        data_start,
        data_length: (headroom + data_end).saturating_sub(data_start),
        cuts,
    };
    let list = ndis::build(
        kernel,
        Indication {
            label,
            packets: vec![spec],
        },
    )
    .as_ptr();
    kernel.ndis.with_mut(list, |list| {
        list.past.received = true;
        list.past.layout = Some(ndis::Layout {
            ip_start: headroom as u32,
            ip_header: inbound.ip_header as u32,
        });
    });
    list
}

/// Where a packet is cut into MDLs: nowhere, or at up to three places of the seed's choice.
pub(super) fn cuts(kernel: &Kernel, length: usize) -> Vec<usize> {
    if let Some(at) = kernel.config.cut_at {
        return if (1..length).contains(&at) {
            vec![at]
        } else {
            Vec::new()
        };
    }
    if length < 2 || !kernel.random.percent(kernel.config.freedom.split_mdls) {
        return Vec::new();
    }
    let mut cuts: Vec<usize> = (0..=kernel.random.below(3))
        .map(|_| 1 + kernel.random.below(length - 1))
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// A flow in words.
pub(super) fn told(shape: &Shape) -> String {
    let key = &shape.key;
    format!(
        "protocol {}, local {} port {}, remote {} port {}",
        key.protocol, key.local, key.local_port, key.remote, key.remote_port
    )
}
