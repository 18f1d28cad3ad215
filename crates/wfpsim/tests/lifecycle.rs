//! A driver's life: what loading and unloading ask of it, and what it is told when it leaves something behind.
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
use wfpsim::Config;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

const TAG: u32 = u32::from_le_bytes(*b"tiny");

thread_local! {
    /// What the driver of the running test did. A machine runs on one host thread, and each test has its own.
    static LOG: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    static BLOCK: Cell<*mut c_void> = const { Cell::new(null_mut()) };
    static THREAD: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static REQUEST: Cell<WDFREQUEST> = const { Cell::new(null_mut()) };
    static SUBSCRIPTION: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static DEVICE: Cell<WDFDEVICE> = const { Cell::new(null_mut()) };
}

fn log(what: &'static str) {
    LOG.with_borrow_mut(|log| log.push(what));
}

fn logged() -> Vec<&'static str> {
    LOG.with_borrow(Clone::clone)
}

unsafe extern "C" fn logs_unload(_driver: WDFDRIVER) {
    assert_eq!(u32::from(unsafe { KeGetCurrentIrql() }), PASSIVE_LEVEL);
    log("unload");
}

unsafe extern "C" fn answers_at_once(
    _queue: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    _code: u32,
) {
    complete(request, STATUS_SUCCESS, 0);
}

#[test]
fn a_driver_loads_unloads_and_loads_again() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        log("entry");
        assert_eq!(u32::from(unsafe { KeGetCurrentIrql() }), PASSIVE_LEVEL);
        let name = unsafe { (*path).Buffer.add(1).read() };
        assert_eq!(name, u16::from(b'R'), "the path begins with \\REGISTRY");
        status(
            create_driver(object, path, driver_config(Some(logs_unload)))
                .and_then(create_device)
                .map(finish),
        )
    }
    let machine = loaded(entry);
    assert!(machine.unload_driver().is_empty());
    assert_eq!(
        machine.load_driver(wfpsim::driver::Linked { entry }, &Parameters::default()),
        Ok(()),
        "the names of the first time are free again"
    );
    assert!(machine.unload_driver().is_empty());
    assert_eq!(logged(), ["entry", "unload", "entry", "unload"]);
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
    let objects = machine.kernel().arena.live_blocks();
    assert!(
        objects.is_empty(),
        "the framework deletes the device (D-04): {objects:?}"
    );
}

#[test]
fn a_driver_entry_that_fails_after_creating_a_device_leaves_nothing() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let device = create_driver(object, path, driver_config(Some(logs_unload)))
            .and_then(create_device)
            .expect("nothing fails here");
        delete(device.cast());
        STATUS_DEVICE_NOT_READY
    }
    let (machine, loaded) = load_on(Config::plain(), entry, &Parameters::default());
    assert_eq!(
        loaded,
        Err(LoadError::Refused(
            STATUS_DEVICE_NOT_READY,
            Default::default()
        ))
    );
    assert!(
        logged().is_empty(),
        "unload is not called when DriverEntry fails (C-51)"
    );
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
    assert!(machine.kernel().arena.live_blocks().is_empty());
}

#[test]
fn a_driver_entry_that_fails_and_forgets_its_initialiser_is_told() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let driver = create_driver(object, path, driver_config(Some(logs_unload))).expect("made");
        let sddl = Wide::new("D:P");
        unsafe {
            call_unsafe_wdf_function_binding!(WdfControlDeviceInitAllocate, driver, sddl.get())
        };
        STATUS_DEVICE_NOT_READY
    }
    let (machine, loaded) = load_on(Config::plain(), entry, &Parameters::default());
    let leaks = [("wdf_object", 1)].into_iter().collect();
    assert_eq!(
        loaded,
        Err(LoadError::Refused(STATUS_DEVICE_NOT_READY, leaks))
    );
    assert_eq!(only_violation(&machine).rule, "D-02");
}

