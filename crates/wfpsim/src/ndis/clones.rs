//! Clones: lists of their own MDLs over an original's data.

use std::ptr::NonNull;

use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER;
use wfp_sys::ndis::NET_BUFFER_LIST;
use wfp_sys::ndis::WfpNetBufferListInfo;

use super::build::allocate_list;
use super::build::fill_mdl;
use super::build::link;
use super::build::unmap;
use super::checks::chain;
use super::checks::engine_mark;
use super::data_of;
use super::guard::touch;
use super::lists::Kind;
use super::lists::List;
use super::lists::free_blocks;
use super::lists::release_if_done;
use super::net_buffers;
use super::next;
use super::offsets::recompute_current;
use crate::machine::Kernel;

/// Clones a list: new structures over the same bytes, from each buffer's data start on (A-36, B-10).
pub(crate) fn clone_list(
    kernel: &Kernel,
    original: *mut NET_BUFFER_LIST,
) -> NonNull<NET_BUFFER_LIST> {
    let ledger = kernel.ledger.begin(
        kernel
            .ledger
            .told(|| format!("clone of NET_BUFFER_LIST {original:p}")),
    );
    if kernel.follows_list(original) {
        kernel.follow_too(ledger, "clone");
    }
    let buffers = net_buffers(original);
    let stretches: Vec<(Vec<Stretch>, u32)> =
        buffers.iter().map(|&buffer| stretches(buffer)).collect();
    let mdls = stretches.iter().map(|(stretches, _)| stretches.len()).sum();
    let (clone, copies, mut mdls) = allocate_list(kernel, ledger, buffers.len(), mdls);
    let mut record = List::new(
        Kind::Clone {
            parent: original as usize,
        },
        ledger,
    );
    record.blocks.push(clone.as_ptr() as usize);
    for ((stretches, length), &to) in stretches.iter().zip(&copies) {
        let fresh: Vec<*mut MDL> = mdls.by_ref().take(stretches.len()).collect();
        for (&mdl, stretch) in fresh.iter().zip(stretches) {
            fill_mdl(mdl, stretch.data, stretch.size);
            if !stretch.mapped {
                unmap(mdl);
            }
        }
        link(&fresh);
        // SAFETY: the copy was just allocated.
        unsafe {
            (*to).MdlChain = fresh.first().copied().unwrap_or(std::ptr::null_mut());
            (*to).DataLength = *length;
            (*to).DataOffset = 0;
        }
        recompute_current(to);
    }
    record.mark = engine_mark(ledger);
    // SAFETY: both lists are alive.
    unsafe {
        (*clone.as_ptr()).ParentNetBufferList = original;
        (*clone.as_ptr()).NblFlags = (*original).NblFlags;
        (*clone.as_ptr()).NetBufferListInfo[WfpNetBufferListInfo] = record.mark as *mut _;
        (*original).ChildRefCount += 1;
    }
    record.chains = copies.iter().map(|&to| (to as usize, chain(to))).collect();
    // SAFETY: the copies were just made.
    let lengths = copies
        .iter()
        .map(|&to| (to as usize, unsafe { (*to).DataLength }));
    record.lengths = lengths.collect();
    // SAFETY: the original's buffers are alive.
    let begins_at = buffers.first().map(|&first| unsafe { (*first).DataOffset });
    if let Some(parent) = kernel.ndis.lists.borrow_mut().get_mut(&(original as usize)) {
        parent.children += 1;
        record.packets.clone_from(&parent.packets);
        record.inherit_injections(parent);
        (record.taken_at, record.coalesced) = (parent.taken_at, parent.coalesced);
        // Where the data begins means something only if it was not moved into an MDL of a retreat.
        let in_place = parent.shifts.iter().all(|shift| shift.added.is_none());
        record.past = parent
            .past
            .of_clone(kernel.now(), begins_at.filter(|_| in_place));
    }
    if let Some(ledger) = kernel.ndis.with(original, |list| list.ledger) {
        kernel.note(
            ledger,
            kernel
                .ledger
                .told(|| format!("cloned as {:p}", clone.as_ptr())),
        );
    }
    kernel.note(ledger, "made");
    kernel
        .ndis
        .lists
        .borrow_mut()
        .insert(clone.as_ptr() as usize, record);
    clone
}

/// One piece of memory that data lies in.
#[derive(Clone, Copy)]
struct Stretch {
    data: *mut u8,
    size: u32,
    /// Whether the MDL that describes it is mapped.
    mapped: bool,
}

/// The memory that a buffer's data lies in, piece by piece, and how much that is in all.
fn stretches(buffer: *mut NET_BUFFER) -> (Vec<Stretch>, u32) {
    let mut found = Vec::new();
    // SAFETY: the original's buffers and chains are alive; a driver that broke them faults here.
    let (mut mdl, mut offset, length) = unsafe {
        (
            (*buffer).CurrentMdl,
            (*buffer).CurrentMdlOffset,
            (*buffer).DataLength,
        )
    };
    let mut left = length;
    while left > 0 && !mdl.is_null() {
        // SAFETY: as above.
        let (size, mapped) = unsafe { ((*mdl).ByteCount, !(*mdl).MappedSystemVa.is_null()) };
        if offset < size {
            let take = left.min(size - offset);
            found.push(Stretch {
                data: data_of(mdl).wrapping_add(offset as usize),
                size: take,
                mapped,
            });
            left -= take;
        }
        offset = offset.saturating_sub(size);
        mdl = next(mdl);
    }
    (found, length - left)
}

/// Frees a clone that the driver owns, and the original if that was all that kept it.
pub(crate) fn free_clone(kernel: &Kernel, clone: *mut NET_BUFFER_LIST) {
    let Some(record) = kernel.ndis.lists.borrow_mut().remove(&(clone as usize)) else {
        return;
    };
    let Kind::Clone { parent } = record.kind else {
        return;
    };
    if record.past.completed.is_some() {
        kernel.ledger.set_late_rule(record.ledger, "A-43");
    }
    free_blocks(kernel, &record);
    let parent = parent as *mut NET_BUFFER_LIST;
    if kernel
        .ndis
        .with_mut(parent, |list| list.children -= 1)
        .is_some()
    {
        touch(kernel, parent, |parent| {
            // SAFETY: the parent is alive: it is in the table.
            unsafe { (*parent).ChildRefCount -= 1 }
        });
        release_if_done(kernel, parent);
    }
}
