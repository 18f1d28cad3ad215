//! Misuse of the executive, as a driver does it, and what the machine stops with: pool, spin locks, waits, handles, threads.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;
use wfp_sys::fwps::FwpsQueryPacketInjectionState0;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

const TAG: u32 = u32::from_le_bytes(*b"good");

/// A machine on which some driver's code ran.
fn after(level: u8, work: impl FnOnce() + 'static) -> Machine {
    let machine = Machine::new(Config::plain());
    machine.call("driver", level, move |_| work());
    machine.run();
    machine
}

fn passive(work: impl FnOnce() + 'static) -> Machine {
    after(irql::PASSIVE, work)
}

fn allocate(size: usize) -> *mut u8 {
    let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, size as u64, TAG) };
    assert!(!block.is_null());
    block.cast()
}

fn free(block: *mut u8) {
    unsafe { ExFreePoolWithTag(block.cast(), TAG) };
}

fn acquire(lock: *mut u8) -> u8 {
    unsafe { KeAcquireSpinLockRaiseToDpc(lock.cast()) }
}

fn release(lock: *mut u8, level: u8) {
    unsafe { KeReleaseSpinLock(lock.cast(), level) };
}

// Pool

#[test]
fn pool_used_within_its_bounds_and_freed_is_not_reported() {
    let machine = passive(|| unsafe {
        let block = allocate(33);
        block.write_volatile(1);
        block.add(32).write_volatile(1);
        free(block);
    });
    clean(&machine);
}

#[test]
fn pool_freed_twice_is_bug_check_c2_7() {
    let machine = passive(|| {
        let block = allocate(8);
        free(block);
        free(block);
    });
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(7), "C-63");
    assert_ne!(violation.parameters[3], 0, "the address");
    tells(&violation, &["allocated", "freed"]);
    assert!(
        violation.stack.iter().any(|frame| frame.contains("free")),
        "{violation}"
    );
}

#[test]
fn every_byte_written_beside_a_block_is_seen_when_it_is_freed() {
    // Behind it up to the guard page, before it to the beginning of its page.
    for offset in [20, 31, -1, -64, -65, -4000] {
        let machine = passive(move || unsafe {
            let block = allocate(20);
            block.offset(offset).write_volatile(0);
            free(block);
        });
        let which = if offset < 0 { 0x23 } else { 0x24 };
        let violation = reported(
            &machine,
            code::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION,
            None,
            "C-61",
        );
        assert_eq!(violation.parameters[3], which, "{violation}");
        assert_eq!(
            violation.parameters[1].wrapping_sub(violation.parameters[0]) as isize,
            offset
        );
        tells(&violation, &["allocated"]);
    }
}

#[test]
fn the_byte_behind_a_block_that_ends_with_its_page_faults() {
    let machine = passive(|| unsafe { allocate(32).add(32).write_volatile(0) });
    let violation = reported(
        &machine,
        code::PAGE_FAULT_BEYOND_END_OF_ALLOCATION,
        None,
        "C-61",
    );
    assert_eq!(violation.parameters[1], 1, "a write");
    assert!(violation.summary.contains("byte 32"), "{violation}");
    tells(&violation, &["allocated"]);
}

#[test]
fn the_byte_before_a_block_that_begins_with_its_page_faults_as_its_own() {
    let machine = passive(|| unsafe {
        let _before = allocate(4096);
        let _byte = allocate(8192).sub(1).read_volatile();
    });
    let violation = reported(
        &machine,
        code::PAGE_FAULT_BEYOND_END_OF_ALLOCATION,
        None,
        "C-61",
    );
    assert!(violation.summary.contains("byte -1"), "{violation}");
    assert!(
        violation
            .object
            .as_ref()
            .is_some_and(|object| object.contains("8192")),
        "{violation}"
    );
}

#[test]
fn pool_used_after_it_was_freed_is_bug_check_cc() {
    let machine = passive(|| unsafe {
        let block = allocate(64);
        free(block);
        let _byte = block.add(3).read_volatile();
    });
    let violation = reported(
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
        None,
        "C-61",
    );
    assert!(violation.summary.contains("byte 3"), "{violation}");
    tells(&violation, &["allocated", "freed"]);
}

