//! What the stack does to a driver at awkward moments, told by a driver that each story fills in: the machine sleeps, an injection
//! completes long after, or fails.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::cell::Cell;

use verifier_driver::*;
use wdk_sys_portable::ntddk::KeDelayExecutionThread;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Stop;
use wfpsim::machine::irql;
use wfpsim::stack::Fate;

const SECOND: u64 = 10_000_000;
const NIGHT: u64 = 8 * 3600 * SECOND;

thread_local! {
    static COMPLETED: Cell<u32> = const { Cell::new(0) };
}

/// A machine with these freedoms, whose callout holds one packet.
fn holding_on(config: Config) -> Machine {
    let layer = FWPM_LAYER_INBOUND_TRANSPORT_V4;
    let machine = machine_on(config, layer, FWP_ACTION_CALLOUT_TERMINATING, hold_data);
    receive_syn(&machine);
    receive_data(&machine);
    COMPLETED.set(0);
    when_completed(|clone, _| {
        COMPLETED.set(COMPLETED.get() + 1);
        free_clone(clone);
    });
    machine
}

#[test]
fn a_packet_that_is_not_given_back_keeps_the_machine_awake() {
    let machine = holding();
    let before = machine.kernel().now();
    assert_eq!(machine.pause_adapters(SECOND), Stop::Hung);
    let waited = machine.kernel().now() - before;
    assert!((SECOND..2 * SECOND).contains(&waited), "{waited}");
    let violation = reported(&machine, CONTRACT, None, "A-30");
    tells(&violation, &["allocated by the stack", "referenced"]);
}

#[test]
fn a_packet_given_back_while_the_adapters_wait_is_in_time() {
    let machine = holding();
    machine.spawn("worker", irql::PASSIVE, |_| {
        let half_a_second = -(SECOND as i64) / 2;
        unsafe { KeDelayExecutionThread(0, 0, (&raw const half_a_second).cast_mut().cast()) };
        dereference();
    });
    assert_eq!(machine.pause_adapters(SECOND), Stop::Idle);
    clean(&machine);
    // Nothing comes from an adapter that is paused, and everything again from one that is not.
    let late = receive_data(&machine);
    assert_eq!(fate(&machine, late), Some(Fate::Dropped("adapter_paused")));
    machine.sleep(NIGHT);
    let woken = receive_syn(&machine);
    assert_eq!(fate(&machine, woken), Some(Fate::Delivered));
    clean(&machine);
}

#[test]
fn who_waits_for_a_time_waits_as_long_as_before_and_the_clock_has_moved() {
    let machine = holding();
    worker(&machine, dereference);
    let start = machine.kernel().now();
    machine.spawn("waits for a second", irql::PASSIVE, |kernel| {
        let a_second = -(SECOND as i64);
        unsafe { KeDelayExecutionThread(0, 0, (&raw const a_second).cast_mut().cast()) };
        COMPLETED.set((kernel.now() / SECOND) as u32);
    });
    machine.run();
    machine.sleep(NIGHT);
    assert!(machine.kernel().now() >= start + NIGHT);
    machine.run();
    assert_eq!(COMPLETED.get(), 0, "the night did not count");
    machine.run_until(start + NIGHT + 2 * SECOND);
    assert_eq!(
        u64::from(COMPLETED.get()),
        (start + NIGHT + SECOND) / SECOND
    );
}

/// A machine on which a driver may hold a packet for ten seconds, and holds one.
fn holding_for_ten_seconds(mut config: Config) -> Machine {
    config.held_too_long = Some(10 * SECOND);
    holding_on(config)
}

#[test]
fn a_packet_held_for_longer_than_it_may_be_is_told_with_how_long() {
    // Since when it is held, another machine tells that does the same.
    let machine = holding_for_ten_seconds(Config::plain());
    machine.run_until(30 * SECOND);
    let violation = reported(&machine, CONTRACT, None, "A-30");
    let since = violation.history.last().expect("the reference").time;

    let machine = holding_for_ten_seconds(Config::plain());
    assert_eq!(machine.run_until(since + 10 * SECOND), Stop::Idle);
    clean(&machine);
    machine.run_until(since + 12 * SECOND);
    let violation = reported(&machine, CONTRACT, Some(12), "A-30");
    assert!(
        violation
            .summary
            .contains("held for 12 seconds and for ever"),
        "{violation}"
    );
    tells(&violation, &["allocated by the stack", "referenced"]);
    assert!(machine.kernel().has_crashed());
}

#[test]
fn an_adapter_that_takes_its_time_is_not_the_drivers_holding() {
    let mut found = 0;
    for seed in 0..16 {
        let mut config = Config::plain();
        config.seed = seed;
        config.freedom.late_completion = 100;
        let machine = holding_for_ten_seconds(config);
        worker(&machine, || assert_eq!(inject(whole_clone()), 0));
        machine.run_until(machine.kernel().now() + 11 * SECOND);
        if COMPLETED.get() == 0 {
            clean(&machine);
            found += 1;
        }
    }
    assert!(found > 0, "no seed has the adapter take that long");
}

#[test]
fn a_late_completion_comes_after_the_packet_and_at_the_latest_when_the_handle_is_destroyed() {
    let (mut by_itself, mut at_destroy) = (0, 0);
    for seed in 0..40 {
        let mut config = Config::plain();
        config.seed = seed;
        config.freedom.late_completion = 100;
        let machine = holding_on(config);
        worker(&machine, || {
            let clone = whole_clone();
            dereference();
            assert_eq!(inject(clone), 0);
        });
        assert_eq!(machine.take_arrivals().len(), 2, "the packet is through");
        assert_eq!(COMPLETED.get(), 0, "seed {seed}: and its clone is not back");
        machine.run_until(machine.kernel().now() + 30 * SECOND);
        match COMPLETED.get() {
            0 => at_destroy += 1,
            _ => by_itself += 1,
        }
        worker(&machine, unload);
        assert_eq!(COMPLETED.get(), 1, "seed {seed}: once");
        assert!(machine.unload_driver().is_empty());
        clean(&machine);
    }
    assert!(by_itself > 0 && at_destroy > 0, "{by_itself}, {at_destroy}");
}

#[test]
fn an_injection_that_the_stack_drops_says_so_in_its_completion() {
    let mut config = Config::plain();
    config.freedom.failed_injection = 100;
    let machine = holding_on(config);
    when_completed(|clone, _| {
        COMPLETED.set(unsafe { (*clone).Status } as u32);
        free_clone(clone);
    });
    worker(&machine, || {
        let clone = whole_clone();
        dereference();
        assert_eq!(inject(clone), 0);
    });
    assert_eq!(
        COMPLETED.get(),
        0xC000_009A,
        "STATUS_INSUFFICIENT_RESOURCES"
    );
    assert_eq!(machine.take_arrivals().len(), 1, "the SYN alone");
    assert_eq!(fate(&machine, 2), Some(Fate::Dropped("injection_failed")));
    clean(&machine);
}
