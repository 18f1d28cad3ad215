//! What the small drivers of these tests have in common: a driver object, a named control device and a default queue.
//!
//! Each is written over the raw functions, as a C driver would be, so that it can also do what is wrong.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::DriverEntry;
use wfpsim::driver::Linked;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;

/// METHOD_BUFFERED, any access.
pub const IOCTL: u32 = 0x0012_2000;

/// A handler of control codes, as the queue takes it.
pub type DeviceControl = unsafe extern "C" fn(WDFQUEUE, WDFREQUEST, usize, usize, u32);

/// A counted string over text that lives as long.
pub struct Wide {
    _text: Box<[u16]>,
    string: UNICODE_STRING,
}

impl Wide {
    pub fn new(text: &str) -> Self {
        let mut units: Box<[u16]> = text.encode_utf16().collect();
        let length = (units.len() * 2) as u16;
        let string = UNICODE_STRING {
            Length: length,
            MaximumLength: length,
            Buffer: units.as_mut_ptr(),
        };
        Self {
            _text: units,
            string,
        }
    }

    pub fn get(&self) -> PCUNICODE_STRING {
        &self.string
    }
}

fn check(status: NTSTATUS) -> Result<(), NTSTATUS> {
    if NT_SUCCESS(status) {
        Ok(())
    } else {
        Err(status)
    }
}

/// The status of a DriverEntry written with `?`.
pub fn status(result: Result<(), NTSTATUS>) -> NTSTATUS {
    result.err().unwrap_or(STATUS_SUCCESS)
}

/// WDF_DRIVER_CONFIG of a driver without plug-and-play that unloads.
pub fn driver_config(unload: PFN_WDF_DRIVER_UNLOAD) -> WDF_DRIVER_CONFIG {
    WDF_DRIVER_CONFIG {
        Size: size_of::<WDF_DRIVER_CONFIG>() as u32,
        EvtDriverUnload: unload,
        DriverInitFlags: _WDF_DRIVER_INIT_FLAGS::WdfDriverInitNonPnpDriver as u32,
        ..Default::default()
    }
}

pub fn create_driver(
    object: *mut DRIVER_OBJECT,
    path: PCUNICODE_STRING,
    mut config: WDF_DRIVER_CONFIG,
) -> Result<WDFDRIVER, NTSTATUS> {
    let mut driver = null_mut();
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDriverCreate,
            object,
            path,
            null_mut(),
            &mut config,
            &mut driver
        )
    })?;
    Ok(driver)
}

/// A control device by the names that D-02 wants, not finished yet.
pub fn create_device(driver: WDFDRIVER) -> Result<WDFDEVICE, NTSTATUS> {
    create_device_with(driver, |_| ())
}

/// The same, with something more said to its initialiser.
pub fn create_device_with(
    driver: WDFDRIVER,
    set_up: impl FnOnce(*mut WDFDEVICE_INIT),
) -> Result<WDFDEVICE, NTSTATUS> {
    let (sddl, name, link) = (
        Wide::new("D:P(A;;GA;;;SY)(A;;GA;;;BA)"),
        Wide::new(r"\Device\Tiny"),
        Wide::new(r"\DosDevices\Tiny"),
    );
    unsafe {
        let mut init =
            call_unsafe_wdf_function_binding!(WdfControlDeviceInitAllocate, driver, sddl.get());
        if init.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        call_unsafe_wdf_function_binding!(WdfDeviceInitSetDeviceType, init, FILE_DEVICE_NETWORK);
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetCharacteristics,
            init,
            FILE_DEVICE_SECURE_OPEN,
            0
        );
        set_up(init);
        let mut device = null_mut();
        let made = check(call_unsafe_wdf_function_binding!(
            WdfDeviceInitAssignName,
            init,
            name.get()
        ))
        .and_then(|()| {
            check(call_unsafe_wdf_function_binding!(
                WdfDeviceCreate,
                &mut init,
                null_mut(),
                &mut device
            ))
        });
        if let Err(status) = made {
            call_unsafe_wdf_function_binding!(WdfDeviceInitFree, init);
            return Err(status);
        }
        assert!(
            init.is_null(),
            "a device that was made takes its initialiser"
        );
        let linked = check(call_unsafe_wdf_function_binding!(
            WdfDeviceCreateSymbolicLink,
            device,
            link.get()
        ));
        if let Err(status) = linked {
            delete(device.cast());
            return Err(status);
        }
        Ok(device)
    }
}

/// A function of the framework's by its index in wdffuncenum.h, for those that no driver over `wdk-sys-portable` calls.
pub fn framework<F: Copy>(index: usize) -> F {
    assert_eq!(size_of::<F>(), size_of::<usize>());
    unsafe { WdfFunctions.add(index).cast::<F>().read() }
}

/// WdfObjectReferenceActual and WdfObjectDereferenceActual.
pub const REFERENCE: usize = 205;
pub const DEREFERENCE: usize = 206;

/// Calls one of the two functions that count an object's references.
pub fn change_references(object: WDFOBJECT, index: usize) {
    type Change = unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFOBJECT, *mut c_void, i32, *const i8);
    let change: Change = framework(index);
    unsafe { change(WdfDriverGlobals, object, null_mut(), 0, std::ptr::null()) };
}

/// The driver's Parameters key.
pub fn open_parameters(driver: WDFDRIVER) -> Result<WDFKEY, NTSTATUS> {
    let mut key = null_mut();
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDriverOpenParametersRegistryKey,
            driver,
            KEY_READ,
            null_mut(),
            &mut key
        )
    })?;
    Ok(key)
}

