//! An outbound packet goes back to the stack: clone, put a raw socket's header before it, inject.

use std::ptr::null_mut;

use wdk_sys_portable::ntddk::ExFreePoolWithTag;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;

use super::TAG;
use super::completion;
use super::globals;
use super::inbound;
use super::inbound::drop_packet;
use super::ipsec;
use super::queue;
use super::queue::Packet;
use super::wrong;
use crate::makes;

/// Injects an outbound packet, or drops it.
pub fn reinject(packet: *mut Packet) {
    let clone = clone_where_it_stands(unsafe { &*packet });
    if clone.is_null() {
        return drop_packet(packet);
    }
    if makes("O-16") || makes("O-16-transport") {
        ipsec::rebuild(
            &Packet {
                ip_header: 20,
                ..unsafe { packet.read() }
            },
            clone,
        );
    }
    if makes("O-17") {
        inbound::inject(packet, clone);
    }
    if !put_raw_header(unsafe { &*packet }, clone) || inject(packet, clone) != 0 {
        unsafe { FwpsFreeCloneNetBufferList0(clone, 0) };
        return drop_packet(packet);
    }
    if makes("O-18") {
        queue::free_packet(packet);
    }
    if makes("Portmaster-2035") {
        unsafe { ExFreePoolWithTag((*packet).arguments.controlData.cast(), TAG) };
    }
}

/// A clone of what the original shows, which is what a send injection takes; null if there is no memory.
fn clone_where_it_stands(packet: &Packet) -> *mut NET_BUFFER_LIST {
    if makes("O-10") {
        // Room for a header, made in the original.
        let buffer = unsafe { (*packet.list).FirstNetBuffer };
        wrong::retreat(packet.list, 20);
        let clone = inbound::clone(packet.list);
        unsafe { NdisAdvanceNetBufferDataStart(buffer, 20, 0, None) };
        return clone;
    }
    inbound::clone(packet.list)
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
        let backfill = if makes("A-55") { 3 } else { 0 };
        let length = packet.raw_header_length;
        if NdisRetreatNetBufferDataStart(buffer, length, backfill, None) != 0 {
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
