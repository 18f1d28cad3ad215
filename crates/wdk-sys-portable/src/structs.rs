//! Structures of ntddk.h and ntifs.h, with their sizes and offsets on 64-bit Windows asserted (rule F.4 of the platform contract).
//!
//! A structure whose content is the kernel's own business has the right size and alignment and no named fields.

use core::ffi::c_void;
use core::mem::{align_of, offset_of, size_of};

use crate::*;

/// Gives each type the all-zero default that bindgen gives it.
macro_rules! zeroed_default {
    ($($name:ident),* $(,)?) => {
        $(
            impl Default for $name {
                fn default() -> Self {
                    // SAFETY: every field is a number, a raw pointer, a nullable function pointer or an array or union of those, for
                    // each of which all-zero bytes are a value.
                    unsafe { core::mem::zeroed() }
                }
            }
        )*
    };
}
pub(crate) use zeroed_default;

/// A counted UTF-16 string; the lengths are in bytes and leave out any terminator.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _UNICODE_STRING {
    /// Bytes in use.
    pub Length: USHORT,
    /// Bytes there are.
    pub MaximumLength: USHORT,
    /// The code units; not always zero-terminated.
    pub Buffer: PWCH,
}
/// See [`_UNICODE_STRING`].
pub type UNICODE_STRING = _UNICODE_STRING;
/// See [`_UNICODE_STRING`].
pub type PUNICODE_STRING = *mut _UNICODE_STRING;
/// See [`_UNICODE_STRING`].
pub type PCUNICODE_STRING = *const UNICODE_STRING;

/// The two halves of a [`_LARGE_INTEGER`].
#[repr(C)]
#[derive(Debug, Copy, Clone, Default)]
pub struct _LARGE_INTEGER__bindgen_ty_1 {
    /// Bits 0 to 31.
    pub LowPart: ULONG,
    /// Bits 32 to 63.
    pub HighPart: LONG,
}
/// A signed 64-bit number; as a time, in 100 ns units.
#[repr(C)]
#[derive(Copy, Clone)]
pub union _LARGE_INTEGER {
    /// The halves.
    pub __bindgen_anon_1: _LARGE_INTEGER__bindgen_ty_1,
    /// The halves, by name.
    pub u: _LARGE_INTEGER__bindgen_ty_1,
    /// The whole.
    pub QuadPart: LONGLONG,
}
/// See [`_LARGE_INTEGER`].
pub type LARGE_INTEGER = _LARGE_INTEGER;
/// See [`_LARGE_INTEGER`].
pub type PLARGE_INTEGER = *mut LARGE_INTEGER;

/// The name and attributes of an object to be made or opened.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _OBJECT_ATTRIBUTES {
    /// The size of this structure.
    pub Length: ULONG,
    /// The directory that the name is relative to.
    pub RootDirectory: HANDLE,
    /// The name.
    pub ObjectName: PUNICODE_STRING,
    /// `OBJ_*`.
    pub Attributes: ULONG,
    /// A SECURITY_DESCRIPTOR, or null for the default.
    pub SecurityDescriptor: PVOID,
    /// A SECURITY_QUALITY_OF_SERVICE, or null.
    pub SecurityQualityOfService: PVOID,
}
/// See [`_OBJECT_ATTRIBUTES`].
pub type OBJECT_ATTRIBUTES = _OBJECT_ATTRIBUTES;
/// See [`_OBJECT_ATTRIBUTES`].
pub type POBJECT_ATTRIBUTES = *mut OBJECT_ATTRIBUTES;

/// Ids of a process and a thread.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _CLIENT_ID {
    /// The process.
    pub UniqueProcess: HANDLE,
    /// The thread.
    pub UniqueThread: HANDLE,
}
/// See [`_CLIENT_ID`].
pub type CLIENT_ID = _CLIENT_ID;
/// See [`_CLIENT_ID`].
pub type PCLIENT_ID = *mut CLIENT_ID;