#[test]
fn what_is_not_pool_is_not_freed_as_pool() {
    let machine = holding();
    worker(&machine, || free(held().cast()));
    let violation = reported(&machine, code::BAD_POOL_CALLER, Some(0x99), "C-63");
    tells(&violation, &["allocated by the stack"]);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_fast_fail_says_what_was_found_damaged() {
    /// `__fastfail`, which the list functions of wdm.h and the compiler's own checks do.
    fn fast_fail(what: u32) -> ! {
        unsafe { std::arch::asm!("int 0x29", in("ecx") what, options(noreturn)) }
    }
    // FAST_FAIL_CORRUPT_LIST_ENTRY, and FAST_FAIL_STACK_COOKIE_CHECK_FAILURE.
    for (what, told) in [(3, "a LIST_ENTRY whose"), (2, "damaged data")] {
        let machine = passive(move || fast_fail(what));
        let violation = reported(
            &machine,
            code::KERNEL_SECURITY_CHECK_FAILURE,
            Some(u64::from(what)),
            "C-63",
        );
        assert!(violation.summary.contains(told), "{violation}");
    }
}

#[test]
fn an_address_that_an_empty_field_reads_as_is_told_from_its_neighbours() {
    // The value, what is at most added to it, and what follows that.
    for (address, rule) in [(0x2200, "A-22"), (0x22FF, "A-22"), (0x2300, "C-63")] {
        let machine = passive(move || {
            let _byte = unsafe { (address as *const u8).read_volatile() };
        });
        reported(
            &machine,
            code::DRIVER_IRQL_NOT_LESS_OR_EQUAL,
            Some(address),
            rule,
        );
    }
}

// Pointers that a kernel function follows

#[test]
fn a_bad_pointer_given_to_the_kernel_is_told_where_the_driver_gave_it() {
    type Call = fn(*mut c_void);
    let calls: [(&str, Call); 4] = [
        ("KeSetEvent", |event| unsafe {
            KeSetEvent(event.cast(), 0, 0);
        }),
        ("KeInitializeEvent", |event| unsafe {
            KeInitializeEvent(event.cast(), 0, 0)
        }),
        ("KeAcquireSpinLockRaiseToDpc", |lock| {
            acquire(lock.cast());
        }),
        ("ExAcquireRundownProtection", |rundown| unsafe {
            ExAcquireRundownProtection(rundown.cast());
        }),
    ];
    for (name, call) in calls {
        let machine = passive(move || call(null_mut()));
        let violation = reported(&machine, code::DRIVER_IRQL_NOT_LESS_OR_EQUAL, None, "C-63");
        assert!(violation.parameters[0] < 0x1000, "{name}: {violation}");

        let machine = passive(move || {
            let block = allocate(64);
            free(block);
            call(block.cast());
        });
        let violation = reported(
            &machine,
            code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
            None,
            "C-61",
        );
        tells(&violation, &["allocated", "freed"]);
        let stack = violation.stack.join("\n");
        assert!(stack.contains(name), "{name}: {stack}");
        assert!(stack.contains("verifier_kernel"), "{name}: {stack}");
    }
}

// Spin locks

#[test]
fn a_spin_lock_is_not_recursive() {
    let machine = passive(|| {
        let lock = allocate(8);
        acquire(lock);
        acquire(lock);
    });
    let violation = reported(&machine, VERIFIER, Some(0x1000), "C-02");
    tells(&violation, &["allocated"]);
}

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static ONE: Cell<*mut u8> = const { Cell::new(null_mut()) };
    static OTHER: Cell<*mut u8> = const { Cell::new(null_mut()) };
    static LOCK: Cell<KSPIN_LOCK> = const { Cell::new(0) };
    static THREAD: Cell<HANDLE> = const { Cell::new(null_mut()) };
}

/// Kernel calls are where other threads run.
fn pause() {
    for _ in 0..100 {
        let _level = unsafe { KeGetCurrentIrql() };
    }
}

#[test]
fn locks_at_the_address_of_others_that_are_gone_have_no_order_yet() {
    let machine = passive(|| {
        let kept = allocate(8);
        let gone = allocate(8);
        let level = acquire(kept);
        let inner = acquire(gone);
        release(gone, inner);
        release(kept, level);
        free(gone);
        // The region is walked round before an address comes again.
        let mut again = allocate(8);
        while again != gone {
            free(again);
            again = allocate(8);
        }
        let level = acquire(again);
        let inner = acquire(kept);
        release(kept, inner);
        release(again, level);
    });
    clean(&machine);
}

#[test]
fn a_ring_of_three_spin_locks_is_told_before_it_closes() {
    let machine = passive(|| {
        let locks = [allocate(8), allocate(8), allocate(8)];
        for (first, second) in [(0, 1), (1, 2), (2, 0)] {
            let level = acquire(locks[first]);
            let inner = acquire(locks[second]);
            release(locks[second], inner);
            release(locks[first], level);
        }
    });
    let violation = reported(&machine, VERIFIER, Some(0x1001), "C-02");
    assert_eq!(
        violation.summary.matches(", then ").count(),
        2,
        "{violation}"
    );
}

