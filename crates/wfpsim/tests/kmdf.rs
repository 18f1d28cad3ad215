//! KMDF as a driver meets it: binding, device initialisers, the registry, locks and timers.
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
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;
use wfpsim::verifier::code;

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static DRIVER: Cell<WDFDRIVER> = const { Cell::new(null_mut()) };
}

fn log(what: impl Into<String>) {
    LOG.with_borrow_mut(|log| log.push(what.into()));
}

fn logged() -> Vec<String> {
    LOG.with_borrow(Clone::clone)
}

/// Runs a DriverEntry body that must bring the machine down, and gives what it came down with.
macro_rules! driver_that_crashes {
    (|$driver:ident| $body:expr) => {{
        unsafe extern "system" fn entry(
            object: *mut DRIVER_OBJECT,
            path: PCUNICODE_STRING,
        ) -> NTSTATUS {
            let $driver =
                create_driver(object, path, driver_config(Some(nothing_to_undo))).expect("made");
            unsafe { $body };
            panic!("the machine went on");
        }
        let (machine, loaded) = load_on(wfpsim::Config::plain(), entry, &Parameters::default());
        assert_eq!(loaded, Err(LoadError::Stopped));
        only_violation(&machine)
    }};
}

// Binding

/// WDF_BIND_INFO2.
#[repr(C)]
struct BindInfo {
    size: u32,
    component: *const u16,
    version: [u32; 3],
    function_count: u32,
    table: *mut *const WDFFUNC,
    module: *mut c_void,
    minimum: *mut u32,
    client_is_newer: *mut u8,
    functions: *mut u32,
    structures: *mut u32,
    structure_table: *mut *mut usize,
}

unsafe extern "C" {
    fn WdfVersionBind(
        object: PDRIVER_OBJECT,
        path: PCUNICODE_STRING,
        info: *mut BindInfo,
        globals: *mut PWDF_DRIVER_GLOBALS,
    ) -> NTSTATUS;
    fn WdfVersionUnbind(
        path: PCUNICODE_STRING,
        info: *mut BindInfo,
        globals: PWDF_DRIVER_GLOBALS,
    ) -> NTSTATUS;
}

/// Binds with a version and the oldest that will do, does something meanwhile, and unbinds again.
fn bind(
    object: PDRIVER_OBJECT,
    path: PCUNICODE_STRING,
    [minor, oldest]: [u32; 2],
    meanwhile: impl FnOnce(&WDF_DRIVER_GLOBALS),
) -> (NTSTATUS, u8) {
    let (mut table, mut globals) = (std::ptr::null(), null_mut());
    let (mut minimum, mut newer, mut functions, mut structures) = (oldest, 0, 0, 0);
    let mut structure_table = null_mut();
    let mut info = BindInfo {
        size: size_of::<BindInfo>() as u32,
        component: std::ptr::null(),
        version: [1, minor, 0],
        function_count: 458,
        table: &mut table,
        module: null_mut(),
        minimum: &mut minimum,
        client_is_newer: &mut newer,
        functions: &mut functions,
        structures: &mut structures,
        structure_table: &mut structure_table,
    };
    let bound = unsafe { WdfVersionBind(object, path, &mut info, &mut globals) };
    if NT_SUCCESS(bound) {
        assert_eq!(functions, 458);
        assert!(
            unsafe { table.add(457).read() }.is_some(),
            "every entry has a function"
        );
        meanwhile(unsafe { &*globals });
        assert_eq!(
            unsafe { WdfVersionUnbind(path, &mut info, globals) },
            STATUS_SUCCESS
        );
    }
    (bound, newer)
}

