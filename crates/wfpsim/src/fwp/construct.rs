//! FwpsConstructIpHeaderForTransportPacket0: a fresh IP header for a clone.

use std::ffi::c_void;

use wfp_sys::ndis::NET_BUFFER_LIST;

use crate::machine::Kernel;
use crate::ndis::Fate;
use crate::ndis::Kind;
use crate::ndis::copy_out;
use crate::ndis::net_buffers;
use crate::ndis::recompute_current;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;
use wfpsim_packet::checksum;

pub(super) fn construct_ip_header(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    header_length: u32,
    family: u16,
    source: *const u8,
    remote: *const u8,
    next_protocol: i32,
    _endpoint: u64,
    _control_data: *const c_void,
    _control_data_length: u32,
    flags: u32,
    reserved: *mut c_void,
    _interface: u32,
    _sub_interface: u32,
) -> NtStatus {
    const NAME: &str = "FwpsConstructIpHeaderForTransportPacket0";
    let ledger = crate::ndis::require(kernel, NAME, list, "A-62");
    if kernel.ndis.with(list, |list| {
        matches!(list.kind, Kind::Clone { .. }) && list.fate == Fate::Driver
    }) != Some(true)
    {
        let summary =
            format!("{NAME} was called on a list that is not a clone of the driver's own");
        kernel.bug_check(
            Violation::contract(kernel, "A-62", [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
    let buffers = net_buffers(list);
    if !reserved.is_null()
        || flags != 0
        || source.is_null()
        || remote.is_null()
        || ![2, 23].contains(&family)
    {
        return status::INVALID_PARAMETER;
    }
    if header_length > 0 && buffers.len() != 1 {
        let summary = format!(
            "{NAME} was asked to rebuild the header of a list with {} NET_BUFFERs; it takes one",
            buffers.len()
        );
        kernel.bug_check(
            Violation::contract(
                kernel,
                "A-62",
                [list as u64, buffers.len() as u64, 0, 0],
                summary,
            )
            .about(kernel, ledger),
        );
    }
    if kernel.fails(NAME) {
        return status::INSUFFICIENT_RESOURCES;
    }
    let size = if family == 2 { 4 } else { 16 };
    // SAFETY: the driver's pointers; bad ones fault and are reported.
    let (source, remote) = unsafe {
        (
            std::slice::from_raw_parts(source, size).to_vec(),
            std::slice::from_raw_parts(remote, size).to_vec(),
        )
    };
    let packet = kernel
        .ndis
        .with(list, |list| list.packets.first().copied())
        .flatten();
    for address in [&source, &remote] {
        if let Ok(address) = <[u8; 4]>::try_from(&address[..]) {
            crate::stack::check_byte_order(kernel, NAME, packet, address);
        }
    }
    let wrong = |summary: String| -> ! {
        kernel.bug_check(
            Violation::contract(
                kernel,
                "A-62",
                [list as u64, u64::from(header_length), 0, 0],
                summary,
            )
            .about(kernel, ledger),
        )
    };
    if let Some(summary) = misuse(kernel, list, header_length, next_protocol) {
        wrong(format!("{NAME} {summary}"));
    }
    crate::ndis::check_lengths(kernel, list, ledger);
    for buffer in buffers {
        let bytes = copy_out(buffer);
        let header = bytes.get(..header_length as usize);
        let Some(header) = header else {
            wrong(format!(
                "{NAME} was told of a header of {header_length} bytes in a packet of {}",
                bytes.len()
            ));
        };
        let version = if family == 2 { 4 } else { 6 };
        if header_length > 0 && header.first().map(|first| first >> 4) != Some(version) {
            wrong(format!(
                "{NAME} was asked to rebuild a header that does not begin with an IP header of its address family"
            ));
        }
        if is_swapped(header, &source, &remote) {
            wrong(format!(
                "{NAME} was asked to rebuild the header of a received packet with its addresses exchanged: the source is the remote peer"
            ));
        }
        let payload = &bytes[header_length as usize..];
        let mut packet = if family == 2 {
            ipv4_header(header, &source, &remote, next_protocol as u8, payload.len())
        } else {
            ipv6_header(header, &source, &remote, next_protocol as u8, payload.len())
        };
        packet.extend_from_slice(payload);
        if checksum::fill_all(&mut packet).is_err() {
            return status::INVALID_PARAMETER;
        }
        kernel.count(|counts| counts.rebuilt += u64::from(header_length > 0));
        replace_bytes(kernel, list, buffer, &packet);
    }
    kernel.note(
        ledger,
        if header_length > 0 {
            "IP header rebuilt"
        } else {
            "IP header made"
        },
    );
    status::SUCCESS
}

/// What is wrong with the call, if something is that only the packet's past tells.
fn misuse(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    header_length: u32,
    next_protocol: i32,
) -> Option<String> {
    let past = kernel.ndis.with(list, |list| list.past.clone())?;
    if [50, 51].contains(&next_protocol) {
        return Some(format!(
            "was given {next_protocol} for the protocol; the transport's own follows the header that it makes"
        ));
    }
    if past.rebuilt || past.begins_with_ip_header() != Some(true) {
        return None;
    }
    let length = past.layout.map_or(0, |layout| layout.ip_header);
    match header_length {
        0 => Some(
            "was asked to make a header for a packet that begins with one; the length of that header says that it is to be replaced"
                .to_owned(),
        ),
        given if given != length => Some(format!(
            "was told that the IP header has {given} bytes; up to the transport header there are {length}"
        )),
        _ => None,
    }
}

/// Whether the addresses are the packet's own, the wrong way round.
fn is_swapped(header: &[u8], source: &[u8], remote: &[u8]) -> bool {
    let (at, size) = if source.len() == 4 { (12, 4) } else { (8, 16) };
    let address = |at: usize| header.get(at..at + size);
    address(at) == Some(remote) && address(at + size) == Some(source) && source != remote
}

/// The IPv4 header: the old one's fields and options, without AH or ESP.
fn ipv4_header(old: &[u8], source: &[u8], remote: &[u8], protocol: u8, payload: usize) -> Vec<u8> {
    let length = old
        .first()
        .map_or(20, |first| usize::from(first & 0xF) * 4)
        .clamp(20, 60)
        .min(old.len().max(20));
    let mut header = old.get(..length).map_or_else(
        || {
            vec![
                0x45, 0, 0, 0, 0, 0, 0x40, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ]
        },
        <[u8]>::to_vec,
    );
    let total = (header.len() + payload) as u16;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[9] = protocol;
    header[12..16].copy_from_slice(source);
    header[16..20].copy_from_slice(remote);
    header
}

/// The IPv6 header: the old one's fields, without extension headers.
fn ipv6_header(old: &[u8], source: &[u8], remote: &[u8], protocol: u8, payload: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 128];
    if old.len() >= 40 {
        header[..4].copy_from_slice(&old[..4]);
        header[7] = old[7];
    }
    header[4..6].copy_from_slice(&(payload as u16).to_be_bytes());
    header.extend_from_slice(source);
    header.extend_from_slice(remote);
    header
}

/// Puts a new header in memory of its own before the payload. What the stack computed into the transport header (its
/// checksum) is written into a copy too, so that the original's bytes stay as they are: header and payload get one
/// fresh MDL.
fn replace_bytes(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    buffer: *mut wfp_sys::ndis::NET_BUFFER,
    packet: &[u8],
) {
    // SAFETY: the buffer is a live clone's; its old MDLs stay recorded with the clone and go with it.
    unsafe { (*buffer).MdlChain = std::ptr::null_mut() };
    let ledger = kernel
        .ndis
        .with(list, |list| list.ledger)
        .unwrap_or_default();
    let blocks = crate::ndis::attach_mdl(kernel, ledger, buffer, packet.len() as u32);
    // SAFETY: as above.
    unsafe {
        (*buffer).DataOffset = 0;
        (*buffer).DataLength = packet.len() as u32;
    }
    kernel.ndis.with_mut(list, |list| {
        list.past.rebuilt = true;
        list.remade(buffer, blocks, packet.len() as u32);
    });
    recompute_current(buffer);
    crate::ndis::write_at(buffer, 0, packet);
}
