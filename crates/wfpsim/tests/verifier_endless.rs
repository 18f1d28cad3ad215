//! What never ends, and when that is told: an unload routine that gets nowhere or takes ten minutes, a thread that waits in vain, a
//! lock that is never free again (C-50).
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod tiny_driver;

use std::cell::Cell;

use tiny_driver::create_driver;
use tiny_driver::driver_config;
use tiny_driver::loaded;
use tiny_driver::only_violation;
use tiny_driver::status;
use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Stop;
use wfpsim::Violation;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

const SECOND: i64 = 10_000_000;
const TEN_MINUTES: u64 = 600 * SECOND as u64;
/// How many kernel calls an unload routine may make without waiting.
const CALLS: u64 = 100_000;

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static UNLOAD: Cell<fn()> = const { Cell::new(|| ()) };
    static MADE: Cell<u64> = const { Cell::new(0) };
    static UNTIL: Cell<i64> = const { Cell::new(0) };
    static LOCK: Cell<KSPIN_LOCK> = const { Cell::new(0) };
}

unsafe extern "C" fn unload(_driver: WDFDRIVER) {
    UNLOAD.get()();
}

unsafe extern "system" fn entry(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    status(create_driver(object, path, driver_config(Some(unload))).map(drop))
}

/// A machine with a driver whose unload routine does this.
fn unloading_with(routine: fn()) -> Machine {
    UNLOAD.set(routine);
    loaded(entry)
}

/// One kernel call.
fn call() {
    let _level = unsafe { KeGetCurrentIrql() };
    MADE.set(MADE.get() + 1);
}

fn calls(count: u64) {
    for _ in 0..count {
        call();
    }
}

/// Sleeps: so long if it is negative, until then if it is not.
fn sleep(time: i64) {
    let mut time = LARGE_INTEGER { QuadPart: time };
    let _status = unsafe { KeDelayExecutionThread(0, 0, &mut time) };
}

/// The only report: that the machine hangs, in this way.
fn hung(machine: &Machine, kind: [u64; 2]) -> Violation {
    let violation = only_violation(machine);
    assert_eq!(
        (violation.code, violation.rule),
        (code::WFPSIM_HANG, "C-50")
    );
    assert_eq!(violation.parameters[..2], kind, "{violation}");
    violation
}

fn clean(machine: &Machine) {
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
}

#[test]
fn an_unload_that_polls_is_stopped_after_a_hundred_thousand_calls() {
    let machine = unloading_with(|| calls(2 * CALLS));
    machine.unload_driver();
    let violation = hung(&machine, [1, 0]);
    assert!(
        violation.summary.contains("makes no progress: 100000"),
        "{violation}"
    );
    assert_eq!(MADE.get(), CALLS, "the next one does not return");
}

#[test]
fn an_unload_that_waits_now_and_then_may_make_more_calls() {
    let machine = unloading_with(|| {
        calls(CALLS - 10);
        sleep(-SECOND);
        calls(CALLS - 10);
    });
    machine.unload_driver();
    clean(&machine);
}

#[test]
fn what_others_call_during_an_unload_is_not_the_unload_routines() {
    let machine = unloading_with(|| sleep(-SECOND));
    machine.spawn("another", irql::PASSIVE, |_| calls(2 * CALLS));
    machine.unload_driver();
    assert_eq!(MADE.get(), 2 * CALLS);
    clean(&machine);
}

/// A machine whose driver's unload routine sleeps until so long after it began, and has ended.
fn unloaded_after(time: u64) -> Machine {
    let machine = unloading_with(|| sleep(UNTIL.get()));
    // So that it is no matter where the clock began.
    machine.run_until(machine.kernel().now() + TEN_MINUTES / 2);
    UNTIL.set((machine.kernel().now() + time) as i64);
    machine.unload_driver();
    machine
}

#[test]
fn an_unload_may_take_ten_minutes_and_no_longer() {
    clean(&unloaded_after(SECOND as u64));
    clean(&unloaded_after(TEN_MINUTES));
    let machine = unloaded_after(TEN_MINUTES + 1);
    let violation = hung(&machine, [1, 0]);
    assert!(violation.summary.contains("ten minutes"), "{violation}");
    assert!(
        violation.summary.contains("waits for time to pass"),
        "{violation}"
    );
}

#[test]
fn a_thread_that_somebody_waits_for_may_not_sleep_for_ever() {
    let waits = |minutes: u64| {
        let machine = Machine::new(Config::plain());
        let thread = machine.spawn("polls", irql::PASSIVE, move |_| {
            for _ in 0..minutes {
                sleep(-60 * SECOND);
            }
        });
        (machine.run_until_ended(thread), machine)
    };
    let (stop, machine) = waits(9);
    assert_eq!(stop, Stop::Idle);
    clean(&machine);
    let (stop, machine) = waits(20);
    assert_eq!(stop, Stop::Hung);
    let violation = hung(&machine, [0, 4]);
    assert!(
        violation.summary.contains("'polls' does not end"),
        "{violation}"
    );
}

/// Two threads with one lock. One of them writes over its word when it has released it.
fn writes_over_a_free_lock(seed: u64) -> (Machine, Stop) {
    LOCK.set(0);
    let machine = Machine::new(Config {
        seed,
        preempt: 50,
        ..Config::plain()
    });
    let lock = LOCK.with(Cell::as_ptr);
    for writes in [true, false] {
        machine.spawn("locks", irql::PASSIVE, move |_| unsafe {
            let level = KeAcquireSpinLockRaiseToDpc(lock);
            calls(8);
            KeReleaseSpinLock(lock, level);
            if writes {
                lock.write_volatile(1);
            }
        });
    }
    let stop = machine.run();
    (machine, stop)
}

#[test]
fn a_lock_that_is_never_free_again_stops_the_machine() {
    let hangs = (0..32).filter(|&seed| {
        let (machine, stop) = writes_over_a_free_lock(seed);
        let found = machine
            .violations()
            .iter()
            .any(|violation| violation.code == code::WFPSIM_HANG);
        if found {
            assert_eq!(stop, Stop::Crashed);
            let violation = hung(&machine, [0, 0]);
            assert!(
                violation.summary.contains("waits for spin lock"),
                "{violation}"
            );
        }
        found
    });
    assert!(
        hangs.count() > 0,
        "no seed has one wait while the other writes"
    );
}
