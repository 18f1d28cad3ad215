//! KMDF 1.33, as a driver without plug-and-play and with a control device meets it; also one that was built for an older version.
//!
//! A driver reaches the framework through a table of functions that binding gives it. A linked driver finds the table in
//! the symbol `WdfFunctions_01033`, which is bound from the start; an image asks WdfVersionBind of WDFLDR.SYS for it.
//!
//! Objects are kept by handle. A handle is the address of a guarded block that is freed with its object, so that every later
//! use of it is told with the object's history. What the framework's own verifier stops for is bug check 0x10D
//! (WDF_VIOLATION); what only this model checks is a violation of the contract's section D.

mod bind;
mod context;
mod device;
mod driver;
mod file;
mod manual;
mod memory;
mod object;
mod queue;
mod registry;
mod request;
mod request_parts;
mod sddl;
mod sender;
mod spinlock;
mod table;
mod timer;
mod work_item;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;

use wdk_sys_portable::PCUNICODE_STRING;
use wdk_sys_portable::PCWDF_OBJECT_CONTEXT_TYPE_INFO;
use wdk_sys_portable::PDEVICE_OBJECT;
use wdk_sys_portable::PDRIVER_OBJECT;
use wdk_sys_portable::PWDF_DRIVER_CONFIG;
use wdk_sys_portable::PWDF_IO_QUEUE_CONFIG;
use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::PWDF_TIMER_CONFIG;
use wdk_sys_portable::PWDFDEVICE_INIT;
use wdk_sys_portable::WDFDEVICE;
use wdk_sys_portable::WDFDRIVER;
use wdk_sys_portable::WDFKEY;
use wdk_sys_portable::WDFOBJECT;
use wdk_sys_portable::WDFQUEUE;
use wdk_sys_portable::WDFREQUEST;
use wdk_sys_portable::WDFSPINLOCK;
use wdk_sys_portable::WDFTIMER;
use wfp_sys::ndis::MDL;

pub(crate) use bind::EXPORTS;
pub(crate) use bind::unbind;
pub(crate) use device::Opened;
pub(crate) use device::close;
pub(crate) use device::is_device_object;
pub(crate) use device::open;
pub(crate) use device::unfinished_initializers;
pub(crate) use manual::cancel;
pub(crate) use registry::Values;
pub(crate) use request_parts::require_irp;
pub use sender::Answer;
pub(crate) use sender::Control;
pub(crate) use sender::Output;
pub(crate) use sender::device_control;

use crate::machine::Kernel;
use crate::nt::NtStatus;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use file::WDFFILEOBJECT;
use memory::WDFMEMORY;
use table::wdf_functions;
use work_item::WDFWORKITEM;

/// What the framework keeps for the driver.
#[derive(Default)]
pub struct State {
    /// Every object, by handle.
    objects: RefCell<BTreeMap<usize, object::Object>>,
    /// Device initialisers that no device was made of and that were not freed.
    inits: RefCell<BTreeMap<usize, device::Init>>,
    /// The driver object's handle; 0 before WdfDriverCreate.
    driver: Cell<usize>,
    /// Symbolic links, folded to lower case, with the device each leads to.
    links: RefCell<BTreeMap<String, usize>>,
    /// The service's Parameters key; `None` if it has none.
    parameters: RefCell<Option<Values>>,
    /// Requests that were completed and whose sender has not looked yet.
    completed: RefCell<BTreeMap<usize, Answer>>,
    /// Objects that are yet to be destroyed at PASSIVE_LEVEL.
    disposals: Cell<u32>,
    /// Driver globals of the image that is bound; 0 if none is.
    globals: Cell<usize>,
    /// The driver's life.
    pub(crate) life: crate::driver::State,
}

/// WDF_BUGCHECK_CODES of wdfbugcodes.h, parameter 1 of bug check 0x10D.
const WDF_REQUIRED_PARAMETER_IS_NULL: u64 = 0x4;
const WDF_INVALID_HANDLE: u64 = 0x5;
const WDF_REQUEST_FATAL_ERROR: u64 = 0x6;
const WDF_OBJECT_ERROR: u64 = 0x7;
const WDF_INVALID_LOCK_OPERATION: u64 = 0xB;
pub(crate) const WDF_VERIFIER_IRQL_MISMATCH: u64 = 0xE;
const WDF_API_UNAVAILABLE: u64 = 0x10;

