//! Run-down protection: work that must be over before something goes away (C-06).

use core::{cell::UnsafeCell, fmt};

use crate::{cx::Passive, pool::PoolBox, status::Result, sys};

/// An EX_RUNDOWN_REF. In pool: the kernel links waiters to it, so it must be resident and stay where it is.
pub struct Rundown {
    reference: PoolBox<UnsafeCell<sys::EX_RUNDOWN_REF>>,
}

// SAFETY: Every operation goes through kernel functions that may be called from any thread at once.
unsafe impl Send for Rundown {}
// SAFETY: As above.
unsafe impl Sync for Rundown {}

impl Rundown {
    /// Protection that can be acquired. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub fn new() -> Result<Rundown> {
        let reference = PoolBox::try_new(UnsafeCell::new(zeroed()))?;
        // SAFETY: The reference is in non-paged pool, where it stays, and nobody knows of it yet.
        unsafe { sys::ntddk::ExInitializeRundownProtection(reference.get()) };
        Ok(Rundown { reference })
    }

    /// Enters, unless the wait has begun. IRQL ≤ DISPATCH_LEVEL.
    #[must_use]
    pub fn acquire(&self) -> Option<RundownGuard<'_>> {
        // SAFETY: The reference was initialised by `new`, and is in non-paged memory, so ≤ DISPATCH_LEVEL is allowed (C.1).
        let entered = unsafe { sys::ntddk::ExAcquireRundownProtection(self.reference.get()) };
        // Not `then_some`, which would make a guard in either case and release what was not acquired by dropping it.
        (entered != 0).then(|| RundownGuard { rundown: self })
    }

    /// Closes the entrance for ever and waits until everyone has left. IRQL = PASSIVE_LEVEL. Waits without end for a guard that the
    /// calling thread itself holds.
    pub fn wait(&self, passive: &Passive) {
        let _ = passive;
        // SAFETY: The reference was initialised by `new`; the token says PASSIVE_LEVEL and that no lock is held (C.1).
        unsafe { sys::ntddk::ExWaitForRundownProtectionRelease(self.reference.get()) };
    }
}

impl fmt::Debug for Rundown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rundown")
    }
}

/// The all-zero reference, which ExInitializeRundownProtection then makes ready.
pub(crate) const fn zeroed() -> sys::EX_RUNDOWN_REF {
    // SAFETY: The structure is a union of a number and a pointer, for both of which zero is a value.
    unsafe { core::mem::zeroed() }
}

/// Someone who has entered. Leaves when dropped, on whatever thread.
#[derive(Debug)]
pub struct RundownGuard<'a> {
    rundown: &'a Rundown,
}

impl Drop for RundownGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: The guard was made by a successful acquire and releases once; ≤ DISPATCH_LEVEL is what every token says (C.1).
        unsafe { sys::ntddk::ExReleaseRundownProtection(self.rundown.reference.get()) };
    }
}
