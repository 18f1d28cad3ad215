//! Driver, control device and queue by the rules (D-01, D-02, D-04, D-07), and what can go wrong on the way.

use std::ptr::null_mut;

use wdk_sys_portable::*;

use super::raised::DEVICE;
use super::raised::DISPATCH;
use super::raised::Raised;
use crate::makes;

/// A handler of control codes, as the queue takes it.
pub type DeviceControl = PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL;

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
        &raw const self.string
    }
}

pub fn check(status: NTSTATUS) -> Result<(), NTSTATUS> {
    if NT_SUCCESS(status) {
        Ok(())
    } else {
        Err(status)
    }
}

/// Driver object, device and default queue; the device is not finished yet.
pub fn create(
    object: *mut DRIVER_OBJECT,
    path: PCUNICODE_STRING,
    unload: PFN_WDF_DRIVER_UNLOAD,
    handler: DeviceControl,
) -> Result<WDFDEVICE, NTSTATUS> {
    let driver = create_driver(object, path, unload)?;
    let device = create_device(driver)?;
    if let Err(status) = create_queue(device, handler) {
        delete(device);
        return Err(status);
    }
    Ok(device)
}

pub fn delete(device: WDFDEVICE) {
    unsafe { call_unsafe_wdf_function_binding!(WdfObjectDelete, device.cast()) };
}

thread_local! {
    static DRIVER: std::cell::Cell<WDFDRIVER> = const { std::cell::Cell::new(null_mut()) };
}

/// The driver object.
pub fn driver() -> WDFDRIVER {
    DRIVER.get()
}

unsafe extern "C" fn device_add(_driver: WDFDRIVER, _init: PWDFDEVICE_INIT) -> NTSTATUS {
    STATUS_SUCCESS
}

pub fn create_driver(
    object: *mut DRIVER_OBJECT,
    path: PCUNICODE_STRING,
    unload: PFN_WDF_DRIVER_UNLOAD,
) -> Result<WDFDRIVER, NTSTATUS> {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size_of::<WDF_DRIVER_CONFIG>() as u32,
        EvtDriverUnload: unload,
        DriverInitFlags: _WDF_DRIVER_INIT_FLAGS::WdfDriverInitNonPnpDriver as u32,
        ..Default::default()
    };
    if makes("D-01-no-unload") {
        config.EvtDriverUnload = None;
    }
    if makes("D-01-device-add") {
        config.EvtDriverDeviceAdd = Some(device_add);
    }
    if makes("D-01-no-flag") {
        config.DriverInitFlags = 0;
    }
    let mut driver = null_mut();
    let status = unsafe {
        {
            let _level = Raised::to(DISPATCH, "D.1-WdfDriverCreate-high");
            call_unsafe_wdf_function_binding!(
                WdfDriverCreate,
                object,
                path,
                null_mut(),
                &raw mut config,
                &raw mut driver
            )
        }
    };
    DRIVER.set(driver);
    check(status).map(|()| driver)
}

/// The initialiser with everything set; null if there is none.
fn prepare(driver: WDFDRIVER) -> Result<PWDFDEVICE_INIT, NTSTATUS> {
    let text = if makes("D-07-everyone") {
        "D:P(A;;GA;;;SY)(A;;GA;;;WD)"
    } else if makes("D-07-authenticated-users") {
        "D:P(A;;GA;;;SY)(A;;GRGW;;;AU)"
    } else if makes("D-07-no-access-control") {
        "D:NO_ACCESS_CONTROL"
    } else {
        "D:P(A;;GA;;;SY)(A;;GA;;;BA)"
    };
    let (sddl, name) = (Wide::new(text), Wide::new(r"\Device\Mistakes"));
    unsafe {
        let init = {
            let _level = Raised::to(DISPATCH, "D.1-WdfControlDeviceInitAllocate-high");
            call_unsafe_wdf_function_binding!(WdfControlDeviceInitAllocate, driver, sddl.get())
        };
        if init.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        {
            let _level = Raised::to(DISPATCH, "D.1-WdfDeviceInitSetDeviceType-high");
            call_unsafe_wdf_function_binding!(WdfDeviceInitSetDeviceType, init, FILE_DEVICE_NETWORK)
        };
        let characteristics = if makes("D-02-not-secure-open") {
            0
        } else {
            FILE_DEVICE_SECURE_OPEN
        };
        {
            let _level = Raised::to(DISPATCH, "D.1-WdfDeviceInitSetCharacteristics-high");
            call_unsafe_wdf_function_binding!(
                WdfDeviceInitSetCharacteristics,
                init,
                characteristics,
                0
            )
        };
        super::pnp::set(init);
        let named = {
            let _level = Raised::to(DISPATCH, "D.1-WdfDeviceInitAssignName-high");
            call_unsafe_wdf_function_binding!(WdfDeviceInitAssignName, init, name.get())
        };
        if let Err(status) = check(named) {
            free_init(init);
            return Err(status);
        }
        Ok(init)
    }
}

fn free_init(init: PWDFDEVICE_INIT) {
    if makes("C-51-init-left") {
        return;
    }
    unsafe {
        {
            let _level = Raised::to(DISPATCH, "D.1-WdfDeviceInitFree-high");
            call_unsafe_wdf_function_binding!(WdfDeviceInitFree, init)
        }
    };
    if makes("D-02-init-freed-twice") {
        unsafe { call_unsafe_wdf_function_binding!(WdfDeviceInitFree, init) };
    }
}

pub fn create_device(driver: WDFDRIVER) -> Result<WDFDEVICE, NTSTATUS> {
    let mut init = prepare(driver)?;
    let kept = init;
    let link = Wide::new(r"\DosDevices\Mistakes");
    let mut device = null_mut();
    unsafe {
        let made = {
            let _level = Raised::to(DISPATCH, "D.1-WdfDeviceCreate-high");
            call_unsafe_wdf_function_binding!(
                WdfDeviceCreate,
                &raw mut init,
                null_mut(),
                &raw mut device
            )
        };
        if let Err(status) = check(made) {
            free_init(init);
            return Err(status);
        }
        if makes("D-02-init-after-create") {
            call_unsafe_wdf_function_binding!(WdfDeviceInitSetDeviceType, kept, 0);
        }
        let linked = {
            let _level = Raised::to(DISPATCH, "D.1-WdfDeviceCreateSymbolicLink-high");
            call_unsafe_wdf_function_binding!(WdfDeviceCreateSymbolicLink, device, link.get())
        };
        if let Err(status) = check(linked) {
            delete(device);
            return Err(status);
        }
    }
    Ok(device)
}

pub fn create_queue(device: WDFDEVICE, handler: DeviceControl) -> Result<(), NTSTATUS> {
    let mut config = WDF_IO_QUEUE_CONFIG {
        Size: size_of::<WDF_IO_QUEUE_CONFIG>() as u32,
        DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
        PowerManaged: _WDF_TRI_STATE::WdfUseDefault,
        DefaultQueue: 1,
        EvtIoDeviceControl: handler,
        ..Default::default()
    };
    config.Settings.Parallel.NumberOfPresentedRequests = u32::MAX;
    check(unsafe {
        {
            let _level = Raised::to(DEVICE, "D.1-WdfIoQueueCreate-high");
            call_unsafe_wdf_function_binding!(
                WdfIoQueueCreate,
                device,
                &raw mut config,
                null_mut(),
                null_mut()
            )
        }
    })
}
