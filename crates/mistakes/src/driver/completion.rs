//! The completion function of every injection.

use std::ffi::c_void;

use wfp_sys::fwps::*;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::queue;
use super::queue::Packet;

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
        if (*clone).Status != 0 {
            LOST.set(LOST.get() + 1);
        }
        FwpsFreeCloneNetBufferList0(clone, 0);
        FwpsDereferenceNetBufferList0((*packet).list, dispatch_level);
    }
    queue::free_packet(packet);
}