/// What every dispatcher object begins with: the kernel's own.
#[repr(C, align(8))]
#[derive(Debug, Copy, Clone, Default)]
pub struct _DISPATCHER_HEADER {
    opaque: [u64; 3],
}
/// See [`_DISPATCHER_HEADER`].
pub type DISPATCHER_HEADER = _DISPATCHER_HEADER;

/// An event: lives in non-paged memory and does not move once made.
#[repr(C)]
#[derive(Debug, Copy, Clone, Default)]
pub struct _KEVENT {
    /// The kernel's own.
    pub Header: DISPATCHER_HEADER,
}
/// See [`_KEVENT`].
pub type KEVENT = _KEVENT;
/// See [`_KEVENT`].
pub type PKEVENT = *mut KEVENT;

/// What the kernel queues for an in-stack queued spin lock.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _KSPIN_LOCK_QUEUE {
    /// Who comes after.
    pub Next: *mut _KSPIN_LOCK_QUEUE,
    /// The lock.
    pub Lock: PKSPIN_LOCK,
}
/// See [`_KSPIN_LOCK_QUEUE`].
pub type KSPIN_LOCK_QUEUE = _KSPIN_LOCK_QUEUE;
/// One acquisition of an in-stack queued spin lock: the kernel's own until the release.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _KLOCK_QUEUE_HANDLE {
    /// The place in the queue.
    pub LockQueue: KSPIN_LOCK_QUEUE,
    /// The IRQL to go back to.
    pub OldIrql: KIRQL,
}
/// See [`_KLOCK_QUEUE_HANDLE`].
pub type KLOCK_QUEUE_HANDLE = _KLOCK_QUEUE_HANDLE;
/// See [`_KLOCK_QUEUE_HANDLE`].
pub type PKLOCK_QUEUE_HANDLE = *mut _KLOCK_QUEUE_HANDLE;

/// The one word of an [`_EX_RUNDOWN_REF`].
#[repr(C)]
#[derive(Copy, Clone)]
pub union _EX_RUNDOWN_REF__bindgen_ty_1 {
    /// Twice the number of holders.
    pub Count: ULONG_PTR,
    /// Who waits, once someone does.
    pub Ptr: PVOID,
}
/// Run-down protection; all zero is ready for use.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct _EX_RUNDOWN_REF {
    /// The kernel's own.
    pub __bindgen_anon_1: _EX_RUNDOWN_REF__bindgen_ty_1,
}
/// See [`_EX_RUNDOWN_REF`].
pub type EX_RUNDOWN_REF = _EX_RUNDOWN_REF;
/// See [`_EX_RUNDOWN_REF`].
pub type PEX_RUNDOWN_REF = *mut _EX_RUNDOWN_REF;

/// What the object manager knows about a handle.
#[repr(C)]
#[derive(Debug, Copy, Clone, Default)]
pub struct _OBJECT_HANDLE_INFORMATION {
    /// `OBJ_*`.
    pub HandleAttributes: ULONG,
    /// The rights it was opened with.
    pub GrantedAccess: ACCESS_MASK,
}
/// See [`_OBJECT_HANDLE_INFORMATION`].
pub type OBJECT_HANDLE_INFORMATION = _OBJECT_HANDLE_INFORMATION;
/// See [`_OBJECT_HANDLE_INFORMATION`].
pub type POBJECT_HANDLE_INFORMATION = *mut _OBJECT_HANDLE_INFORMATION;

/// Declares structures of which only the address is of use to a driver.
macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident, $alias:ident;)*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Debug, Copy, Clone)]
            pub struct $name {
                _unused: [u8; 0],
            }
            $(#[$doc])*
            pub type $alias = *mut $name;
        )*
    };
}
pub(crate) use opaque;

