//! An outbound packet goes back to the stack: clone, put a raw socket's header before it, inject.

use std::ptr::null_mut;

use wfp_sys::fwps::*;
use wfp_sys::ndis::*;

use super::completion;
use super::globals;
use super::inbound::drop_packet;
use super::queue::Packet;

/// Injects an outbound packet, or drops it.
pub fn reinject(packet: *mut Packet) {
    let mut clone = null_mut();
    let status = unsafe {
        FwpsAllocateCloneNetBufferList0((*packet).list, null_mut(), null_mut(), 0, &raw mut clone)
    };
    if status != 0 {
        return drop_packet(packet);
    }
    if !put_raw_header(unsafe { &*packet }, clone) || inject(packet, clone) != 0 {
        unsafe { FwpsFreeCloneNetBufferList0(clone, 0) };
        drop_packet(packet);
    }
}

/// The injection itself. Once it has been accepted, clone and packet are the completion's.
pub fn inject(packet: *mut Packet, clone: *mut NET_BUFFER_LIST) -> i32 {
    unsafe {
        // what begins with an IP header needs no arguments.
        let arguments = if (*packet).raw_header.is_null() {
            &raw mut (*packet).arguments
        } else {
            null_mut()
        };
        FwpsInjectTransportSendAsync0(
            (*globals()).injection,
            null_mut(),
            (*packet).endpoint,
            0,
            arguments,
            (*packet).family,
            (*packet).compartment,
            clone,
            Some(completion::completed),
            packet.cast(),
        )
    }
}

/// A raw socket made its IP header itself: it goes before the clone. False if there is no memory for it.
fn put_raw_header(packet: &Packet, clone: *mut NET_BUFFER_LIST) -> bool {
    if packet.raw_header.is_null() {
        return true;
    }
    let buffer = unsafe { (*clone).FirstNetBuffer };
    unsafe {
        // A clone has no room before its data, so this puts a new MDL in front, which is the clone's own.
        if NdisRetreatNetBufferDataStart(buffer, packet.raw_header_length, 0, None) != 0 {
            return false;
        }
        let mdl = (*buffer).CurrentMdl;
        let to = (*mdl)
            .MappedSystemVa
            .cast::<u8>()
            .add((*buffer).CurrentMdlOffset as usize);
        to.copy_from_nonoverlapping(packet.raw_header, packet.raw_header_length as usize);
    }
    true
}
