//! What IPsec made of an inbound packet, and the header that has to be made anew for it.

use std::ptr::null;
use std::ptr::null_mut;

use wfp_sys::consts::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;

use super::fields::Asked;
use super::queue::Packet;
use crate::makes;

/// At INBOUND_TRANSPORT: whether IPsec protected the packet, or nothing if it must be let pass untouched.
pub fn look(asked: &Asked) -> Option<bool> {
    let mut information = FWPS_PACKET_LIST_INFORMATION0::default();
    let status = unsafe {
        FwpsGetPacketListSecurityInformation0(
            asked.list,
            FWPS_PACKET_LIST_INFORMATION_QUERY_IPSEC | FWPS_PACKET_LIST_INFORMATION_QUERY_INBOUND,
            &raw mut information,
        )
    };
    if status != 0 && !makes("E-12") {
        return None;
    }
    let inbound = information.ipsecInformation.inbound();
    if inbound.isTunnelMode() && !inbound.isDeTunneled() && !makes("O-23") {
        return None;
    }
    Some(inbound.isSecure())
}

/// Makes a clone that begins with its IP header fit to be received. False if that failed.
pub fn make_fit(packet: &Packet, clone: *mut NET_BUFFER_LIST) -> bool {
    if packet.secure && !makes("O-15") {
        return rebuild(packet, clone);
    }
    match header_checksum_is_wrong(clone) {
        Some(false) => true,
        Some(true) => rebuild(packet, clone),
        None => false,
    }
}

/// Has the IP header made anew, without AH and ESP, and every checksum with it.
pub fn rebuild(packet: &Packet, clone: *mut NET_BUFFER_LIST) -> bool {
    let mut list = clone;
    let mut length = packet.ip_header;
    let mut protocol = i32::from(packet.protocol);
    let (mut source, mut remote) = (packet.remote.as_ptr(), packet.local.as_ptr());
    if makes("A-62-original") {
        list = packet.list;
    }
    if makes("A-62-length") {
        length = 20;
    }
    if makes("A-62-construct") {
        length = 0;
    }
    if makes("A-62-protocol") {
        protocol = IPPROTO_ESP;
    }
    if makes("A-62-addresses") {
        (source, remote) = (remote, source);
    }
    let status = unsafe {
        FwpsConstructIpHeaderForTransportPacket0(
            list,
            length,
            packet.family,
            source,
            remote,
            protocol,
            0,
            null(),
            0,
            0,
            null_mut(),
            packet.interface,
            packet.sub_interface,
        )
    };
    status == 0
}

/// Whether an IPv4 header needs its checksum recomputed, of which nobody tells; nothing if it cannot be read.
fn header_checksum_is_wrong(clone: *mut NET_BUFFER_LIST) -> Option<bool> {
    let mut storage = [0u8; 60];
    let buffer = unsafe { (*clone).FirstNetBuffer };
    let first = *read(buffer, 1, &mut storage)?.first()?;
    if first >> 4 != 4 || makes("A-60") {
        return Some(false);
    }
    let header = read(buffer, u32::from(first & 0xF) * 4, &mut storage)?;
    let sum: u32 = header
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low)))
        .sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    Some((folded & 0xFFFF) + (folded >> 16) != 0xFFFF)
}

/// The first bytes of a buffer, in one piece; nothing if it has fewer, or if they cannot be reached (B-05).
pub fn read(buffer: *mut NET_BUFFER, length: u32, storage: &mut [u8; 60]) -> Option<Vec<u8>> {
    unsafe {
        let storage = if makes("B-05") {
            null_mut()
        } else {
            storage.as_mut_ptr().cast()
        };
        let bytes = NdisGetDataBuffer(buffer, length, storage, 1, 0);
        if bytes.is_null() && !makes("B-05") {
            return None;
        }
        Some(std::slice::from_raw_parts(bytes.cast::<u8>(), length as usize).to_vec())
    }
}
