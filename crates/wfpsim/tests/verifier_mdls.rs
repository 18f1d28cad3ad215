//! MDLs that a driver makes over pool of its own and maps: as they should be, and each mistake with what the machine stops with.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod own_lists;
mod verifier_driver;

use std::ptr::null_mut;

use own_lists::*;
use verifier_driver::*;
use wfp_sys::ndis::MDL;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::irql;

const SIZE: u32 = 64;

// wdm.h.
const MAPPED_TO_SYSTEM_VA: i16 = 1;
const PAGES_LOCKED: i16 = 2;
const SOURCE_IS_NONPAGED_POOL: i16 = 4;
const KERNEL_MODE: i8 = 0;
const USER_MODE: i8 = 1;

/// A machine on which a driver's code ran at a level.
fn after(level: u8, work: fn()) -> Machine {
    let machine = Machine::new(Config::plain());
    machine.call("driver", level, move |_| work());
    machine.run();
    machine
}

fn block() -> *mut u8 {
    unsafe { ExAllocatePoolWithTag(NONPAGED_NX, SIZE as usize, TAG) }
}

/// An MDL over the first bytes of a block, not described yet.
fn mdl(block: *mut u8, length: u32) -> *mut MDL {
    unsafe { IoAllocateMdl(block, length, 0, 0, null_mut()) }
}

fn flags(mdl: *mut MDL) -> i16 {
    unsafe { (*mdl).MdlFlags }
}

fn map(mdl: *mut MDL, mode: i8) -> *mut u8 {
    unsafe { MmMapLockedPagesSpecifyCache(mdl, mode, 1, null_mut(), 0, 16) }.cast()
}

#[test]
fn an_mdl_over_pool_says_so_and_where_it_is() {
    let machine = after(irql::PASSIVE, || unsafe {
        let block = block();
        let mdl = mdl(block, SIZE);
        assert_eq!(flags(mdl) & SOURCE_IS_NONPAGED_POOL, 0);
        MmBuildMdlForNonPagedPool(mdl);
        assert_ne!(flags(mdl) & SOURCE_IS_NONPAGED_POOL, 0);
        assert_eq!((*mdl).MappedSystemVa.cast(), block);
        // Saying it again changes nothing.
        MmBuildMdlForNonPagedPool(mdl);
        assert_ne!(flags(mdl) & SOURCE_IS_NONPAGED_POOL, 0);
        IoFreeMdl(mdl);
        ExFreePoolWithTag(block, TAG);
    });
    clean(&machine);
}

#[test]
fn an_mdl_longer_than_its_block_is_told() {
    let machine = after(irql::PASSIVE, || unsafe {
        MmBuildMdlForNonPagedPool(mdl(block(), SIZE + 1));
    });
    let violation = reported(&machine, CONTRACT, None, "C-62");
    assert_eq!(violation.parameters[2], u64::from(SIZE) + 1);
}

#[test]
fn an_mdl_over_freed_pool_is_told() {
    let machine = after(irql::PASSIVE, || unsafe {
        let block = block();
        let mdl = mdl(block, SIZE);
        ExFreePoolWithTag(block, TAG);
        MmBuildMdlForNonPagedPool(mdl);
    });
    reported(&machine, CONTRACT, None, "C-62");
}

#[test]
fn an_irp_to_attach_an_mdl_to_is_what_the_simulator_has_none_of() {
    for work in [
        || {
            let irp = std::ptr::dangling_mut();
            unsafe { IoAllocateMdl(block(), SIZE, 0, 0, irp) };
        },
        || {
            unsafe { IoAllocateMdl(block(), SIZE, 1, 0, null_mut()) };
        },
    ] as [fn(); 2]
    {
        reported(&after(irql::PASSIVE, work), CONTRACT, None, "-");
    }
}

#[test]
fn locked_pages_are_mapped_where_they_are_and_pool_may_be_mapped_too() {
    let machine = after(irql::PASSIVE, || unsafe {
        for known in [PAGES_LOCKED, SOURCE_IS_NONPAGED_POOL] {
            let block = block();
            let mdl = mdl(block, SIZE);
            (*mdl).MdlFlags |= known;
            assert_eq!(map(mdl, KERNEL_MODE), block);
            assert_eq!(flags(mdl) & MAPPED_TO_SYSTEM_VA, MAPPED_TO_SYSTEM_VA);
            assert_eq!((*mdl).MappedSystemVa.cast(), block);
            IoFreeMdl(mdl);
            ExFreePoolWithTag(block, TAG);
        }
    });
    clean(&machine);
}

#[test]
fn what_is_mapped_already_is_not_mapped_again() {
    let machine = after(irql::PASSIVE, || unsafe {
        let mdl = mdl(block(), SIZE);
        (*mdl).MdlFlags |= PAGES_LOCKED;
        map(mdl, KERNEL_MODE);
        map(mdl, KERNEL_MODE);
    });
    reported(&machine, CONTRACT, None, "B-06");
}

/// Maps locked pages for a program.
fn map_for_a_program() {
    map_locked(USER_MODE);
}

fn map_for_the_kernel() {
    map_locked(KERNEL_MODE);
}

fn map_locked(mode: i8) {
    unsafe {
        let block = block();
        let mdl = mdl(block, SIZE);
        (*mdl).MdlFlags |= PAGES_LOCKED;
        assert_eq!(map(mdl, mode), block);
        IoFreeMdl(mdl);
        ExFreePoolWithTag(block, TAG);
    }
}

#[test]
fn a_mapping_for_a_program_is_asked_for_up_to_apc_level() {
    clean(&after(irql::APC, map_for_a_program));
    clean(&after(irql::DISPATCH, map_for_the_kernel));
    let machine = after(irql::DISPATCH, map_for_a_program);
    reported(&machine, CONTRACT, Some(irql::DISPATCH.into()), "C.1");
}
