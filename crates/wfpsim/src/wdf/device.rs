//! Device initialisers and control devices (D-02 to D-05).

use wdk_sys_portable::DEVICE_OBJECT;
use wdk_sys_portable::FILE_DEVICE_SECURE_OPEN;
use wdk_sys_portable::PCUNICODE_STRING;
use wdk_sys_portable::PDEVICE_OBJECT;
use wdk_sys_portable::PDRIVER_OBJECT;
use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::PWDFDEVICE_INIT;
use wdk_sys_portable::STATUS_INVALID_DEVICE_STATE;
use wdk_sys_portable::STATUS_NO_SUCH_DEVICE;
use wdk_sys_portable::STATUS_OBJECT_NAME_INVALID;
use wdk_sys_portable::WDFDEVICE;
use wdk_sys_portable::WDFDRIVER;

use super::driver::Driver;
use super::file::Events;
use super::object;
use super::object::Kind;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// A device object of the I/O manager begins with its type.
const IO_TYPE_DEVICE: i16 = 3;
const DO_BUFFERED_IO: u32 = 0x4;
const DO_DIRECT_IO: u32 = 0x10;
/// WDF_DEVICE_IO_TYPE: how reads and writes pass their buffers.
const IO_NEITHER: i32 = 1;
const IO_DIRECT: i32 = 3;
const DO_DEVICE_INITIALIZING: u32 = 0x80;

/// What is gathered about a device before it exists.
pub(super) struct Init {
    name: Option<String>,
    kind: u32,
    characteristics: u32,
    io_type: i32,
    file_events: Option<Events>,
    /// EvtIoInCallerContext; 0 if there is none.
    in_caller_context: usize,
    ledger: ObjectId,
}

/// A control device.
pub(super) struct Device {
    name: Option<String>,
    /// The WDM device object.
    object: usize,
    /// Whether WdfControlFinishInitializing was called.
    finished: bool,
    /// The queue that takes what no other takes.
    pub default_queue: Option<usize>,
    /// What it does about handles; `None` if it wants no file objects.
    pub file_events: Option<Events>,
    /// EvtIoInCallerContext; 0 if there is none.
    pub in_caller_context: usize,
}

impl Device {
    /// Whether WdfControlFinishInitializing was called (D-02).
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }
}

pub(super) fn allocate_init(
    kernel: &Kernel,
    driver: WDFDRIVER,
    sddl: PCUNICODE_STRING,
) -> PWDFDEVICE_INIT {
    object::with::<Driver, _>(
        kernel,
        "WdfControlDeviceInitAllocate",
        driver as usize,
        |_| (),
    );
    super::require_parameter(
        kernel,
        "WdfControlDeviceInitAllocate",
        "SDDLString",
        sddl.cast(),
    );
    let text = super::text(sddl);
    super::sddl::check(kernel, &text);
    // Of the descriptor's language only the beginning is looked at here: a discretionary list.
    if !text.contains("D:") || kernel.fails("WdfControlDeviceInitAllocate") {
        return std::ptr::null_mut();
    }
    let ledger = kernel.ledger.begin("WDFDEVICE_INIT");
    let init = kernel
        .arena
        .allocate(16, Purpose::Object, ledger, true)
        .as_ptr();
    kernel.note(ledger, format!("allocated as {init:p}"));
    let value = Init {
        name: None,
        kind: wdk_sys_portable::FILE_DEVICE_UNKNOWN,
        // The framework's default for control devices.
        characteristics: FILE_DEVICE_SECURE_OPEN,
        io_type: 0,
        file_events: None,
        in_caller_context: 0,
        ledger,
    };
    kernel.wdf.inits.borrow_mut().insert(init as usize, value);
    init.cast()
}

/// Changes an initialiser, which must still be the driver's.
fn with_init<R>(
    kernel: &Kernel,
    function: &str,
    init: PWDFDEVICE_INIT,
    change: impl FnOnce(&mut Init) -> R,
) -> R {
    let result = kernel
        .wdf
        .inits
        .borrow_mut()
        .get_mut(&(init as usize))
        .map(change);
    if let Some(result) = result {
        return result;
    }
    let summary = format!(
        "{function} was given WDFDEVICE_INIT {init:p}, which is none, or was freed or made a device before"
    );
    let violation = super::violation(
        kernel,
        super::WDF_INVALID_HANDLE,
        init as u64,
        "D-02",
        summary,
    );
    kernel.bug_check(match kernel.arena.find_exact(init as usize) {
        Some(block) => violation.about(kernel, block.object),
        None => violation,
    })
}

