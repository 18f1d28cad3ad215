//! KMDF 1.33, as a driver without plug-and-play and with a control device meets it.
//!
//! A driver reaches the framework through a table of functions that binding gives it. A linked driver finds the table in
//! the symbol `WdfFunctions_01033`, which is bound from the start; an image asks WdfVersionBind of WDFLDR.SYS for it.
//!
//! Objects are kept by handle. A handle is the address of a guarded block that is freed with its object, so that every later
//! use of it is told with the object's history. What the framework's own verifier stops for is bug check 0x10D
//! (WDF_VIOLATION); what only this model checks is a violation of the contract's section D.

mod bind;
mod device;
mod driver;
mod object;
mod queue;
mod registry;
mod request;
mod spinlock;
mod table;
mod timer;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;

use wdk_sys_portable::PCUNICODE_STRING;
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

pub(crate) use bind::EXPORTS;
pub(crate) use bind::unbind;
pub(crate) use device::open;
pub(crate) use device::unfinished_initializers;
pub(crate) use registry::Values;
pub(crate) use request::device_control;

use crate::machine::Kernel;
use crate::nt::NtStatus;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use table::wdf_functions;

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
    /// Requests that were completed and whose sender has not looked yet: status and output.
    completed: RefCell<BTreeMap<usize, (NtStatus, Vec<u8>)>>,
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
const WDF_VERIFIER_IRQL_MISMATCH: u64 = 0xE;
const WDF_API_UNAVAILABLE: u64 = 0x10;

/// Statuses of wdfstatus.h and ntstatus.h that only the framework gives.
const STATUS_DRIVER_INTERNAL_ERROR: NtStatus = 0xC000_0183u32 as NtStatus;
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
            "C-02",
            summary,
        ));
    }
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
    WdfDeviceInitFree [54] (init: PWDFDEVICE_INIT) [passive unlocked] => device::free_init;
    WdfDeviceInitSetDeviceType [66] (init: PWDFDEVICE_INIT, kind: u32) [passive unlocked] => device::set_device_type;
    WdfDeviceInitAssignName [67] (init: PWDFDEVICE_INIT, name: PCUNICODE_STRING) -> NtStatus [passive unlocked] => device::assign_name;
    WdfDeviceInitSetCharacteristics [70] (init: PWDFDEVICE_INIT, characteristics: u32, or_in: u8) [passive unlocked] => device::set_characteristics;
    WdfDeviceCreate [75] (init: *mut PWDFDEVICE_INIT, attributes: PWDF_OBJECT_ATTRIBUTES, device: *mut WDFDEVICE) -> NtStatus [passive unlocked] => device::create;
    WdfDeviceCreateSymbolicLink [80] (device: WDFDEVICE, name: PCUNICODE_STRING) -> NtStatus [passive unlocked] => device::create_symbolic_link;
    WdfDriverCreate [116] (object: PDRIVER_OBJECT, path: PCUNICODE_STRING, attributes: PWDF_OBJECT_ATTRIBUTES, config: PWDF_DRIVER_CONFIG, driver: *mut WDFDRIVER) -> NtStatus [passive unlocked] => driver::create;
    WdfDriverOpenParametersRegistryKey [119] (driver: WDFDRIVER, access: u32, attributes: PWDF_OBJECT_ATTRIBUTES, key: *mut WDFKEY) -> NtStatus [passive unlocked] => registry::open_parameters;
    WdfIoQueueCreate [152] (device: WDFDEVICE, config: PWDF_IO_QUEUE_CONFIG, attributes: PWDF_OBJECT_ATTRIBUTES, queue: *mut WDFQUEUE) -> NtStatus [dispatch unlocked] => queue::create;
    WdfObjectDelete [208] (object: WDFOBJECT) [dispatch unlocked] => object::delete_by_driver;
    WdfRegistryClose [231] (key: WDFKEY) [passive unlocked] => registry::close;
    WdfRegistryQueryValue [235] (key: WDFKEY, name: PCUNICODE_STRING, length: u32, value: *mut c_void, queried: *mut u32, kind: *mut u32) -> NtStatus [passive unlocked] => registry::query_value;
    WdfRegistryQueryULong [240] (key: WDFKEY, name: PCUNICODE_STRING, value: *mut u32) -> NtStatus [passive unlocked] => registry::query_ulong;
    WdfRequestComplete [263] (request: WDFREQUEST, status: NtStatus) [dispatch unlocked] => request::complete;
    WdfRequestCompleteWithInformation [265] (request: WDFREQUEST, status: NtStatus, information: u64) [dispatch unlocked] => request::complete_with_information;
    WdfRequestRetrieveInputBuffer [269] (request: WDFREQUEST, minimum: usize, buffer: *mut *mut c_void, length: *mut usize) -> NtStatus [dispatch] => request::retrieve_input;
    WdfRequestRetrieveOutputBuffer [270] (request: WDFREQUEST, minimum: usize, buffer: *mut *mut c_void, length: *mut usize) -> NtStatus [dispatch] => request::retrieve_output;
    WdfSpinLockCreate [315] (attributes: PWDF_OBJECT_ATTRIBUTES, lock: *mut WDFSPINLOCK) -> NtStatus [dispatch] => spinlock::create;
    WdfSpinLockAcquire [316] (lock: WDFSPINLOCK) [dispatch] => spinlock::acquire;
    WdfSpinLockRelease [317] (lock: WDFSPINLOCK) [dispatch] => spinlock::release;
    WdfTimerCreate [318] (config: PWDF_TIMER_CONFIG, attributes: PWDF_OBJECT_ATTRIBUTES, timer: *mut WDFTIMER) -> NtStatus [dispatch] => timer::create;
    WdfTimerStart [319] (timer: WDFTIMER, due: i64) -> u8 [dispatch] => timer::start;
    WdfTimerStop [320] (timer: WDFTIMER, wait: u8) -> u8 [dispatch] => timer::stop;
}

/// What the driver opened and neither closed nor handed to the framework: keys, and control devices that it did not
/// finish (D-02). The framework deletes both with the driver, so Windows says nothing; a driver whose destructors are
/// in order has none.
pub(crate) fn left_open(kernel: &Kernel) -> Vec<ObjectId> {
    let objects = kernel.wdf.objects.borrow();
    objects
        .values()
        .filter(|object| match &object.kind {
            object::Kind::RegistryKey(_) => true,
            object::Kind::Device(device) => !device.is_finished(),
            _ => false,
        })
        .map(|object| object.ledger)
        .collect()
}
