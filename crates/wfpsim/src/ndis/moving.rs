//! The bytes of a packet that the driver holds, moved elsewhere.

use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::build::fill_mdl;
use super::build::link;
use super::build::unmap;
use super::bytes::net_buffers;
use super::checks::chain;
use super::checks::remember_content;
use super::data_of;
use super::guard::remember_taken;
use super::lists::Kind;
use super::offsets::recompute_current;
use crate::machine::Kernel;
use crate::memory::Purpose;

/// When a packet has been taken and its classify is over, the filter engine may copy it: the list and its buffers stay what
/// they are, and the MDLs and the bytes are others. Only pointers that were kept from the classify can notice.
pub(crate) fn maybe_move(kernel: &Kernel, list: *mut NET_BUFFER_LIST) {
    let Some((ledger, blocks)) = kernel
        .ndis
        .with(list, |list| {
            // Not once a thread of the driver's has had a turn: it may have followed the pointers already.
            let untouched = list.kind == Kind::Original
                && list.references > 0
                && list.children == 0
                && list.shifts.is_empty()
                && list.taken == Some(kernel.driver_turns());
            untouched.then(|| (list.ledger, list.blocks.clone()))
        })
        .flatten()
    else {
        return;
    };
    if !super::chance(kernel, ledger, 2, kernel.config.freedom.moved_bytes) {
        return;
    }
    let (old, mut kept): (Vec<usize>, Vec<usize>) = blocks.into_iter().partition(|&start| {
        kernel
            .arena
            .find_exact(start)
            .is_some_and(|block| block.purpose == Purpose::PacketData)
    });
    for buffer in net_buffers(list) {
        let mut fresh: Vec<*mut MDL> = Vec::new();
        for mdl in chain(buffer) {
            let mdl = mdl as *const MDL;
            // SAFETY: the packet was not touched by the driver, so its MDLs are as the stack made them.
            let (size, mapped) = unsafe { ((*mdl).ByteCount, !(*mdl).MappedSystemVa.is_null()) };
            let data = kernel
                .arena
                .allocate(size as usize, Purpose::PacketData, ledger, false);
            let to = kernel
                .arena
                .allocate(size_of::<MDL>(), Purpose::Mdl, ledger, true)
                .cast::<MDL>();
            // SAFETY: both blocks have as many bytes; the new one is nobody's yet.
            unsafe {
                data.as_ptr()
                    .copy_from_nonoverlapping(data_of(mdl), size as usize)
            };
            fill_mdl(to.as_ptr(), data.as_ptr(), size);
            if !mapped {
                unmap(to.as_ptr());
            }
            kept.extend([data.as_ptr() as usize, to.as_ptr() as usize]);
            fresh.push(to.as_ptr());
        }
        link(&fresh);
        // SAFETY: the buffer is alive.
        unsafe { (*buffer).MdlChain = fresh.first().copied().unwrap_or(std::ptr::null_mut()) };
        recompute_current(buffer);
    }
    crate::nt::free_some(
        kernel,
        &old,
        "its bytes moved elsewhere, with new MDLs (A-31)",
    );
    remember_taken(kernel, &old, "A-31");
    if let Some(record) = kernel.ndis.lists.borrow_mut().get_mut(&(list as usize)) {
        record.blocks = kept;
        remember_content(kernel, record);
    }
}
