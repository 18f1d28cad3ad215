//! A driver without plug-and-play and with one control device, on KMDF (rules D-01 to D-08).
//!
//! [`Driver`] is what a driver implements, and [`driver_entry!`](crate::driver_entry!) makes the entry point. What has to happen in which order,
//! and what has to be undone when a step fails, is here and not in the driver: if DriverEntry fails, Windows does not call unload (C-51).
//!
//! | step | undone by |
//! |---|---|
//! | WdfDriverCreate | the framework |
//! | control device, queue, link | WdfObjectDelete; after unload the framework does it itself (D-04) |
//! | [`Driver::load`] | dropping what it returned |
//! | the slot opens | it closes, which waits for everyone inside |
//! | [`Driver::start`] | [`Driver::stop`], called also when `start` failed |
//! | WdfControlFinishInitializing: control requests come in | nothing: unload comes only when no handle is open (D-08) |

mod device;
mod registry;
mod request;

pub use device::DeviceObject;
pub use registry::Parameters;
pub use request::{OutputWriter, Request};

use crate::{
    cx::Passive,
    pool::PoolBox,
    slot::Global,
    status::{NtStatus, Result},
    sys,
    utf16::WStr,
};
use device::ControlDevice;

/// Names and access of the control device.
#[derive(Clone, Copy, Debug)]
pub struct DriverConfig {
    /// The device object's name, for example `\Device\Tollgate`.
    pub device_name: &'static WStr,
    /// The name user mode opens, for example `\DosDevices\Tollgate`.
    pub symbolic_link: &'static WStr,
    /// Who may open it, in security descriptor definition language (D-07): `D:P(A;;GA;;;SY)(A;;GA;;;BA)` is the system and administrators.
    pub sddl: &'static WStr,
}

/// A driver: its state and what happens to it.
pub trait Driver: Global {
    /// Names and access of the control device.
    const CONFIG: DriverConfig;

    /// Makes the state. Nothing calls into it yet, and [`Global::slot`] is still empty.
    ///
    /// # Errors
    ///
    /// Whatever DriverEntry is to return.
    fn load(passive: &mut Passive, load: &Load<'_>) -> Result<PoolBox<Self>>;

    /// Starts what calls back: threads, subscriptions, callouts. The slot is open.
    ///
    /// # Errors
    ///
    /// Whatever DriverEntry is to return; [`Driver::stop`] is called before that.
    fn start(&self, passive: &mut Passive, device: DeviceObject) -> Result<()>;

    /// Undoes whatever [`Driver::start`] did, completely or in part. Called once. When it returns, nothing may be left that enters the slot
    /// and does not leave it by itself; threads are joined, callouts unregistered.
    fn stop(&self, passive: &mut Passive);

    /// Answers a control request. Any number may come at once. The request may be kept and completed later, from anywhere.
    fn device_control(&self, passive: &mut Passive, request: Request);
}

/// What [`Driver::load`] can look at.
#[derive(Debug)]
pub struct Load<'a> {
    driver: sys::WDFDRIVER,
    device: &'a ControlDevice,
}

impl Load<'_> {
    /// The `Parameters` key of the service in the registry. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What WdfDriverOpenParametersRegistryKey returned; STATUS_OBJECT_NAME_NOT_FOUND if there is no such key.
    pub fn parameters(&self, passive: &Passive) -> Result<Parameters> {
        // SAFETY: The handle is the one WdfDriverCreate gave, and the borrow of this value ends within DriverEntry.
        unsafe { Parameters::open(passive, self.driver) }
    }

    /// The device object for registrations.
    #[must_use]
    pub fn device(&self) -> DeviceObject {
        self.device.object()
    }
}

/// DriverEntry. Made public by [`driver_entry!`](crate::driver_entry!).
///
/// # Safety
///
/// Called by Windows as the driver's entry point, with its driver object and registry path, after the framework was bound, once.
#[doc(hidden)]
#[must_use]
pub unsafe fn entry<D: Driver>(
    driver: sys::PDRIVER_OBJECT,
    registry_path: sys::PCUNICODE_STRING,
) -> sys::NTSTATUS {
    // SAFETY: DriverEntry runs at PASSIVE_LEVEL in a system thread without locks.
    let mut passive = unsafe { Passive::assume() };
    // SAFETY: The caller's promise.
    NtStatus::of(&unsafe { load::<D>(&mut passive, driver, registry_path) }).0
}

