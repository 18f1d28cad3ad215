//! What the driver keeps of a packet, and the queue it waits in.

use std::ptr::null_mut;

use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::ntddk::*;
use wfp_sys::HANDLE;
use wfp_sys::fwps::FWPS_INCOMING_VALUES0;
use wfp_sys::fwps::FWPS_TRANSPORT_SEND_PARAMS0;
use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::Layer;
use super::TAG;
use super::globals;
use crate::makes;

/// A node of a doubly linked list, or its head (LIST_ENTRY of ntdef.h).
#[repr(C)]
pub struct ListEntry {
    /// The next node; of a head, the first.
    pub flink: *mut ListEntry,
    /// The one before; of a head, the last.
    pub blink: *mut ListEntry,
}

/// Makes a head with nothing behind it.
pub fn initialize_list_head(head: *mut ListEntry) {
    unsafe {
        (*head).flink = head;
        (*head).blink = head;
    }
}

/// Whether nothing is behind a head.
pub fn is_list_empty(head: *const ListEntry) -> bool {
    unsafe { (*head).flink.cast_const() == head }
}

/// Puts a node behind all others.
pub fn insert_tail_list(head: *mut ListEntry, node: *mut ListEntry) {
    unsafe {
        let last = (*head).blink;
        (*node).flink = head;
        (*node).blink = last;
        (*last).flink = node;
        (*head).blink = node;
    }
}

/// Takes the first node. Of an empty list that is the head itself: whoever calls has looked.
pub fn remove_head_list(head: *mut ListEntry) -> *mut ListEntry {
    unsafe {
        let first = (*head).flink;
        let second = (*first).flink;
        (*head).flink = second;
        (*second).blink = head;
        first
    }
}

/// A packet that the driver has taken, or a connection attempt, with or without a packet.
#[repr(C)]
pub struct Packet {
    /// Its place in the queue. First, so that a node is its packet.
    pub link: ListEntry,
    /// Where it was taken.
    pub layer: Layer,
    /// It is on its way out.
    pub outbound: bool,
    /// What a mistaken driver keeps of its classify's arguments.
    pub values: *const FWPS_INCOMING_VALUES0,
    /// The referenced original; null where there is none.
    pub list: *mut NET_BUFFER_LIST,
    /// The pended operation; null where nothing was pended.
    pub pended: HANDLE,
    /// AF_INET or AF_INET6.
    pub family: u16,
    /// The transport protocol.
    pub protocol: u8,
    /// The local address, in network order, in the first 4 or in all 16 bytes.
    pub local: [u8; 16],
    /// The remote address, the same way.
    pub remote: [u8; 16],
    /// The remote port, in host order.
    pub remote_port: u16,
    /// The local port, in host order.
    pub local_port: u16,
    /// Where the data began when the packet was taken.
    pub data_offset: u32,
    /// From the IP header to the transport header, IPsec's included.
    pub ip_header: u32,
    /// What lies between the transport header and the data: nothing for ICMP (A.4).
    pub transport_header: u32,
    /// IPsec had protected it.
    pub secure: bool,
    /// Arrival interface.
    pub interface: u32,
    /// Its sub-interface.
    pub sub_interface: u32,
    /// The compartment, or UNSPECIFIED_COMPARTMENT_ID.
    pub compartment: u32,
    /// The endpoint, or 0.
    pub endpoint: u64,
    /// A raw socket's own IP header, in pool, or null.
    pub raw_header: *mut u8,
    /// Its length.
    pub raw_header_length: u32,
    /// Where the bytes were at classify: nothing keeps them there.
    pub cached: *mut MDL,
    /// The arguments of a send injection, which live as long as the packet does.
    pub arguments: FWPS_TRANSPORT_SEND_PARAMS0,
}

/// Makes the queue. False if there is no memory.
pub fn create() -> bool {
    unsafe {
        let head = ExAllocatePool2(POOL_FLAG_NON_PAGED, size_of::<ListEntry>() as u64, TAG);
        if head.is_null() {
            return false;
        }
        initialize_list_head(head.cast());
        (*globals()).queue = head.cast();
    }
    true
}

