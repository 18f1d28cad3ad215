//! The control device (D-02 to D-05).

use core::{ffi::c_void, fmt, mem::replace, ptr};

use super::{Driver, Request, size_of_u32};
use crate::{
    cx::Passive,
    slot::Global,
    status::{NtStatus, Result},
    sys,
};

/// The control device while DriverEntry runs. Deleted when dropped, unless [`ControlDevice::finish`] made it the framework's.
#[derive(Debug)]
pub(super) struct ControlDevice {
    device: sys::WDFDEVICE,
    owned: bool,
}

/// The device object of the control device, for functions that register callbacks (D-05).
///
/// Valid wherever the driver's code can run: the framework deletes the device after unload has returned, and a failing DriverEntry
/// deletes it after everything that `start` made has been undone.
#[derive(Clone, Copy)]
pub struct DeviceObject(sys::PDEVICE_OBJECT);

// SAFETY: The pointer is handed to kernel functions that may be called from any thread; nothing is reached through it here.
unsafe impl Send for DeviceObject {}
// SAFETY: As above.
unsafe impl Sync for DeviceObject {}

impl DeviceObject {
    /// The pointer that FwpsCalloutRegister and FwpmBfeStateSubscribeChanges take.
    #[must_use]
    pub const fn as_ptr(self) -> *mut c_void {
        self.0.cast()
    }
}

impl fmt::Debug for DeviceObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceObject")
    }
}

/// What is gathered about a device before it exists. Freed when dropped, unless WdfDeviceCreate took it and set it to null (D-02).
struct Init(sys::PWDFDEVICE_INIT);

impl Drop for Init {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: The structure came from WdfControlDeviceInitAllocate, no device was made of it, and it is freed once (D-02).
            unsafe { sys::call_unsafe_wdf_function_binding!(WdfDeviceInitFree, self.0) };
        }
    }
}

impl ControlDevice {
    /// Makes the device, its link and its queue. No request comes before [`ControlDevice::finish`] (D-02).
    pub(super) fn create<D: Driver>(
        passive: &Passive,
        driver: sys::WDFDRIVER,
    ) -> Result<ControlDevice> {
        let _ = passive;
        let sddl = D::CONFIG.sddl.as_unicode_string();
        // SAFETY: The driver handle is WdfDriverCreate's and the string lives for the call. PASSIVE_LEVEL by the token.
        let mut init = Init(unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfControlDeviceInitAllocate,
                driver,
                sddl.as_ptr()
            )
        });
        if init.0.is_null() {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        // SAFETY: The structure is valid until it is freed or made a device; both functions are allowed for control devices (D-03).
        unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfDeviceInitSetDeviceType,
                init.0,
                sys::FILE_DEVICE_NETWORK
            );
            sys::call_unsafe_wdf_function_binding!(
                WdfDeviceInitSetCharacteristics,
                init.0,
                sys::FILE_DEVICE_SECURE_OPEN,
                0
            );
        }
        let name = D::CONFIG.device_name.as_unicode_string();
        // SAFETY: As above; the framework copies the name.
        NtStatus(unsafe {
            sys::call_unsafe_wdf_function_binding!(WdfDeviceInitAssignName, init.0, name.as_ptr())
        })
        .check()?;

        let mut attributes = passive_level_attributes();
        let mut device = ptr::null_mut();
        // SAFETY: The structure is valid; on success the framework takes it and sets our pointer to null, on failure it stays ours
        // (D-02), and either way `init`'s destructor does the right thing.
        NtStatus(unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfDeviceCreate,
                &raw mut init.0,
                &raw mut attributes,
                &raw mut device
            )
        })
        .check()?;
        let device = ControlDevice {
            device,
            owned: true,
        };

        let link = D::CONFIG.symbolic_link.as_unicode_string();
        // SAFETY: The device was made above; the framework copies the name. PASSIVE_LEVEL by the token.
        NtStatus(unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfDeviceCreateSymbolicLink,
                device.device,
                link.as_ptr()
            )
        })
        .check()?;
        device.create_queue::<D>()?;
        Ok(device)
    }

    /// The default queue: every control request, as many at once as come, at PASSIVE_LEVEL.
    fn create_queue<D: Driver>(&self) -> Result<()> {
        let mut config = sys::WDF_IO_QUEUE_CONFIG {
            Size: size_of_u32::<sys::WDF_IO_QUEUE_CONFIG>(),
            DispatchType: sys::_WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
            PowerManaged: sys::_WDF_TRI_STATE::WdfFalse,
            DefaultQueue: 1,
            EvtIoDeviceControl: Some(device_control::<D>),
            ..Default::default()
        };
        // As many requests at once as there are; zero would be none.
        config.Settings.Parallel.NumberOfPresentedRequests = u32::MAX;
        let mut attributes = passive_level_attributes();
        // SAFETY: The device was made by `create`; the configuration and attributes are this function's own, and no handle is asked for.
        NtStatus(unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfIoQueueCreate,
                self.device,
                &raw mut config,
                &raw mut attributes,
                ptr::null_mut()
            )
        })
        .check()
    }

    /// The WDM device object behind the framework's device.
    pub(super) fn object(&self) -> DeviceObject {
        // SAFETY: The device was made by `create` and not deleted.
        DeviceObject(unsafe {
            sys::call_unsafe_wdf_function_binding!(WdfDeviceWdmGetDeviceObject, self.device)
        })
    }

    /// Lets requests in. From here on the device is the framework's, which deletes it after unload (D-04).
    pub(super) fn finish(mut self, passive: &Passive) {
        let _ = passive;
        // SAFETY: The device is complete: name, link and queue. PASSIVE_LEVEL by the token.
        unsafe {
            sys::call_unsafe_wdf_function_binding!(WdfControlFinishInitializing, self.device)
        };
        self.owned = false;
    }
}

impl Drop for ControlDevice {
    fn drop(&mut self) {
        if replace(&mut self.owned, false) {
            // SAFETY: The device was made by `create`, never took a request, and is deleted once. DriverEntry is the only place where
            // one is dropped, at PASSIVE_LEVEL. Its queue and link go with it.
            unsafe { sys::call_unsafe_wdf_function_binding!(WdfObjectDelete, self.device.cast()) };
        }
    }
}

/// Attributes that make the framework call back at PASSIVE_LEVEL, from a work item if need be.
fn passive_level_attributes() -> sys::WDF_OBJECT_ATTRIBUTES {
    sys::WDF_OBJECT_ATTRIBUTES {
        Size: size_of_u32::<sys::WDF_OBJECT_ATTRIBUTES>(),
        ExecutionLevel: sys::_WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive,
        SynchronizationScope: sys::_WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeNone,
        ..Default::default()
    }
}

/// EvtIoDeviceControl.
unsafe extern "C" fn device_control<D: Driver>(
    _queue: sys::WDFQUEUE,
    request: sys::WDFREQUEST,
    output_length: usize,
    input_length: usize,
    code: u32,
) {
    // SAFETY: The queue's execution level is passive, and the framework calls without locks: the scope is none.
    let mut passive = unsafe { Passive::assume() };
    // SAFETY: The framework hands over a request of this queue, to be completed once, with the lengths it found in it.
    let request = unsafe { Request::new(request, code, input_length, output_length) };
    match <D as Global>::slot().enter() {
        Some(driver) => driver.device_control(&mut passive, request),
        None => request.complete(NtStatus::DEVICE_NOT_READY),
    }
}
