//! Structures, handles and callbacks of the KMDF 1.33 headers (wdf.h), with their sizes and offsets asserted.
//!
//! A configuration structure carries its own size, which the framework checks: set `Size` to `size_of` of the structure, as the
//! headers' `WDF_*_INIT` functions do. Zero is not the right start for all of them: see each.

use core::mem::{offset_of, size_of};

use crate::structs::{opaque, zeroed_default};
use crate::*;

opaque! {
    /// A framework driver object.
    WDFDRIVER__, WDFDRIVER;
    /// A framework device object.
    WDFDEVICE__, WDFDEVICE;
    /// A framework queue object.
    WDFQUEUE__, WDFQUEUE;
    /// A framework request object.
    WDFREQUEST__, WDFREQUEST;
    /// A framework registry key object.
    WDFKEY__, WDFKEY;
    /// A framework spin lock object.
    WDFSPINLOCK__, WDFSPINLOCK;
    /// A framework timer object.
    WDFTIMER__, WDFTIMER;
    /// What is gathered about a device before it is created.
    WDFDEVICE_INIT, PWDFDEVICE_INIT;
}
/// Any framework object.
pub type WDFOBJECT = HANDLE;

/// An entry of the framework's function table, of no type in particular.
pub type WDFFUNC = Option<unsafe extern "C" fn()>;

/// What the framework keeps for one bound driver; the first argument of each of its functions.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _WDF_DRIVER_GLOBALS {
    /// The driver object.
    pub Driver: WDFDRIVER,
    /// [`_WDF_DRIVER_INIT_FLAGS`].
    pub DriverFlags: ULONG,
    /// The tag of the framework's allocations for the driver.
    pub DriverTag: ULONG,
    /// The service's name, zero-terminated.
    pub DriverName: [CHAR; 32],
    /// TRUE when the stub must put its own unload routine in front of the driver's.
    pub DisplaceDriverUnload: BOOLEAN,
}
/// See [`_WDF_DRIVER_GLOBALS`].
pub type WDF_DRIVER_GLOBALS = _WDF_DRIVER_GLOBALS;
/// See [`_WDF_DRIVER_GLOBALS`].
pub type PWDF_DRIVER_GLOBALS = *mut _WDF_DRIVER_GLOBALS;

/// Called when an object is deleted, children first. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_OBJECT_CONTEXT_CLEANUP = Option<unsafe extern "C" fn(Object: WDFOBJECT)>;
/// Called when the last reference is gone. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_OBJECT_CONTEXT_DESTROY = Option<unsafe extern "C" fn(Object: WDFOBJECT)>;
/// Gives the one address that stands for a context type.
pub type PFN_GET_UNIQUE_CONTEXT_TYPE =
    Option<unsafe extern "C" fn() -> PCWDF_OBJECT_CONTEXT_TYPE_INFO>;

/// The type of an object's context.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _WDF_OBJECT_CONTEXT_TYPE_INFO {
    /// The size of this structure.
    pub Size: ULONG,
    /// The type's name, zero-terminated.
    pub ContextName: LPCSTR,
    /// Bytes of context.
    pub ContextSize: usize,
    /// The address that stands for the type; usually that of this structure.
    pub UniqueType: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
    /// Gives `UniqueType` where it is not known in advance.
    pub EvtDriverGetUniqueContextType: PFN_GET_UNIQUE_CONTEXT_TYPE,
}
/// See [`_WDF_OBJECT_CONTEXT_TYPE_INFO`].
pub type WDF_OBJECT_CONTEXT_TYPE_INFO = _WDF_OBJECT_CONTEXT_TYPE_INFO;
/// See [`_WDF_OBJECT_CONTEXT_TYPE_INFO`].
pub type PCWDF_OBJECT_CONTEXT_TYPE_INFO = *const _WDF_OBJECT_CONTEXT_TYPE_INFO;

/// Attributes of any framework object. The header's initialiser sets both level and scope to inherit from the parent.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _WDF_OBJECT_ATTRIBUTES {
    /// The size of this structure.
    pub Size: ULONG,
    /// Called at deletion.
    pub EvtCleanupCallback: PFN_WDF_OBJECT_CONTEXT_CLEANUP,
    /// Called at the end.
    pub EvtDestroyCallback: PFN_WDF_OBJECT_CONTEXT_DESTROY,
    /// [`_WDF_EXECUTION_LEVEL`].
    pub ExecutionLevel: WDF_EXECUTION_LEVEL,
    /// [`_WDF_SYNCHRONIZATION_SCOPE`].
    pub SynchronizationScope: WDF_SYNCHRONIZATION_SCOPE,
    /// The object it is deleted with.
    pub ParentObject: WDFOBJECT,
    /// Bytes of context, where not the type's own number.
    pub ContextSizeOverride: usize,
    /// The type of its context.
    pub ContextTypeInfo: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
}
/// See [`_WDF_OBJECT_ATTRIBUTES`].
pub type WDF_OBJECT_ATTRIBUTES = _WDF_OBJECT_ATTRIBUTES;
/// See [`_WDF_OBJECT_ATTRIBUTES`].
pub type PWDF_OBJECT_ATTRIBUTES = *mut _WDF_OBJECT_ATTRIBUTES;