#[test]
fn the_registry_path_is_gone_when_driver_entry_has_returned() {
    thread_local!(static PATH: Cell<PCUNICODE_STRING> = const { Cell::new(std::ptr::null()) });
    unsafe extern "C" fn unload(_driver: WDFDRIVER) {
        log(if unsafe { (*PATH.get()).Length } > 0 {
            "read"
        } else {
            "empty"
        });
    }
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        PATH.set(path);
        status(create_driver(object, path, driver_config(Some(unload))).map(drop))
    }
    let machine = loaded(entry);
    machine.unload_driver();
    let violation = only_violation(&machine);
    assert_eq!(violation.code, code::PAGE_FAULT_IN_FREED_SPECIAL_POOL);
    assert_eq!(violation.object.as_deref(), Some("registry path"));
    assert!(logged().is_empty());
}

#[test]
fn forgotten_pool_is_bug_check_c4_62_with_its_tag_and_history() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        BLOCK.set(unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, TAG) });
        status(create_driver(object, path, driver_config(Some(logs_unload))).map(drop))
    }
    let machine = loaded(entry);
    let leaks = machine.unload_driver();
    assert_eq!(leaks, [("pool", 1)].into_iter().collect());
    let violation = only_violation(&machine);
    assert_eq!(violation.code, code::DRIVER_VERIFIER_DETECTED_VIOLATION);
    assert_eq!(
        (
            violation.parameters[0],
            violation.parameters[2],
            violation.parameters[3]
        ),
        (0x62, 0, 1)
    );
    assert!(
        violation.summary.contains("tag 'tiny'"),
        "{}",
        violation.summary
    );
    assert!(
        violation.summary.contains("100 bytes"),
        "{}",
        violation.summary
    );
    assert_eq!(
        violation.history.first().map(|event| event.what.as_ref()),
        Some("allocated")
    );
}

#[test]
fn pool_of_a_driver_entry_that_fails_is_forgotten_too() {
    unsafe extern "system" fn entry(
        _object: *mut DRIVER_OBJECT,
        _path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, TAG) };
        STATUS_UNSUCCESSFUL
    }
    let (machine, loaded) = load_on(Config::plain(), entry, &Parameters::default());
    assert_eq!(
        loaded,
        Err(LoadError::Refused(
            STATUS_UNSUCCESSFUL,
            [("pool", 1)].into_iter().collect()
        ))
    );
    assert_eq!(only_violation(&machine).parameters[0], 0x62);
}

unsafe extern "C" fn sleeps_for_ever(_context: *mut c_void) {
    loop {
        let mut hour = LARGE_INTEGER {
            QuadPart: -36_000_000_000,
        };
        unsafe { KeDelayExecutionThread(0, 0, &mut hour) };
    }
}

fn start_thread() {
    let mut handle = null_mut();
    let started = unsafe {
        PsCreateSystemThread(
            &mut handle,
            0,
            null_mut(),
            null_mut(),
            null_mut(),
            Some(sleeps_for_ever),
            null_mut(),
        )
    };
    assert_eq!(started, STATUS_SUCCESS);
    THREAD.set(handle);
}

#[test]
fn a_thread_that_outlives_its_driver_is_bug_check_ce() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        start_thread();
        assert_eq!(unsafe { ZwClose(THREAD.get()) }, STATUS_SUCCESS);
        status(create_driver(object, path, driver_config(Some(logs_unload))).map(drop))
    }
    let machine = loaded(entry);
    machine.unload_driver();
    let violation = only_violation(&machine);
    assert_eq!(
        violation.code,
        code::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS
    );
    assert_eq!(violation.rule, "C-04");
    assert!(
        machine.kernel().has_crashed(),
        "its next instruction is one of an image that is gone"
    );
}

#[test]
fn a_thread_handle_that_was_not_closed_is_told() {
    unsafe extern "C" fn ends(_context: *mut c_void) {}
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let mut handle = null_mut();
        unsafe {
            PsCreateSystemThread(
                &mut handle,
                0,
                null_mut(),
                null_mut(),
                null_mut(),
                Some(ends),
                null_mut(),
            )
        };
        status(create_driver(object, path, driver_config(Some(logs_unload))).map(drop))
    }
    let machine = loaded(entry);
    machine.run();
    assert_eq!(
        machine.unload_driver(),
        [("thread_object", 1)].into_iter().collect()
    );
    assert_eq!(only_violation(&machine).rule, "C-04");
}

