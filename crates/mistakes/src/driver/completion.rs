//! The completion function of every injection.

use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::ntddk::KeAcquireSpinLockRaiseToDpc;
use wfp_sys::fwps::*;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::globals;
use super::queue;
use super::queue::Packet;
use crate::makes;

thread_local! {
    /// Packets that the stack took and lost.
    static LOST: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Gives everything back: the clone, the original, the memory.
pub unsafe extern "system" fn completed(
    context: *mut c_void,
    clone: *mut NET_BUFFER_LIST,
    dispatch_level: u8,
) {
    let packet = context.cast::<Packet>();
    unsafe {
        let lost = !makes("E-9") && (*clone).Status != 0;
        if lost {
            LOST.set(LOST.get() + 1);
        }
        if makes("O-5") {
            FwpsDereferenceNetBufferList0(clone, 0);
        }
        if !(lost && makes("A-53-leak")) {
            FwpsFreeCloneNetBufferList0(clone, 0);
        }
        let list = if makes("OSR-292860") {
            null_mut()
        } else {
            (*packet).list
        };
        let at_dispatch = if makes("A-44") { 1 } else { dispatch_level };
        FwpsDereferenceNetBufferList0(list, at_dispatch);
    }
    queue::free_packet(packet);
    if makes("A-44-lock") {
        unsafe { KeAcquireSpinLockRaiseToDpc(&raw mut (*globals()).lock) };
    }
}
