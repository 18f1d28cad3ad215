//! Control requests through KMDF: queues, buffers, and a completion for each, once (D-06).
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod tiny_driver;

use std::cell::Cell;
use std::cell::RefCell;
use std::ptr::null_mut;

use tiny_driver::*;
use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;
use wfpsim::Machine;
use wfpsim::driver::Parameters;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static KEPT: Cell<WDFREQUEST> = const { Cell::new(null_mut()) };
}

fn log(what: impl Into<String>) {
    LOG.with_borrow_mut(|log| log.push(what.into()));
}

fn logged() -> Vec<String> {
    LOG.with_borrow(Clone::clone)
}

/// Makes a driver entry point that answers control codes with a handler.
macro_rules! driver_that_answers {
    ($handler:path) => {{
        unsafe extern "system" fn entry(
            object: *mut DRIVER_OBJECT,
            path: PCUNICODE_STRING,
        ) -> NTSTATUS {
            status(answering(object, path, $handler))
        }
        loaded(entry)
    }};
}

#[test]
fn a_control_request_goes_there_and_back() {
    unsafe extern "C" fn reverses(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        room: usize,
        given: usize,
        code: u32,
    ) {
        assert_eq!((room, given, code), (8, 3, IOCTL));
        assert_eq!(u32::from(unsafe { KeGetCurrentIrql() }), PASSIVE_LEVEL);
        let (bytes, length) = input(request, 1).expect("there is input");
        let copy: Vec<u8> = (0..length)
            .map(|index| unsafe { bytes.add(index).read() })
            .collect();
        let (out, room) = output(request, 3).expect("there is room");
        assert_eq!(
            (length, room, out),
            (3, 8, bytes),
            "one system buffer for both (D-06)"
        );
        for (index, byte) in copy.iter().rev().enumerate() {
            unsafe { out.add(index).write(*byte) };
        }
        complete(request, STATUS_SUCCESS, 3);
    }
    let machine = driver_that_answers!(reverses);
    assert_eq!(
        machine.ioctl(IOCTL, b"abc", 8),
        (STATUS_SUCCESS, b"cba".to_vec())
    );
    unloads_clean(&machine);
    assert_eq!(
        machine.ioctl(IOCTL, b"abc", 8).0,
        STATUS_OBJECT_NAME_NOT_FOUND,
        "the driver is gone"
    );
}

#[test]
fn a_buffer_that_is_too_small_or_missing_is_refused() {
    unsafe extern "C" fn asks(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        _room: usize,
        _given: usize,
        _code: u32,
    ) {
        log(format!(
            "{:x?} {:x?}",
            input(request, 4).err(),
            output(request, 0).err()
        ));
        complete(request, STATUS_BUFFER_TOO_SMALL, 0);
    }
    let machine = driver_that_answers!(asks);
    assert_eq!(
        machine.ioctl(IOCTL, b"abc", 4),
        (STATUS_BUFFER_TOO_SMALL, Vec::new())
    );
    assert_eq!(machine.ioctl(IOCTL, b"abcd", 0).0, STATUS_BUFFER_TOO_SMALL);
    // METHOD_NEITHER has no buffers that the framework could give.
    assert_eq!(
        machine.ioctl(IOCTL | 3, b"abcd", 4).0,
        STATUS_BUFFER_TOO_SMALL
    );
    let small = Some(STATUS_BUFFER_TOO_SMALL);
    let invalid = Some(STATUS_INVALID_DEVICE_REQUEST);
    let expected = [(small, None), (None, small), (invalid, invalid)]
        .map(|(input, output)| format!("{input:x?} {output:x?}"));
    assert_eq!(logged(), expected);
}

#[test]
fn a_direct_request_has_a_buffer_for_each_direction() {
    unsafe extern "C" fn fills(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        _room: usize,
        _given: usize,
        _code: u32,
    ) {
        let (given, _) = input(request, 1).expect("there is input");
        let (out, room) = output(request, 1).expect("there is room");
        unsafe { out.write_bytes(b'x', room) };
        assert_eq!(unsafe { given.read() }, b'i', "the input is not the output");
        complete(request, STATUS_SUCCESS, room as u64);
    }
    let machine = driver_that_answers!(fills);
    assert_eq!(
        machine.ioctl(IOCTL | 2, b"i", 5),
        (STATUS_SUCCESS, b"xxxxx".to_vec())
    );
}

#[test]
fn a_warning_brings_output_and_an_error_does_not() {
    unsafe extern "C" fn answers(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        _room: usize,
        given: usize,
        _code: u32,
    ) {
        let (out, _) = output(request, 1).expect("there is room");
        unsafe { out.write(7) };
        complete(
            request,
            if given == 1 {
                STATUS_BUFFER_OVERFLOW
            } else {
                STATUS_UNSUCCESSFUL
            },
            1,
        );
    }
    let machine = driver_that_answers!(answers);
    assert_eq!(
        machine.ioctl(IOCTL, b"1", 1),
        (STATUS_BUFFER_OVERFLOW, vec![7])
    );
    assert_eq!(
        machine.ioctl(IOCTL, b"22", 1),
        (STATUS_UNSUCCESSFUL, Vec::new())
    );
}

#[test]
fn a_request_completed_twice_is_a_wdf_violation_with_its_history() {
    unsafe extern "C" fn twice(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        _room: usize,
        _given: usize,
        _code: u32,
    ) {
        complete(request, STATUS_SUCCESS, 0);
        complete(request, STATUS_SUCCESS, 0);
    }
    let machine = driver_that_answers!(twice);
    machine.ioctl(IOCTL, &[], 0);
    let violation = only_violation(&machine);
    assert_eq!(
        (violation.code, violation.parameters[0], violation.rule),
        (code::WDF_VIOLATION, 5, "D-06")
    );
    let told: Vec<_> = violation
        .history
        .iter()
        .map(|event| event.what.as_ref())
        .collect();
    assert!(
        told.iter()
            .any(|what| what.starts_with("completed by WdfRequestCompleteWithInformation")),
        "{told:?}"
    );
}

