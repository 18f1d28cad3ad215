//! The framework driver object (D-01).

use std::ffi::c_void;

use wdk_sys_portable::_WDF_DRIVER_INIT_FLAGS as flags;
use wdk_sys_portable::PCUNICODE_STRING;
use wdk_sys_portable::PDRIVER_OBJECT;
use wdk_sys_portable::PWDF_DRIVER_CONFIG;
use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::STATUS_INFO_LENGTH_MISMATCH;
use wdk_sys_portable::WDF_DRIVER_CONFIG;
use wdk_sys_portable::WDFDRIVER;

use super::object;
use super::object::Kind;
use crate::exports::call_driver;
use crate::machine::Convention;
use crate::machine::Kernel;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

/// A driver.
pub(super) struct Driver {
    /// EvtDriverUnload; 0 if there is none.
    pub unload: usize,
    /// The WDM driver object.
    pub object: usize,
}

pub(super) fn create(
    kernel: &Kernel,
    object: PDRIVER_OBJECT,
    path: PCUNICODE_STRING,
    attributes: PWDF_OBJECT_ATTRIBUTES,
    config: PWDF_DRIVER_CONFIG,
    driver: *mut WDFDRIVER,
) -> NtStatus {
    for (name, value) in [
        ("DriverObject", object as *const c_void),
        ("RegistryPath", path.cast()),
        ("DriverConfig", config as *const c_void),
    ] {
        super::require_parameter(kernel, "WdfDriverCreate", name, value);
    }
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let config = unsafe { config.read() };
    if config.Size as usize != size_of::<WDF_DRIVER_CONFIG>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    let non_pnp = config.DriverInitFlags & flags::WdfDriverInitNonPnpDriver as u32 != 0;
    if non_pnp == config.EvtDriverDeviceAdd.is_some() {
        let summary = if non_pnp {
            "WdfDriverCreate was given WdfDriverInitNonPnpDriver and an EvtDriverDeviceAdd"
        } else {
            "WdfDriverCreate was given neither WdfDriverInitNonPnpDriver nor an EvtDriverDeviceAdd"
        };
        kernel.record(Violation::contract(kernel, "D-01", [0; 4], summary));
        return status::INVALID_PARAMETER;
    }
    let attributes = match object::attributes(attributes) {
        Ok(attributes) if attributes.parent != 0 => {
            return super::STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED;
        }
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if kernel.wdf.driver.get() != 0 {
        return super::STATUS_DRIVER_INTERNAL_ERROR;
    }
    if kernel.fails("WdfDriverCreate") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let unload = config
        .EvtDriverUnload
        .map_or(0, |function| function as usize);
    let handle = object::insert(
        kernel,
        Kind::Driver(Driver {
            unload,
            object: object as usize,
        }),
        None,
        attributes,
    );
    kernel.wdf.driver.set(handle);
    super::bind::note_driver(kernel, handle, unload != 0);
    let thunk = match kernel.convention() {
        Convention::Host => unload_host as *const () as usize,
        #[cfg(target_arch = "x86_64")]
        Convention::Win64 => unload_win64 as *const () as usize,
    };
    if unload != 0 {
        // SAFETY: the driver object, which the loader made; a bad pointer faults and is reported.
        unsafe {
            (&raw mut (*object).DriverUnload)
                .cast::<usize>()
                .write(thunk)
        };
    }
    if !driver.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { driver.write(handle as WDFDRIVER) };
    }
    status::SUCCESS
}

pub(super) fn wdm_object(kernel: &Kernel, driver: WDFDRIVER) -> PDRIVER_OBJECT {
    object::with::<Driver, _>(
        kernel,
        "WdfDriverWdmGetDriverObject",
        driver as usize,
        |driver| driver.object,
    ) as PDRIVER_OBJECT
}

/// The unload routine that the framework puts into the driver object.
unsafe extern "C" fn unload_host(_object: PDRIVER_OBJECT) {
    unload(crate::machine::current::kernel());
}

/// [`unload_host`] for images.
#[cfg(target_arch = "x86_64")]
unsafe extern "win64" fn unload_win64(_object: PDRIVER_OBJECT) {
    unload(crate::machine::current::kernel());
}

/// Calls EvtDriverUnload, then deletes the control devices that the driver left (D-04).
fn unload(kernel: &Kernel) {
    let driver = kernel.wdf.driver.get();
    let Some(function) = object::find::<Driver, _>(kernel, driver, |driver| driver.unload) else {
        return;
    };
    let irql = kernel.irql();
    call_driver!(kernel, function, fn(WDFDRIVER), driver as WDFDRIVER);
    super::after_callback(kernel, "EvtDriverUnload", irql);
    super::device::delete_all(kernel);
}

/// Deletes the driver object and with it whatever it is the parent of: the driver is unbound.
pub(crate) fn forget(kernel: &Kernel) {
    let driver = kernel.wdf.driver.replace(0);
    if driver != 0 {
        super::device::delete_all(kernel);
        // What is destroyed later may ask for the driver object until then, as in the framework (FxDriver::Dispose).
        super::context::wait_for_disposals(kernel);
        object::delete(kernel, driver);
        super::context::wait_for_disposals(kernel);
        super::context::report_kept(kernel);
    }
}
