//! Framework objects as older drivers use them: references that keep one beyond its deletion, timers that stop themselves, the memory
//! of a request's program, and its IRP.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod tiny_driver;

use std::cell::Cell;
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::null_mut;

use tiny_driver::*;
use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;
use wfpsim::Machine;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static DRIVER: Cell<WDFDRIVER> = const { Cell::new(null_mut()) };
    static OBJECT: Cell<WDFOBJECT> = const { Cell::new(null_mut()) };
    static PROGRAM: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    static IRP: Cell<usize> = const { Cell::new(0) };
}

fn log(what: impl Into<String>) {
    LOG.with_borrow_mut(|log| log.push(what.into()));
}

fn logged() -> Vec<String> {
    LOG.take()
}

fn clean(machine: &Machine) {
    let violations = machine.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

// References

fn reference() {
    change_references(OBJECT.get(), REFERENCE);
}

fn dereference() {
    change_references(OBJECT.get(), DEREFERENCE);
    log("dereferenced");
}

unsafe extern "C" fn destroyed(_object: WDFOBJECT) {
    // The driver object is there until the last of its objects is destroyed.
    type Get = unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDRIVER) -> PDRIVER_OBJECT;
    let driver = unsafe { framework::<Get>(118)(WdfDriverGlobals, DRIVER.get()) };
    assert!(!driver.is_null());
    log(format!("destroyed at {}", unsafe { KeGetCurrentIrql() }));
}

unsafe extern "system" fn entry(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let made = create_driver(object, path, driver_config(Some(nothing_to_undo)));
    DRIVER.set(made.unwrap_or(null_mut()));
    status(made.map(drop))
}

/// A machine whose driver has an object of this execution level, which tells its end.
fn with_object(execution_level: i32) -> Machine {
    let machine = loaded(entry);
    machine.call("driver", irql::PASSIVE, move |_| {
        unsafe extern "C" fn fires(_timer: WDFTIMER) {}
        let driver = DRIVER.get().cast();
        let timer = create_timer(driver, fires, 0, execution_level, Some(destroyed));
        OBJECT.set(timer.cast());
    });
    logged();
    machine
}

#[test]
fn an_object_lives_until_it_is_deleted_and_its_last_reference_is_given_back() {
    let machine = with_object(_WDF_EXECUTION_LEVEL::WdfExecutionLevelDispatch);
    machine.call("driver", irql::PASSIVE, |_| {
        reference();
        dereference();
        reference();
        reference();
        delete(OBJECT.get());
        log("deleted");
        dereference();
        dereference();
    });
    assert_eq!(
        logged(),
        [
            "dereferenced",
            "deleted",
            "dereferenced",
            "destroyed at 0",
            "dereferenced"
        ]
    );
    assert!(machine.unload_driver().is_empty());
    clean(&machine);
}

/// A machine whose driver has deleted such an object and given the last reference to it back, at this level.
fn with_ended(execution_level: i32, level: u8) -> Machine {
    let machine = with_object(execution_level);
    machine.call("driver", level, |_| {
        reference();
        delete(OBJECT.get());
        dereference();
    });
    machine
}

#[test]
fn what_may_end_at_dispatch_level_ends_where_its_last_reference_is_given_back() {
    let anywhere = _WDF_EXECUTION_LEVEL::WdfExecutionLevelDispatch;
    let machine = with_ended(anywhere, irql::DISPATCH);
    assert_eq!(logged(), ["destroyed at 2", "dereferenced"]);
    assert!(machine.unload_driver().is_empty());
    clean(&machine);
}

#[test]
fn what_is_to_end_at_passive_level_does_whoever_gives_the_last_reference_back() {
    let passive = _WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive;
    let machine = with_ended(passive, irql::DISPATCH);
    assert!(machine.unload_driver().is_empty(), "it waits for that end");
    assert_eq!(logged(), ["dereferenced", "destroyed at 0"]);
    clean(&machine);

    // At PASSIVE_LEVEL there is nothing to wait for.
    let machine = with_ended(passive, irql::PASSIVE);
    assert_eq!(logged(), ["destroyed at 0", "dereferenced"]);
    clean(&machine);
}

// Timers

#[test]
fn a_timer_stops_itself_where_it_does_not_wait() {
    unsafe extern "C" fn fires(timer: WDFTIMER) {
        let set = unsafe { call_unsafe_wdf_function_binding!(WdfTimerStop, timer, 0) };
        log(format!("fired, and was set: {set}"));
    }
    let machine = loaded(entry);
    machine.call("driver", irql::PASSIVE, |_| {
        let level = _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent;
        let timer = create_timer(DRIVER.get().cast(), fires, 100, level, None);
        unsafe { call_unsafe_wdf_function_binding!(WdfTimerStart, timer, -500_000) };
    });
    machine.run_until(machine.kernel().now() + 5_000_000);
    assert_eq!(logged(), ["fired, and was set: 1"]);
    assert!(machine.unload_driver().is_empty());
    clean(&machine);
}