/// EvtIoInCallerContext.
pub type InCallerContext = unsafe extern "C" fn(WDFDEVICE, WDFREQUEST);

/// Has the device show each request to a callback before any queue.
pub fn show_first_to(init: *mut WDFDEVICE_INIT, callback: InCallerContext) {
    type Set = unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, InCallerContext);
    unsafe { framework::<Set>(74)(WdfDriverGlobals, init, callback) };
}

pub fn delete(object: WDFOBJECT) {
    unsafe { call_unsafe_wdf_function_binding!(WdfObjectDelete, object) };
}

/// The default queue of a device, for control codes.
pub fn create_queue(
    device: WDFDEVICE,
    dispatch: i32,
    handler: DeviceControl,
) -> Result<WDFQUEUE, NTSTATUS> {
    let mut config = WDF_IO_QUEUE_CONFIG {
        Size: size_of::<WDF_IO_QUEUE_CONFIG>() as u32,
        DispatchType: dispatch,
        PowerManaged: _WDF_TRI_STATE::WdfUseDefault,
        DefaultQueue: 1,
        EvtIoDeviceControl: Some(handler),
        ..Default::default()
    };
    config.Settings.Parallel.NumberOfPresentedRequests = u32::MAX;
    let mut queue = null_mut();
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfIoQueueCreate,
            device,
            &mut config,
            null_mut(),
            &mut queue
        )
    })?;
    Ok(queue)
}

/// A timer that ends with its parent: with this period in milliseconds, or that fires once, and with these callbacks.
pub fn create_timer(
    parent: WDFOBJECT,
    fires: unsafe extern "C" fn(WDFTIMER),
    period: u32,
    execution_level: i32,
    destroyed: PFN_WDF_OBJECT_CONTEXT_DESTROY,
) -> WDFTIMER {
    let mut config = WDF_TIMER_CONFIG {
        Size: size_of::<WDF_TIMER_CONFIG>() as u32,
        EvtTimerFunc: Some(fires),
        Period: period,
        ..Default::default()
    };
    let mut attributes = WDF_OBJECT_ATTRIBUTES {
        Size: size_of::<WDF_OBJECT_ATTRIBUTES>() as u32,
        EvtDestroyCallback: destroyed,
        ExecutionLevel: execution_level,
        SynchronizationScope: _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent,
        ParentObject: parent,
        ..Default::default()
    };
    let mut timer = null_mut();
    let made = unsafe {
        call_unsafe_wdf_function_binding!(WdfTimerCreate, &mut config, &mut attributes, &mut timer)
    };
    assert_eq!(made, STATUS_SUCCESS);
    timer
}

pub fn finish(device: WDFDEVICE) {
    unsafe { call_unsafe_wdf_function_binding!(WdfControlFinishInitializing, device) };
}

/// A whole driver that answers control codes with `handler`.
pub fn answering(
    object: *mut DRIVER_OBJECT,
    path: PCUNICODE_STRING,
    handler: DeviceControl,
) -> Result<(), NTSTATUS> {
    let driver = create_driver(object, path, driver_config(Some(nothing_to_undo)))?;
    let device = create_device(driver)?;
    if let Err(status) = create_queue(
        device,
        _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
        handler,
    ) {
        delete(device.cast());
        return Err(status);
    }
    finish(device);
    Ok(())
}

/// A handler that completes every request with a success and nothing else.
pub unsafe extern "C" fn succeeds(
    _queue: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    _code: u32,
) {
    complete(request, 0, 0);
}

pub unsafe extern "C" fn nothing_to_undo(_driver: WDFDRIVER) {}

pub fn complete(request: WDFREQUEST, status: NTSTATUS, information: u64) {
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRequestCompleteWithInformation,
            request,
            status,
            information
        )
    };
}

/// The input, or the status that says why there is none.
pub fn input(request: WDFREQUEST, minimum: usize) -> Result<(*mut u8, usize), NTSTATUS> {
    let (mut buffer, mut length) = (null_mut(), 0);
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRequestRetrieveInputBuffer,
            request,
            minimum,
            &mut buffer,
            &mut length
        )
    })?;
    Ok((buffer.cast(), length))
}

/// Room for output, or the status that says why there is none.
pub fn output(request: WDFREQUEST, minimum: usize) -> Result<(*mut u8, usize), NTSTATUS> {
    let (mut buffer, mut length) = (null_mut(), 0);
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRequestRetrieveOutputBuffer,
            request,
            minimum,
            &mut buffer,
            &mut length
        )
    })?;
    Ok((buffer.cast(), length))
}

pub fn load_on(
    config: Config,
    entry: DriverEntry,
    parameters: &Parameters,
) -> (Machine, Result<(), LoadError>) {
    let machine = Machine::new(config);
    let loaded = machine.load_driver(Linked { entry }, parameters);
    (machine, loaded)
}

/// A plain machine with a driver that must load.
pub fn loaded(entry: DriverEntry) -> Machine {
    let (machine, loaded) = load_on(Config::plain(), entry, &Parameters::default());
    assert_eq!(loaded, Ok(()), "{:?}", machine.violations());
    machine
}

/// The driver goes, and leaves nothing behind; and nothing was violated.
pub fn unloads_clean(machine: &Machine) {
    assert!(machine.unload_driver().is_empty());
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
}

/// The only violation there is.
pub fn only_violation(machine: &Machine) -> wfpsim::Violation {
    let violations = machine.violations();
    assert_eq!(violations.len(), 1, "{violations:#?}");
    violations.into_iter().next().expect("one")
}
