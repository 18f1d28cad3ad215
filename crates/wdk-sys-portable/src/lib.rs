//! The part of wdk-sys that Tollgate uses, for machines without a WDK.
//!
//! wdk-sys makes its bindings from the WDK's headers, so that it cannot be built without them. This crate has the same name and
//! version, and the same names and types for the subset below, so that Cargo's `[patch]` can put it in the other's place: see
//! `image/Cargo.toml`. `wdk`, `wdk-alloc` and `wdk-panic` are used over it as they are published. On hosts that are not Windows the
//! driver links it directly, and the simulator defines the functions. Widths are fixed: `ULONG` is 32 bits on every host.
//!
//! Code that compiles here and not with the published wdk-sys, or the other way round, is a bug of this crate.
//!
//! # The subset
//!
//! | Of | Names |
//! |---|---|
//! | ntoskrnl.exe, memory ([`ntddk`]) | `ExAllocatePool2` `ExFreePoolWithTag` (and `ExFreePool`, which becomes the latter) |
//! | ntoskrnl.exe, spin locks | `KeAcquireSpinLockRaiseToDpc` `KeReleaseSpinLock` `KeAcquireSpinLockAtDpcLevel` `KeTryToAcquireSpinLockAtDpcLevel` `KeReleaseSpinLockFromDpcLevel` `KeAcquireInStackQueuedSpinLock` `KeReleaseInStackQueuedSpinLock` `KeAcquireInStackQueuedSpinLockAtDpcLevel` `KeReleaseInStackQueuedSpinLockFromDpcLevel` |
//! | ntoskrnl.exe, waiting and time | `KeInitializeEvent` `KeSetEvent` `KeClearEvent` `KeWaitForSingleObject` `KeDelayExecutionThread` `KeGetCurrentIrql` `KeQueryInterruptTimePrecise` |
//! | ntoskrnl.exe, threads and objects | `PsCreateSystemThread` `PsTerminateSystemThread` `ObReferenceObjectByHandle` `ObfDereferenceObject` `ZwClose` `ZwWaitForSingleObject` |
//! | ntoskrnl.exe, run-down protection | `ExInitializeRundownProtection` `ExAcquireRundownProtection` `ExReleaseRundownProtection` `ExWaitForRundownProtectionRelease` |
//! | ntoskrnl.exe, the end | `KeBugCheckEx` `DbgPrint` (named by the `wdk` crate, not used by the driver) |
//! | ntoskrnl.exe, for the compiler | `memcpy` `memmove` `memset` `memcmp` (Windows only) |
//! | WDFLDR.SYS, for the entry point | `WdfVersionBind` `WdfVersionUnbind` (Windows only) |
//! | KMDF ([`call_unsafe_wdf_function_binding!`]), driver and devices | `WdfDriverCreate` `WdfControlDeviceInitAllocate` `WdfDeviceInitFree` `WdfDeviceInitSetDeviceType` `WdfDeviceInitSetCharacteristics` `WdfDeviceInitAssignName` `WdfDeviceCreate` `WdfDeviceCreateSymbolicLink` `WdfDeviceWdmGetDeviceObject` `WdfControlFinishInitializing` `WdfObjectDelete` |
//! | KMDF, requests | `WdfIoQueueCreate` `WdfRequestRetrieveInputBuffer` `WdfRequestRetrieveOutputBuffer` `WdfRequestCompleteWithInformation` `WdfRequestComplete` |
//! | KMDF, registry | `WdfDriverOpenParametersRegistryKey` `WdfRegistryQueryValue` `WdfRegistryQueryULong` `WdfRegistryClose` |
//! | KMDF, for the `wdk` crate | `WdfSpinLockCreate` `WdfSpinLockAcquire` `WdfSpinLockRelease` `WdfTimerCreate` `WdfTimerStart` `WdfTimerStop` |
//! | Structures | `UNICODE_STRING` `LARGE_INTEGER` `OBJECT_ATTRIBUTES` `CLIENT_ID` `KEVENT` `KLOCK_QUEUE_HANDLE` `EX_RUNDOWN_REF` `OBJECT_HANDLE_INFORMATION` `DRIVER_OBJECT` `DEVICE_OBJECT` `WDF_DRIVER_GLOBALS` `WDF_OBJECT_CONTEXT_TYPE_INFO` `WDF_OBJECT_ATTRIBUTES` `WDF_DRIVER_CONFIG` `WDF_IO_QUEUE_CONFIG` `WDF_TIMER_CONFIG` |
//! | Symbols that another party defines | `WdfFunctions_01033` `WdfDriverGlobals` `WdfFunctionCount` (the simulator; on Windows this crate); `DriverEntry` (the driver; Windows only) |
//!
//! Functions of fwpkclnt.sys and ndis.sys are not in wdk-sys: see `wfp-sys`.
#![no_std]
#![expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "the names are the Windows headers' own"
)]

mod constants;
#[cfg(windows)]
mod entry;
pub mod ntddk;
#[cfg(windows)]
mod runtime;
mod status;
mod structs;
mod types;
pub mod wdf;
mod wdf_types;

pub use constants::*;
pub use status::*;
pub use structs::*;
pub use types::*;
pub use wdf::pfn::*;
pub use wdf::{_WDFFUNCENUM, WdfDriverGlobals, WdfFunctionCount, WdfFunctions};
pub use wdf_types::*;

/// Whether a status is a success or informational.
#[must_use]
pub const fn NT_SUCCESS(nt_status: NTSTATUS) -> bool {
    nt_status >= 0
}

/// Whether a status is informational.
#[must_use]
pub const fn NT_INFORMATION(nt_status: NTSTATUS) -> bool {
    nt_status.cast_unsigned() >> 30 == 1
}

/// Whether a status is a warning.
#[must_use]
pub const fn NT_WARNING(nt_status: NTSTATUS) -> bool {
    nt_status.cast_unsigned() >> 30 == 2
}

/// Whether a status is an error.
#[must_use]
pub const fn NT_ERROR(nt_status: NTSTATUS) -> bool {
    nt_status.cast_unsigned() >> 30 == 3
}

/// Asserts, in a debug build, that the IRQL allows page faults.
#[macro_export]
macro_rules! PAGED_CODE {
    () => {
        debug_assert!(unsafe { $crate::ntddk::KeGetCurrentIrql() <= $crate::APC_LEVEL as u8 });
    };
}

/// Calls a function of the framework by name: `call_unsafe_wdf_function_binding!(WdfRequestComplete, request, status)`.
///
/// The call is unsafe: the driver is bound, and the arguments and the IRQL are what the framework's documentation asks for. The name
/// must be one of the subset in the crate's documentation; any other does not compile.
#[macro_export]
macro_rules! call_unsafe_wdf_function_binding {
    ($function:ident $(, $argument:expr)* $(,)?) => {
        $crate::wdf::__private::$function($($argument),*)
    };
}
