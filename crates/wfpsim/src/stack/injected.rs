//! What the stack finds out about an injected packet when it gets to it.

use wfp_sys::ndis::NET_BUFFER_LIST;
use wfpsim_packet::IpPacket;
use wfpsim_packet::checksum;
use wfpsim_packet::checksum::Checksum;

use super::flow::Shape;
use crate::fwp::Send;
use crate::machine::Kernel;
use crate::memory::BlockState;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

/// The checksums of a packet that was injected into the receive path.
pub(super) fn check_receive(
    kernel: &Kernel,
    packet: u64,
    ledger: ObjectId,
    list: *mut NET_BUFFER_LIST,
    bytes: &[u8],
) {
    let header = bytes
        .first()
        .filter(|first| *first >> 4 == 4)
        .and_then(|first| bytes.get(..usize::from(first & 0xF) * 4));
    if header.is_some_and(|header| checksum::sum(header) != 0xFFFF) {
        let summary = "a packet was injected into the receive path whose IPv4 header checksum is wrong; it is to be recomputed, as that of a reassembled packet is never right";
        kernel.bug_check(
            Violation::contract(kernel, "A-60", [list as u64, packet, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
    let clean = clean(kernel, packet);
    let before = Shape::of(&clean, true)
        .ok()
        .and_then(|shape| clean.get(shape.ip_header..));
    let now = Shape::of(bytes, true)
        .ok()
        .and_then(|shape| bytes.get(shape.ip_header..));
    if before != now {
        check_transport(kernel, packet, ledger, list, bytes);
    }
}

/// The checksum of a segment that a driver changed and sends: put behind the header that the stack puts before it.
pub(super) fn check_send(
    kernel: &Kernel,
    packet: u64,
    ledger: ObjectId,
    list: *mut NET_BUFFER_LIST,
    segment: &[u8],
) {
    let clean = clean(kernel, packet);
    let Some(header) = Shape::of(&clean, false).ok().map(|shape| shape.ip_header) else {
        return;
    };
    if clean.get(header..) != Some(segment) && clean.len() == header + segment.len() {
        let mut bytes = clean;
        bytes[header..].copy_from_slice(segment);
        check_transport(kernel, packet, ledger, list, &bytes);
    }
}

fn clean(kernel: &Kernel, packet: u64) -> Vec<u8> {
    kernel
        .with_packet(packet, |packet| packet.clean.clone())
        .unwrap_or_default()
}

/// Whoever changes a segment makes its checksum right again. One that is left out, which UDP over IPv4 may, is right.
fn check_transport(
    kernel: &Kernel,
    packet: u64,
    ledger: ObjectId,
    list: *mut NET_BUFFER_LIST,
    bytes: &[u8],
) {
    let Ok(ip) = IpPacket::parse(bytes) else {
        return;
    };
    if !matches!(
        checksum::verify(&ip),
        Checksum::Good | Checksum::Absent | Checksum::NotApplicable
    ) {
        let summary =
            "a segment was changed and injected, and its checksum is still that of the old one";
        kernel.bug_check(
            Violation::contract(kernel, "A-61", [list as u64, packet, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}

/// What the host sent itself has neither a link header nor whole checksums: it can be received only with a header made for it
///
pub(super) fn check_loopback(kernel: &Kernel, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    if kernel.ndis.with(list, |list| list.past.rebuilt) == Some(false) {
        let summary = "a packet that the host sent itself was injected into the receive path as it was, without its IP header having been made anew";
        kernel.bug_check(
            Violation::contract(kernel, "A-68", [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}

/// Stops the machine if memory that a send injection's arguments lie in is gone when the stack reads it. Windows crashes
/// in tcpip!IppProcessAncillaryData, if it is lucky.
pub(super) fn check_argument(kernel: &Kernel, ledger: ObjectId, what: &str, address: usize) {
    let gone = kernel
        .arena
        .find(address)
        .filter(|block| block.state == BlockState::Freed);
    if let Some(block) = gone {
        let summary = format!(
            "tcpip!IppProcessAncillaryData: {what} of a send injection at {address:#x} is gone before its completion: it lies in {} ({})",
            block.purpose,
            kernel.ledger.label(block.object)
        );
        let parameters = [address as u64, 0, 0, 0];
        let violation = Violation::new(
            kernel,
            code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
            parameters,
            "A-52",
            summary,
        );
        let _ = ledger;
        kernel.bug_check(violation.about(kernel, block.object));
    }
}

/// An endpoint handle is good until its socket closes, and for the packets that came with it. Whoever sends with one that
/// is gone, and was told another for this packet, has kept it too long.
pub(super) fn check_endpoint(
    kernel: &Kernel,
    packet: u64,
    ledger: ObjectId,
    list: *mut NET_BUFFER_LIST,
    send: &Send,
) {
    let told = kernel
        .with_packet(packet, |packet| packet.endpoint)
        .flatten();
    if let Some(told) = told.filter(|&told| told != send.endpoint) {
        let summary = format!(
            "a packet was injected with endpoint handle {:#x}, whose socket is closed; the classify of this packet had told {told:#x}",
            send.endpoint
        );
        let parameters = [list as u64, send.endpoint, told, 0];
        kernel.bug_check(
            Violation::contract(kernel, "A-53", parameters, summary).about(kernel, ledger),
        );
    }
}

/// A raw socket made the IP header itself, and told it in the classify: it goes before the packet again.
pub(super) fn check_raw(
    kernel: &Kernel,
    packet: u64,
    ledger: ObjectId,
    list: *mut NET_BUFFER_LIST,
    send: &Send,
) {
    const HEADER: u32 = wfp_sys::consts::FWPS_METADATA_FIELD_TRANSPORT_HEADER_INCLUDE_HEADER;
    let told = kernel.config.hidden_metadata & HEADER == 0;
    let raw = kernel.with_packet(packet, |packet| packet.raw) == Some(true);
    if raw && told && !send.arguments.is_null() {
        let summary =
            "a packet of a raw socket was injected without the IP header that the socket had made";
        kernel.bug_check(
            Violation::contract(kernel, "A-54", [list as u64, packet, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}
