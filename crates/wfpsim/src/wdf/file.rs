//! File objects: what a program's handle to a device is to the driver.

use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::PWDFDEVICE_INIT;
use wdk_sys_portable::STATUS_INFO_LENGTH_MISMATCH;
use wdk_sys_portable::WDFDEVICE;
use wdk_sys_portable::WDFREQUEST;

use super::device::Device;
use super::manual;
use super::object;
use super::object::Attributes;
use super::object::Kind;
use super::request;
use super::request::Request;
use super::sender;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::nt::Handle;
use crate::nt::NtStatus;

/// A handle of a file object.
#[expect(clippy::upper_case_acronyms, reason = "the framework's name")]
pub(super) type WDFFILEOBJECT = Handle;

/// WDF_FILEOBJECT_CONFIG.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Config {
    size: u32,
    create: usize,
    close: usize,
    cleanup: usize,
    auto_forward: i32,
    class: i32,
}

const _: () = assert!(size_of::<Config>() == 40);

/// What a device does about the handles that programs open.
#[derive(Clone, Copy)]
pub(super) struct Events {
    create: usize,
    close: usize,
    cleanup: usize,
    attributes: Attributes,
}

/// A file object.
pub(super) struct File {
    device: usize,
    events: Events,
}

pub(super) fn set_config(
    kernel: &Kernel,
    init: PWDFDEVICE_INIT,
    config: *const Config,
    attributes: PWDF_OBJECT_ATTRIBUTES,
) {
    const NAME: &str = "WdfDeviceInitSetFileObjectConfig";
    super::require_parameter(kernel, NAME, "FileObjectConfig", config.cast());
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let config = unsafe { config.read() };
    let attributes = object::attributes(attributes);
    let right = config.size as usize == size_of::<Config>();
    let Some(attributes) = attributes.ok().filter(|_| right) else {
        // The function returns nothing: the framework stops for a structure that it does not know.
        let summary = format!(
            "{NAME} was given a WDF_FILEOBJECT_CONFIG or attributes of the wrong size ({STATUS_INFO_LENGTH_MISMATCH:#x})"
        );
        kernel.bug_check(super::violation(
            kernel,
            super::WDF_INVALID_HANDLE,
            init as u64,
            "D.1",
            summary,
        ));
    };
    let events = Events {
        create: config.create,
        close: config.close,
        cleanup: config.cleanup,
        attributes,
    };
    super::device::set_file_events(kernel, init, events);
}

/// Makes the file object of a new handle and asks the driver whether it may be opened. 0 if the device wants none.
pub(super) fn create(kernel: &Kernel, device: usize) -> Result<usize, NtStatus> {
    let Some(events) =
        object::find::<Device, _>(kernel, device, |device| device.file_events).flatten()
    else {
        return Ok(0);
    };
    let file = object::insert(
        kernel,
        Kind::File(File { device, events }),
        Some(device),
        events.attributes,
    );
    if events.create == 0 {
        return Ok(file);
    }
    let request = request::make_create(kernel, device, file);
    let irql = kernel.irql();
    call_driver!(
        kernel,
        events.create,
        fn(WDFDEVICE, WDFREQUEST, WDFFILEOBJECT),
        device as WDFDEVICE,
        request as WDFREQUEST,
        file as WDFFILEOBJECT
    );
    super::after_callback(kernel, "EvtDeviceFileCreate", irql);
    let answer = sender::wait(kernel, request, "the request to open the device");
    if answer.status < 0 {
        // Whoever was never open is neither cleaned up nor closed.
        object::delete(kernel, file);
        return Err(answer.status);
    }
    Ok(file)
}

/// A program's last handle was closed: cleanup, then what waits in queues is cancelled, and when the driver has completed what it
/// has itself, close.
pub(super) fn close(kernel: &Kernel, file: usize) {
    let Some(events) = object::find::<File, _>(kernel, file, |file| file.events) else {
        return;
    };
    let irql = kernel.irql();
    if events.cleanup != 0 {
        call_driver!(
            kernel,
            events.cleanup,
            fn(WDFFILEOBJECT),
            file as WDFFILEOBJECT
        );
        super::after_callback(kernel, "EvtFileCleanup", irql);
    }
    manual::cancel_of_file(kernel, file);
    let completed = move |kernel: &Kernel| {
        !object::exists(
            kernel,
            |kind| matches!(kind, Kind::Request(Request { file: of, .. }) if *of == file),
        )
    };
    kernel.block(
        "the driver to complete the requests of a handle that was closed (D-06)".to_owned(),
        None,
        completed,
    );
    if events.close != 0 {
        call_driver!(
            kernel,
            events.close,
            fn(WDFFILEOBJECT),
            file as WDFFILEOBJECT
        );
        super::after_callback(kernel, "EvtFileClose", irql);
    }
    object::delete(kernel, file);
}

pub(super) fn device(kernel: &Kernel, file: WDFFILEOBJECT) -> WDFDEVICE {
    object::with::<File, _>(kernel, "WdfFileObjectGetDevice", file as usize, |file| {
        file.device
    }) as WDFDEVICE
}
