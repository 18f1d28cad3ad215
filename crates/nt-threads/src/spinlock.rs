//! Spin locks: zero is free.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use nt::sys;

fn word<'a>(lock: *mut sys::KSPIN_LOCK) -> &'a AtomicUsize {
    // SAFETY: A lock is as large as a pointer, and is there as long as somebody takes it.
    unsafe { AtomicUsize::from_ptr(lock.cast()) }
}

#[unsafe(no_mangle)]
extern "C" fn KeAcquireSpinLockRaiseToDpc(lock: *mut sys::KSPIN_LOCK) -> sys::KIRQL {
    while word(lock).swap(1, Ordering::Acquire) != 0 {
        // There may be fewer processors than threads.
        std::thread::yield_now();
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn KeReleaseSpinLock(lock: *mut sys::KSPIN_LOCK, _irql: sys::KIRQL) {
    assert_eq!(word(lock).swap(0, Ordering::Release), 1, "it was taken");
}