/// Statuses of wdfstatus.h and ntstatus.h that only the framework gives.
const STATUS_DRIVER_INTERNAL_ERROR: NtStatus = 0xC000_0183u32 as NtStatus;
const STATUS_WDF_BUSY: NtStatus = 0xC020_0204u32 as NtStatus;
const STATUS_WDF_NO_CALLBACK: NtStatus = 0xC020_020Bu32 as NtStatus;
const STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED: NtStatus = 0xC020_020Fu32 as NtStatus;
const STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID: NtStatus = 0xC020_0210u32 as NtStatus;
const STATUS_WDF_EXECUTION_LEVEL_INVALID: NtStatus = 0xC020_0211u32 as NtStatus;
const STATUS_WDF_PARENT_NOT_SPECIFIED: NtStatus = 0xC020_0212u32 as NtStatus;

/// Bug check 0x10D.
fn violation(
    kernel: &Kernel,
    kind: u64,
    second: u64,
    rule: &'static str,
    summary: String,
) -> Violation {
    Violation::new(
        kernel,
        crate::verifier::code::WDF_VIOLATION,
        [kind, second, 0, 0],
        rule,
        summary,
    )
}

/// Stops the machine if a parameter that the framework needs is null.
fn require_parameter(kernel: &Kernel, function: &str, name: &str, value: *const c_void) {
    if value.is_null() {
        let summary = format!("{function} was given NULL for {name}");
        kernel.bug_check(violation(
            kernel,
            WDF_REQUIRED_PARAMETER_IS_NULL,
            0,
            "D.1",
            summary,
        ));
    }
}

/// Stops the machine if a callback of the driver came back at another IRQL than it was called at, or with a lock held.
pub(crate) fn after_callback(kernel: &Kernel, callback: &str, irql: u8) {
    let now = kernel.irql();
    let lock = kernel.running().locks.borrow().last().copied();
    if now != irql || lock.is_some() {
        let held = lock.map_or_else(String::new, |lock| {
            format!(", and holds spin lock {lock:#x}")
        });
        let summary = format!("{callback} was called at IRQL {irql} and returned at {now}{held}");
        kernel.bug_check(violation(
            kernel,
            WDF_VERIFIER_IRQL_MISMATCH,
            u64::from(now),
            if lock.is_some() { "C-02" } else { "D.1" },
            summary,
        ));
    }
    crate::nt::check_regions(kernel, callback, 0, 0);
}

/// Whether a value is a handle of one of the framework's objects.
pub(crate) fn is_handle(kernel: &Kernel, value: usize) -> bool {
    kernel.wdf.objects.borrow().contains_key(&value)
}

