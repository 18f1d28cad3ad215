//! An allocator that takes a demand for very much memory for the mistake that it is: a length was believed that nobody checked.

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;

/// The most that is given at once. Inputs have some kilobytes.
const MOST: usize = 64 << 20;

/// The system's allocator up to [`MOST`]; more ends the process, which libFuzzer notices.
pub struct Limited;

fn check(size: usize) {
    if size > MOST {
        // Not a panic: an allocator may not unwind. What this takes of memory is little, and given.
        let stack = std::backtrace::Backtrace::force_capture();
        eprintln!("an input made the program ask for {size} bytes at once\n{stack}");
        std::process::abort();
    }
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; the block came from there.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        // SAFETY: as the caller promises; the block came from there.
        unsafe { System.realloc(block, layout, size) }
    }
}
