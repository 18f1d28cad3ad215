//! Whose a request is: the framework's while it waits in a queue, the driver's in EvtIoInCallerContext and once it was handed out.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod tiny_driver;

use std::cell::Cell;
use std::cell::RefCell;
use std::ptr::null_mut;

use tiny_driver::*;
use wdk_sys_portable::_WDF_IO_QUEUE_DISPATCH_TYPE as Dispatch;
use wdk_sys_portable::*;
use wfpsim::Machine;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

/// Indices in wdffuncenum.h.
const ENQUEUE: usize = 91;
const RETRIEVE_NEXT: usize = 158;
const FORWARD: usize = 281;

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static LOG: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    static QUEUE: Cell<WDFQUEUE> = const { Cell::new(null_mut()) };
    /// The request that came last, seen before any queue or handed out by one.
    static SEEN: Cell<WDFREQUEST> = const { Cell::new(null_mut()) };
    static HANDED_OUT: Cell<WDFREQUEST> = const { Cell::new(null_mut()) };
    /// Whether the driver completes what it sees before any queue, instead of passing it on.
    static AT_ONCE: Cell<bool> = const { Cell::new(false) };
    static DISPATCH: Cell<i32> = const { Cell::new(Dispatch::WdfIoQueueDispatchManual) };
}

fn log(what: &'static str) {
    LOG.with_borrow_mut(|log| log.push(what));
}

fn times(what: &str) -> usize {
    LOG.with_borrow(|log| log.iter().filter(|logged| **logged == what).count())
}

unsafe extern "C" fn passes_on(device: WDFDEVICE, request: WDFREQUEST) {
    type Enqueue = unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE, WDFREQUEST) -> NTSTATUS;
    SEEN.set(request);
    if AT_ONCE.get() {
        return complete(request, STATUS_SUCCESS, 0);
    }
    let enqueued = unsafe { framework::<Enqueue>(ENQUEUE)(WdfDriverGlobals, device, request) };
    assert_eq!(enqueued, STATUS_SUCCESS);
}

unsafe extern "C" fn keeps(_: WDFQUEUE, request: WDFREQUEST, _: usize, _: usize, _: u32) {
    HANDED_OUT.set(request);
    log("handed out");
}

unsafe extern "system" fn entry(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let made = create_driver(object, path, driver_config(Some(nothing_to_undo)))
        .and_then(|driver| create_device_with(driver, |init| show_first_to(init, passes_on)))
        .and_then(|device| {
            QUEUE.set(create_queue(device, DISPATCH.get(), keeps)?);
            finish(device);
            Ok(())
        });
    status(made)
}

/// A machine with a driver whose default queue hands out requests so.
fn with_queue(dispatch: i32) -> Machine {
    DISPATCH.set(dispatch);
    loaded(entry)
}

/// A program sends a request, and is logged when it is answered.
fn send(machine: &Machine) {
    machine.spawn("program", irql::PASSIVE, |kernel| {
        wfpsim::driver::ioctl(kernel, IOCTL, &[], 0);
        log("answered");
    });
    machine.run();
}

fn driver_does(machine: &Machine, work: impl FnOnce() + 'static) {
    machine.spawn("driver's own work", irql::PASSIVE, |_| work());
    machine.run();
}

/// What the queue hands out to who asks.
fn retrieve() -> WDFREQUEST {
    type Retrieve =
        unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE, *mut WDFREQUEST) -> NTSTATUS;
    let mut request = null_mut();
    let retrieved = unsafe {
        framework::<Retrieve>(RETRIEVE_NEXT)(WdfDriverGlobals, QUEUE.get(), &mut request)
    };
    assert_eq!(retrieved, STATUS_SUCCESS);
    request
}

fn forward(request: WDFREQUEST) -> NTSTATUS {
    type Forward = unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, WDFQUEUE) -> NTSTATUS;
    unsafe { framework::<Forward>(FORWARD)(WdfDriverGlobals, request, QUEUE.get()) }
}

#[test]
fn a_request_is_the_drivers_once_it_asked_the_queue_for_it() {
    let machine = with_queue(Dispatch::WdfIoQueueDispatchManual);
    send(&machine);
    driver_does(&machine, || {
        let request = retrieve();
        assert_eq!(request, SEEN.get());
        complete(request, STATUS_SUCCESS, 0);
    });
    assert_eq!((times("answered"), times("handed out")), (1, 0));
    unloads_clean(&machine);
}

#[test]
fn a_request_that_waits_in_a_queue_is_not_the_drivers() {
    for (name, work) in [
        (
            "WdfRequestCompleteWithInformation",
            (|| complete(SEEN.get(), STATUS_SUCCESS, 0)) as fn(),
        ),
        ("WdfRequestForwardToIoQueue", || {
            forward(SEEN.get());
        }),
    ] {
        let machine = with_queue(Dispatch::WdfIoQueueDispatchManual);
        send(&machine);
        driver_does(&machine, work);
        let violation = only_violation(&machine);
        assert_eq!(
            (violation.code, violation.rule),
            (code::WDF_VIOLATION, "D-06"),
            "{violation}"
        );
        assert!(violation.summary.contains(name), "{violation}");
    }
}

#[test]
fn what_is_completed_before_any_queue_makes_no_room_in_one() {
    let machine = with_queue(Dispatch::WdfIoQueueDispatchSequential);
    send(&machine);
    assert_eq!(times("handed out"), 1);
    AT_ONCE.set(true);
    send(&machine);
    assert_eq!(times("answered"), 1);
    AT_ONCE.set(false);
    send(&machine);
    assert_eq!(times("handed out"), 1, "the first is still with the driver");
    for answered in [2, 3] {
        driver_does(&machine, || complete(HANDED_OUT.get(), STATUS_SUCCESS, 0));
        assert_eq!((times("handed out"), times("answered")), (2, answered));
    }
    unloads_clean(&machine);
}