/// Called for each new device of a plug-and-play driver. PASSIVE_LEVEL.
pub type PFN_WDF_DRIVER_DEVICE_ADD =
    Option<unsafe extern "C" fn(Driver: WDFDRIVER, DeviceInit: PWDFDEVICE_INIT) -> NTSTATUS>;
/// Called before the driver is unloaded. PASSIVE_LEVEL.
pub type PFN_WDF_DRIVER_UNLOAD = Option<unsafe extern "C" fn(Driver: WDFDRIVER)>;

/// What `WdfDriverCreate` is told. A driver without plug-and-play sets `EvtDriverUnload`, or it is never unbound (rule D of the
/// platform contract).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _WDF_DRIVER_CONFIG {
    /// The size of this structure.
    pub Size: ULONG,
    /// Not for a driver without plug-and-play.
    pub EvtDriverDeviceAdd: PFN_WDF_DRIVER_DEVICE_ADD,
    /// The driver's unload.
    pub EvtDriverUnload: PFN_WDF_DRIVER_UNLOAD,
    /// [`_WDF_DRIVER_INIT_FLAGS`].
    pub DriverInitFlags: ULONG,
    /// The tag of the framework's allocations for the driver.
    pub DriverPoolTag: ULONG,
}
/// See [`_WDF_DRIVER_CONFIG`].
pub type WDF_DRIVER_CONFIG = _WDF_DRIVER_CONFIG;
/// See [`_WDF_DRIVER_CONFIG`].
pub type PWDF_DRIVER_CONFIG = *mut _WDF_DRIVER_CONFIG;

/// Called for a request of a kind without a callback of its own. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_IO_QUEUE_IO_DEFAULT =
    Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST)>;
/// Called when a queue stops, for each request it has handed out. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_IO_QUEUE_IO_STOP =
    Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST, ActionFlags: ULONG)>;
/// Called when a queue resumes. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_IO_QUEUE_IO_RESUME =
    Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST)>;
/// Called for a read. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_IO_QUEUE_IO_READ =
    Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST, Length: usize)>;
/// Called for a write. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_IO_QUEUE_IO_WRITE =
    Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST, Length: usize)>;
/// Called for an IOCTL; lengths in bytes. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL = Option<
    unsafe extern "C" fn(
        Queue: WDFQUEUE,
        Request: WDFREQUEST,
        OutputBufferLength: usize,
        InputBufferLength: usize,
        IoControlCode: ULONG,
    ),
>;
/// Called for another driver's IOCTL; lengths in bytes. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL = PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL;
/// Called when a request is cancelled in a queue after the driver had it. IRQL ≤ DISPATCH_LEVEL.
pub type PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE =
    Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST)>;

/// How many requests a parallel queue hands out at a time.
#[repr(C)]
#[derive(Debug, Copy, Clone, Default)]
pub struct _WDF_IO_QUEUE_CONFIG__bindgen_ty_1__bindgen_ty_1 {
    /// `u32::MAX` is no limit, and 0 is refused.
    pub NumberOfPresentedRequests: ULONG,
}
/// What depends on a queue's dispatch type.
#[repr(C)]
#[derive(Copy, Clone)]
pub union _WDF_IO_QUEUE_CONFIG__bindgen_ty_1 {
    /// For a parallel queue.
    pub Parallel: _WDF_IO_QUEUE_CONFIG__bindgen_ty_1__bindgen_ty_1,
}
/// What `WdfIoQueueCreate` is told. The header's initialiser sets `PowerManaged` to `WdfUseDefault` and, for a parallel queue, the
/// number of presented requests to `u32::MAX`.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct _WDF_IO_QUEUE_CONFIG {
    /// The size of this structure.
    pub Size: ULONG,
    /// [`_WDF_IO_QUEUE_DISPATCH_TYPE`].
    pub DispatchType: WDF_IO_QUEUE_DISPATCH_TYPE,
    /// [`_WDF_TRI_STATE`].
    pub PowerManaged: WDF_TRI_STATE,
    /// Whether reads and writes of nothing reach the driver.
    pub AllowZeroLengthRequests: BOOLEAN,
    /// Whether this queue takes what no other takes.
    pub DefaultQueue: BOOLEAN,
    /// For all requests without a callback of their own.
    pub EvtIoDefault: PFN_WDF_IO_QUEUE_IO_DEFAULT,
    /// For reads.
    pub EvtIoRead: PFN_WDF_IO_QUEUE_IO_READ,
    /// For writes.
    pub EvtIoWrite: PFN_WDF_IO_QUEUE_IO_WRITE,
    /// For IOCTLs.
    pub EvtIoDeviceControl: PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL,
    /// For other drivers' IOCTLs.
    pub EvtIoInternalDeviceControl: PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL,
    /// For power-down.
    pub EvtIoStop: PFN_WDF_IO_QUEUE_IO_STOP,
    /// For power-up.
    pub EvtIoResume: PFN_WDF_IO_QUEUE_IO_RESUME,
    /// For cancelled requests.
    pub EvtIoCanceledOnQueue: PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE,
    /// What depends on the dispatch type.
    pub Settings: _WDF_IO_QUEUE_CONFIG__bindgen_ty_1,
    /// The driver, where not the device's own.
    pub Driver: WDFDRIVER,
}
/// See [`_WDF_IO_QUEUE_CONFIG`].
pub type WDF_IO_QUEUE_CONFIG = _WDF_IO_QUEUE_CONFIG;
/// See [`_WDF_IO_QUEUE_CONFIG`].
pub type PWDF_IO_QUEUE_CONFIG = *mut _WDF_IO_QUEUE_CONFIG;

