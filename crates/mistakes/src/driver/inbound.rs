//! An inbound packet goes back to the stack: retreat, clone, advance, rebuild, complete, inject.

use std::ptr::null_mut;

use wfp_sys::fwps::*;
use wfp_sys::ndis::*;

use super::completion;
use super::globals;
use super::ipsec;
use super::queue;
use super::queue::Packet;
use crate::makes;

/// Injects an inbound packet, or drops it.
pub fn reinject(packet: *mut Packet) {
    let clone = clone_from_ip_header(unsafe { &*packet });
    if clone.is_null() {
        return drop_packet(packet);
    }
    if !ipsec::make_fit(unsafe { &*packet }, clone) {
        unsafe { FwpsFreeCloneNetBufferList0(clone, 0) };
        return drop_packet(packet);
    }
    unsafe {
        if !(*packet).pended.is_null() {
            // with the very clone that is injected next.
            FwpsCompleteOperation0((*packet).pended, completed_with(packet, clone));
            if !makes("E-11") {
                (*packet).pended = null_mut();
            }
        }
        if inject(packet, clone) != 0 {
            FwpsFreeCloneNetBufferList0(clone, 0);
            drop_packet(packet);
        }
    }
}

/// What an accept is completed with: the clone.
fn completed_with(packet: *mut Packet, clone: *mut NET_BUFFER_LIST) -> *mut NET_BUFFER_LIST {
    let list = unsafe { (*packet).list };
    if makes("A-74") {
        return list;
    }
    if makes("A-74-another") {
        let mut another = null_mut();
        let status = unsafe {
            FwpsAllocateCloneNetBufferList0(list, null_mut(), null_mut(), 0, &raw mut another)
        };
        if status == 0 {
            return another;
        }
    }
    clone
}

/// The injection itself. Once it has been accepted, clone and packet are the completion's.
pub fn inject(packet: *mut Packet, clone: *mut NET_BUFFER_LIST) -> i32 {
    unsafe {
        FwpsInjectTransportReceiveAsync0(
            (*globals()).injection,
            null_mut(),
            null_mut(),
            0,
            (*packet).family,
            (*packet).compartment,
            (*packet).interface,
            (*packet).sub_interface,
            clone,
            Some(completion::completed),
            packet.cast(),
        )
    }
}

/// Gives up a packet: denies the accept, if one was pended, and returns the original to the stack.
pub fn drop_packet(packet: *mut Packet) {
    unsafe {
        if !(*packet).pended.is_null() && !makes("fort-dropped-pends") {
            FwpsCompleteOperation0((*packet).pended, null_mut());
        }
        if !(*packet).list.is_null() {
            FwpsDereferenceNetBufferList0((*packet).list, 0);
        }
    }
    queue::free_packet(packet);
}

/// A clone of the whole packet, the original back as it was; null if there can be none.
fn clone_from_ip_header(packet: &Packet) -> *mut NET_BUFFER_LIST {
    let buffer = unsafe { (*packet.list).FirstNetBuffer };
    let Some(delta) = how_far(packet, unsafe { (*buffer).DataOffset }) else {
        return null_mut();
    };
    unsafe {
        if NdisRetreatNetBufferDataStart(buffer, delta, 0, None) != 0 {
            return null_mut();
        }
        let mut clone = null_mut();
        let status =
            FwpsAllocateCloneNetBufferList0(packet.list, null_mut(), null_mut(), 0, &raw mut clone);
        NdisAdvanceNetBufferDataStart(buffer, delta, 0, None);
        if status == 0 { clone } else { null_mut() }
    }
}

/// How far it is to the IP header from where the data begins now; nothing if that makes no sense (A-24, B-04).
fn how_far(packet: &Packet, now: u32) -> Option<u32> {
    let by_the_stack = packet.data_offset.checked_sub(now)?;
    let delta = if by_the_stack == 0 {
        packet.ip_header + packet.transport_header
    } else if by_the_stack == packet.transport_header {
        packet.ip_header
    } else {
        return None;
    };
    (now >= delta).then_some(delta)
}