unsafe extern "system" fn bfe_changed(_context: *mut c_void, state: i32) {
    log(if state == wfp_sys::fwpm::FWPM_SERVICE_RUNNING {
        "running"
    } else {
        "not running"
    });
}

/// A driver that subscribes to the filter engine's state and leaves it to `unload` to unsubscribe.
fn subscribes(
    object: *mut DRIVER_OBJECT,
    path: PCUNICODE_STRING,
    unload: PFN_WDF_DRIVER_UNLOAD,
) -> Result<(), NTSTATUS> {
    let device = create_device(create_driver(object, path, driver_config(unload))?)?;
    let object = unsafe { call_unsafe_wdf_function_binding!(WdfDeviceWdmGetDeviceObject, device) };
    assert_eq!(unsafe { (*object).DeviceType }, FILE_DEVICE_NETWORK);
    finish(device);
    let mut handle = null_mut();
    let status = unsafe {
        wfp_sys::fwpm::FwpmBfeStateSubscribeChanges0(
            object.cast(),
            Some(bfe_changed),
            null_mut(),
            &mut handle,
        )
    };
    assert_eq!(status, STATUS_SUCCESS);
    SUBSCRIPTION.set(handle);
    Ok(())
}

#[test]
fn the_filter_engine_tells_its_subscribers_until_they_unsubscribe() {
    unsafe extern "C" fn unload(_driver: WDFDRIVER) {
        assert_eq!(
            unsafe { wfp_sys::fwpm::FwpmBfeStateUnsubscribeChanges0(SUBSCRIPTION.get()) },
            STATUS_SUCCESS
        );
    }
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        status(subscribes(object, path, Some(unload)))
    }
    let machine = loaded(entry);
    machine.stop_bfe();
    machine.start_bfe();
    assert!(machine.unload_driver().is_empty());
    machine.stop_bfe();
    assert_eq!(logged(), ["not running", "running"]);
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
}

#[test]
fn a_callback_into_a_driver_that_is_gone_is_bug_check_ce() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        status(subscribes(object, path, Some(logs_unload)))
    }
    let machine = loaded(entry);
    assert_eq!(
        machine.unload_driver(),
        [("bfe_subscription", 1)].into_iter().collect()
    );
    machine.stop_bfe();
    let rules: Vec<_> = machine
        .violations()
        .iter()
        .map(|violation| (violation.code, violation.rule))
        .collect();
    let unloaded = code::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS;
    assert_eq!(rules, [(unloaded, "A-06"), (unloaded, "C-52")]);
    assert_eq!(logged(), ["unload"], "the callback never ran");
}

#[test]
fn a_driver_without_unload_cannot_be_unloaded() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        status(create_driver(object, path, driver_config(None)).map(drop))
    }
    let machine = loaded(entry);
    machine.unload_driver();
    assert_eq!(only_violation(&machine).rule, "D-01");
}

#[test]
fn an_unload_that_never_returns_is_a_hang() {
    unsafe extern "C" fn unload(_driver: WDFDRIVER) {
        let mut event = KEVENT::default();
        unsafe { KeInitializeEvent(&mut event, 0, 0) };
        unsafe { KeWaitForSingleObject((&raw mut event).cast(), 0, 0, 0, null_mut()) };
    }
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        status(create_driver(object, path, driver_config(Some(unload))).map(drop))
    }
    let machine = loaded(entry);
    machine.unload_driver();
    let violation = only_violation(&machine);
    assert_eq!(violation.code, code::WFPSIM_HANG);
    assert!(
        violation.summary.contains("service control manager"),
        "{}",
        violation.summary
    );
}

