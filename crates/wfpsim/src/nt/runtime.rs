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

mod narrow {
    use crate::image::thunk::thunk;

    #[unsafe(naked)]
    pub(super) unsafe extern "win64" fn memcpy() {
        thunk!(libc::memcpy, 3)
    }

    #[unsafe(naked)]
    pub(super) unsafe extern "win64" fn memmove() {
        thunk!(libc::memmove, 3)
    }

    #[unsafe(naked)]
    pub(super) unsafe extern "win64" fn memset() {
        thunk!(libc::memset, 3)
    }

    #[unsafe(naked)]
    pub(super) unsafe extern "win64" fn memcmp() {
        thunk!(libc::memcmp, 3)
    }
}

macro_rules! entries {
    ($($name:ident)*) => {
        &[$( Export {
            module: "ntoskrnl.exe",
            name: stringify!($name),
            win64: $name as *const (),
            win64_narrow: narrow::$name as *const (),
        } ),*]
    };
}

/// What images may import of them.
pub static EXPORTS: &[Export] = entries!(memcpy memmove memset memcmp);
