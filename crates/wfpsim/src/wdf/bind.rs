//! Binding a driver to the framework.
//!
//! A linked driver is bound from the start: the symbols below are what the published wdk-sys leaves to WdfDriverEntry.lib. An image binds
//! through WDFLDR.SYS; the structures are those of fxldr.h in the framework's published sources.

use std::ffi::c_void;

use wdk_sys_portable::CHAR;
use wdk_sys_portable::PDRIVER_OBJECT;
use wdk_sys_portable::PUNICODE_STRING;
use wdk_sys_portable::PWDF_DRIVER_GLOBALS;
use wdk_sys_portable::STATUS_NOT_FOUND;
use wdk_sys_portable::WDF_DRIVER_GLOBALS;
use wdk_sys_portable::WDFDRIVER;

use super::table::ENTRIES;
use super::table::Table;
use super::table::TablePointer;
use crate::exports::exports;
use crate::machine::Convention;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::nt::status;

/// The function table of KMDF 1.33 for linked drivers.
#[unsafe(no_mangle)]
pub static WdfFunctions_01033: TablePointer = TablePointer(&raw const super::HOST);

/// How many functions the table has.
#[unsafe(no_mangle)]
pub static WdfFunctionCount: u32 = ENTRIES as u32;

/// The framework's record of a linked driver. All machines of the process share it, so it says nothing of any of them.
struct Globals(WDF_DRIVER_GLOBALS);

// SAFETY: nobody writes it, and its pointer is null.
unsafe impl Sync for Globals {}

const NAME: [CHAR; 32] = {
    let text = *b"wfpsim";
    let mut name = [0; 32];
    let mut index = 0;
    while index < text.len() {
        name[index] = text[index] as CHAR;
        index += 1;
    }
    name
};

static LINKED: Globals = Globals(WDF_DRIVER_GLOBALS {
    Driver: std::ptr::null_mut(),
    DriverFlags: 0,
    DriverTag: u32::from_le_bytes(*b"FxDr"),
    DriverName: NAME,
    DisplaceDriverUnload: 0,
});

/// The address of a record.
#[repr(transparent)]
pub struct GlobalsPointer(*const WDF_DRIVER_GLOBALS);

// SAFETY: it points to a static that nobody writes.
unsafe impl Sync for GlobalsPointer {}

/// The first argument of every function of the framework, for linked drivers.
#[unsafe(no_mangle)]
pub static WdfDriverGlobals: GlobalsPointer = GlobalsPointer(&raw const LINKED.0);

/// Stops the machine if the driver globals are not those that the driver was bound with.
pub(super) fn require_globals(kernel: &Kernel, function: &str, globals: usize) {
    let linked = kernel.convention() == Convention::Host && globals == &raw const LINKED.0 as usize;
    let bound = kernel.wdf.globals.get();
    if !linked && (globals != bound || globals == 0) {
        let summary = format!(
            "{function} was given driver globals {globals:#x}, which the driver was not bound with"
        );
        kernel.bug_check(super::violation(
            kernel,
            super::WDF_INVALID_HANDLE,
            globals as u64,
            "D.1",
            summary,
        ));
    }
}

/// Tells the driver's globals that the driver object was made.
pub(super) fn note_driver(kernel: &Kernel, driver: usize, unloads: bool) {
    let globals = kernel.wdf.globals.get() as PWDF_DRIVER_GLOBALS;
    if !globals.is_null() {
        // SAFETY: the block that `version_bind` made, which lives until the driver is unbound.
        unsafe {
            (*globals).Driver = driver as WDFDRIVER;
            (*globals).DisplaceDriverUnload = u8::from(unloads);
        }
    }
}

/// WDF_BIND_INFO, and what WDF_BIND_INFO2 adds to it.
#[repr(C)]
pub struct BindInfo {
    size: u32,
    component: *const u16,
    major: u32,
    minor: u32,
    build: u32,
    function_count: u32,
    function_table: *mut *const Table,
    module: *mut c_void,
    minimum_version_required: *mut u32,
    client_version_higher: *mut u8,
    client_function_count: *mut u32,
    structure_count: *mut u32,
    structures: *mut *mut usize,
}