pub(super) fn free_init(kernel: &Kernel, init: PWDFDEVICE_INIT) {
    with_init(kernel, "WdfDeviceInitFree", init, |_| ());
    kernel.wdf.inits.borrow_mut().remove(&(init as usize));
    crate::nt::free_blocks(kernel, &[init as usize], "freed");
}

pub(super) fn set_device_type(kernel: &Kernel, init: PWDFDEVICE_INIT, kind: u32) {
    with_init(kernel, "WdfDeviceInitSetDeviceType", init, |init| {
        init.kind = kind
    });
}

pub(super) fn set_characteristics(
    kernel: &Kernel,
    init: PWDFDEVICE_INIT,
    characteristics: u32,
    or_in: u8,
) {
    with_init(kernel, "WdfDeviceInitSetCharacteristics", init, |init| {
        let kept = if or_in == 0 { 0 } else { init.characteristics };
        init.characteristics = kept | characteristics;
    });
}

pub(super) fn set_io_type(kernel: &Kernel, init: PWDFDEVICE_INIT, io_type: i32) {
    with_init(kernel, "WdfDeviceInitSetIoType", init, |init| {
        init.io_type = io_type
    });
}

/// The file object's events, which the framework has checked.
pub(super) fn set_file_events(kernel: &Kernel, init: PWDFDEVICE_INIT, events: Events) {
    with_init(kernel, "WdfDeviceInitSetFileObjectConfig", init, |init| {
        init.file_events = Some(events)
    });
}

pub(super) fn set_in_caller_context(kernel: &Kernel, init: PWDFDEVICE_INIT, callback: usize) {
    with_init(
        kernel,
        "WdfDeviceInitSetIoInCallerContextCallback",
        init,
        |init| init.in_caller_context = callback,
    );
}

/// Refuses what is for devices with plug-and-play and power (D-03): a control device is in no device stack.
fn not_for_control_devices(kernel: &Kernel, function: &str, init: PWDFDEVICE_INIT) -> ! {
    let ledger = with_init(kernel, function, init, |init| init.ledger);
    let summary =
        format!("{function} was called for a control device, which nothing of it ever comes to");
    let violation = Violation::contract(kernel, "D-03", [init as u64, 0, 0, 0], summary);
    kernel.bug_check(violation.about(kernel, ledger))
}

/// Defines such functions.
macro_rules! for_device_stacks {
    ($($rust:ident $name:literal ($($ty:ty),*);)*) => {
        $(
            pub(super) fn $rust(kernel: &Kernel, init: PWDFDEVICE_INIT $(, _: $ty)*) {
                not_for_control_devices(kernel, $name, init)
            }
        )*
    };
}
for_device_stacks! {
    set_pnp_power_callbacks "WdfDeviceInitSetPnpPowerEventCallbacks" (*mut std::ffi::c_void);
    set_power_policy_callbacks "WdfDeviceInitSetPowerPolicyEventCallbacks" (*mut std::ffi::c_void);
    set_power_policy_ownership "WdfDeviceInitSetPowerPolicyOwnership" (u8);
    set_power_not_pageable "WdfDeviceInitSetPowerNotPageable" ();
    set_power_pageable "WdfDeviceInitSetPowerPageable" ();
    set_power_inrush "WdfDeviceInitSetPowerInrush" ();
}

pub(super) fn assign_name(
    kernel: &Kernel,
    init: PWDFDEVICE_INIT,
    name: PCUNICODE_STRING,
) -> NtStatus {
    with_init(kernel, "WdfDeviceInitAssignName", init, |_| ());
    if kernel.fails("WdfDeviceInitAssignName") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let name = if name.is_null() {
        None
    } else {
        Some(super::text(name))
    };
    with_init(kernel, "WdfDeviceInitAssignName", init, |init| {
        init.name = name
    });
    status::SUCCESS
}