#[test]
fn queued_spin_locks_taken_and_released_in_order_are_not_reported() {
    let machine = passive(|| unsafe {
        let (one, other): (PKSPIN_LOCK, PKSPIN_LOCK) = (allocate(8).cast(), allocate(8).cast());
        let (mut outer, mut inner) = Default::default();
        for _ in 0..2 {
            KeAcquireInStackQueuedSpinLock(one, &mut outer);
            KeAcquireInStackQueuedSpinLockAtDpcLevel(other, &mut inner);
            assert_eq!(KeGetCurrentIrql(), irql::DISPATCH);
            KeReleaseInStackQueuedSpinLockFromDpcLevel(&mut inner);
            KeReleaseInStackQueuedSpinLock(&mut outer);
            assert_eq!(KeGetCurrentIrql(), irql::PASSIVE);
        }
        free(one.cast());
        free(other.cast());
    });
    clean(&machine);
}

#[test]
fn a_queued_spin_lock_lets_one_in_at_a_time() {
    for seed in 0..20 {
        let machine = Machine::new(Config {
            seed,
            preempt: 50,
            ..Config::plain()
        });
        machine.call("init", irql::PASSIVE, |_| {
            ONE.set(allocate(8));
            OTHER.set(allocate(8));
        });
        for _ in 0..4 {
            machine.spawn("counter", irql::PASSIVE, |_| unsafe {
                for _ in 0..10 {
                    let mut handle = KLOCK_QUEUE_HANDLE::default();
                    KeAcquireInStackQueuedSpinLock(ONE.get().cast(), &mut handle);
                    let count = OTHER.get().read_volatile();
                    pause();
                    OTHER.get().write_volatile(count + 1);
                    KeReleaseInStackQueuedSpinLock(&mut handle);
                }
            });
        }
        machine.run();
        clean(&machine);
        assert_eq!(unsafe { OTHER.get().read_volatile() }, 40);
    }
}

#[test]
fn the_injection_state_may_be_asked_for_with_a_lock_held() {
    let machine = holding();
    worker(&machine, || unsafe {
        let mut lock = 0;
        let level = KeAcquireSpinLockRaiseToDpc(&mut lock);
        let _state = FwpsQueryPacketInjectionState0(injection(), held(), null_mut());
        KeReleaseSpinLock(&mut lock, level);
    });
    clean(&machine);
}

// Waits

#[test]
fn an_event_is_looked_at_without_waiting_at_dispatch_level() {
    let machine = after(irql::DISPATCH, || unsafe {
        let event = allocate(24);
        KeInitializeEvent(event.cast(), 0, 1);
        let mut now = LARGE_INTEGER { QuadPart: 0 };
        assert_eq!(KeWaitForSingleObject(event.cast(), 0, 0, 0, &mut now), 0);
        free(event);
    });
    clean(&machine);
}

#[test]
fn a_wait_that_nobody_ends_is_a_hang() {
    let machine = passive(|| unsafe {
        let event = allocate(24);
        KeInitializeEvent(event.cast(), 0, 0);
        let _status = KeWaitForSingleObject(event.cast(), 0, 0, 0, null_mut());
    });
    let violation = reported(&machine, code::WFPSIM_HANG, None, "C-50");
    assert!(violation.summary.contains("waits for event"), "{violation}");
}

// Run-down protection, handles, threads

unsafe extern "C" fn ends(_context: *mut c_void) {}

fn start(routine: unsafe extern "C" fn(*mut c_void), context: *mut u8) -> HANDLE {
    let mut handle = null_mut();
    let status = unsafe {
        PsCreateSystemThread(
            &mut handle,
            0,
            null_mut(),
            null_mut(),
            null_mut(),
            Some(routine),
            context.cast(),
        )
    };
    assert_eq!(status, 0);
    THREAD.set(handle);
    handle
}

fn object_of(handle: HANDLE) -> PVOID {
    let mut object = null_mut();
    let status =
        unsafe { ObReferenceObjectByHandle(handle, 0, null_mut(), 0, &mut object, null_mut()) };
    assert_eq!(status, 0);
    object
}

#[test]
fn a_closed_handle_gives_no_object() {
    let machine = passive(|| unsafe {
        let _status = ZwClose(start(ends, null_mut()));
        object_of(THREAD.get());
    });
    let violation = reported(&machine, VERIFIER, Some(0x3C), "C-04");
    tells(&violation, &["created", "handle closed"]);
}

#[test]
fn a_thread_object_is_gone_with_its_last_reference() {
    let machine = passive(|| unsafe {
        let object = object_of(start(ends, null_mut()));
        assert_eq!(ZwClose(THREAD.get()), 0);
        ObfDereferenceObject(object);
        let _status = KeWaitForSingleObject(object, 0, 0, 0, null_mut());
    });
    let violation = reported(
        &machine,
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
        None,
        "C-61",
    );
    tells(&violation, &["created", "referenced by handle", "freed"]);
}

#[test]
fn a_driver_that_stops_the_machine_itself_is_quoted() {
    let machine = passive(|| unsafe { KeBugCheckEx(0xE2, 1, 2, 3, 4) });
    let violation = reported(&machine, 0xE2, Some(1), "-");
    assert_eq!(violation.parameters, [1, 2, 3, 4]);
}
