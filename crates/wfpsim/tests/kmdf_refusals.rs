//! What the framework refuses, and what it reports of a driver that leaves: globals of nobody, parents where there can be none, the
//! default queue deleted, references never given back.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod tiny_driver;

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use tiny_driver::*;
use wdk_sys_portable::*;
use wfpsim::Machine;
use wfpsim::driver::Parameters;
use wfpsim::machine::irql;

/// STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED of wdfstatus.h.
const NO_PARENT: NTSTATUS = 0xC020_020F_u32.cast_signed();

thread_local! {
    static DRIVER: Cell<WDFDRIVER> = const { Cell::new(null_mut()) };
    static QUEUE: Cell<WDFQUEUE> = const { Cell::new(null_mut()) };
}

fn with_parent(parent: WDFOBJECT) -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES {
        Size: size_of::<WDF_OBJECT_ATTRIBUTES>() as u32,
        ExecutionLevel: _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent,
        SynchronizationScope: _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent,
        ParentObject: parent,
        ..Default::default()
    }
}

unsafe extern "system" fn entry(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let made = create_driver(object, path, driver_config(Some(nothing_to_undo)));
    DRIVER.set(made.unwrap_or(null_mut()));
    status(made.map(drop))
}

// Globals

/// What WdfObjectReferenceActual says of a call with these globals.
fn referenced_with(globals: *mut c_void) -> Machine {
    type Change = unsafe extern "C" fn(*mut c_void, WDFOBJECT, *mut c_void, i32, *const i8);
    let machine = loaded(entry);
    let globals = globals as usize;
    machine.call("driver", irql::PASSIVE, move |_| unsafe {
        for index in [REFERENCE, DEREFERENCE] {
            let driver = DRIVER.get().cast();
            let change: Change = framework(index);
            change(globals as _, driver, null_mut(), 0, std::ptr::null());
        }
    });
    machine
}

#[test]
fn a_function_that_is_given_no_driver_globals_or_anothers_stops_the_machine() {
    let mut anothers = WDF_DRIVER_GLOBALS::default();
    for globals in [null_mut(), (&raw mut anothers).cast()] {
        let violation = only_violation(&referenced_with(globals));
        assert_eq!(violation.rule, "D.1");
        assert!(violation.summary.contains("driver globals"), "{violation}");
    }
}

#[test]
fn the_globals_that_the_driver_was_linked_with_are_its_own() {
    let globals = unsafe { WdfDriverGlobals };
    let machine = referenced_with(globals.cast());
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
}

// Parents

#[test]
fn a_driver_object_can_have_no_parent() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let mut attributes = with_parent(object.cast());
        let mut config = driver_config(Some(nothing_to_undo));
        let refused = unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDriverCreate,
                object,
                path,
                &mut attributes,
                &mut config,
                null_mut()
            )
        };
        assert_eq!(refused, NO_PARENT);
        status(create_driver(object, path, config).map(drop))
    }
    let machine = loaded(entry);
    assert!(machine.unload_driver().is_empty());
}

#[test]
fn a_control_device_can_have_no_parent() {
    let machine = loaded(entry);
    machine.call("driver", irql::PASSIVE, |_| unsafe {
        let sddl = Wide::new("D:P(A;;GA;;;SY)(A;;GA;;;BA)");
        let mut init = call_unsafe_wdf_function_binding!(
            WdfControlDeviceInitAllocate,
            DRIVER.get(),
            sddl.get()
        );
        let (mut attributes, mut device) = (with_parent(DRIVER.get().cast()), null_mut());
        let refused = call_unsafe_wdf_function_binding!(
            WdfDeviceCreate,
            &mut init,
            &mut attributes,
            &mut device
        );
        assert_eq!(refused, NO_PARENT);
        call_unsafe_wdf_function_binding!(WdfDeviceInitFree, init);
    });
    unloads_clean(&machine);
}

// Ends