pub(super) fn create(
    kernel: &Kernel,
    place: *mut PWDFDEVICE_INIT,
    attributes: PWDF_OBJECT_ATTRIBUTES,
    device: *mut WDFDEVICE,
) -> NtStatus {
    super::require_parameter(kernel, "WdfDeviceCreate", "DeviceInit", place.cast());
    super::require_parameter(kernel, "WdfDeviceCreate", "Device", device.cast());
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let init = unsafe { place.read() };
    let (name, kind, characteristics) = with_init(kernel, "WdfDeviceCreate", init, |init| {
        (init.name.clone(), init.kind, init.characteristics)
    });
    let (io_type, file_events, in_caller_context) =
        with_init(kernel, "WdfDeviceCreate", init, |init| {
            (init.io_type, init.file_events, init.in_caller_context)
        });
    let attributes = match object::attributes(attributes) {
        Ok(attributes) if attributes.parent != 0 => {
            return super::STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED;
        }
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if name.as_ref().is_some_and(|name| !name.starts_with('\\')) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    if name
        .as_ref()
        .is_some_and(|name| device_named(kernel, name).is_some())
    {
        return status::OBJECT_NAME_COLLISION;
    }
    if kernel.fails("WdfDeviceCreate") {
        return status::INSUFFICIENT_RESOURCES;
    }
    if name.is_some() && characteristics & FILE_DEVICE_SECURE_OPEN == 0 {
        let summary = "a named control device was made without FILE_DEVICE_SECURE_OPEN: whoever opens a name below it passes by its security descriptor";
        let parameters = [init as u64, u64::from(characteristics), 0, 0];
        kernel.record(Violation::contract(kernel, "D-02", parameters, summary));
    }
    let driver = kernel.wdf.driver.get();
    let driver_object =
        object::find::<Driver, _>(kernel, driver, |driver| driver.object).unwrap_or(0);
    let object = make_device_object(kernel, driver_object, kind, characteristics, io_type);
    let handle = object::insert(
        kernel,
        Kind::Device(Device {
            name,
            object,
            finished: false,
            default_queue: None,
            file_events,
            in_caller_context,
        }),
        Some(driver),
        attributes,
    );
    kernel.wdf.inits.borrow_mut().remove(&(init as usize));
    crate::nt::free_blocks(kernel, &[init as usize], "made a device");
    // SAFETY: read above. The framework takes the initialiser and says so.
    unsafe { place.write(std::ptr::null_mut()) };
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { device.write(handle as WDFDEVICE) };
    status::SUCCESS
}

/// Makes the WDM device object and links it to its driver's.
fn make_device_object(
    kernel: &Kernel,
    driver: usize,
    kind: u32,
    characteristics: u32,
    io_type: i32,
) -> usize {
    let io = match io_type {
        IO_NEITHER => 0,
        IO_DIRECT => DO_DIRECT_IO,
        _ => DO_BUFFERED_IO,
    };
    let ledger = kernel.ledger.begin("DEVICE_OBJECT");
    let device: PDEVICE_OBJECT = kernel
        .arena
        .allocate(size_of::<DEVICE_OBJECT>(), Purpose::Object, ledger, true)
        .as_ptr()
        .cast();
    kernel.note(ledger, "created");
    let driver = driver as PDRIVER_OBJECT;
    // SAFETY: the block was just made with the size of a device object; the driver object lives until the image goes.
    unsafe {
        (*device).Type = IO_TYPE_DEVICE;
        (*device).Size = size_of::<DEVICE_OBJECT>() as u16;
        (*device).DriverObject = driver;
        (*device).NextDevice = (*driver).DeviceObject;
        (*device).Flags = io | DO_DEVICE_INITIALIZING;
        (*device).Characteristics = characteristics;
        (*device).DeviceType = kind;
        (*device).StackSize = 1;
        (*driver).DeviceObject = device;
    }
    device as usize
}

/// Whether an address is of the WDM device object of a control device.
pub(crate) fn is_device_object(kernel: &Kernel, address: usize) -> bool {
    let objects = kernel.wdf.objects.borrow();
    objects
        .values()
        .any(|object| matches!(&object.kind, Kind::Device(device) if device.object == address))
}

fn device_named(kernel: &Kernel, name: &str) -> Option<usize> {
    let name = super::folded(name);
    let objects = kernel.wdf.objects.borrow();
    let found = objects.iter().find(|(_, object)| match &object.kind {
        Kind::Device(device) => device.name.as_deref().map(super::folded).as_ref() == Some(&name),
        _ => false,
    });
    found.map(|(handle, _)| *handle)
}

pub(super) fn create_symbolic_link(
    kernel: &Kernel,
    device: WDFDEVICE,
    name: PCUNICODE_STRING,
) -> NtStatus {
    let named = object::with::<Device, _>(
        kernel,
        "WdfDeviceCreateSymbolicLink",
        device as usize,
        |device| device.name.is_some(),
    );
    super::require_parameter(
        kernel,
        "WdfDeviceCreateSymbolicLink",
        "SymbolicLinkName",
        name.cast(),
    );
    if !named {
        return STATUS_INVALID_DEVICE_STATE;
    }
    if kernel.fails("WdfDeviceCreateSymbolicLink") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let name = super::folded(&super::text(name));
    let mut links = kernel.wdf.links.borrow_mut();
    if links.contains_key(&name) {
        return status::OBJECT_NAME_COLLISION;
    }
    links.insert(name, device as usize);
    status::SUCCESS
}

pub(super) fn device_object(kernel: &Kernel, device: WDFDEVICE) -> PDEVICE_OBJECT {
    object::with::<Device, _>(
        kernel,
        "WdfDeviceWdmGetDeviceObject",
        device as usize,
        |device| device.object,
    ) as PDEVICE_OBJECT
}

pub(super) fn driver(kernel: &Kernel, device: WDFDEVICE) -> WDFDRIVER {
    object::with::<Device, _>(kernel, "WdfDeviceGetDriver", device as usize, |_| ());
    kernel.wdf.driver.get() as WDFDRIVER
}

pub(super) fn finish_initializing(kernel: &Kernel, device: WDFDEVICE) {
    let object = object::with::<Device, _>(
        kernel,
        "WdfControlFinishInitializing",
        device as usize,
        |device| {
            device.finished = true;
            device.object
        },
    ) as PDEVICE_OBJECT;
    // SAFETY: the device object of a device that is alive.
    unsafe { (*object).Flags &= !DO_DEVICE_INITIALIZING };
}

/// What goes with a device: its links and its device object.
pub(super) fn tear_down(kernel: &Kernel, handle: usize) {
    kernel
        .wdf
        .links
        .borrow_mut()
        .retain(|_, device| *device != handle);
    let Some(object) = object::find::<Device, _>(kernel, handle, |device| device.object) else {
        return;
    };
    let object = object as PDEVICE_OBJECT;
    // SAFETY: the list of a driver's devices holds live device objects only, as each is taken out here before it is freed.
    unsafe {
        let mut link = &raw mut (*(*object).DriverObject).DeviceObject;
        while !(*link).is_null() && *link != object {
            link = &raw mut (**link).NextDevice;
        }
        if !(*link).is_null() {
            *link = (*object).NextDevice;
        }
    }
    crate::nt::delete_device(kernel, object as usize);
}

/// The device object of a device; `None` if the handle is of something else.
pub(super) fn object_of(kernel: &Kernel, handle: usize) -> Option<usize> {
    object::find::<Device, _>(kernel, handle, |device| device.object)
}

/// Deletes every device.
pub(super) fn delete_all(kernel: &Kernel) {
    let devices = || {
        kernel
            .wdf
            .objects
            .borrow()
            .iter()
            // One that references keep stays in the table.
            .find(|(_, object)| matches!(object.kind, Kind::Device(_)) && !object.deleted)
            .map(|(handle, _)| *handle)
    };
    while let Some(device) = devices() {
        object::delete(kernel, device);
    }
}

/// Initialisers that the driver neither freed nor made devices of.
pub(crate) fn unfinished_initializers(kernel: &Kernel) -> Vec<ObjectId> {
    let left = std::mem::take(&mut *kernel.wdf.inits.borrow_mut());
    for init in left.keys() {
        crate::nt::free_blocks(kernel, &[*init], "left behind");
    }
    left.into_values().map(|init| init.ledger).collect()
}

/// A handle that a process has to a control device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    pub device: usize,
    /// Its file object; 0 if the device wants none.
    pub file: usize,
}

