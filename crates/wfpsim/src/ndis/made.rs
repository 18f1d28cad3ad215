//! Net buffer lists that a driver makes over MDLs of its own.

use std::ptr::NonNull;

use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::build::allocate_list;
use super::lists::Fate;
use super::lists::Kind;
use super::lists::List;
use super::lists::free_blocks;
use super::next;
use super::offsets::recompute_current;
use crate::machine::Kernel;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// Makes a list of one NET_BUFFER over a chain, whose data begins at `offset` and is `length` bytes long.
pub(crate) fn make_list(
    kernel: &Kernel,
    function: &str,
    pool: usize,
    chain: *mut MDL,
    offset: u32,
    length: u32,
) -> NonNull<NET_BUFFER_LIST> {
    let mut described = 0u64;
    let mut mdl = chain;
    while !mdl.is_null() {
        // SAFETY: the driver's chain; a broken one faults and is reported.
        described += u64::from(unsafe { (*mdl).ByteCount });
        mdl = next(mdl);
    }
    if u64::from(offset) + u64::from(length) > described {
        let summary = format!(
            "{function} was given {length} bytes at offset {offset} of a chain that describes {described}"
        );
        let parameters = [
            chain as u64,
            u64::from(offset),
            u64::from(length),
            described,
        ];
        kernel.bug_check(
            Violation::contract(kernel, "B-11", parameters, summary)
                .about_address(kernel, chain as usize),
        );
    }
    let ledger = kernel.ledger.begin("NET_BUFFER_LIST that the driver made");
    let (list, buffers, _) = allocate_list(kernel, ledger, 1, 0);
    let mut record = List::new(Kind::Made { pool }, ledger);
    record.fate = Fate::Driver;
    record.blocks.push(list.as_ptr() as usize);
    for buffer in buffers {
        // SAFETY: the buffer was just allocated.
        unsafe {
            (*buffer).MdlChain = chain;
            (*buffer).DataOffset = offset;
            (*buffer).DataLength = length;
        }
        recompute_current(buffer);
    }
    kernel.note(ledger, "made");
    kernel
        .ndis
        .lists
        .borrow_mut()
        .insert(list.as_ptr() as usize, record);
    list
}

/// Frees a list that the driver made. Its MDLs are the driver's own to free.
pub(crate) fn free_made(kernel: &Kernel, list: *mut NET_BUFFER_LIST) {
    let record = kernel.ndis.lists.borrow_mut().remove(&(list as usize));
    if let Some(record) = record {
        free_blocks(kernel, &record);
    }
}

impl super::State {
    /// Lists that the driver made and has not freed.
    pub(crate) fn kept_made(&self) -> Vec<ObjectId> {
        self.lists
            .borrow()
            .values()
            .filter(|list| matches!(list.kind, Kind::Made { .. }))
            .map(|list| list.ledger)
            .collect()
    }
}
