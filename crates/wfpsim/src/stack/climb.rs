//! From the network layer up to the transport layer: the layers on the way, and what their answers mean for the packet.

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::account::Fate;
use super::account::Side;
use super::established;
use super::flow;
use super::flow::Role;
use super::flow::Shape;
use super::flow::State as FlowState;
use super::layers::Ask;
use super::network;
use crate::fwp::Action;
use crate::fwp::Outcome;
use crate::machine::Kernel;
use crate::ndis;

/// One inbound packet on its way, with what the stack knows of it.
pub(super) struct Inbound {
    pub packet: u64,
    pub shape: Shape,
    pub flags: u32,
    pub security: FWPS_PACKET_LIST_INFORMATION0,
    /// From the IP header to the transport header as the buffer has it.
    pub ip_header: usize,
}

/// What became of a packet at a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    Yes,
    No,
}

/// Takes a packet through INBOUND_TRANSPORT and ALE to the transport layer.
pub(super) fn climb(kernel: &Kernel, inbound: &Inbound, list: *mut NET_BUFFER_LIST) {
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
            // The worker may have been faster than the classify's return.
            let waits = packet.fate == Fate::OnTheWay;
            if waits {
                packet.fate = Fate::Held;
            }
            waits
        });
        if waits == Some(true) {
            kernel.tell_fate(packet, Fate::Held);
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
