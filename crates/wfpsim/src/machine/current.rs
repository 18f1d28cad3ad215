//! Which machine the running coroutine belongs to.
//!
//! Kernel functions have the kernel's own signatures, so they find their machine here.

use std::cell::Cell;

use super::Kernel;

thread_local! {
    static CURRENT: Cell<*const Kernel> = const { Cell::new(std::ptr::null()) };
}

/// Runs `f` with `kernel` as this host thread's machine.
pub(super) fn enter<R>(kernel: &Kernel, f: impl FnOnce() -> R) -> R {
    struct Restore(*const Kernel);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(kernel));
    f()
}

/// The machine that runs on this host thread, if one does.
pub(crate) fn running<'a>() -> Option<&'a Kernel> {
    // SAFETY: as for `kernel`.
    unsafe { CURRENT.get().as_ref() }
}

/// The machine whose coroutine runs on this host thread.
///
/// # Panics
///
/// If a kernel function is called by code that no machine runs.
pub(crate) fn kernel<'a>() -> &'a Kernel {
    // SAFETY: `enter` sets the pointer for exactly as long as it borrows the kernel, and callers are kernel functions
    // and coroutine bodies, which run only inside `enter`. The reference does not outlive the call of either.
    unsafe { CURRENT.get().as_ref() }
        .expect("a kernel function was called outside a simulated machine")
}