#[test]
fn information_beyond_the_output_buffer_is_a_fatal_request_error() {
    unsafe extern "C" fn boasts(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        room: usize,
        _given: usize,
        _code: u32,
    ) {
        complete(request, STATUS_SUCCESS, room as u64 + 1);
    }
    let machine = driver_that_answers!(boasts);
    machine.ioctl(IOCTL, &[], 16);
    let violation = only_violation(&machine);
    assert_eq!(
        (violation.code, violation.parameters),
        (code::WDF_VIOLATION, [6, 4, 17, 16])
    );
}

#[test]
fn information_over_bytes_never_written_leaks_kernel_memory() {
    unsafe extern "C" fn leaks(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        room: usize,
        _given: usize,
        _code: u32,
    ) {
        let (out, _) = output(request, 1).expect("there is room");
        unsafe { out.write_bytes(0, 24) };
        complete(request, STATUS_SUCCESS, room as u64);
    }
    let machine = driver_that_answers!(leaks);
    machine.ioctl(IOCTL, &[1; 8], 64);
    let violation = only_violation(&machine);
    assert_eq!(
        (violation.code, violation.rule, violation.parameters[2]),
        (code::WFPSIM_CONTRACT_VIOLATION, "D-06", 24)
    );
}

#[test]
fn a_program_that_comes_before_driver_entry_has_finished_is_only_refused() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let made = create_driver(object, path, driver_config(Some(nothing_to_undo)))
            .and_then(create_device);
        let mut second = LARGE_INTEGER {
            QuadPart: -10_000_000,
        };
        unsafe { KeDelayExecutionThread(0, 0, &mut second) };
        status(made.map(finish))
    }
    let machine = Machine::new(wfpsim::Config::plain());
    machine.spawn("program", irql::PASSIVE, |kernel| {
        // Half of the second that DriverEntry sleeps.
        let mut wait = LARGE_INTEGER {
            QuadPart: -5_000_000,
        };
        unsafe { KeDelayExecutionThread(0, 0, &mut wait) };
        log(format!(
            "{:#x}",
            wfpsim::driver::ioctl(kernel, IOCTL, &[], 0).0
        ));
    });
    assert_eq!(
        machine.load_driver(wfpsim::driver::Linked { entry }, &Parameters::default()),
        Ok(())
    );
    assert_eq!(logged(), [format!("{STATUS_NO_SUCH_DEVICE:#x}")]);
    assert_eq!(
        machine.ioctl(IOCTL, &[], 0).0,
        STATUS_INVALID_DEVICE_REQUEST,
        "finished, and without a queue"
    );
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
}

#[test]
fn a_sequential_queue_hands_out_one_request_at_a_time() {
    unsafe extern "C" fn keeps(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        _room: usize,
        _given: usize,
        _code: u32,
    ) {
        log("presented");
        KEPT.set(request);
    }
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let made =
            create_driver(object, path, driver_config(Some(nothing_to_undo))).and_then(|driver| {
                let device = create_device(driver)?;
                create_queue(
                    device,
                    _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchSequential,
                    keeps,
                )?;
                finish(device);
                Ok(())
            });
        status(made)
    }
    let machine = loaded(entry);
    for _ in 0..2 {
        machine.spawn("program", irql::PASSIVE, |kernel| {
            wfpsim::driver::ioctl(kernel, IOCTL, &[], 0);
            log("answered");
        });
    }
    machine.run();
    assert_eq!(logged(), ["presented"]);
    for _ in 0..2 {
        machine.spawn("driver's own work", irql::PASSIVE, |_| {
            complete(KEPT.get(), STATUS_SUCCESS, 0)
        });
        machine.run();
    }
    assert_eq!(
        logged().iter().filter(|what| *what == "answered").count(),
        2
    );
    unloads_clean(&machine);
}

#[test]
fn callbacks_serialised_by_the_queue_run_at_dispatch_level() {
    unsafe extern "C" fn tells(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        _room: usize,
        _given: usize,
        _code: u32,
    ) {
        log(unsafe { KeGetCurrentIrql() }.to_string());
        complete(request, STATUS_SUCCESS, 0);
    }
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let device = create_driver(object, path, driver_config(Some(nothing_to_undo)))
            .and_then(create_device)
            .expect("made");
        let mut config = WDF_IO_QUEUE_CONFIG {
            Size: size_of::<WDF_IO_QUEUE_CONFIG>() as u32,
            DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchSequential,
            DefaultQueue: 1,
            EvtIoDeviceControl: Some(tells),
            ..Default::default()
        };
        let mut attributes = WDF_OBJECT_ATTRIBUTES {
            Size: size_of::<WDF_OBJECT_ATTRIBUTES>() as u32,
            ExecutionLevel: _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent,
            SynchronizationScope: _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeQueue,
            ..Default::default()
        };
        let made = unsafe {
            call_unsafe_wdf_function_binding!(
                WdfIoQueueCreate,
                device,
                &mut config,
                &mut attributes,
                null_mut()
            )
        };
        finish(device);
        made
    }
    let machine = loaded(entry);
    assert_eq!(
        machine.ioctl(IOCTL, &[], 0).0,
        STATUS_SUCCESS,
        "{:?}",
        machine.violations()
    );
    assert_eq!(
        logged(),
        ["2"],
        "a spin lock serialises the callbacks unless the execution level is passive"
    );
}