#[test]
fn an_image_binds_to_the_framework_it_asks_for_or_an_older_one() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let bind = |versions| bind(object, path, versions, |_| ());
        assert_eq!(bind([33, 31]), (STATUS_SUCCESS, 0));
        assert_eq!(bind([35, 31]), (STATUS_SUCCESS, 1));
        assert_eq!(bind([35, 35]).0, STATUS_NOT_FOUND);
        log("bound");
        STATUS_NOT_SUPPORTED
    }
    let (machine, loaded) = load_on(wfpsim::Config::plain(), entry, &Parameters::default());
    assert_eq!(
        loaded,
        Err(LoadError::Refused(STATUS_NOT_SUPPORTED, Default::default()))
    );
    assert_eq!(logged(), ["bound"], "{:?}", machine.violations());
    assert!(machine.kernel().arena.live_blocks().is_empty());
}

#[test]
fn an_image_is_told_whether_its_unload_routine_stands_behind_the_frameworks() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        for unload in [None, Some(nothing_to_undo as unsafe extern "C" fn(_))] {
            bind(object, path, [33, 31], |globals| {
                assert_eq!(globals.DisplaceDriverUnload, 0, "no driver object yet");
                let driver = create_driver(object, path, driver_config(unload));
                let displaced = unsafe { (&raw const *globals).read_volatile() };
                log(format!(
                    "{} {}",
                    displaced.DisplaceDriverUnload,
                    driver == Ok(displaced.Driver)
                ));
            });
        }
        STATUS_NOT_SUPPORTED
    }
    let (machine, loaded) = load_on(wfpsim::Config::plain(), entry, &Parameters::default());
    assert!(loaded.is_err(), "not loaded, as it says itself");
    assert_eq!(logged(), ["0 true", "1 true"], "{:?}", machine.violations());
}

#[test]
fn a_function_that_the_simulator_does_not_have_is_named_by_its_index() {
    let violation = driver_that_crashes!(|_driver| {
        // WdfChildListCreate, which no control device has a use for.
        let table = wdk_sys_portable::WdfFunctions;
        table.read().expect("every entry has a function")()
    });
    assert_eq!(
        (
            violation.code,
            violation.parameters[0],
            violation.parameters[1]
        ),
        (code::WDF_VIOLATION, 0x10, 0)
    );
    assert!(
        violation.summary.contains("entry 0 "),
        "{}",
        violation.summary
    );
}

fn query_ulong(key: WDFKEY, name: &str) -> (NTSTATUS, u32) {
    let (name, mut value) = (Wide::new(name), 0);
    let status = unsafe {
        call_unsafe_wdf_function_binding!(WdfRegistryQueryULong, key, name.get(), &mut value)
    };
    (status, value)
}

/// Status, length and type that a query with room for `room` bytes gives, and the bytes.
fn query_value(key: WDFKEY, name: &str, room: usize) -> (NTSTATUS, u32, u32, Vec<u8>) {
    let (name, mut bytes, mut length, mut kind) = (Wide::new(name), vec![0xEE; room], 0, 0);
    let value = if room == 0 {
        null_mut()
    } else {
        bytes.as_mut_ptr().cast()
    };
    let status = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRegistryQueryValue,
            key,
            name.get(),
            room as u32,
            value,
            &mut length,
            &mut kind
        )
    };
    (status, length, kind, bytes)
}

#[test]
fn registry_values_are_read_with_their_types_and_lengths() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        DRIVER
            .set(create_driver(object, path, driver_config(Some(nothing_to_undo))).expect("made"));
        let key = open_parameters(DRIVER.get()).expect("the key is there");
        assert_eq!(
            query_ulong(key, "port"),
            (STATUS_SUCCESS, 443),
            "names have no case"
        );
        assert_eq!(query_ulong(key, "Address").0, STATUS_OBJECT_TYPE_MISMATCH);
        assert_eq!(query_ulong(key, "Nothing").0, STATUS_OBJECT_NAME_NOT_FOUND);
        assert_eq!(query_ulong(key, "Short").0, STATUS_OBJECT_TYPE_MISMATCH);
        assert_eq!(
            query_value(key, "Address", 4),
            (STATUS_SUCCESS, 4, REG_SZ, b"a\0\0\0".to_vec())
        );
        assert_eq!(
            query_value(key, "Address", 3),
            (STATUS_BUFFER_OVERFLOW, 4, REG_SZ, vec![0xEE; 3])
        );
        assert_eq!(
            query_value(key, "Address", 0),
            (STATUS_BUFFER_OVERFLOW, 4, REG_SZ, vec![])
        );
        assert_eq!(
            query_value(key, "Nothing", 4).0,
            STATUS_OBJECT_NAME_NOT_FOUND
        );
        unsafe { call_unsafe_wdf_function_binding!(WdfRegistryClose, key) };
        log("read");
        STATUS_SUCCESS
    }
    let mut parameters = Parameters::default();
    parameters.set_u32("Port", 443);
    parameters.set_string("Address", "a");
    parameters.set("Short", REG_DWORD, vec![1, 2]);
    let (machine, loaded) = load_on(wfpsim::Config::plain(), entry, &parameters);
    assert_eq!(
        (loaded, logged()),
        (Ok(()), vec!["read".to_owned()]),
        "{:?}",
        machine.violations()
    );
    assert!(machine.unload_driver().is_empty());
}

