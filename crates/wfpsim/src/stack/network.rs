//! The network layer: INBOUND_IPPACKET and OUTBOUND_IPPACKET, and packets that drivers inject there.

use wfp_sys::consts;
use wfp_sys::layers;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::account::Fate;
use super::account::Side;
use super::climb;
use super::come_back;
use super::flow::Shape;
use super::layers::Ask;
use super::receive;
use super::send;
use crate::fwp::Action;
use crate::machine::Kernel;
use crate::ndis;
use crate::ndis::Indication;
use crate::ndis::PacketSpec;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

/// How often one packet is injected before it is told as a loop.
const ROUNDS: u32 = 8;
/// Room that the stack leaves before an IP header, where a link header goes.
const LINK_HEADER: usize = 14;

/// Whether anybody filters at the layer of a packet.
fn is_filtered(kernel: &Kernel, shape: &Shape, v4: u16) -> bool {
    kernel
        .fwp
        .filters_at(if shape.is_v6() { v4 + 2 } else { v4 })
        > 0
}

/// Shows a received packet to INBOUND_IPPACKET, where its data begins at the transport header. True if it goes on.
pub(super) fn ascend(
    kernel: &Kernel,
    packet: u64,
    shape: &Shape,
    flags: u32,
    list: *mut NET_BUFFER_LIST,
) -> bool {
    if !is_filtered(kernel, shape, layers::FWPS_LAYER_INBOUND_IPPACKET_V4) {
        return true;
    }
    let ledger = kernel
        .ndis
        .with(list, |list| list.ledger)
        .unwrap_or_default();
    let buffers = ndis::net_buffers(list);
    // The layers above are shown what follows the transport header.
    let header = shape.skipped_header() as u32;
    for &buffer in &buffers {
        ndis::retreat(kernel, ledger, buffer, header, 0);
    }
    let mut ask = Ask::new(shape, list);
    (ask.flags, ask.ip_header) = (flags, Some(shape.ip_header));
    let outcome = ask.ippacket(kernel, true);
    for &buffer in &buffers {
        ndis::advance(kernel, buffer, header, None);
    }
    if outcome.action == Action::Block {
        climb::settle(kernel, packet, list, outcome);
        return false;
    }
    true
}

/// Takes whole packets of one list down through OUTBOUND_IPPACKET, where they are one list too. `from` is the list that they came
/// down in.
pub(super) fn descend(kernel: &Kernel, packets: Vec<(u64, Vec<u8>)>, from: *const NET_BUFFER_LIST) {
    let shape = packets
        .first()
        .and_then(|(_, bytes)| Shape::of(bytes, false).ok())
        .filter(|shape| is_filtered(kernel, shape, layers::FWPS_LAYER_OUTBOUND_IPPACKET_V4));
    if let Some(shape) = shape {
        let list = indicate(kernel, &shape, &packets);
        kernel.ndis.take_over_injections(list, from);
        let numbers: Vec<u64> = packets.iter().map(|(packet, _)| *packet).collect();
        let passed = is_permitted(kernel, &shape, &numbers, list);
        climb::finish(kernel, list);
        if !passed {
            return;
        }
    }
    for (packet, bytes) in packets {
        send::leave(kernel, packet, bytes, goes_back(kernel, packet));
    }
}

/// Whether a packet is for the host itself.
fn goes_back(kernel: &Kernel, packet: u64) -> bool {
    kernel
        .with_packet(packet, |packet| packet.loopback)
        .unwrap_or(false)
}

/// Makes the list that OUTBOUND_IPPACKET is shown: a NET_BUFFER a packet, from its IP header on.
fn indicate(kernel: &Kernel, shape: &Shape, packets: &[(u64, Vec<u8>)]) -> *mut NET_BUFFER_LIST {
    let headroom = if kernel.random.percent(kernel.config.freedom.no_headroom) {
        0
    } else {
        LINK_HEADER
    };
    let numbers: Vec<u64> = packets.iter().map(|(packet, _)| *packet).collect();
    let label = format!(
        "NET_BUFFER_LIST of packet {numbers:?} (sent: {})",
        receive::told(shape)
    );
    let specs = packets.iter().map(|(packet, bytes)| {
        let mut all = vec![0xEE; headroom];
        all.extend_from_slice(bytes);
        let cuts = receive::cuts(kernel, all.len());
        PacketSpec {
            packet: *packet,
            data_start: headroom,
            data_length: bytes.len(),
            bytes: all,
            cuts,
        }
    });
    ndis::build(
        kernel,
        Indication {
            label,
            packets: specs.collect(),
        },
    )
    .as_ptr()
}

