//! The receive path: from the network layer up to the transport layer.

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_PACKET_LIST_INBOUND_IPSEC_INFORMATION0;
use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::COMPARTMENT_ID;
use super::INTERFACE_INDEX;
use super::SUB_INTERFACE_INDEX;
use super::account::Fate;
use super::account::Side;
use super::established;
use super::flow;
use super::flow::Role;
use super::flow::Shape;
use super::flow::State as FlowState;
use super::injected;
use super::layers::Ask;
use super::network;
use super::queues;
use super::queues::Name;
use crate::fwp::Action;
use crate::fwp::Outcome;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::ndis;
use crate::ndis::Indication;
use crate::ndis::PacketSpec;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

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

/// One inbound packet on its way, with what the stack knows of it.
struct Inbound {
    packet: u64,
    shape: Shape,
    flags: u32,
    security: FWPS_PACKET_LIST_INFORMATION0,
    /// From the IP header to the transport header as the buffer has it.
    ip_header: usize,
}

/// What became of a packet at a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    Yes,
    No,
}

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

/// Takes a packet through INBOUND_TRANSPORT and ALE to the transport layer.
fn climb(kernel: &Kernel, inbound: &Inbound, list: *mut NET_BUFFER_LIST) {
    let key = inbound.shape.key;
    // Before IPsec there is only the protected packet, which nobody shows here.
    if inbound.security.ipsecInformation.inbound().bits == 0
        && !network::ascend(kernel, inbound.packet, &inbound.shape, inbound.flags, list)
    {
        return;
    }
    let before = kernel.stack.flow_state(&key);
    if before.is_none()
        && !inbound.shape.error
        && key.protocol == flow::TCP
        && !inbound.shape.connects
    {
        flow::adopt(kernel, key);
    }
    let state = kernel.stack.flow_state(&key);
    let required =
        !inbound.shape.error && state.is_none_or(|(_, state, _)| state != FlowState::Authorized);
    let mut ask = Ask::new(&inbound.shape, list);
    (ask.flags, ask.security, ask.ip_header) =
        (inbound.flags, inbound.security, Some(inbound.ip_header));
    ask.ale_required = required;
    ask.endpoint = state.map_or(0, |(_, _, endpoint)| endpoint);
    let outcome = ask.inbound_transport(kernel);
    if outcome.action == Action::Block {
        settle(kernel, inbound.packet, list, outcome);
        audit_retreat(kernel, inbound, list, outcome);
        return;
    }
    if required && authorize(kernel, inbound, list, state) == Passed::No {
        return;
    }
    if outcome.callouts > 0
        && kernel.ndis.with(list, |list| list.injected_by.is_empty()) == Some(true)
    {
        kernel.count(|counts| counts.permitted_inline += 1);
    }
    if !inbound.shape.error && !inbound.shape.connects {
        established::tell(kernel, &inbound.shape, list, inbound.flags);
    }
    deliver(kernel, inbound, list);
    if inbound.shape.resets {
        established::reset(kernel, &key);
    }
}

/// Asks ALE about the first packet of a flow, or about one of a flow that is to be authorized again.
fn authorize(
    kernel: &Kernel,
    inbound: &Inbound,
    list: *mut NET_BUFFER_LIST,
    known: Option<(Role, FlowState, u64)>,
) -> Passed {
    let key = inbound.shape.key;
    let mut ask = Ask::new(&inbound.shape, list);
    // At ALE the IPsec state comes as a flag.
    let secured = inbound.security.ipsecInformation.inbound().isSecure();
    ask.flags = inbound.flags
        | if secured {
            consts::FWP_CONDITION_FLAG_IS_IPSEC_SECURED
        } else {
            0
        };
    ask.security = inbound.security;
    ask.endpoint = kernel
        .stack
        .flow_state(&key)
        .map_or_else(|| kernel.stack.new_endpoint(), |(_, _, endpoint)| endpoint);
    let outcome = match known {
        Some((Role::Client, state, _)) => {
            ask.reason = state.reason();
            ask.connect(kernel)
        }
        Some((Role::Server, state, _)) => {
            ask.ip_header = Some(inbound.ip_header);
            ask.reason = state.reason();
            ask.recv_accept(kernel)
        }
        None => {
            ask.ip_header = Some(inbound.ip_header);
            let packet = inbound.packet;
            ask.pendable = Some(Box::new(move |kernel, clone| {
                // the accept is not classified again by completing it; the clone's own injection will be.
                kernel.with_packet(packet, |packet| packet.accept = Some(Some(clone as usize)));
            }));
            ask.recv_accept(kernel)
        }
    };
    if outcome.pended {
        kernel.count(|counts| counts.pended += 1);
        kernel.with_packet(inbound.packet, |packet| {
            if packet.accept.is_none() {
                packet.accept = Some(None);
            }
        });
    }
    if outcome.action == Action::Permit {
        let role = known.map_or(Role::Server, |(role, _, _)| role);
        kernel.stack.set_flow(key, role, FlowState::Authorized);
        return Passed::Yes;
    }
    settle(kernel, inbound.packet, list, outcome);
    audit_retreat(kernel, inbound, list, outcome);
    Passed::No
}