/// The steps of DriverEntry. What an early return leaves behind is undone by destructors, in reverse.
///
/// # Safety
///
/// As for [`entry`].
unsafe fn load<D: Driver>(
    passive: &mut Passive,
    driver: sys::PDRIVER_OBJECT,
    registry_path: sys::PCUNICODE_STRING,
) -> Result<()> {
    // SAFETY: The caller's promise.
    let driver = unsafe { create_driver::<D>(driver, registry_path) }?;
    let device = ControlDevice::create::<D>(passive, driver)?;
    let state = D::load(
        passive,
        &Load {
            driver,
            device: &device,
        },
    )?;
    D::slot()
        .publish(passive, state)
        .map_err(|_state| NtStatus::INVALID_DEVICE_STATE)?;
    let started = match D::slot().enter() {
        Some(state) => state.start(passive, device.object()),
        None => Err(NtStatus::INVALID_DEVICE_STATE),
    };
    if let Err(status) = started {
        halt::<D>(passive);
        return Err(status);
    }
    device.finish(passive);
    Ok(())
}

/// Everything from [`Driver::stop`] to the end of the state.
fn halt<D: Driver>(passive: &mut Passive) {
    if let Some(state) = D::slot().enter() {
        state.stop(passive);
    }
    drop(D::slot().close(passive));
}

/// WdfDriverCreate for a driver without plug-and-play (D-01).
///
/// # Safety
///
/// As for [`entry`].
unsafe fn create_driver<D: Driver>(
    driver: sys::PDRIVER_OBJECT,
    registry_path: sys::PCUNICODE_STRING,
) -> Result<sys::WDFDRIVER> {
    let mut config = sys::WDF_DRIVER_CONFIG {
        Size: size_of_u32::<sys::WDF_DRIVER_CONFIG>(),
        EvtDriverUnload: Some(unload::<D>),
        DriverInitFlags: NON_PNP_DRIVER,
        DriverPoolTag: crate::pool::TAG,
        ..Default::default()
    };
    let mut handle = core::ptr::null_mut();
    // SAFETY: The driver object and the path are Windows' own, by the caller's promise; the configuration and the handle's place are
    // this function's. Null attributes are the defaults.
    NtStatus(unsafe {
        sys::call_unsafe_wdf_function_binding!(
            WdfDriverCreate,
            driver,
            registry_path,
            core::ptr::null_mut(),
            &raw mut config,
            &raw mut handle
        )
    })
    .check()?;
    Ok(handle)
}

/// `WdfDriverInitNonPnpDriver` as the field takes it.
#[expect(
    clippy::as_conversions,
    reason = "bindgen makes the enumeration signed and the field unsigned; From is not const"
)]
const NON_PNP_DRIVER: u32 = sys::_WDF_DRIVER_INIT_FLAGS::WdfDriverInitNonPnpDriver as u32;

/// The size of a framework structure, which it carries in its first field.
const fn size_of_u32<T>() -> u32 {
    #[expect(
        clippy::as_conversions,
        reason = "Framework structures are smaller than 100 bytes, and From is not const"
    )]
    {
        size_of::<T>() as u32
    }
}

/// EvtDriverUnload (C-50, C-51). The framework deletes the control device after it returns (D-04).
unsafe extern "C" fn unload<D: Driver>(_driver: sys::WDFDRIVER) {
    // SAFETY: The framework calls unload at PASSIVE_LEVEL in a system thread without locks (C-51).
    let mut passive = unsafe { Passive::assume() };
    halt::<D>(&mut passive);
}

/// Makes the driver's entry point, `driver_entry`, for a type that implements [`Driver`](crate::kmdf::Driver). On Windows it is exported as
/// `DriverEntry`, which the framework's entry stub calls; elsewhere the simulator calls it by its Rust name.
#[macro_export]
macro_rules! driver_entry {
    ($driver:ty) => {
        /// The driver's entry point. PASSIVE_LEVEL.
        ///
        /// # Safety
        ///
        /// For Windows, or what stands for it, to call: once after each load of the image and binding of the framework, with the
        /// driver object and the registry path it made for this driver.
        #[cfg_attr(windows, unsafe(export_name = "DriverEntry"))]
        pub unsafe extern "system" fn driver_entry(
            driver: *mut $crate::sys::DRIVER_OBJECT,
            registry_path: *const $crate::sys::UNICODE_STRING,
        ) -> $crate::sys::NTSTATUS {
            // SAFETY: The caller's promise is what `entry` asks for.
            unsafe { $crate::kmdf::entry::<$driver>(driver, registry_path) }
        }
    };
}
