//! Events: at which level, for how many waiters, and what is none.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::ffi::c_void;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::LARGE_INTEGER;
use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::ntddk::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

const TAG: u32 = u32::from_le_bytes(*b"evnt");
/// KEVENT, EVENT_TYPE.
const SIZE: u64 = 24;
const NOTIFICATION: i32 = 0;
const SYNCHRONIZATION: i32 = 1;

/// A machine whose driver did something with a new event, which was not signalled.
fn after(level: u8, kind: i32, work: impl FnOnce(*mut c_void) + 'static) -> Machine {
    let machine = Machine::new(Config::plain());
    machine.call("driver", level, move |_| unsafe {
        let event = ExAllocatePool2(POOL_FLAG_NON_PAGED, SIZE, TAG);
        KeInitializeEvent(event.cast(), kind, 0);
        work(event);
        ExFreePoolWithTag(event, TAG);
    });
    machine.run();
    machine
}

/// Waits for no time: whether the event is signalled.
fn look(event: *mut c_void) -> i32 {
    let mut now = LARGE_INTEGER { QuadPart: 0 };
    unsafe { KeWaitForSingleObject(event, 0, 0, 0, &mut now) }
}

#[test]
fn a_signal_is_followed_by_a_wait_up_to_apc_level() {
    for level in [irql::PASSIVE, irql::APC] {
        let machine = after(level, NOTIFICATION, |event| unsafe {
            KeSetEvent(event.cast(), 0, 1);
            assert_eq!(KeWaitForSingleObject(event, 0, 0, 0, null_mut()), 0);
        });
        clean(&machine);
    }
    let machine = after(irql::DISPATCH, NOTIFICATION, |event| unsafe {
        KeSetEvent(event.cast(), 0, 1);
        look(event);
    });
    reported(
        &machine,
        code::DRIVER_VERIFIER_DETECTED_VIOLATION,
        Some(0x80),
        "C.1",
    );
}

#[test]
fn a_signal_that_no_wait_follows_is_given_at_dispatch_level_too() {
    let machine = after(irql::DISPATCH, NOTIFICATION, |event| unsafe {
        KeSetEvent(event.cast(), 0, 0);
    });
    clean(&machine);
}

#[test]
fn one_waiter_takes_the_signal_of_a_synchronization_event() {
    for (kind, second) in [(NOTIFICATION, 0), (SYNCHRONIZATION, 0x102)] {
        let machine = after(irql::PASSIVE, kind, move |event| unsafe {
            KeSetEvent(event.cast(), 0, 0);
            assert_eq!(look(event), 0);
            assert_eq!(look(event), second, "STATUS_TIMEOUT if it is gone");
        });
        clean(&machine);
    }
}

#[test]
fn null_is_not_waited_for() {
    let machine = after(irql::PASSIVE, NOTIFICATION, |_| unsafe {
        KeWaitForSingleObject(null_mut(), 0, 0, 0, null_mut());
    });
    // No thread was started: it is a mere NULL, and not a thread's object that was not got (C-04).
    let violations = machine.violations();
    assert_eq!(violations.len(), 1, "{violations:#?}");
    assert_ne!(violations[0].rule, "C-04", "{}", violations[0]);
    assert_ne!(violations[0].code, CONTRACT, "{}", violations[0]);
}
