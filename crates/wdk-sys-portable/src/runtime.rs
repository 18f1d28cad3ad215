//! Symbols that the compiler refers to and that a user-mode program would get from its C runtime.
//!
//! The published wdk-sys defines the first four itself and has the WDK's import libraries for the rest.

use core::ffi::c_void;

/// The compiler asks for this name as soon as there might be a floating-point number in the image.
#[unsafe(no_mangle)]
pub static _fltused: i32 = 0;

/// Named by core's unwind tables, and never called: the image is built with `panic = "abort"`.
#[cfg(panic = "abort")]
#[unsafe(no_mangle)]
pub const extern "system" fn __CxxFrameHandler3() -> i32 {
    0
}

/// As [`__CxxFrameHandler3`]; a value of its own keeps the linker from folding the two.
#[cfg(panic = "abort")]
#[unsafe(no_mangle)]
pub const extern "system" fn __CxxFrameHandler4() -> i32 {
    1
}

/// As [`__CxxFrameHandler3`]; a value of its own keeps the linker from folding the two.
#[cfg(panic = "abort")]
#[unsafe(no_mangle)]
pub const extern "system" fn __GSHandlerCheck_EH4() -> i32 {
    2
}

// The compiler turns copies, fills and comparisons into calls of these, and core as rustup delivers it for this target does not
// bring them along. ntoskrnl.exe exports them, for drivers of every language.
#[expect(
    dead_code,
    reason = "called by code that the compiler makes, not by name"
)]
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    /// Copies bytes between places that do not overlap.
    pub fn memcpy(destination: *mut c_void, source: *const c_void, length: usize) -> *mut c_void;
    /// Copies bytes between places that may overlap.
    pub fn memmove(destination: *mut c_void, source: *const c_void, length: usize) -> *mut c_void;
    /// Fills bytes.
    pub fn memset(destination: *mut c_void, value: i32, length: usize) -> *mut c_void;
    /// Compares bytes.
    pub fn memcmp(one: *const c_void, other: *const c_void, length: usize) -> i32;
}