/// Called when a timer fires. DISPATCH_LEVEL, or PASSIVE_LEVEL if the timer's attributes ask for it.
pub type PFN_WDF_TIMER = Option<unsafe extern "C" fn(Timer: WDFTIMER)>;
/// What `WdfTimerCreate` is told.
#[repr(C, align(8))]
#[derive(Debug, Copy, Clone)]
pub struct _WDF_TIMER_CONFIG {
    /// The size of this structure.
    pub Size: ULONG,
    /// The callback.
    pub EvtTimerFunc: PFN_WDF_TIMER,
    /// Milliseconds between firings; 0 is once.
    pub Period: ULONG,
    /// Whether it is serialised with the parent's callbacks.
    pub AutomaticSerialization: BOOLEAN,
    /// Milliseconds that Windows may be late, to save power.
    pub TolerableDelay: ULONG,
    /// The header aligns the next field to 8.
    pub __bindgen_padding_0: u32,
    /// Whether it has the resolution of the hardware.
    pub UseHighResolutionTimer: BOOLEAN,
}
/// See [`_WDF_TIMER_CONFIG`].
pub type WDF_TIMER_CONFIG = _WDF_TIMER_CONFIG;
/// See [`_WDF_TIMER_CONFIG`].
pub type PWDF_TIMER_CONFIG = *mut _WDF_TIMER_CONFIG;

zeroed_default!(
    _WDF_DRIVER_GLOBALS,
    _WDF_OBJECT_CONTEXT_TYPE_INFO,
    _WDF_OBJECT_ATTRIBUTES,
    _WDF_DRIVER_CONFIG,
    _WDF_IO_QUEUE_CONFIG__bindgen_ty_1,
    _WDF_IO_QUEUE_CONFIG,
    _WDF_TIMER_CONFIG,
);

// Sizes of KMDF 1.33 on x64, which its own headers give when compiled.
const _: () = {
    assert!(size_of::<WDF_DRIVER_GLOBALS>() == 0x38);
    assert!(offset_of!(_WDF_DRIVER_GLOBALS, DriverFlags) == 8);
    assert!(offset_of!(_WDF_DRIVER_GLOBALS, DriverName) == 0x10);
    assert!(offset_of!(_WDF_DRIVER_GLOBALS, DisplaceDriverUnload) == 0x30);
    assert!(size_of::<WDF_OBJECT_CONTEXT_TYPE_INFO>() == 0x28);
    assert!(offset_of!(_WDF_OBJECT_CONTEXT_TYPE_INFO, UniqueType) == 0x18);
    assert!(size_of::<WDF_OBJECT_ATTRIBUTES>() == 56);
    assert!(offset_of!(_WDF_OBJECT_ATTRIBUTES, ExecutionLevel) == 24);
    assert!(offset_of!(_WDF_OBJECT_ATTRIBUTES, ParentObject) == 32);
    assert!(offset_of!(_WDF_OBJECT_ATTRIBUTES, ContextTypeInfo) == 48);
    assert!(size_of::<WDF_DRIVER_CONFIG>() == 32);
    assert!(offset_of!(_WDF_DRIVER_CONFIG, EvtDriverUnload) == 16);
    assert!(offset_of!(_WDF_DRIVER_CONFIG, DriverPoolTag) == 28);
    assert!(size_of::<WDF_IO_QUEUE_CONFIG>() == 96);
    assert!(offset_of!(_WDF_IO_QUEUE_CONFIG, DefaultQueue) == 13);
    assert!(offset_of!(_WDF_IO_QUEUE_CONFIG, EvtIoDeviceControl) == 40);
    assert!(offset_of!(_WDF_IO_QUEUE_CONFIG, Settings) == 80);
    assert!(size_of::<WDF_TIMER_CONFIG>() == 40);
    assert!(offset_of!(_WDF_TIMER_CONFIG, TolerableDelay) == 24);
    assert!(offset_of!(_WDF_TIMER_CONFIG, UseHighResolutionTimer) == 32);
};