#[test]
fn unload_waits_for_the_last_handle_to_close() {
    unsafe extern "C" fn keeps(
        _queue: WDFQUEUE,
        request: WDFREQUEST,
        _output: usize,
        _input: usize,
        _code: u32,
    ) {
        log("request");
        REQUEST.set(request);
    }
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let made =
            create_driver(object, path, driver_config(Some(logs_unload))).and_then(|driver| {
                let device = create_device(driver)?;
                create_queue(
                    device,
                    _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
                    keeps,
                )?;
                finish(device);
                Ok(())
            });
        status(made)
    }
    let machine = loaded(entry);
    let program = machine.spawn("program", irql::PASSIVE, |kernel| {
        let (status, _) = wfpsim::driver::ioctl(kernel, IOCTL, &[], 0);
        log(if status == STATUS_CANCELLED {
            "answered"
        } else {
            "something else"
        });
    });
    machine.run();
    machine.spawn("driver's own work", irql::PASSIVE, |_| {
        let mut second = LARGE_INTEGER {
            QuadPart: -10_000_000,
        };
        unsafe { KeDelayExecutionThread(0, 0, &mut second) };
        complete(REQUEST.get(), STATUS_CANCELLED, 0);
    });
    assert!(machine.unload_driver().is_empty());
    assert!(!machine.kernel().is_alive(program));
    assert_eq!(logged(), ["request", "answered", "unload"]);
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
}

#[test]
fn a_callback_that_comes_back_with_a_lock_is_told() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let made = create_driver(object, path, driver_config(Some(logs_unload)));
        let lock = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, 8, TAG) };
        unsafe { KeAcquireSpinLockRaiseToDpc(lock.cast()) };
        status(made.map(drop))
    }
    let (machine, loaded) = load_on(Config::plain(), entry, &Parameters::default());
    assert_eq!(loaded, Err(LoadError::Stopped));
    let violation = only_violation(&machine);
    assert_eq!(
        (violation.code, violation.parameters[0]),
        (code::WDF_VIOLATION, 0xE)
    );
}

#[test]
fn whichever_call_fails_a_correct_driver_leaves_nothing_behind() {
    /// Undoes what it did when a step fails, in reverse; its unload gives the pool back.
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TAG) };
        if block.is_null() {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        BLOCK.set(block);
        let made = create_driver(object, path, driver_config(Some(unload))).and_then(|driver| {
            let device = create_device(driver)?;
            DEVICE.set(device);
            create_queue(
                device,
                _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
                answers_at_once,
            )
            .inspect_err(|_| delete(device.cast()))?;
            finish(device);
            Ok(())
        });
        if made.is_err() {
            unsafe { ExFreePoolWithTag(block, TAG) };
        }
        status(made)
    }
    unsafe extern "C" fn unload(_driver: WDFDRIVER) {
        // Inside unload the driver may delete the device itself (D-04).
        delete(DEVICE.get().cast());
        unsafe { ExFreePoolWithTag(BLOCK.get(), TAG) };
    }
    let mut failures = 0;
    for seed in 0..4 {
        for call in 1.. {
            let mut config = Config::new(seed);
            config.faults.fail_call = Some(call);
            let (machine, loaded) = load_on(config, entry, &Parameters::default());
            match &loaded {
                Ok(()) => {
                    assert_eq!(machine.ioctl(IOCTL, &[], 0).0, STATUS_SUCCESS);
                    assert!(machine.unload_driver().is_empty());
                }
                Err(LoadError::Refused(STATUS_INSUFFICIENT_RESOURCES, leaks)) => {
                    assert!(leaks.is_empty())
                }
                Err(other) => panic!("call {call}: {other}"),
            }
            assert!(
                machine.violations().is_empty(),
                "call {call}: {:?}",
                machine.violations()
            );
            assert!(
                machine.kernel().arena.live_blocks().is_empty(),
                "call {call}"
            );
            if loaded.is_ok() {
                break;
            }
            failures += 1;
        }
    }
    assert_eq!(
        failures,
        4 * 7,
        "pool, driver, initialiser, name, device, link and queue can each fail"
    );
}