/// Takes the queue's memory back, when nobody can come any more.
pub fn destroy() {
    let globals = globals();
    unsafe {
        if !(*globals).queue.is_null() {
            ExFreePoolWithTag((*globals).queue.cast(), TAG);
            if !makes("C-50-state-first") {
                (*globals).queue = null_mut();
            }
        }
    }
}

/// Takes memory for a packet; null if there is none. All of it is zero.
pub fn allocate_packet() -> *mut Packet {
    unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, size_of::<Packet>() as u64, TAG).cast() }
}

/// Copies bytes that are somebody else's into pool; null if there is no memory or nothing to copy.
pub fn copy_to_pool(from: *const u8, length: u32) -> *mut u8 {
    unsafe {
        if from.is_null() || length == 0 {
            return null_mut();
        }
        let copy = ExAllocatePool2(POOL_FLAG_NON_PAGED, u64::from(length), TAG).cast::<u8>();
        if !copy.is_null() {
            copy.copy_from_nonoverlapping(from, length as usize);
        }
        copy
    }
}

/// Frees a packet's memory and what is copied beside it.
pub fn free_packet(packet: *mut Packet) {
    unsafe {
        let beside = [(*packet).raw_header, (*packet).arguments.controlData.cast()];
        for copy in beside.into_iter().filter(|copy| !copy.is_null()) {
            ExFreePoolWithTag(copy.cast(), TAG);
        }
        ExFreePoolWithTag(packet.cast(), TAG);
    }
}

/// Puts a packet into the queue and wakes the worker.
pub fn enqueue(packet: *mut Packet) {
    let globals = globals();
    unsafe {
        let irql = KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        let queue = (*globals).queue;
        if makes("A-19") && !is_list_empty(queue) {
            // The lists are their own queue.
            let last = (*queue).blink.cast::<Packet>();
            (*(*last).list).Next = (*packet).list;
        }
        insert_tail_list(queue, &raw mut (*packet).link);
        KeReleaseSpinLock(&raw mut (*globals).lock, irql);
        if !(*globals).setup.patient {
            KeSetEvent(&raw mut (*globals).event, 0, 0);
        }
    }
}

/// Takes the oldest packet from the queue; null if there is none.
pub fn dequeue() -> *mut Packet {
    let globals = globals();
    unsafe {
        let irql = KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        let queue = (*globals).queue;
        let packet = if is_list_empty(queue) && !makes("E-2") {
            null_mut()
        } else {
            remove_head_list(queue).cast()
        };
        KeReleaseSpinLock(&raw mut (*globals).lock, irql);
        packet
    }
}

/// The oldest packet, which stays where it is; null if there is none.
pub fn peek() -> *mut Packet {
    let globals = globals();
    unsafe {
        let irql = KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        let queue = (*globals).queue;
        let packet = if is_list_empty(queue) {
            null_mut()
        } else {
            (*queue).flink.cast()
        };
        KeReleaseSpinLock(&raw mut (*globals).lock, irql);
        packet
    }
}

/// Gives a waiting connection of the same addresses and ports the pended operation of another, and says whether there is one.
pub fn replace_pended(other: &Packet) -> bool {
    let globals = globals();
    unsafe {
        let irql = KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        let queue = (*globals).queue;
        let mut node = (*queue).flink;
        let mut found = false;
        while node != queue && !found {
            let packet = &mut *node.cast::<Packet>();
            found = (packet.local, packet.local_port) == (other.local, other.local_port)
                && (packet.remote, packet.remote_port) == (other.remote, other.remote_port);
            if found {
                packet.pended = other.pended;
            }
            node = packet.link.flink;
        }
        KeReleaseSpinLock(&raw mut (*globals).lock, irql);
        found
    }
}

/// Whether the driver is being stopped and takes nothing any more.
pub fn is_stopping() -> bool {
    let globals = globals();
    unsafe {
        let irql = KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        let stopping = (*globals).stopping;
        KeReleaseSpinLock(&raw mut (*globals).lock, irql);
        stopping
    }
}