#[test]
fn a_service_without_parameters_has_no_key() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        DRIVER
            .set(create_driver(object, path, driver_config(Some(nothing_to_undo))).expect("made"));
        open_parameters(DRIVER.get())
            .err()
            .unwrap_or(STATUS_SUCCESS)
    }
    let (_, loaded) = load_on(wfpsim::Config::plain(), entry, &Parameters::missing());
    assert_eq!(
        loaded,
        Err(LoadError::Refused(
            STATUS_OBJECT_NAME_NOT_FOUND,
            Default::default()
        ))
    );
}

#[test]
fn a_framework_spin_lock_raises_and_lowers() {
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let made = create_driver(object, path, driver_config(Some(nothing_to_undo)));
        let mut lock = null_mut();
        unsafe {
            assert_eq!(
                call_unsafe_wdf_function_binding!(WdfSpinLockCreate, null_mut(), &mut lock),
                STATUS_SUCCESS
            );
            call_unsafe_wdf_function_binding!(WdfSpinLockAcquire, lock);
            log(KeGetCurrentIrql().to_string());
            call_unsafe_wdf_function_binding!(WdfSpinLockRelease, lock);
            log(KeGetCurrentIrql().to_string());
        }
        status(made.map(drop))
    }
    let machine = loaded(entry);
    assert_eq!(logged(), ["2", "0"]);
    assert!(
        machine.unload_driver().is_empty(),
        "the lock is the driver object's and goes with it"
    );
    assert!(machine.kernel().arena.live_blocks().is_empty());
}

#[test]
fn a_periodic_timer_fires_at_dispatch_level_until_it_is_stopped() {
    thread_local!(static TIMER: Cell<WDFTIMER> = const { Cell::new(null_mut()) });
    unsafe extern "C" fn fires(_timer: WDFTIMER) {
        log(unsafe { KeGetCurrentIrql() }.to_string());
    }
    unsafe extern "C" fn unload(_driver: WDFDRIVER) {
        assert_eq!(
            unsafe { call_unsafe_wdf_function_binding!(WdfTimerStop, TIMER.get(), 1) },
            1,
            "it was set"
        );
    }
    unsafe extern "system" fn entry(
        object: *mut DRIVER_OBJECT,
        path: PCUNICODE_STRING,
    ) -> NTSTATUS {
        let driver = create_driver(object, path, driver_config(Some(unload))).expect("made");
        let level = _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent;
        let timer = create_timer(driver.cast(), fires, 100, level, None);
        TIMER.set(timer);
        unsafe { call_unsafe_wdf_function_binding!(WdfTimerStart, timer, -500_000) };
        STATUS_SUCCESS
    }
    let machine = loaded(entry);
    // Fires after 50, 150 and 250 milliseconds.
    machine.run_until(machine.kernel().now() + 2_900_000);
    assert_eq!(logged(), ["2", "2", "2"]);
    assert!(machine.unload_driver().is_empty());
    machine.run_until(machine.kernel().now() + 10_000_000);
    assert_eq!(logged().len(), 3);
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
}