/// The text of a counted string of the driver's, as far as it is text.
fn text(string: PCUNICODE_STRING) -> String {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let string = unsafe { string.read() };
    let units = (0..usize::from(string.Length) / 2).map(|index| {
        // SAFETY: as above; the length is the string's own.
        unsafe { string.Buffer.add(index).read_unaligned() }
    });
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Sets what the service's Parameters key holds; `None` if there is no such key.
pub(crate) fn set_parameters(kernel: &Kernel, values: Option<Values>) {
    *kernel.wdf.parameters.borrow_mut() = values;
}

/// A name of the object manager or the registry, as it is compared: without regard to case.
pub(crate) fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

wdf_functions! {
    WdfControlDeviceInitAllocate [25] (driver: WDFDRIVER, sddl: PCUNICODE_STRING) -> PWDFDEVICE_INIT [passive unlocked] => device::allocate_init;
    WdfControlFinishInitializing [27] (device: WDFDEVICE) [passive unlocked] => device::finish_initializing;
    WdfDeviceWdmGetDeviceObject [31] (device: WDFDEVICE) -> PDEVICE_OBJECT [dispatch] => device::device_object;
    WdfDeviceGetDriver [39] (device: WDFDEVICE) -> WDFDRIVER [dispatch] => device::driver;
    WdfDeviceInitFree [54] (init: PWDFDEVICE_INIT) [passive unlocked] => device::free_init;
    WdfDeviceInitSetIoType [61] (init: PWDFDEVICE_INIT, io_type: i32) [dispatch] => device::set_io_type;
    WdfDeviceInitSetPnpPowerEventCallbacks [55] (init: PWDFDEVICE_INIT, callbacks: *mut c_void) [passive unlocked] => device::set_pnp_power_callbacks;
    WdfDeviceInitSetPowerPolicyEventCallbacks [56] (init: PWDFDEVICE_INIT, callbacks: *mut c_void) [passive unlocked] => device::set_power_policy_callbacks;
    WdfDeviceInitSetPowerPolicyOwnership [57] (init: PWDFDEVICE_INIT, owner: u8) [passive unlocked] => device::set_power_policy_ownership;
    WdfDeviceInitSetPowerNotPageable [63] (init: PWDFDEVICE_INIT) [passive unlocked] => device::set_power_not_pageable;
    WdfDeviceInitSetPowerPageable [64] (init: PWDFDEVICE_INIT) [passive unlocked] => device::set_power_pageable;
    WdfDeviceInitSetPowerInrush [65] (init: PWDFDEVICE_INIT) [passive unlocked] => device::set_power_inrush;
    WdfDeviceInitSetDeviceType [66] (init: PWDFDEVICE_INIT, kind: u32) [passive unlocked] => device::set_device_type;
    WdfDeviceInitAssignName [67] (init: PWDFDEVICE_INIT, name: PCUNICODE_STRING) -> NtStatus [passive unlocked] => device::assign_name;
    WdfDeviceInitSetCharacteristics [70] (init: PWDFDEVICE_INIT, characteristics: u32, or_in: u8) [passive unlocked] => device::set_characteristics;
    WdfDeviceInitSetFileObjectConfig [71] (init: PWDFDEVICE_INIT, config: *const file::Config, attributes: PWDF_OBJECT_ATTRIBUTES) [dispatch] => file::set_config;
    WdfDeviceInitSetIoInCallerContextCallback [74] (init: PWDFDEVICE_INIT, callback: usize) [dispatch] => device::set_in_caller_context;
    WdfDeviceCreate [75] (init: *mut PWDFDEVICE_INIT, attributes: PWDF_OBJECT_ATTRIBUTES, device: *mut WDFDEVICE) -> NtStatus [passive unlocked] => device::create;
    WdfDeviceCreateSymbolicLink [80] (device: WDFDEVICE, name: PCUNICODE_STRING) -> NtStatus [passive unlocked] => device::create_symbolic_link;
    WdfDeviceEnqueueRequest [91] (device: WDFDEVICE, request: WDFREQUEST) -> NtStatus [dispatch unlocked] => manual::enqueue;
    WdfDriverCreate [116] (object: PDRIVER_OBJECT, path: PCUNICODE_STRING, attributes: PWDF_OBJECT_ATTRIBUTES, config: PWDF_DRIVER_CONFIG, driver: *mut WDFDRIVER) -> NtStatus [passive unlocked] => driver::create;
    WdfDriverWdmGetDriverObject [118] (driver: WDFDRIVER) -> PDRIVER_OBJECT [dispatch] => driver::wdm_object;
    WdfDriverOpenParametersRegistryKey [119] (driver: WDFDRIVER, access: u32, attributes: PWDF_OBJECT_ATTRIBUTES, key: *mut WDFKEY) -> NtStatus [passive unlocked] => registry::open_parameters;
    WdfFileObjectGetDevice [139] (file: WDFFILEOBJECT) -> WDFDEVICE [dispatch] => file::device;
    WdfIoQueueCreate [152] (device: WDFDEVICE, config: PWDF_IO_QUEUE_CONFIG, attributes: PWDF_OBJECT_ATTRIBUTES, queue: *mut WDFQUEUE) -> NtStatus [dispatch unlocked] => queue::create;
    WdfIoQueueGetState [153] (queue: WDFQUEUE, in_queue: *mut u32, of_driver: *mut u32) -> u32 [dispatch] => manual::get_state;
    WdfIoQueueRetrieveNextRequest [158] (queue: WDFQUEUE, request: *mut WDFREQUEST) -> NtStatus [dispatch] => manual::retrieve_next;
    WdfIoQueuePurge [165] (queue: WDFQUEUE, complete: usize, context: usize) [dispatch unlocked] => manual::purge;
    WdfMemoryGetBuffer [194] (memory: WDFMEMORY, size: *mut usize) -> *mut c_void [any] => memory::buffer;
    WdfObjectGetTypedContextWorker [202] (object: WDFOBJECT, kind: PCWDF_OBJECT_CONTEXT_TYPE_INFO) -> *mut c_void [any] => context::get;
    WdfObjectAllocateContext [203] (object: WDFOBJECT, attributes: PWDF_OBJECT_ATTRIBUTES, context: *mut *mut c_void) -> NtStatus [dispatch] => context::allocate;
    WdfObjectReferenceActual [205] (object: WDFOBJECT, tag: *mut c_void, line: i32, file: *const i8) [dispatch] => context::reference;
    WdfObjectDereferenceActual [206] (object: WDFOBJECT, tag: *mut c_void, line: i32, file: *const i8) [dispatch unlocked] => context::dereference;
    WdfObjectDelete [208] (object: WDFOBJECT) [dispatch unlocked] => object::delete_by_driver;
    WdfRegistryClose [231] (key: WDFKEY) [passive unlocked] => registry::close;
    WdfRegistryQueryValue [235] (key: WDFKEY, name: PCUNICODE_STRING, length: u32, value: *mut c_void, queried: *mut u32, kind: *mut u32) -> NtStatus [passive unlocked] => registry::query_value;
    WdfRegistryQueryULong [240] (key: WDFKEY, name: PCUNICODE_STRING, value: *mut u32) -> NtStatus [passive unlocked] => registry::query_ulong;
    WdfRequestComplete [263] (request: WDFREQUEST, status: NtStatus) [dispatch unlocked] => request::complete;
    WdfRequestCompleteWithInformation [265] (request: WDFREQUEST, status: NtStatus, information: u64) [dispatch unlocked] => request::complete_with_information;
    WdfRequestGetParameters [266] (request: WDFREQUEST, parameters: *mut request_parts::Parameters) [dispatch] => request_parts::parameters;
    WdfRequestRetrieveInputBuffer [269] (request: WDFREQUEST, minimum: usize, buffer: *mut *mut c_void, length: *mut usize) -> NtStatus [dispatch] => request::retrieve_input;
    WdfRequestRetrieveOutputBuffer [270] (request: WDFREQUEST, minimum: usize, buffer: *mut *mut c_void, length: *mut usize) -> NtStatus [dispatch] => request::retrieve_output;
    WdfRequestRetrieveInputWdmMdl [271] (request: WDFREQUEST, mdl: *mut *mut MDL) -> NtStatus [dispatch] => request_parts::input_mdl;
    WdfRequestRetrieveOutputWdmMdl [272] (request: WDFREQUEST, mdl: *mut *mut MDL) -> NtStatus [dispatch] => request_parts::output_mdl;
    WdfRequestGetFileObject [277] (request: WDFREQUEST) -> WDFFILEOBJECT [dispatch] => request_parts::file_object;
    WdfRequestProbeAndLockUserBufferForRead [278] (request: WDFREQUEST, buffer: *mut c_void, length: usize, memory: *mut WDFMEMORY) -> NtStatus [passive unlocked] => memory::lock_for_read;
    WdfRequestProbeAndLockUserBufferForWrite [279] (request: WDFREQUEST, buffer: *mut c_void, length: usize, memory: *mut WDFMEMORY) -> NtStatus [passive unlocked] => memory::lock_for_write;
    WdfRequestForwardToIoQueue [281] (request: WDFREQUEST, queue: WDFQUEUE) -> NtStatus [dispatch] => manual::forward;
    WdfRequestWdmGetIrp [285] (request: WDFREQUEST) -> *mut c_void [dispatch] => request_parts::irp;
    WdfSpinLockCreate [315] (attributes: PWDF_OBJECT_ATTRIBUTES, lock: *mut WDFSPINLOCK) -> NtStatus [dispatch] => spinlock::create;
    WdfSpinLockAcquire [316] (lock: WDFSPINLOCK) [dispatch] => spinlock::acquire;
    WdfSpinLockRelease [317] (lock: WDFSPINLOCK) [dispatch] => spinlock::release;
    WdfTimerCreate [318] (config: PWDF_TIMER_CONFIG, attributes: PWDF_OBJECT_ATTRIBUTES, timer: *mut WDFTIMER) -> NtStatus [dispatch] => timer::create;
    WdfTimerStart [319] (timer: WDFTIMER, due: i64) -> u8 [dispatch] => timer::start;
    WdfTimerStop [320] (timer: WDFTIMER, wait: u8) -> u8 [dispatch] => timer::stop;
    WdfTimerGetParentObject [321] (timer: WDFTIMER) -> WDFOBJECT [dispatch] => timer::parent;
    WdfWorkItemCreate [379] (config: *const work_item::Config, attributes: PWDF_OBJECT_ATTRIBUTES, item: *mut WDFWORKITEM) -> NtStatus [dispatch] => work_item::create;
    WdfWorkItemEnqueue [380] (item: WDFWORKITEM) [dispatch] => work_item::enqueue;
    WdfWorkItemGetParentObject [381] (item: WDFWORKITEM) -> WDFOBJECT [dispatch] => work_item::parent;
    WdfWorkItemFlush [382] (item: WDFWORKITEM) [passive unlocked] => work_item::flush;
}

/// What the driver opened and neither closed nor handed to the framework: keys, and control devices that it did not
/// finish (D-02). The framework deletes both with the driver, so Windows says nothing; a driver whose destructors are
/// in order has none.
pub(crate) fn left_open(kernel: &Kernel) -> Vec<ObjectId> {
    let objects = kernel.wdf.objects.borrow();
    objects
        .values()
        .filter(|object| !object.deleted)
        .filter(|object| match &object.kind {
            object::Kind::RegistryKey(_) => true,
            object::Kind::Device(device) => !device.is_finished(),
            _ => false,
        })
        .map(|object| object.ledger)
        .collect()
}
