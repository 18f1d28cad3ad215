//! The four memory functions that ntoskrnl.exe exports for compilers. Only images import them; a linked driver has its host's.
//! They are no scheduling points: to the driver they are loops of its own.

use std::ffi::c_void;

use crate::exports::Export;

unsafe extern "win64" fn memcpy(
    to: *mut c_void,
    from: *const c_void,
    length: usize,
) -> *mut c_void {
    // SAFETY: the driver's promise; where it lied, the fault is reported.
    unsafe { libc::memcpy(to, from, length) }
}

unsafe extern "win64" fn memmove(
    to: *mut c_void,
    from: *const c_void,
    length: usize,
) -> *mut c_void {
    // SAFETY: as above.
    unsafe { libc::memmove(to, from, length) }
}

unsafe extern "win64" fn memset(to: *mut c_void, value: i32, length: usize) -> *mut c_void {
    // SAFETY: as above.
    unsafe { libc::memset(to, value, length) }
}

unsafe extern "win64" fn memcmp(one: *const c_void, other: *const c_void, length: usize) -> i32 {
    // SAFETY: as above.
    unsafe { libc::memcmp(one, other, length) }
}

/// What images may import of them.
pub static EXPORTS: &[Export] = &[
    Export {
        module: "ntoskrnl.exe",
        name: "memcpy",
        win64: memcpy as *const (),
    },
    Export {
        module: "ntoskrnl.exe",
        name: "memmove",
        win64: memmove as *const (),
    },
    Export {
        module: "ntoskrnl.exe",
        name: "memset",
        win64: memset as *const (),
    },
    Export {
        module: "ntoskrnl.exe",
        name: "memcmp",
        win64: memcmp as *const (),
    },
];