/// Opens a control device by a symbolic link, or the first that has one where no name is given.
pub(crate) fn open(
    kernel: &Kernel,
    name: Option<&str>,
    driver_is_loaded: bool,
) -> Result<Opened, NtStatus> {
    let device = {
        let links = kernel.wdf.links.borrow();
        let found = match name {
            Some(name) => links.get(&super::folded(name)),
            None => links.values().next(),
        };
        found.copied().ok_or(status::OBJECT_NAME_NOT_FOUND)?
    };
    let finished = object::find::<Device, _>(kernel, device, |device| device.finished)
        .ok_or(status::OBJECT_NAME_NOT_FOUND)?;
    if finished {
        let file = super::file::create(kernel, device)?;
        return Ok(Opened { device, file });
    }
    if driver_is_loaded {
        let summary = "a control device was opened that WdfControlFinishInitializing was never called for; it refuses everything";
        let violation = Violation::contract(kernel, "D-02", [device as u64, 0, 0, 0], summary);
        kernel.record(match object::ledger(kernel, device) {
            Some(object) => violation.about(kernel, object),
            None => violation,
        });
    }
    Err(STATUS_NO_SUCH_DEVICE)
}

/// Closes a handle.
pub(crate) fn close(kernel: &Kernel, opened: Opened) {
    if opened.file != 0 {
        super::file::close(kernel, opened.file);
    }
}
