//! The edges of the executive's rules: what is the last that may be done, and the first that is told.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::ffi::c_void;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::SpecialPool;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

unsafe extern "C" {
    fn KfRaiseIrql(level: u8) -> u8;
    fn KeRaiseIrqlToDpcLevel() -> u8;
    fn KeLowerIrql(level: u8);
    fn KeAcquireSpinLockAtDpcLevel(lock: *mut c_void);
    fn KeInitializeTimer(timer: *mut c_void);
    fn KeSetTimer(timer: *mut c_void, due: i64, dpc: *mut c_void) -> u8;
    fn KeCancelTimer(timer: *mut c_void) -> u8;
    fn IoGetCurrentProcess() -> *mut c_void;
    fn ObfReferenceObject(object: *mut c_void) -> isize;
}

const TAG: u32 = u32::from_le_bytes(*b"edge");
const OTHER_TAG: u32 = u32::from_le_bytes(*b"egde");
/// A level of devices, and HIGH_LEVEL.
const DEVICE: u8 = 5;
const HIGH: u8 = 15;
/// How many closed handles the simulator remembers.
const REMEMBERED: usize = 1024;

/// A machine on which a driver's worker did something.
fn worked(work: impl FnOnce() + 'static) -> Machine {
    let machine = Machine::new(Config::plain());
    worker(&machine, work);
    machine
}

/// A block that a lock, an event or a timer fits in.
fn block() -> *mut c_void {
    let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TAG) };
    assert!(!block.is_null());
    block
}

fn free(block: *mut c_void) {
    unsafe { ExFreePoolWithTag(block, TAG) };
}

/// Takes one lock and then the other, and gives both back.
fn take_in_order(outer: *mut c_void, inner: *mut c_void) {
    unsafe {
        let passive = KeAcquireSpinLockRaiseToDpc(outer.cast());
        let dispatch = KeAcquireSpinLockRaiseToDpc(inner.cast());
        KeReleaseSpinLock(inner.cast(), dispatch);
        KeReleaseSpinLock(outer.cast(), passive);
    }
}

// Levels

#[test]
fn a_level_may_be_changed_to_itself_and_raised_to_the_highest() {
    let machine = worked(|| unsafe {
        assert_eq!(KfRaiseIrql(irql::PASSIVE), irql::PASSIVE);
        assert_eq!(KeRaiseIrqlToDpcLevel(), irql::PASSIVE);
        assert_eq!(KeGetCurrentIrql(), irql::DISPATCH);
        assert_eq!(KeRaiseIrqlToDpcLevel(), irql::DISPATCH);
        assert_eq!(KfRaiseIrql(HIGH), irql::DISPATCH);
        KeLowerIrql(HIGH);
        KeLowerIrql(irql::DISPATCH);
        KeLowerIrql(irql::PASSIVE);
    });
    clean(&machine);
}

#[test]
fn there_is_no_level_above_the_highest() {
    let machine = worked(|| unsafe {
        KfRaiseIrql(HIGH + 1);
    });
    let violation = reported(&machine, VERIFIER, Some(0x30), "C.1");
    assert_eq!(violation.parameters[2], u64::from(HIGH) + 1);
}

#[test]
fn whoever_holds_a_lock_does_not_go_below_dispatch_level() {
    let machine = worked(|| unsafe {
        let lock = block();
        keep(lock);
        KeAcquireSpinLockRaiseToDpc(lock.cast());
        KeLowerIrql(irql::PASSIVE);
    });
    let violation = reported(&machine, CONTRACT, Some(u64::from(irql::DISPATCH)), "C.1");
    assert_eq!(violation.parameters[2], kept() as u64, "the lock");
}

#[test]
fn whoever_holds_a_lock_may_go_up_and_back_to_dispatch_level() {
    let machine = worked(|| unsafe {
        let lock = block();
        let passive = KeAcquireSpinLockRaiseToDpc(lock.cast());
        KfRaiseIrql(DEVICE);
        KeLowerIrql(irql::DISPATCH);
        KeReleaseSpinLock(lock.cast(), passive);
        free(lock);
    });
    clean(&machine);
}

#[test]
fn a_lock_is_acquired_at_dispatch_level_by_who_says_that_he_is_there() {
    for (level, subcode) in [(irql::PASSIVE, 0x40), (irql::APC, 0x40), (DEVICE, 0x42)] {
        let machine = worked(move || unsafe {
            let lock = block();
            KfRaiseIrql(level);
            KeAcquireSpinLockAtDpcLevel(lock);
        });
        let violation = reported(&machine, VERIFIER, Some(subcode), "C.1");
        assert_eq!(violation.parameters[1], u64::from(level));
    }
}

// Locks and timers, and memory that is none of theirs

#[test]
fn the_order_of_two_locks_outlives_other_memory() {
    let machine = worked(|| {
        let (one, other, third) = (block(), block(), block());
        take_in_order(one, other);
        free(third);
        take_in_order(other, one);
    });
    reported(&machine, VERIFIER, Some(0x1001), "C-02");
}

