//! Scalar and handle types of the Windows headers, fixed in width.
//!
//! bindgen writes `ULONG` as C's `unsigned long`, which is 32 bits on Windows and 64 on Linux. The names here have the width they
//! have on 64-bit Windows wherever they are compiled.

use core::ffi::c_void;

use crate::_KEVENT;

/// Unsigned 8 bits.
pub type UCHAR = u8;
/// A C character; signed on every Windows target.
pub type CHAR = i8;
/// A small signed number.
pub type CCHAR = i8;
/// Unsigned 16 bits.
pub type USHORT = u16;
/// Signed 16 bits.
pub type CSHORT = i16;
/// A UTF-16 code unit.
pub type WCHAR = u16;
/// Unsigned 32 bits.
pub type ULONG = u32;
/// Signed 32 bits.
pub type LONG = i32;
/// Signed 64 bits.
pub type LONGLONG = i64;
/// Unsigned 64 bits.
pub type ULONG64 = u64;
/// Unsigned, as wide as a pointer.
pub type ULONG_PTR = u64;
/// Signed, as wide as a pointer.
pub type LONG_PTR = i64;
/// A size in bytes, as ntoskrnl takes it.
pub type SIZE_T = ULONG_PTR;
/// 0 is false and anything else is true.
pub type BOOLEAN = UCHAR;
/// The outcome of a call: negative is an error. See [`NT_SUCCESS`](crate::NT_SUCCESS).
pub type NTSTATUS = LONG;
/// An interrupt request level.
pub type KIRQL = UCHAR;
/// A thread priority.
pub type KPRIORITY = LONG;
/// [`_MODE`] in a byte.
pub type KPROCESSOR_MODE = CCHAR;
/// Rights asked for with a handle.
pub type ACCESS_MASK = ULONG;
/// Flags of `ExAllocatePool2`: `POOL_FLAG_*`.
pub type POOL_FLAGS = ULONG64;
/// A spin lock; 0 is free.
pub type KSPIN_LOCK = ULONG_PTR;

/// A pointer to anything.
pub type PVOID = *mut c_void;
/// A kernel handle.
pub type HANDLE = PVOID;
/// Where a handle goes.
pub type PHANDLE = *mut HANDLE;
/// Where a 32-bit number goes.
pub type PULONG = *mut ULONG;
/// Where a 64-bit number goes.
pub type PULONG64 = *mut ULONG64;
/// A zero-terminated string.
pub type PCSTR = *const CHAR;
/// A zero-terminated string.
pub type LPCSTR = *const CHAR;
/// A UTF-16 string.
pub type PWCH = *mut WCHAR;
/// A zero-terminated UTF-16 string.
pub type PCWSTR = *const WCHAR;
/// A spin lock's place.
pub type PKSPIN_LOCK = *mut KSPIN_LOCK;
/// An event's place.
pub type PRKEVENT = *mut _KEVENT;

/// Declares C enumerations the way bindgen's module style does: a module of constants and an alias of its `Type`.
macro_rules! module_consts {
    ($($(#[$doc:meta])* $module:ident as $alias:ident { $($name:ident = $value:literal,)* })*) => {
        $(
            $(#[$doc])*
            pub mod $module {
                /// The C compiler's type for an enumeration.
                pub type Type = i32;
                $(
                    #[doc = concat!("The header's `", stringify!($name), "`.")]
                    pub const $name: Type = $value;
                )*
            }
            $(#[$doc])*
            pub type $alias = $module::Type;
        )*
    };
}

module_consts! {
    /// What a wait on an event does to it.
    _EVENT_TYPE as EVENT_TYPE { NotificationEvent = 0, SynchronizationEvent = 1, }
    /// Why a thread waits; drivers say `Executive`.
    _KWAIT_REASON as KWAIT_REASON { Executive = 0, }
    /// On whose behalf: `KernelMode` unless the request is a user's.
    _MODE as MODE { KernelMode = 0, UserMode = 1, MaximumMode = 2, }
    /// How a queue hands out requests.
    _WDF_IO_QUEUE_DISPATCH_TYPE as WDF_IO_QUEUE_DISPATCH_TYPE {
        WdfIoQueueDispatchInvalid = 0,
        WdfIoQueueDispatchSequential = 1,
        WdfIoQueueDispatchParallel = 2,
        WdfIoQueueDispatchManual = 3,
        WdfIoQueueDispatchMax = 4,
    }
    /// The highest IRQL at which the framework calls back.
    _WDF_EXECUTION_LEVEL as WDF_EXECUTION_LEVEL {
        WdfExecutionLevelInvalid = 0,
        WdfExecutionLevelInheritFromParent = 1,
        WdfExecutionLevelPassive = 2,
        WdfExecutionLevelDispatch = 3,
    }
    /// What the framework serialises callbacks by.
    _WDF_SYNCHRONIZATION_SCOPE as WDF_SYNCHRONIZATION_SCOPE {
        WdfSynchronizationScopeInvalid = 0,
        WdfSynchronizationScopeInheritFromParent = 1,
        WdfSynchronizationScopeDevice = 2,
        WdfSynchronizationScopeQueue = 3,
        WdfSynchronizationScopeNone = 4,
    }
    /// Yes, no, or as the framework likes.
    _WDF_TRI_STATE as WDF_TRI_STATE { WdfFalse = 0, WdfTrue = 1, WdfUseDefault = 2, }
    /// What kind of driver it is.
    _WDF_DRIVER_INIT_FLAGS as WDF_DRIVER_INIT_FLAGS {
        WdfDriverInitNonPnpDriver = 1,
        WdfDriverInitNoDispatchOverride = 2,
        WdfVerifyOn = 4,
        WdfVerifierOn = 8,
        WdfDriverInitCompanion = 16,
    }
}