opaque! {
    /// The type of a kind of object.
    _OBJECT_TYPE, POBJECT_TYPE;
    /// An I/O request packet.
    _IRP, PIRP;
    /// A driver object's extension.
    _DRIVER_EXTENSION, PDRIVER_EXTENSION;
    /// The fast I/O entry points of a file system.
    _FAST_IO_DISPATCH, PFAST_IO_DISPATCH;
    /// A device's timer.
    _IO_TIMER, PIO_TIMER;
    /// A volume parameter block.
    _VPB, PVPB;
}

/// The body of a system thread; its argument is the context that `PsCreateSystemThread` was given. PASSIVE_LEVEL.
pub type PKSTART_ROUTINE = Option<unsafe extern "C" fn(StartContext: PVOID)>;
/// A driver's entry point. PASSIVE_LEVEL.
pub type PDRIVER_INITIALIZE = Option<
    unsafe extern "C" fn(
        DriverObject: *mut _DRIVER_OBJECT,
        RegistryPath: PUNICODE_STRING,
    ) -> NTSTATUS,
>;
/// A driver's StartIo routine.
pub type PDRIVER_STARTIO =
    Option<unsafe extern "C" fn(DeviceObject: *mut _DEVICE_OBJECT, Irp: *mut _IRP)>;
/// A driver's unload routine. PASSIVE_LEVEL.
pub type PDRIVER_UNLOAD = Option<unsafe extern "C" fn(DriverObject: *mut _DRIVER_OBJECT)>;
/// A driver's dispatch routine.
pub type PDRIVER_DISPATCH =
    Option<unsafe extern "C" fn(DeviceObject: *mut _DEVICE_OBJECT, Irp: *mut _IRP) -> NTSTATUS>;

/// A loaded driver.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _DRIVER_OBJECT {
    /// What kind of kernel object this is.
    pub Type: CSHORT,
    /// Its size.
    pub Size: CSHORT,
    /// The first of its devices.
    pub DeviceObject: PDEVICE_OBJECT,
    /// `DRVO_*`.
    pub Flags: ULONG,
    /// Where the image is.
    pub DriverStart: PVOID,
    /// How large it is.
    pub DriverSize: ULONG,
    /// The loader's entry for it.
    pub DriverSection: PVOID,
    /// More of the I/O manager's.
    pub DriverExtension: PDRIVER_EXTENSION,
    /// Its name in the object namespace.
    pub DriverName: UNICODE_STRING,
    /// The registry's hardware description.
    pub HardwareDatabase: PUNICODE_STRING,
    /// File systems' fast I/O.
    pub FastIoDispatch: PFAST_IO_DISPATCH,
    /// The entry point.
    pub DriverInit: PDRIVER_INITIALIZE,
    /// The StartIo routine.
    pub DriverStartIo: PDRIVER_STARTIO,
    /// What runs at unload; a driver without it cannot be unloaded.
    pub DriverUnload: PDRIVER_UNLOAD,
    /// One dispatch routine for each IRP major function.
    pub MajorFunction: [PDRIVER_DISPATCH; 28],
}
/// See [`_DRIVER_OBJECT`].
pub type DRIVER_OBJECT = _DRIVER_OBJECT;
/// See [`_DRIVER_OBJECT`].
pub type PDRIVER_OBJECT = *mut _DRIVER_OBJECT;

