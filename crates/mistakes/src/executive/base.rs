//! The small driver of these mistakes: a KMDF driver with a control device, which does its work when a program sends a
//! control code.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::*;
use wfpsim::Machine;
use wfpsim::driver::Linked;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;

use super::kernel::*;
use super::raised::DISPATCH;
use super::raised::call;
use crate::makes;

/// METHOD_BUFFERED, for a handle opened for reading and writing.
pub const IOCTL: u32 = FILE_DEVICE_NETWORK << 16 | 3 << 14 | 0x800 << 2;

/// What the driver does, besides being one.
#[derive(Clone, Copy)]
pub struct Work {
    /// In DriverEntry, before the device can be opened; a failure is DriverEntry's.
    pub entry: fn() -> NTSTATUS,
    /// When a program asks.
    pub request: fn(),
    /// In EvtDriverUnload.
    pub unload: fn(),
    /// Instead of `request`, with the request in hand, which it completes itself.
    pub handler: Option<fn(WDFREQUEST)>,
}

/// Nothing.
pub const IDLE: Work = Work {
    entry: || STATUS_SUCCESS,
    request: || (),
    unload: || (),
    handler: None,
};

thread_local! {
    static WORK: Cell<Work> = const { Cell::new(IDLE) };
    static DEVICE: Cell<WDFDEVICE> = const { Cell::new(null_mut()) };
}

/// The driver's control device.
pub fn device() -> WDFDEVICE {
    DEVICE.get()
}

/// The driver's WDM device object.
pub fn device_object() -> PDEVICE_OBJECT {
    unsafe { call_unsafe_wdf_function_binding!(WdfDeviceWdmGetDeviceObject, DEVICE.get()) }
}

unsafe extern "system" fn driver_entry(
    object: *mut DRIVER_OBJECT,
    path: *const UNICODE_STRING,
) -> NTSTATUS {
    let made = super::device::create(object, path, Some(evt_unload), Some(evt_device_control));
    let device = match made {
        Ok(device) => device,
        Err(status) => return status,
    };
    DEVICE.set(device);
    let status = (WORK.get().entry)();
    if status == STATUS_SUCCESS {
        if !makes("D-02-not-finished") {
            call!(DISPATCH "D.1-WdfControlFinishInitializing-high"; finish(device));
        }
    } else {
        unsafe { call_unsafe_wdf_function_binding!(WdfObjectDelete, device.cast()) };
    }
    status
}

/// The device is ready.
unsafe fn finish(device: WDFDEVICE) {
    unsafe { call_unsafe_wdf_function_binding!(WdfControlFinishInitializing, device) };
}

unsafe extern "C" fn evt_unload(_driver: WDFDRIVER) {
    (WORK.get().unload)();
}

unsafe extern "C" fn evt_device_control(
    _queue: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    _code: u32,
) {
    if let Some(handler) = WORK.get().handler {
        return handler(request);
    }
    (WORK.get().request)();
    unsafe { call_unsafe_wdf_function_binding!(WdfRequestComplete, request, STATUS_SUCCESS) };
}

/// Loads the driver with its work to do.
pub fn load(machine: &Machine, work: Work) -> Result<(), LoadError> {
    WORK.set(work);
    let driver = Linked {
        entry: driver_entry,
    };
    machine.load_driver(driver, &Parameters::default())
}

/// Has a program ask for the work.
pub fn ask(machine: &Machine) {
    let _answer = machine.ioctl(IOCTL, &[], 0);
    machine.run();
}

/// Loads the driver, has the work asked for once, and unloads.
pub fn run_whole(machine: &Machine, work: Work) {
    let _loaded = load(machine, work);
    ask(machine);
    unload(machine);
}

/// Unloads the driver, if the machine is still in order.
pub fn unload(machine: &Machine) {
    if machine.violations().is_empty() {
        machine.unload_driver();
    }
}

/// The same, where all the work is done when asked.
pub fn run(machine: &Machine, request: fn()) {
    run_whole(machine, Work { request, ..IDLE });
}

thread_local! {
    static ELSEWHERE: Cell<fn()> = const { Cell::new(|| ()) };
}

/// Does the work in a DPC, and waits for it.
pub fn in_dpc(work: fn()) {
    unsafe extern "C" fn routine(
        _dpc: *mut KDPC,
        _context: *mut c_void,
        _one: *mut c_void,
        _two: *mut c_void,
    ) {
        ELSEWHERE.get()();
    }
    ELSEWHERE.set(work);
    let dpc: *mut KDPC = allocate(size_of::<KDPC>());
    unsafe {
        KeInitializeDpc(dpc, routine, null_mut());
        KeInsertQueueDpc(dpc, null_mut(), null_mut());
        KeFlushQueuedDpcs();
    }
    free(dpc);
}

/// Does the work on a system thread, and waits for its end.
pub fn on_thread(work: fn()) {
    unsafe extern "C" fn routine(_context: *mut c_void) {
        ELSEWHERE.get()();
    }
    ELSEWHERE.set(work);
    let mut attributes = kernel_handle();
    let handle = start_thread(routine, &raw mut attributes);
    let object = reference(handle, 0).expect("a thread object");
    unsafe { ntddk::ZwClose(handle) };
    wait(object);
    unsafe { ntddk::ObfDereferenceObject(object) };
}

/// Does the work in a work item, and waits for its end.
pub fn in_work_item(work: fn()) {
    unsafe extern "C" fn routine(_device: *mut c_void, event: *mut c_void) {
        ELSEWHERE.get()();
        set(event.cast());
    }
    ELSEWHERE.set(work);
    let event = new_event(_EVENT_TYPE::NotificationEvent);
    unsafe {
        let item = IoAllocateWorkItem(device_object());
        IoQueueWorkItem(item, routine, DELAYED, event.cast());
        wait(event);
        IoFreeWorkItem(item);
    }
    free(event);
}
