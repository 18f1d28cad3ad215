//! The image's entry point: binds the driver to the framework and then calls its `DriverEntry`.
//!
//! With a WDK this is the work of WdfDriverEntry.lib. The protocol is that of the framework's published sources (fxldr.h and
//! fxlibrarycommon.cpp of Windows-Driver-Frameworks):
//!
//! 1. Windows calls `FxDriverEntry`, the image's entry point.
//! 2. `WdfVersionBind` loads the framework (Wdf01000.sys) and writes the address of its function table to [`WdfFunctions`], the
//!    driver's globals to [`WdfDriverGlobals`] and the table's length to [`WdfFunctionCount`].
//! 3. `DriverEntry` runs. If it fails, the driver is unbound and the status returned.
//! 4. If the framework asks for it (`DisplaceDriverUnload`, which it sets for a driver without plug-and-play that has an
//!    `EvtDriverUnload`), the driver object's unload routine is replaced by one that calls it and then unbinds.
//!
//! Two parts of WdfDriverEntry.lib are left out, because nothing here can reach them: class extensions and context types that are
//! registered through linker sections (a context type's `UniqueType` must be its own address), and the miniport's unload override.
//! No security cookie is set up: Rust code has none.

use core::mem::{offset_of, size_of};
use core::ptr::{null, null_mut};

use crate::*;

/// The framework version that the driver is written for: KMDF 1.33.
const TARGET_MINOR: ULONG = 33;
/// The oldest framework that will do: KMDF 1.31, of Windows 10 2004 and Windows Server 2022.
const MINIMUM_MINOR: ULONG = 31;
/// Functions in the table of KMDF 1.33. The framework refuses a number that none of its releases had.
const FUNCTION_COUNT: ULONG = 458;
/// Structures that KMDF 1.33 can tell the size of.
const STRUCTURE_COUNT: ULONG = 81;
/// Code units that the copy of the registry path can hold.
const REGISTRY_PATH_UNITS: usize = 260;

/// The framework's function table, from the bind on.
#[unsafe(export_name = "WdfFunctions_01033")]
pub static mut WdfFunctions: *const WDFFUNC = null();
/// The framework's record of this driver, from the bind on.
#[unsafe(no_mangle)]
pub static mut WdfDriverGlobals: PWDF_DRIVER_GLOBALS = null_mut();
/// How many functions the bound framework has for this driver; the bind lowers it on an older framework.
#[unsafe(no_mangle)]
pub static mut WdfFunctionCount: ULONG = FUNCTION_COUNT;

/// Written by the bind, as the header's globals of these names are; nothing here reads them.
static mut WDF_STRUCTURE_COUNT: ULONG = STRUCTURE_COUNT;
static mut WDF_STRUCTURES: *mut usize = null_mut();
static mut WDF_CLIENT_VERSION_HIGHER_THAN_FRAMEWORK: BOOLEAN = 0;
static mut WDF_MINIMUM_VERSION_REQUIRED: ULONG = MINIMUM_MINOR;

/// `L"KmdfLibrary"`.
static mut COMPONENT: [WCHAR; 12] = {
    let ascii = b"KmdfLibrary\0";
    let mut wide = [0; 12];
    let mut unit = 0;
    while unit < wide.len() {
        wide[unit] = ascii[unit] as WCHAR;
        unit += 1;
    }
    wide
};

/// WDF_VERSION.
#[repr(C)]
struct Version {
    major: ULONG,
    minor: ULONG,
    build: ULONG,
}

/// WDF_BIND_INFO: the older of the two forms, and the first part of the newer.
#[repr(C)]
struct BindInfo {
    size: ULONG,
    component: PWCH,
    version: Version,
    function_count: ULONG,
    /// Where the framework writes the address of its table (drivers of KMDF 1.15 and later; before, the table itself).
    function_table: *mut *const WDFFUNC,
    /// The loader's own.
    module: PVOID,
}

/// WDF_BIND_INFO2: what lets a driver bind to a framework older than the one it is written for.
#[repr(C)]
struct BindInfo2 {
    v1: BindInfo,
    minimum_version_required: *mut ULONG,
    client_version_higher_than_framework: *mut BOOLEAN,
    function_count: *mut ULONG,
    structure_count: *mut ULONG,
    structure_table: *mut *mut usize,
}

const _: () = {
    assert!(size_of::<BindInfo>() == 0x30);
    assert!(offset_of!(BindInfo, version) == 0x10);
    assert!(offset_of!(BindInfo, function_count) == 0x1C);
    assert!(offset_of!(BindInfo, function_table) == 0x20);
    assert!(size_of::<BindInfo2>() == 0x58);
    assert!(offset_of!(BindInfo2, function_count) == 0x40);
    assert!(offset_of!(BindInfo2, structure_table) == 0x50);
};

/// The framework keeps this address for as long as the driver is bound.
static mut BIND_INFO: BindInfo2 = BindInfo2 {
    v1: BindInfo {
        size: size_of::<BindInfo2>() as ULONG,
        component: (&raw mut COMPONENT).cast(),
        version: Version {
            major: 1,
            minor: TARGET_MINOR,
            build: 0,
        },
        function_count: FUNCTION_COUNT,
        function_table: &raw mut WdfFunctions,
        module: null_mut(),
    },
    minimum_version_required: &raw mut WDF_MINIMUM_VERSION_REQUIRED,
    client_version_higher_than_framework: &raw mut WDF_CLIENT_VERSION_HIGHER_THAN_FRAMEWORK,
    function_count: &raw mut WdfFunctionCount,
    structure_count: &raw mut WDF_STRUCTURE_COUNT,
    structure_table: &raw mut WDF_STRUCTURES,
};

