//! Address space of the host's, reserved and given back.

use std::ptr::NonNull;

/// Reserves address space, of which nothing is committed until it is touched.
///
/// # Panics
///
/// If the host refuses.
pub(super) fn reserve(length: usize, protection: i32) -> NonNull<u8> {
    // SAFETY: an anonymous private mapping at an address of the host's choice touches no memory of ours.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            protection,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    assert!(
        base != libc::MAP_FAILED,
        "the host refused to reserve {length} bytes of address space"
    );
    NonNull::new(base.cast()).expect("mmap gives no null mapping")
}

/// Gives address space back.
///
/// # Safety
///
/// It was reserved with this length, and nobody uses it any more.
pub(super) unsafe fn release(base: NonNull<u8>, length: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(base.as_ptr().cast(), length) };
}
