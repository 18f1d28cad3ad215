//! Deferred procedure calls for a chosen processor.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::ntddk::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

type Routine = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, *mut c_void);

unsafe extern "C" {
    fn KeInitializeDpc(dpc: *mut c_void, routine: Routine, context: *mut c_void);
    fn KeSetTargetProcessorDpc(dpc: *mut c_void, number: i8);
    fn KeInsertQueueDpc(dpc: *mut c_void, one: *mut c_void, two: *mut c_void) -> u8;
}

const TAG: u32 = u32::from_le_bytes(*b"dpcs");
/// KDPC.
const SIZE: u64 = 64;

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static RAN: Cell<bool> = const { Cell::new(false) };
    static RAN_MEANWHILE: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C" fn ran(
    _dpc: *mut c_void,
    _context: *mut c_void,
    _one: *mut c_void,
    _two: *mut c_void,
) {
    RAN.set(true);
}

/// A machine whose driver keeps the first processor at DISPATCH_LEVEL, and queues a DPC for one. Says whether it ran meanwhile.
fn with_queued_for(number: Option<i8>) -> (Machine, bool) {
    let machine = Machine::new(Config {
        preempt: 50,
        ..Config::plain()
    });
    RAN.set(false);
    machine.call("driver", irql::DISPATCH, move |_| unsafe {
        let dpc = ExAllocatePool2(POOL_FLAG_NON_PAGED, SIZE, TAG);
        KeInitializeDpc(dpc, ran, null_mut());
        if let Some(number) = number {
            KeSetTargetProcessorDpc(dpc, number);
        }
        assert_eq!(KeInsertQueueDpc(dpc, null_mut(), null_mut()), 1);
        // Kernel calls are where other threads run.
        for _ in 0..200 {
            KeGetCurrentIrql();
        }
        RAN_MEANWHILE.set(RAN.get());
    });
    machine.run();
    (machine, RAN_MEANWHILE.get())
}

#[test]
fn a_dpc_waits_for_the_processor_that_it_is_for() {
    let last = Config::plain().processors as i8 - 1;
    for (number, meanwhile) in [(None, true), (Some(0), false), (Some(last), true)] {
        let (machine, ran_meanwhile) = with_queued_for(number);
        clean(&machine);
        assert_eq!(ran_meanwhile, meanwhile, "{number:?}");
        assert!(RAN.get(), "{number:?}");
    }
}

#[test]
fn a_dpc_is_not_for_a_processor_that_there_is_not() {
    let processors = Config::plain().processors;
    for number in [processors as i8, -1] {
        let (machine, _) = with_queued_for(Some(number));
        let violation = reported(&machine, code::TIMER_OR_DPC_INVALID, Some(3), "C.1");
        assert_eq!(violation.parameters[3], u64::from(processors));
    }
}

#[test]
fn a_block_may_be_freed_while_a_dpc_in_another_is_queued() {
    let machine = Machine::new(Config::plain());
    machine.call("driver", irql::DISPATCH, |_| unsafe {
        let mut blocks = [(); 2].map(|()| ExAllocatePool2(POOL_FLAG_NON_PAGED, SIZE, TAG));
        blocks.sort();
        // The one with the DPC lies behind the one that is freed.
        let [freed, dpc] = blocks;
        KeInitializeDpc(dpc, ran, null_mut());
        assert_eq!(KeInsertQueueDpc(dpc, null_mut(), null_mut()), 1);
        ExFreePoolWithTag(freed, TAG);
    });
    machine.run();
    clean(&machine);
}