/// A device. The I/O manager's fields after `StackSize` are not named here.
#[repr(C, align(16))]
#[derive(Debug, Copy, Clone)]
pub struct _DEVICE_OBJECT {
    /// What kind of kernel object this is.
    pub Type: CSHORT,
    /// Its size, with the extension.
    pub Size: USHORT,
    /// The I/O manager's count.
    pub ReferenceCount: LONG,
    /// Whose it is.
    pub DriverObject: *mut _DRIVER_OBJECT,
    /// The driver's next device.
    pub NextDevice: *mut _DEVICE_OBJECT,
    /// The device attached on top.
    pub AttachedDevice: *mut _DEVICE_OBJECT,
    /// The request that StartIo works on.
    pub CurrentIrp: *mut _IRP,
    /// Its timer.
    pub Timer: PIO_TIMER,
    /// `DO_*`.
    pub Flags: ULONG,
    /// `FILE_*` characteristics.
    pub Characteristics: ULONG,
    /// Its volume.
    pub Vpb: PVPB,
    /// The driver's own memory.
    pub DeviceExtension: PVOID,
    /// `FILE_DEVICE_*`.
    pub DeviceType: ULONG,
    /// Stack locations that an IRP to it needs.
    pub StackSize: CCHAR,
    opaque: [u64; 32],
}
/// See [`_DEVICE_OBJECT`].
pub type DEVICE_OBJECT = _DEVICE_OBJECT;
/// See [`_DEVICE_OBJECT`].
pub type PDEVICE_OBJECT = *mut _DEVICE_OBJECT;

zeroed_default!(
    _UNICODE_STRING,
    _LARGE_INTEGER,
    _OBJECT_ATTRIBUTES,
    _CLIENT_ID,
    _KSPIN_LOCK_QUEUE,
    _KLOCK_QUEUE_HANDLE,
    _EX_RUNDOWN_REF__bindgen_ty_1,
    _EX_RUNDOWN_REF,
    _DRIVER_OBJECT,
    _DEVICE_OBJECT,
);

// Rule F.4: sizes and offsets on x64, which ARM64 shares.
const _: () = {
    assert!(
        size_of::<*mut c_void>() == 8,
        "only 64-bit hosts can stand in for 64-bit Windows"
    );
    assert!(size_of::<UNICODE_STRING>() == 16);
    assert!(offset_of!(_UNICODE_STRING, Buffer) == 8);
    assert!(size_of::<LARGE_INTEGER>() == 8);
    assert!(size_of::<OBJECT_ATTRIBUTES>() == 48);
    assert!(offset_of!(_OBJECT_ATTRIBUTES, ObjectName) == 16);
    assert!(offset_of!(_OBJECT_ATTRIBUTES, Attributes) == 24);
    assert!(offset_of!(_OBJECT_ATTRIBUTES, SecurityQualityOfService) == 40);
    assert!(size_of::<CLIENT_ID>() == 16);
    assert!(size_of::<KEVENT>() == 24);
    assert!(align_of::<KEVENT>() == 8);
    assert!(size_of::<KSPIN_LOCK>() == 8);
    assert!(size_of::<KLOCK_QUEUE_HANDLE>() == 24);
    assert!(offset_of!(_KLOCK_QUEUE_HANDLE, OldIrql) == 16);
    assert!(size_of::<EX_RUNDOWN_REF>() == 8);
    assert!(size_of::<OBJECT_HANDLE_INFORMATION>() == 8);
    assert!(size_of::<DRIVER_OBJECT>() == 336);
    assert!(offset_of!(_DRIVER_OBJECT, DeviceObject) == 8);
    assert!(offset_of!(_DRIVER_OBJECT, DriverStart) == 24);
    assert!(offset_of!(_DRIVER_OBJECT, DriverName) == 56);
    assert!(offset_of!(_DRIVER_OBJECT, DriverInit) == 88);
    assert!(offset_of!(_DRIVER_OBJECT, DriverUnload) == 104);
    assert!(offset_of!(_DRIVER_OBJECT, MajorFunction) == 112);
    assert!(size_of::<DEVICE_OBJECT>() == 336);
    assert!(align_of::<DEVICE_OBJECT>() == 16);
    assert!(offset_of!(_DEVICE_OBJECT, DriverObject) == 8);
    assert!(offset_of!(_DEVICE_OBJECT, Flags) == 48);
    assert!(offset_of!(_DEVICE_OBJECT, DeviceExtension) == 64);
    assert!(offset_of!(_DEVICE_OBJECT, StackSize) == 76);
};