// What a request leads to

/// Locks the memory that a story named, in the context of the program, and completes the request with what came of it.
unsafe extern "C" fn locks(_device: WDFDEVICE, request: WDFREQUEST) {
    type Lock = unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        WDFREQUEST,
        *mut c_void,
        usize,
        *mut *mut c_void,
    ) -> NTSTATUS;
    let function: Lock = framework(279);
    let (address, length) = PROGRAM.get();
    let mut memory = null_mut();
    let locked = unsafe {
        function(
            WdfDriverGlobals,
            request,
            address as *mut c_void,
            length,
            &mut memory,
        )
    };
    complete(request, locked, 0);
}

unsafe extern "system" fn locking(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let made = create_driver(object, path, driver_config(Some(nothing_to_undo)))
        .and_then(|driver| create_device_with(driver, |init| show_first_to(init, locks)))
        .map(finish);
    status(made)
}

#[test]
fn memory_of_a_program_is_locked_as_far_as_the_program_has_it() {
    let machine = loaded(locking);
    let lock = |address: u64, length: usize| {
        PROGRAM.set((address as usize, length));
        machine.ioctl(IOCTL, &[], 0).0
    };
    let memory = machine.program_memory(&[7; 64]);
    let address = memory.address();
    assert_eq!(lock(address, 64), STATUS_SUCCESS);
    assert_eq!(lock(address + 60, 4), STATUS_SUCCESS);
    assert_eq!(lock(address + 60, 5), STATUS_ACCESS_VIOLATION);
    assert_eq!(lock(address, usize::MAX), STATUS_ACCESS_VIOLATION);
    assert_eq!(lock(0, 4), STATUS_ACCESS_VIOLATION);
    // The kernel's own is not the program's to give.
    let block = machine
        .call("driver", irql::PASSIVE, |_| unsafe {
            ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, u32::from_le_bytes(*b"kept")) as usize
        })
        .expect("the call returns");
    assert_eq!(lock(block as u64, 64), STATUS_ACCESS_VIOLATION);
    machine.free_program_memory(memory);
    assert_eq!(lock(address, 64), STATUS_ACCESS_VIOLATION);
    clean(&machine);
}

unsafe extern "C" {
    fn IoGetRequestorProcess(irp: *mut c_void) -> *mut c_void;
}

/// The IRP of a request.
fn irp_of(request: WDFREQUEST) -> usize {
    type GetIrp = unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> *mut c_void;
    let function: GetIrp = framework(285);
    unsafe { function(WdfDriverGlobals, request) as usize }
}

/// Asks whose an IRP is: the one that a story named, or its request's own.
unsafe extern "C" fn asks_whose(
    _queue: WDFQUEUE,
    request: WDFREQUEST,
    _room: usize,
    _given: usize,
    code: u32,
) {
    let irp = match code {
        IOCTL => IRP.get(),
        _ => irp_of(request),
    };
    IRP.set(irp);
    assert!(!unsafe { IoGetRequestorProcess(irp as *mut c_void) }.is_null());
    complete(request, STATUS_SUCCESS, 0);
}

unsafe extern "system" fn asking(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    status(answering(object, path, asks_whose))
}

#[test]
fn an_irp_is_asked_about_while_its_request_is_under_way() {
    /// Another control code, for which the handler asks about the request's own.
    const ABOUT_ITSELF: u32 = IOCTL + 4;
    let machine = loaded(asking);
    assert_eq!(machine.ioctl(ABOUT_ITSELF, &[], 0).0, STATUS_SUCCESS);
    clean(&machine);
    // The same one again, with another request: that of the first is gone.
    machine.ioctl(IOCTL, &[], 0);
    let violation = only_violation(&machine);
    assert_eq!(
        (violation.code, violation.rule),
        (code::WFPSIM_CONTRACT_VIOLATION, "D-06")
    );
    assert_eq!(violation.parameters[0], IRP.get() as u64);

    // A request that was not asked for its IRP has none yet, which is no reason to take NULL for it.
    let machine = loaded(asking);
    IRP.set(0);
    machine.ioctl(IOCTL, &[], 0);
    assert_eq!(only_violation(&machine).rule, "D-06");
}