/// The size of WDF_BIND_INFO alone.
const BIND_INFO: u32 = std::mem::offset_of!(BindInfo, minimum_version_required) as u32;
/// The framework that is simulated.
const MINOR: u32 = 33;
/// How many functions each released version has, as far as it copies its table into the driver's own array: up to 1.13.
const COPIED: [usize; 6] = [383, 386, 387, 396, 432, 438];
/// How many the later versions have: these are given a pointer to the table.
const POINTED: [usize; 7] = [444, 446, 448, 451, 453, 454, ENTRIES];

const _: () = assert!(BIND_INFO == 0x30);
const _: () = assert!(size_of::<BindInfo>() == 0x58);

exports! {
    "WDFLDR.SYS";
    WdfVersionBind(object: PDRIVER_OBJECT, path: PUNICODE_STRING, info: *mut BindInfo, globals: *mut PWDF_DRIVER_GLOBALS) -> NtStatus [passive unlocked] => version_bind;
    WdfVersionUnbind(path: PUNICODE_STRING, info: *mut BindInfo, globals: PWDF_DRIVER_GLOBALS) -> NtStatus [passive unlocked] => version_unbind;
}

fn version_bind(
    kernel: &Kernel,
    _object: PDRIVER_OBJECT,
    _path: PUNICODE_STRING,
    info: *mut BindInfo,
    globals: *mut PWDF_DRIVER_GLOBALS,
) -> NtStatus {
    // Not among the numbered calls: only one of a driver's two forms makes it, and a number is to mean the same for both. Named, it
    // fails.
    let named = !kernel.config.faults.functions.is_empty();
    if named && kernel.fails("WdfVersionBind") {
        return status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver's pointer; a bad one faults and is reported. The older structure is the beginning of the newer.
    let (size, major, minor) = unsafe { ((*info).size, (*info).major, (*info).minor) };
    if size < BIND_INFO {
        return status::INVALID_PARAMETER;
    }
    let mut needed = minor;
    if size as usize >= size_of::<BindInfo>() {
        // SAFETY: as above; the structure is the newer one.
        unsafe {
            needed = (*info).minimum_version_required.read();
            (*info).client_version_higher.write(u8::from(minor > MINOR));
            (*info)
                .client_function_count
                .write((*info).function_count.min(ENTRIES as u32));
        }
    }
    if major != 1 || needed > MINOR {
        return STATUS_NOT_FOUND;
    }
    // SAFETY: as above.
    let count = unsafe { (*info).function_count } as usize;
    let copied = COPIED.contains(&count);
    if !copied && !POINTED.contains(&count) && minor <= MINOR {
        // No released framework has a table of this size (FxLibraryCommonRegisterClient).
        return status::INVALID_PARAMETER;
    }
    let ledger = kernel.ledger.begin("WDF_DRIVER_GLOBALS");
    let record: PWDF_DRIVER_GLOBALS = kernel
        .arena
        .allocate(
            size_of::<WDF_DRIVER_GLOBALS>(),
            Purpose::Object,
            ledger,
            true,
        )
        .as_ptr()
        .cast();
    let table: *const Table = match kernel.convention() {
        Convention::Host => &raw const super::HOST,
        #[cfg(target_arch = "x86_64")]
        Convention::Win64 => &raw const super::WIN64,
    };
    // SAFETY: the block was just made for this structure; the other two pointers are the driver's.
    unsafe {
        record.write(WDF_DRIVER_GLOBALS {
            DriverName: NAME,
            DriverTag: u32::from_le_bytes(*b"FxDr"),
            ..WDF_DRIVER_GLOBALS::default()
        });
        if copied {
            let own = (*info).function_table.cast::<*const ()>();
            own.copy_from_nonoverlapping((*table).0.as_ptr(), count);
        } else {
            (*info).function_table.write(table);
        }
        globals.write(record);
    }
    kernel.wdf.globals.set(record as usize);
    status::SUCCESS
}

fn version_unbind(
    kernel: &Kernel,
    _path: PUNICODE_STRING,
    _info: *mut BindInfo,
    globals: PWDF_DRIVER_GLOBALS,
) -> NtStatus {
    require_globals(kernel, "WdfVersionUnbind", globals as usize);
    unbind(kernel);
    status::SUCCESS
}

/// Ends the driver's use of the framework.
pub(crate) fn unbind(kernel: &Kernel) {
    super::driver::forget(kernel);
    let globals = kernel.wdf.globals.replace(0);
    if globals != 0 {
        crate::nt::free_blocks(kernel, &[globals], "freed: the driver was unbound");
    }
}
