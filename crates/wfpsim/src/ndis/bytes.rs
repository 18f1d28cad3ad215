//! Reading and writing the bytes of a net buffer, wherever its MDLs have them.

use std::ffi::c_void;
use std::ptr::null_mut;

use wfp_sys::ndis::NET_BUFFER;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::next;
use crate::machine::Kernel;

/// The buffers of a list.
pub(crate) fn net_buffers(list: *const NET_BUFFER_LIST) -> Vec<*mut NET_BUFFER> {
    let mut found = Vec::new();
    // SAFETY: the list is alive; a driver that broke its links faults here.
    let mut buffer = unsafe { (*list).FirstNetBuffer };
    while !buffer.is_null() {
        found.push(buffer);
        // SAFETY: as above.
        buffer = unsafe { (*buffer).Next };
    }
    found
}

/// The stretches of memory that `length` bytes from `skip` behind the data start lie in; `None` if the chain is shorter.
fn pieces(buffer: *const NET_BUFFER, skip: u32, length: u32) -> Option<Vec<(*mut u8, usize)>> {
    // SAFETY: the buffer is alive; a driver that broke its links faults here.
    let (mut mdl, mut offset) = unsafe {
        (
            (*buffer).CurrentMdl,
            (*buffer).CurrentMdlOffset as usize + skip as usize,
        )
    };
    let mut left = length as usize;
    let mut found = Vec::new();
    while left > 0 {
        if mdl.is_null() {
            return None;
        }
        // SAFETY: as above.
        let (start, size) = unsafe { (super::data_of(mdl), (*mdl).ByteCount as usize) };
        if offset < size {
            let take = left.min(size - offset);
            found.push((start.wrapping_add(offset), take));
            left -= take;
            offset = 0;
        } else {
            offset -= size;
        }
        mdl = next(mdl);
    }
    Some(found)
}

/// All data of a buffer.
pub(crate) fn copy_out(buffer: *const NET_BUFFER) -> Vec<u8> {
    // SAFETY: the buffer is alive.
    let length = unsafe { (*buffer).DataLength };
    let mut bytes = Vec::with_capacity(length as usize);
    for (start, size) in pieces(buffer, 0, length).unwrap_or_default() {
        // SAFETY: the piece lies in an MDL of the chain; if its memory was freed the read faults and is reported.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(start, size) });
    }
    bytes
}

/// Writes `bytes` at `skip` behind the data start.
pub(crate) fn write_at(buffer: *const NET_BUFFER, skip: u32, bytes: &[u8]) {
    let mut rest = bytes;
    for (start, size) in pieces(buffer, skip, bytes.len() as u32).unwrap_or_default() {
        let (now, later) = rest.split_at(size);
        // SAFETY: the piece lies in an MDL of the chain and has `size` bytes.
        unsafe { std::ptr::copy_nonoverlapping(now.as_ptr(), start, size) };
        rest = later;
    }
}

/// NdisGetDataBuffer: a pointer, or NULL, at which whoever asked has to look (B-05).
pub(super) fn get_data_buffer(
    kernel: &Kernel,
    buffer: *mut NET_BUFFER,
    needed: u32,
    storage: *mut c_void,
    multiple: u32,
    offset: u32,
) -> *mut c_void {
    let found = find_data(kernel, buffer, needed, storage, multiple, offset);
    let null = found.is_null().then_some(("NdisGetDataBuffer", "B-05"));
    kernel.running().null_from.set(null);
    found
}

fn find_data(
    kernel: &Kernel,
    buffer: *mut NET_BUFFER,
    needed: u32,
    storage: *mut c_void,
    multiple: u32,
    offset: u32,
) -> *mut c_void {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    if needed == 0 || unsafe { (*buffer).DataLength } < needed {
        return null_mut();
    }
    if kernel.fails("NdisGetDataBuffer") {
        return null_mut();
    }
    let Some(pieces) = pieces(buffer, 0, needed) else {
        return null_mut();
    };
    let aligned = |start: *mut u8| {
        multiple <= 1
            || (start as usize)
                .wrapping_sub(offset as usize)
                .is_multiple_of(multiple as usize)
    };
    if let [(start, _)] = pieces[..]
        && aligned(start)
    {
        return start.cast();
    }
    if storage.is_null() {
        return null_mut();
    }
    let mut to = storage.cast::<u8>();
    for (start, size) in pieces {
        // SAFETY: the caller promises `needed` bytes of storage, which is what the pieces add up to.
        unsafe {
            std::ptr::copy_nonoverlapping(start, to, size);
            to = to.add(size);
        }
    }
    storage
}
