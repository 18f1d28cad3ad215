//! The part of wdk-sys that Tollgate uses, for machines without a WDK.
//!
//! (table to come)
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