#[test]
fn a_block_may_be_freed_while_others_have_a_lock_that_is_held_and_a_timer_that_is_set() {
    let machine = worked(|| unsafe {
        let mut blocks = [block(), block(), block()];
        blocks.sort();
        // What is above a block is not in it.
        let [below, lock, timer] = blocks;
        KeInitializeTimer(timer);
        KeSetTimer(timer, -10_000_000, null_mut());
        let passive = KeAcquireSpinLockRaiseToDpc(lock.cast());
        free(below);
        KeReleaseSpinLock(lock.cast(), passive);
        assert_eq!(KeCancelTimer(timer), 1);
        free(lock);
        free(timer);
    });
    clean(&machine);
}

// Pool

#[test]
fn paged_pool_is_had_and_given_back_at_apc_level_at_most() {
    let machine = worked(|| unsafe {
        let passive = KfRaiseIrql(irql::APC);
        let block = ExAllocatePool2(POOL_FLAG_PAGED, 64, TAG);
        ExFreePoolWithTag(block, TAG);
        KeLowerIrql(passive);
    });
    clean(&machine);

    let machine = worked(|| unsafe {
        KeRaiseIrqlToDpcLevel();
        ExAllocatePool2(POOL_FLAG_PAGED, 64, TAG);
    });
    reported(&machine, VERIFIER, Some(1), "C.1");
}

#[test]
fn paged_pool_is_told_for_its_level_inside_and_for_its_bounds_beside() {
    const SIZE: u64 = 64;
    /// What a write to a byte counted from the start of a block of paged pool, at a level, is told as.
    fn told_as(at: isize, level: u8, code: u32, rule: &str) {
        let machine = Machine::new(Config {
            pool: SpecialPool::VerifyStart,
            ..Config::plain()
        });
        worker(&machine, move || unsafe {
            let block = ExAllocatePool2(POOL_FLAG_PAGED, SIZE, TAG).cast::<u8>();
            let passive = KfRaiseIrql(level);
            block.offset(at).write_volatile(0x45);
            KeLowerIrql(passive);
            free(block.cast());
        });
        reported(&machine, code, None, rule);
    }
    for level in [irql::PASSIVE, irql::APC, irql::DISPATCH] {
        told_as(-1, level, code::PAGE_FAULT_BEYOND_END_OF_ALLOCATION, "C-61");
    }
    for at in [0, SIZE as isize - 1] {
        let code = code::DRIVER_IRQL_NOT_LESS_OR_EQUAL;
        told_as(at, irql::DISPATCH, code, "C-63");
    }
}

#[test]
fn pool_is_freed_with_its_own_tag_or_with_none() {
    let machine = worked(|| unsafe {
        ExFreePool(block());
        ExFreePoolWithTag(block(), TAG);
    });
    clean(&machine);

    let machine = worked(|| unsafe { ExFreePoolWithTag(block(), OTHER_TAG) });
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(0x0A), "C-63");
    assert_eq!(
        violation.parameters[2..],
        [TAG, OTHER_TAG].map(u64::from),
        "its own and the other"
    );
}

// Handles and objects

#[test]
fn a_null_handle_is_told_as_one() {
    let machine = worked(|| unsafe {
        let mut object = null_mut();
        let _status =
            ObReferenceObjectByHandle(null_mut(), 0, null_mut(), 0, &mut object, null_mut());
    });
    reported(&machine, VERIFIER, Some(0xF5), "C-04");
}

#[test]
fn references_of_a_process_are_counted_up_and_down() {
    let machine = worked(|| unsafe {
        let process = IoGetCurrentProcess();
        assert_eq!(ObfReferenceObject(process), 1);
        assert_eq!(ObfReferenceObject(process), 2);
        assert_eq!(ObfDereferenceObject(process), 1);
        assert_eq!(ObfDereferenceObject(process), 0);
    });
    clean(&machine);
}

/// Closes so many handles of threads, and the first of them once more.
fn closes_again_after(handles: usize) -> wfpsim::Violation {
    unsafe extern "C" fn ends(_context: *mut c_void) {}
    let machine = worked(move || unsafe {
        let mut first: HANDLE = null_mut();
        for _ in 0..handles {
            let mut handle = null_mut();
            let none = null_mut();
            let status = PsCreateSystemThread(
                &mut handle,
                0,
                none,
                none.cast(),
                none.cast(),
                Some(ends),
                none.cast(),
            );
            assert_eq!(status, 0);
            assert_eq!(ZwWaitForSingleObject(handle, 0, null_mut()), 0);
            assert_eq!(ZwClose(handle), 0);
            if first.is_null() {
                first = handle;
            }
        }
        let _status = ZwClose(first);
    });
    reported(&machine, code::INVALID_KERNEL_HANDLE, None, "C-04")
}

#[test]
fn what_a_closed_handle_was_of_is_told_for_as_many_as_are_remembered() {
    let violation = closes_again_after(REMEMBERED);
    tells(&violation, &["created", "handle closed", "freed"]);
    let violation = closes_again_after(REMEMBERED + 1);
    assert!(violation.object.is_none(), "the oldest: {violation}");
}