/// Notes what a block meant for the packet.
pub(super) fn settle(kernel: &Kernel, packet: u64, list: *mut NET_BUFFER_LIST, outcome: Outcome) {
    let taken = kernel
        .ndis
        .with(list, |list| list.taken.is_some())
        .unwrap_or(false);
    if outcome.absorbed {
        kernel.with_packet(packet, |packet| packet.absorbed = true);
    }
    if outcome.absorbed && taken {
        kernel.count(|counts| counts.held += 1);
        let waits = kernel.with_packet(packet, |packet| {
            packet.held += 1;
            packet.fate == Fate::OnTheWay
        });
        // The worker may have been faster than the classify's return.
        if waits == Some(true) {
            kernel.set_fate(packet, Fate::Held);
        }
    } else if kernel.with_packet(packet, |packet| packet.fate == Fate::OnTheWay) == Some(true) {
        kernel.count(|counts| counts.blocked += 1);
        kernel.set_fate(packet, Fate::Blocked);
    }
}

/// After an absorb the stack may retreat the packet to its transport header, to audit the drop. Not once a thread of the
/// driver's has had a turn since the packet was referenced: that thread may have looked at the offset already, and no
/// driver could stand the stack moving it meanwhile.
fn audit_retreat(kernel: &Kernel, inbound: &Inbound, list: *mut NET_BUFFER_LIST, outcome: Outcome) {
    let original = kernel.ndis.with(list, |list| {
        let waiting = list.kind == ndis::Kind::Original && list.references > 0;
        (waiting && list.taken == Some(kernel.driver_turns())).then_some(list.ledger)
    });
    let Some(ledger) = original.flatten() else {
        return;
    };
    let freedom = &kernel.config.freedom;
    let header = inbound.shape.skipped_header() as u32;
    if !outcome.absorbed || header == 0 {
        return;
    }
    let (delta, moved) = if kernel.random.percent(freedom.odd_retreat) {
        (header - 1, ndis::Moved::Odd)
    } else if kernel.random.percent(freedom.audit_retreat) {
        (header, ndis::Moved::Audit)
    } else {
        return;
    };
    kernel
        .ndis
        .with_mut(list, |list| list.past.moved = Some(moved));
    for buffer in ndis::net_buffers(list) {
        ndis::retreat(kernel, ledger, buffer, delta, 0);
    }
    kernel.note(
        ledger,
        format!("retreated by {delta} bytes by the stack, to audit the drop (A-24)"),
    );
}

/// The packet has reached the transport layer, with the bytes that the buffer has now.
fn deliver(kernel: &Kernel, inbound: &Inbound, list: *mut NET_BUFFER_LIST) {
    let Some(&buffer) = ndis::net_buffers(list).first() else {
        return;
    };
    let skipped = inbound.shape.skipped_header() as u32;
    let ledger = kernel
        .ndis
        .with(list, |list| list.ledger)
        .unwrap_or_default();
    ndis::retreat(kernel, ledger, buffer, skipped, 0);
    let transport = ndis::copy_out(buffer);
    ndis::advance(kernel, buffer, skipped, None);
    let clean = kernel
        .with_packet(inbound.packet, |packet| packet.clean.clone())
        .unwrap_or_default();
    let mut bytes = clean
        .get(..Shape::of(&clean, true).map_or(0, |shape| shape.ip_header))
        .unwrap_or_default()
        .to_vec();
    bytes.extend_from_slice(&transport);
    kernel.arrived(inbound.packet, Side::Inbound, bytes);
}