#[test]
fn the_default_queue_is_not_the_drivers_to_delete() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let made = create_driver(object, path, driver_config(Some(nothing_to_undo)))
            .and_then(create_device)
            .and_then(|device| {
                let parallel = _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel;
                create_queue(device, parallel, succeeds)
            });
        QUEUE.set(made.unwrap_or(null_mut()));
        status(made.map(drop))
    }
    let machine = loaded(entry);
    machine.call("driver", irql::PASSIVE, |_| delete(QUEUE.get().cast()));
    let violation = only_violation(&machine);
    assert_eq!(violation.rule, "D.1");
    assert!(violation.summary.contains("own to delete"), "{violation}");
}

/// A driver that makes a timer, or a control device, and is unloaded after it did this with it.
fn gone_after(make: fn() -> WDFOBJECT, work: impl FnOnce(WDFOBJECT) + 'static) -> Machine {
    let machine = loaded(entry);
    machine.call("driver", irql::PASSIVE, move |_| work(make()));
    machine.unload_driver();
    machine
}

fn timer() -> WDFOBJECT {
    unsafe extern "C" fn fires(_timer: WDFTIMER) {}
    let inherited = _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent;
    create_timer(DRIVER.get().cast(), fires, 0, inherited, None).cast()
}

fn device() -> WDFOBJECT {
    let device = create_device(DRIVER.get()).expect("made");
    finish(device);
    device.cast()
}

fn key() -> WDFOBJECT {
    open_parameters(DRIVER.get()).expect("opened").cast()
}

#[test]
fn references_that_are_left_when_the_driver_goes_are_told() {
    // A key that is not closed is told as that besides (D-02).
    let made: [(fn() -> WDFOBJECT, bool); 5] = [
        (timer, true),
        (timer, false),
        (device, true),
        (device, false),
        (key, true),
    ];
    for (make, deletes) in made {
        let end = move |object, last| {
            change_references(object, REFERENCE);
            change_references(object, last);
            if deletes {
                delete(object);
            }
        };
        let machine = gone_after(make, move |object| end(object, REFERENCE));
        let violation = only_violation(&machine);
        assert_eq!(violation.rule, "D.1");
        assert!(violation.summary.contains("2 references"), "{violation}");

        let machine = gone_after(make, move |object| end(object, DEREFERENCE));
        assert!(
            machine.violations().is_empty(),
            "{:?}",
            machine.violations()
        );
    }
}

#[test]
fn what_one_driver_left_is_not_told_of_the_next() {
    let machine = gone_after(timer, |timer| change_references(timer, REFERENCE));
    assert_eq!(machine.violations().len(), 1);
    let linked = wfpsim::driver::Linked { entry };
    assert_eq!(machine.load_driver(linked, &Parameters::default()), Ok(()));
    machine.unload_driver();
    assert_eq!(machine.violations().len(), 1);
}

/// Completes a request and keeps a reference to it.
unsafe extern "C" fn keeps(_: WDFQUEUE, request: WDFREQUEST, _: usize, _: usize, _: u32) {
    change_references(request.cast(), REFERENCE);
    complete(request, STATUS_SUCCESS, 0);
}

unsafe extern "C" fn keeps_at_once(_device: WDFDEVICE, request: WDFREQUEST) {
    unsafe { keeps(null_mut(), request, 0, 0, 0) };
}

unsafe extern "system" fn keeping(object: *mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    status(answering(object, path, keeps))
}

unsafe extern "system" fn keeping_at_once(
    object: *mut DRIVER_OBJECT,
    path: PCUNICODE_STRING,
) -> NTSTATUS {
    let made = create_driver(object, path, driver_config(Some(nothing_to_undo)))
        .and_then(|driver| create_device_with(driver, |init| show_first_to(init, keeps_at_once)))
        .map(finish);
    status(made)
}

#[test]
fn a_request_that_a_reference_keeps_is_answered_and_holds_nobody_up() {
    for entry in [keeping as wfpsim::driver::DriverEntry, keeping_at_once] {
        let machine = loaded(entry);
        assert_eq!(machine.ioctl(IOCTL, &[], 0).0, STATUS_SUCCESS);
        machine.unload_driver();
        let violation = only_violation(&machine);
        assert_eq!(violation.rule, "D.1", "{violation}");
        assert!(violation.summary.contains("1 references"), "{violation}");
    }
}
