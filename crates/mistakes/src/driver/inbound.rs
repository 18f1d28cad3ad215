//! An inbound packet goes back to the stack: retreat, clone, advance, rebuild, complete, inject.

use std::ptr::null_mut;

use wfp_sys::fwps::*;
use wfp_sys::ndis::*;

use super::completion;
use super::globals;
use super::ipsec;
use super::queue;
use super::queue::Packet;
use super::wrong;
use crate::makes;

/// Injects an inbound packet, or drops it.
pub fn reinject(packet: *mut Packet) {
    let mut clone = clone_from_ip_header(unsafe { &*packet });
    if clone.is_null() {
        return drop_packet(packet);
    }
    wrong::spoil_clone(unsafe { &*packet }, clone);
    if !ipsec::make_fit(unsafe { &*packet }, clone) {
        unsafe { FwpsFreeCloneNetBufferList0(clone, 0) };
        return drop_packet(packet);
    }
    if makes("A-61") {
        wrong::write_last_byte(clone);
    }
    unsafe {
        if !(*packet).pended.is_null() && !makes("A-48") {
            // with the very clone that is injected next.
            FwpsCompleteOperation0((*packet).pended, completed_with(packet, clone));
            if !makes("E-11") {
                (*packet).pended = null_mut();
            }
        }
        if makes("O-1") {
            clone = (*packet).list;
        }
        let list = (*packet).list;
        let status = inject(packet, clone);
        if makes("O-13") {
            wrong::log((*clone).NblFlags);
        }
        if makes("O-13-packet") {
            wrong::log(u32::from((*packet).remote_port));
        }
        if makes("O-3") {
            FwpsDereferenceNetBufferList0(list, 0);
        }
        if makes("A-42-again") {
            inject(packet, clone);
        }
        if status != 0 && makes("A-39") || makes("O-11") {
            FwpsFreeCloneNetBufferList0(clone, 0);
        }
        if status != 0 {
            if !makes("O-12") {
                FwpsFreeCloneNetBufferList0(clone, 0);
            }
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
        if !(*packet).list.is_null() && !makes("A-28") {
            FwpsDereferenceNetBufferList0((*packet).list, u8::from(makes("O-6")));
        }
    }
    queue::free_packet(packet);
}

/// A clone of the whole packet, the original back as it was; null if there can be none.
fn clone_from_ip_header(packet: &Packet) -> *mut NET_BUFFER_LIST {
    wrong::use_what_is_not_the_workers(packet);
    let buffer = unsafe { (*packet.list).FirstNetBuffer };
    let Some(delta) = how_far(packet, unsafe { (*buffer).DataOffset }) else {
        return null_mut();
    };
    if makes("A-45") {
        return clone(packet.list);
    }
    if makes("A-36") {
        let clone = clone(packet.list);
        wrong::retreat(clone, delta);
        return clone;
    }
    if makes("B-11") {
        return wrong::clone_after_moving_by_hand(packet.list, delta);
    }
    unsafe {
        let status = NdisRetreatNetBufferDataStart(buffer, delta, 0, None);
        if status != 0 && !makes("E-7") && !makes("B-01") {
            if makes("O-9") {
                NdisAdvanceNetBufferDataStart(buffer, delta, 0, None);
            }
            return null_mut();
        }
        let clone = clone(packet.list);
        if makes("O-7-late") {
            FwpsDereferenceNetBufferList0(packet.list, 0);
        }
        let forgets = makes("O-7") || status != 0 && makes("B-01");
        if !forgets {
            let by = if makes("B-03") {
                packet.ip_header
            } else {
                delta
            };
            NdisAdvanceNetBufferDataStart(buffer, by, u8::from(makes("B-02")), None);
        }
        clone
    }
}

/// A clone of what the list shows; null if there is no memory.
pub fn clone(list: *mut NET_BUFFER_LIST) -> *mut NET_BUFFER_LIST {
    let flags = 0;
    let mut clone = null_mut();
    let status = unsafe {
        FwpsAllocateCloneNetBufferList0(list, null_mut(), null_mut(), flags, &raw mut clone)
    };
    if status == 0 { clone } else { null_mut() }
}

/// How far it is to the IP header from where the data begins now; nothing if that makes no sense (A-24, B-04).
fn how_far(packet: &Packet, now: u32) -> Option<u32> {
    let whole = packet.ip_header + packet.transport_header;
    if makes("O-8") || makes("OSR-275267") {
        return Some(whole);
    }
    let by_the_stack = packet.data_offset.checked_sub(now)?;
    if makes("A-24") {
        return whole.checked_sub(by_the_stack);
    }
    let delta = if by_the_stack == 0 {
        whole
    } else if by_the_stack == packet.transport_header {
        packet.ip_header
    } else {
        return None;
    };
    (now >= delta).then_some(delta)
}
