//! Memory descriptor lists that a driver makes of its own pool, and mappings of locked pages.

use std::ffi::c_void;

use wfp_sys::ndis::MDL;
use wfp_sys::ndis::MDL_MAPPED_TO_SYSTEM_VA;
use wfp_sys::ndis::MDL_PAGES_LOCKED;
use wfp_sys::ndis::MDL_SOURCE_IS_NONPAGED_POOL;

use crate::machine::Kernel;
use crate::machine::irql;
use crate::memory::BlockState;
use crate::memory::Purpose;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

const PAGE: usize = 4096;
/// KPROCESSOR_MODE of the kernel.
const KERNEL_MODE: i8 = 0;

/// The part of an address that lies in its page.
fn in_page(address: usize) -> usize {
    address % PAGE
}

/// Describes `length` bytes at `address`: the structure and one page number a page behind it, as the kernel lays it out.
pub(crate) fn describe(
    kernel: &Kernel,
    label: &str,
    address: usize,
    length: u32,
) -> (*mut MDL, ObjectId) {
    let pages = (in_page(address) + length as usize).div_ceil(PAGE);
    let size = size_of::<MDL>() + pages * size_of::<usize>();
    let ledger = kernel.ledger.begin(label);
    let mdl = kernel
        .arena
        .allocate(size, Purpose::Mdl, ledger, true)
        .cast::<MDL>()
        .as_ptr();
    // SAFETY: the block was just made for this structure.
    unsafe {
        (*mdl).Size = size as i16;
        (*mdl).StartVa = (address - in_page(address)) as *mut _;
        (*mdl).ByteOffset = in_page(address) as u32;
        (*mdl).ByteCount = length;
    }
    (mdl, ledger)
}

/// Where the described bytes begin (MmGetMdlVirtualAddress).
fn described(mdl: *const MDL) -> usize {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { (*mdl).StartVa as usize + (*mdl).ByteOffset as usize }
}

pub(super) fn allocate(
    kernel: &Kernel,
    address: *mut c_void,
    length: u32,
    secondary: u8,
    _charge_quota: u8,
    irp: *mut c_void,
) -> *mut MDL {
    if kernel.fails("IoAllocateMdl") {
        return std::ptr::null_mut();
    }
    // With an IRP the MDL becomes the IRP's own; no driver here makes IRPs.
    if secondary != 0 || !irp.is_null() {
        let summary = "IoAllocateMdl was given an IRP to attach the MDL to; the simulator has no IRPs of drivers";
        kernel.bug_check(Violation::new(
            kernel,
            code::WFPSIM_CONTRACT_VIOLATION,
            [irp as u64, u64::from(secondary), 0, 0],
            "-",
            summary,
        ));
    }
    let label = format!("MDL of {length} bytes at {address:p}");
    let (mdl, ledger) = describe(kernel, &label, address as usize, length);
    kernel.note(ledger, "allocated");
    kernel.nt.mdls.borrow_mut().insert(mdl as usize, ledger);
    mdl
}

pub(super) fn free(kernel: &Kernel, mdl: *mut MDL) {
    if kernel
        .nt
        .mdls
        .borrow_mut()
        .remove(&(mdl as usize))
        .is_none()
    {
        let summary = format!(
            "IoFreeMdl was given {mdl:p}, which IoAllocateMdl did not make or which was freed before"
        );
        let parameters = [7, 0, 0, mdl as u64];
        kernel.bug_check(
            Violation::new(kernel, code::BAD_POOL_CALLER, parameters, "C-63", summary)
                .about_address(kernel, mdl as usize),
        );
    }
    super::free_blocks(kernel, &[mdl as usize], "freed");
}

pub(super) fn build_for_nonpaged_pool(kernel: &Kernel, mdl: *mut MDL) {
    let address = described(mdl);
    // SAFETY: as in `described`.
    let length = unsafe { (*mdl).ByteCount } as usize;
    let whole = kernel.arena.find(address).is_some_and(|block| {
        block.state == BlockState::Live && address + length <= block.start + block.size
    });
    if !whole && kernel.arena.contains(address) {
        let summary = format!(
            "MmBuildMdlForNonPagedPool was given an MDL of {length} bytes at {address:#x}, which no live block of pool has"
        );
        let parameters = [mdl as u64, address as u64, length as u64, 0];
        kernel.bug_check(
            Violation::contract(kernel, "C-62", parameters, summary).about_address(kernel, address),
        );
    }
    // SAFETY: as above.
    unsafe {
        (*mdl).MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
        (*mdl).MappedSystemVa = address as *mut _;
    }
}

pub(super) fn map(
    kernel: &Kernel,
    mdl: *mut MDL,
    mode: i8,
    _cache: i32,
    _base: *mut c_void,
    _bug_check_on_failure: u32,
    _priority: u32,
) -> *mut c_void {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let flags = unsafe { (*mdl).MdlFlags };
    if flags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL) == 0
        || flags & MDL_MAPPED_TO_SYSTEM_VA != 0
    {
        let summary = format!(
            "MmMapLockedPagesSpecifyCache was given MDL {mdl:p} with flags {flags:#x}: its pages are not locked, or are mapped already"
        );
        kernel.bug_check(
            Violation::contract(kernel, "B-06", [mdl as u64, flags as u64, 0, 0], summary)
                .about_address(kernel, mdl as usize),
        );
    }
    if mode != KERNEL_MODE && kernel.irql() > irql::APC {
        let summary = format!(
            "MmMapLockedPagesSpecifyCache was asked for a mapping in user mode at IRQL {}",
            kernel.irql()
        );
        let parameters = [u64::from(kernel.irql()), mdl as u64, 0, 0];
        kernel.bug_check(Violation::contract(kernel, "C.1", parameters, summary));
    }
    // Who asked has to look (B-06).
    let fails = kernel.fails("MmMapLockedPagesSpecifyCache");
    let null = fails.then_some(("MmMapLockedPagesSpecifyCache", "B-06"));
    kernel.running().null_from.set(null);
    if fails {
        return std::ptr::null_mut();
    }
    let address = described(mdl) as *mut c_void;
    // SAFETY: as above.
    unsafe {
        (*mdl).MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
        (*mdl).MappedSystemVa = address;
    }
    address
}

impl super::State {
    /// MDLs that the driver has not freed.
    pub(crate) fn kept_mdls(&self) -> Vec<ObjectId> {
        self.mdls.borrow().values().copied().collect()
    }
}