/// The stack is done with a list of its own.
pub(super) fn finish(kernel: &Kernel, list: *mut NET_BUFFER_LIST) {
    kernel
        .ndis
        .with_mut(list, |list| list.fate = ndis::Fate::Done);
    ndis::maybe_move(kernel, list);
    ndis::release_if_done(kernel, list);
}

/// A clone that a driver injected enters at the bottom and climbs again, `from` the interface, sub-interface and
/// compartment that the driver named. The status is what its completion says.
pub(crate) fn receive_injected(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    from: [u32; 3],
) -> NtStatus {
    kernel.count(|counts| counts.reinjected += 1);
    network::identify(kernel, list, Side::Inbound);
    let Some((packet, ledger, rounds)) = kernel.ndis.with(list, |list| {
        (
            list.packets.first().copied(),
            list.ledger,
            list.injected_by.len(),
        )
    }) else {
        return status::UNSUCCESSFUL;
    };
    let Some(packet) = packet else {
        return status::UNSUCCESSFUL;
    };
    kernel.with_packet(packet, |packet| packet.injected += 1);
    if rounds > 8 {
        let summary = format!(
            "packet {packet} was injected {rounds} times; a callout takes its own injected packets again"
        );
        kernel.bug_check(
            Violation::contract(kernel, "A-51", [list as u64, rounds as u64, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
    let [interface, sub_interface, compartment] = from;
    // Who was not told the compartment says UNSPECIFIED_COMPARTMENT_ID.
    if (interface, sub_interface) != (INTERFACE_INDEX, SUB_INTERFACE_INDEX)
        || ![COMPARTMENT_ID, 0].contains(&compartment)
    {
        let summary = format!(
            "a packet that arrived on interface {INTERFACE_INDEX}.{SUB_INTERFACE_INDEX} in compartment {COMPARTMENT_ID} was injected as from interface {interface}.{sub_interface} in compartment {compartment}"
        );
        let parameters = [
            list as u64,
            u64::from(interface),
            u64::from(sub_interface),
            u64::from(compartment),
        ];
        kernel.bug_check(
            Violation::contract(kernel, "A-49", parameters, summary).about(kernel, ledger),
        );
    }
    let accept = kernel.with_packet(packet, |packet| (packet.accept, packet.loopback));
    match accept {
        Some((Some(None), _)) => {
            let summary =
                "a packet of a pended accept was injected before the accept was completed";
            kernel.bug_check(
                Violation::contract(kernel, "A-48", [list as u64, 0, 0, 0], summary)
                    .about(kernel, ledger),
            );
        }
        Some((Some(Some(clone)), _)) if clone != list as usize => {
            let summary =
                "a pended accept was completed with another clone than the one that was injected";
            kernel.bug_check(
                Violation::contract(kernel, "A-74", [list as u64, clone as u64, 0, 0], summary)
                    .about(kernel, ledger),
            );
        }
        Some((_, true)) => {
            injected::check_loopback(kernel, list, ledger);
            // Reported by those who tried: the stack refuses to receive what never left the machine.
            return status::DATA_NOT_ACCEPTED;
        }
        _ => {}
    }
    let Some(&buffer) = ndis::net_buffers(list).first() else {
        return status::UNSUCCESSFUL;
    };
    let bytes = ndis::copy_out(buffer);
    let shape = match Shape::of(&bytes, true) {
        Ok(shape) => shape,
        Err(reason) => {
            kernel.set_fate(packet, Fate::Dropped(reason));
            return status::DATA_NOT_ACCEPTED;
        }
    };
    injected::check_receive(kernel, packet, ledger, list, &bytes);
    let inbound = Inbound {
        packet,
        shape,
        flags: 0,
        security: FWPS_PACKET_LIST_INFORMATION0::default(),
        ip_header: shape.ip_header,
    };
    let delta = (shape.ip_header + shape.skipped_header()) as u32;
    ndis::advance(kernel, buffer, delta, None);
    climb(kernel, &inbound, list);
    ndis::retreat(kernel, ledger, buffer, delta, 0);
    let delivered = kernel.with_packet(packet, |packet| packet.fate == Fate::Delivered);
    if delivered == Some(true) {
        status::SUCCESS
    } else {
        status::DATA_NOT_ACCEPTED
    }
}
