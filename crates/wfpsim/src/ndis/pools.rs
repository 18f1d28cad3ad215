//! Pools that net buffer lists and net buffers come from.

use wfp_sys::ndis::NET_BUFFER_LIST_POOL_PARAMETERS;

use super::lists::Kind;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::nt::Handle;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// NET_BUFFER_POOL_PARAMETERS.
#[repr(C)]
pub struct BufferParameters {
    kind: u8,
    revision: u8,
    size: u16,
    tag: u32,
    data_size: u32,
}

const _: () = assert!(size_of::<BufferParameters>() == 12);

/// NDIS_OBJECT_TYPE_DEFAULT.
const DEFAULT_TYPE: u8 = 0x80;

/// One pool.
pub(super) struct Pool {
    /// Whether net buffer lists come from it, or net buffers.
    lists: bool,
    ledger: ObjectId,
}

fn allocate(kernel: &Kernel, lists: bool, label: &str) -> Handle {
    let ledger = kernel.ledger.begin(label);
    let pool = kernel
        .arena
        .allocate(64, Purpose::Object, ledger, true)
        .as_ptr() as usize;
    kernel.note(ledger, "allocated");
    kernel
        .ndis
        .pools
        .borrow_mut()
        .insert(pool, Pool { lists, ledger });
    pool as Handle
}

pub(super) fn allocate_for_lists(
    kernel: &Kernel,
    _owner: Handle,
    parameters: *const NET_BUFFER_LIST_POOL_PARAMETERS,
) -> Handle {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let header = unsafe { (*parameters).Header };
    let known = header.Type == DEFAULT_TYPE
        && header.Revision >= 1
        && usize::from(header.Size) >= size_of::<NET_BUFFER_LIST_POOL_PARAMETERS>();
    if !known || kernel.fails("NdisAllocateNetBufferListPool") {
        return std::ptr::null_mut();
    }
    allocate(kernel, true, "pool of NET_BUFFER_LISTs")
}

pub(super) fn allocate_for_buffers(
    kernel: &Kernel,
    _owner: Handle,
    parameters: *const BufferParameters,
) -> Handle {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let (kind, revision, size) = unsafe {
        (
            (*parameters).kind,
            (*parameters).revision,
            (*parameters).size,
        )
    };
    let known =
        kind == DEFAULT_TYPE && revision >= 1 && usize::from(size) >= size_of::<BufferParameters>();
    if !known || kernel.fails("NdisAllocateNetBufferPool") {
        return std::ptr::null_mut();
    }
    allocate(kernel, false, "pool of NET_BUFFERs")
}

pub(super) fn free(kernel: &Kernel, pool: Handle) {
    take(kernel, "NdisFreeNetBufferListPool", pool, true);
}

pub(super) fn free_of_buffers(kernel: &Kernel, pool: Handle) {
    take(kernel, "NdisFreeNetBufferPool", pool, false);
}

fn take(kernel: &Kernel, function: &str, pool: Handle, lists: bool) {
    let ledger = require(kernel, function, pool, lists);
    let used = kernel
        .ndis
        .lists
        .borrow()
        .values()
        .filter(|list| {
            list.kind
                == Kind::Made {
                    pool: pool as usize,
                }
        })
        .count();
    if used > 0 {
        let summary =
            format!("{function} was given a pool of which {used} net buffer lists are not freed");
        kernel.bug_check(
            Violation::contract(kernel, "B-09", [pool as u64, used as u64, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
    kernel.ndis.pools.borrow_mut().remove(&(pool as usize));
    crate::nt::free_blocks(kernel, &[pool as usize], "freed");
}

/// Stops the machine if a handle is of no pool of the kind.
fn require(kernel: &Kernel, function: &str, pool: Handle, lists: bool) -> ObjectId {
    let known = kernel
        .ndis
        .pools
        .borrow()
        .get(&(pool as usize))
        .filter(|pool| pool.lists == lists)
        .map(|pool| pool.ledger);
    match known {
        Some(ledger) => ledger,
        None => {
            let summary = format!("{function} was given {pool:p}, which is no pool of its kind");
            kernel.bug_check(
                Violation::contract(kernel, "B-09", [pool as u64, 0, 0, 0], summary)
                    .about_address(kernel, pool as usize),
            );
        }
    }
}

/// Stops the machine if a handle is of no pool of net buffer lists.
pub(crate) fn require_list_pool(kernel: &Kernel, function: &str, pool: Handle) {
    require(kernel, function, pool, true);
}

impl super::State {
    /// Pools that the driver has not freed.
    pub(crate) fn kept_pools(&self) -> Vec<ObjectId> {
        self.pools
            .borrow()
            .values()
            .map(|pool| pool.ledger)
            .collect()
    }
}