/// The registry path outlives the call that brings it, because the unbind at unload wants it too.
static mut REGISTRY_PATH_BUFFER: [WCHAR; REGISTRY_PATH_UNITS] = [0; REGISTRY_PATH_UNITS];
static mut REGISTRY_PATH: UNICODE_STRING = UNICODE_STRING {
    Length: 0,
    MaximumLength: (REGISTRY_PATH_UNITS * size_of::<WCHAR>()) as USHORT,
    Buffer: (&raw mut REGISTRY_PATH_BUFFER).cast(),
};

/// The unload routine that the framework put into the driver object, once ours stands in its place.
static mut DISPLACED_UNLOAD: PDRIVER_UNLOAD = None;

#[link(name = "WDFLDR.SYS", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn WdfVersionBind(
        DriverObject: PDRIVER_OBJECT,
        RegistryPath: PUNICODE_STRING,
        BindInfo: *mut BindInfo,
        ComponentGlobals: *mut PWDF_DRIVER_GLOBALS,
    ) -> NTSTATUS;
    fn WdfVersionUnbind(
        RegistryPath: PUNICODE_STRING,
        BindInfo: *mut BindInfo,
        ComponentGlobals: PWDF_DRIVER_GLOBALS,
    ) -> NTSTATUS;
}

unsafe extern "system" {
    /// The driver's own entry point.
    fn DriverEntry(DriverObject: PDRIVER_OBJECT, RegistryPath: PCUNICODE_STRING) -> NTSTATUS;
}

/// The image's entry point. PASSIVE_LEVEL.
///
/// Returns what the bind or the driver's `DriverEntry` returned.
///
/// # Safety
///
/// Called by Windows, once, with the driver's object and the path of its service key.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn FxDriverEntry(
    driver: PDRIVER_OBJECT,
    registry_path: PUNICODE_STRING,
) -> NTSTATUS {
    // Windows has no null driver object for a driver that is loaded as one.
    if driver.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the path is the one this function was given, valid for the call, and nobody else uses the copy yet.
    unsafe { keep_registry_path(registry_path) };
    // SAFETY: the bind info is as the framework wants it and lives as long as the image; PASSIVE_LEVEL by this function's contract.
    let status = unsafe {
        WdfVersionBind(
            driver,
            &raw mut REGISTRY_PATH,
            (&raw mut BIND_INFO).cast(),
            &raw mut WdfDriverGlobals,
        )
    };
    if !NT_SUCCESS(status) {
        return status;
    }
    // SAFETY: the driver is bound, and both arguments are what Windows gave.
    let status = unsafe { DriverEntry(driver, registry_path) };
    if !NT_SUCCESS(status) {
        // SAFETY: bound above, and the driver has undone what it had begun.
        unsafe { unbind() };
        return status;
    }
    // SAFETY: written by the bind and valid until the unbind.
    if unsafe { (*WdfDriverGlobals).DisplaceDriverUnload } != 0 {
        // SAFETY: Windows' driver object is valid, and during DriverEntry this thread alone changes it.
        unsafe {
            DISPLACED_UNLOAD = (*driver).DriverUnload;
            (*driver).DriverUnload = Some(unload_and_unbind);
        }
    }
    STATUS_SUCCESS
}

/// Copies as much of the registry path as there is room for, with a zero behind it if that fits too.
///
/// # Safety
///
/// `source` is null or points to a valid string, and nothing else uses [`REGISTRY_PATH`].
unsafe fn keep_registry_path(source: PUNICODE_STRING) {
    // SAFETY: the caller says that it is null or valid.
    let Some(source) = (unsafe { source.as_ref() }) else {
        return;
    };
    let units = (usize::from(source.Length) / size_of::<WCHAR>()).min(REGISTRY_PATH_UNITS);
    // SAFETY: both ends have at least `units` code units: the source by its length, the buffer by the minimum above. A static of
    // ours does not overlap the caller's string.
    unsafe {
        source
            .Buffer
            .copy_to_nonoverlapping((&raw mut REGISTRY_PATH_BUFFER).cast(), units)
    };
    // SAFETY: only this function uses it, as the caller says. The buffer began as zeros, so a zero follows where one fits.
    unsafe { REGISTRY_PATH.Length = (units * size_of::<WCHAR>()) as USHORT };
}

/// The unload routine that stands in front of the framework's. PASSIVE_LEVEL.
unsafe extern "C" fn unload_and_unbind(driver: PDRIVER_OBJECT) {
    // SAFETY: written once, before Windows could call this.
    if let Some(displaced) = unsafe { DISPLACED_UNLOAD } {
        // SAFETY: the routine that the framework had put there, called as Windows would have.
        unsafe { displaced(driver) };
    }
    // SAFETY: bound since FxDriverEntry, and unload is the last that the driver does.
    unsafe { unbind() };
}

/// Gives the framework back.
///
/// # Safety
///
/// The driver is bound and makes no call of the framework any more.
unsafe fn unbind() {
    // SAFETY: the three arguments of the bind. The status says nothing that could be acted on: the image is about to go.
    let _ = unsafe {
        WdfVersionUnbind(
            &raw mut REGISTRY_PATH,
            (&raw mut BIND_INFO).cast(),
            WdfDriverGlobals,
        )
    };
}
