//! Run-down protection: in the reference itself, as Windows has it, a count of those inside, twice each, and whether the end has begun.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use nt::sys;

const CLOSING: usize = 1;

fn count<'a>(reference: *mut sys::EX_RUNDOWN_REF) -> &'a AtomicUsize {
    // SAFETY: A reference is as large as a pointer, and whoever has initialised it keeps it as long as it is used.
    unsafe { AtomicUsize::from_ptr(reference.cast()) }
}

#[unsafe(no_mangle)]
extern "C" fn ExInitializeRundownProtection(reference: *mut sys::EX_RUNDOWN_REF) {
    count(reference).store(0, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
extern "C" fn ExAcquireRundownProtection(reference: *mut sys::EX_RUNDOWN_REF) -> sys::BOOLEAN {
    let entered = count(reference).fetch_update(Ordering::Acquire, Ordering::Relaxed, |count| {
        (count & CLOSING == 0).then_some(count + 2)
    });
    entered.is_ok().into()
}

#[unsafe(no_mangle)]
extern "C" fn ExReleaseRundownProtection(reference: *mut sys::EX_RUNDOWN_REF) {
    let before = count(reference).fetch_sub(2, Ordering::Release);
    assert!(before >= 2, "released by somebody who is not inside");
}

#[unsafe(no_mangle)]
extern "C" fn ExWaitForRundownProtectionRelease(reference: *mut sys::EX_RUNDOWN_REF) {
    let count = count(reference);
    count.fetch_or(CLOSING, Ordering::AcqRel);
    while count.load(Ordering::Acquire) != CLOSING {
        std::thread::yield_now();
    }
}