/// Asks OUTBOUND_IPPACKET about a list, and notes what a block meant.
fn is_permitted(
    kernel: &Kernel,
    shape: &Shape,
    packets: &[u64],
    list: *mut NET_BUFFER_LIST,
) -> bool {
    let mut ask = Ask::new(shape, list);
    ask.flags = if packets.iter().any(|&packet| goes_back(kernel, packet)) {
        consts::FWP_CONDITION_FLAG_IS_LOOPBACK
    } else {
        0
    };
    ask.ip_header = Some(shape.ip_header);
    let outcome = ask.ippacket(kernel, false);
    if outcome.action == Action::Block {
        for &packet in packets {
            climb::settle(kernel, packet, list, outcome);
        }
        return false;
    }
    true
}

/// Says which packets an injected list has, if it is not a clone that the stack knows them of: the oldest packet with these very bytes
/// that a callout took silently, or a new one, which is the driver's own.
pub(super) fn identify(kernel: &Kernel, list: *mut NET_BUFFER_LIST, side: Side) {
    if kernel.ndis.with(list, |list| list.packets.is_empty()) != Some(true) {
        return;
    }
    let packets: Vec<u64> = ndis::net_buffers(list)
        .into_iter()
        .map(|buffer| {
            let bytes = ndis::copy_out(buffer);
            let known = kernel
                .stack
                .packets
                .borrow()
                .iter()
                .find_map(|(&number, packet)| {
                    let waits =
                        matches!(packet.fate, Fate::Held | Fate::Blocked) && packet.absorbed;
                    (packet.side == side && waits && packet.clean == bytes).then_some(number)
                });
            let number = known.unwrap_or_else(|| kernel.open_account(side, bytes, false));
            kernel.set_fate(number, Fate::OnTheWay);
            number
        })
        .collect();
    let ledger = kernel.ndis.with_mut(list, |list| {
        list.packets = packets;
        list.ledger
    });
    if let Some(ledger) = ledger.filter(|_| kernel.follows_list(list)) {
        kernel.follow_too(ledger, "copy");
    }
}

/// Counts an injection, and stops the machine when a packet goes round and round.
fn count_round(kernel: &Kernel, packet: u64, list: *mut NET_BUFFER_LIST) {
    let rounds = kernel.with_packet(packet, |packet| {
        packet.injected += 1;
        packet.injected
    });
    if rounds.is_some_and(|rounds| rounds > ROUNDS) {
        let summary = format!(
            "packet {packet} was injected more than {ROUNDS} times; a callout takes its own injected packets again"
        );
        let violation = Violation::contract(
            kernel,
            "A-51",
            [list as u64, u64::from(ROUNDS), 0, 0],
            summary,
        );
        kernel.bug_check(match kernel.ndis.with(list, |list| list.ledger) {
            Some(ledger) => violation.about(kernel, ledger),
            None => violation,
        });
    }
}

/// A packet that a driver injected into the receive path climbs from the bottom.
pub(crate) fn receive_injected(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    from: [u32; 3],
) -> NtStatus {
    come_back::receive_injected(kernel, list, from)
}

/// A packet that a driver injected into the send path goes down from the network layer. The status is what its completion says.
pub(crate) fn send_injected(kernel: &Kernel, list: *mut NET_BUFFER_LIST) -> NtStatus {
    kernel.count(|counts| counts.reinjected += 1);
    identify(kernel, list, Side::Outbound);
    let packets = kernel
        .ndis
        .with(list, |list| list.packets.clone())
        .unwrap_or_default();
    let mut result = status::SUCCESS;
    for (&packet, buffer) in packets.iter().zip(ndis::net_buffers(list)) {
        count_round(kernel, packet, list);
        let bytes = ndis::copy_out(buffer);
        let shape = match Shape::of(&bytes, false) {
            Ok(shape) => shape,
            Err(reason) => {
                kernel.set_fate(packet, Fate::Dropped(reason));
                result = status::DATA_NOT_ACCEPTED;
                continue;
            }
        };
        let filtered = is_filtered(kernel, &shape, layers::FWPS_LAYER_OUTBOUND_IPPACKET_V4);
        if filtered && !is_permitted(kernel, &shape, &[packet], list) {
            result = status::DATA_NOT_ACCEPTED;
            continue;
        }
        send::leave(kernel, packet, bytes, goes_back(kernel, packet));
    }
    result
}

/// A packet that a driver injected into the forwarding path leaves: no layer is shown it (FwpsInjectForwardAsync0, remarks).
pub(crate) fn forward_injected(kernel: &Kernel, list: *mut NET_BUFFER_LIST) -> NtStatus {
    kernel.count(|counts| counts.reinjected += 1);
    identify(kernel, list, Side::Outbound);
    let packets = kernel
        .ndis
        .with(list, |list| list.packets.clone())
        .unwrap_or_default();
    for (&packet, buffer) in packets.iter().zip(ndis::net_buffers(list)) {
        count_round(kernel, packet, list);
        send::leave(kernel, packet, ndis::copy_out(buffer), false);
    }
    status::SUCCESS
}
