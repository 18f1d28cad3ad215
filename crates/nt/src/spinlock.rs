//! The executive's spin lock around a value.

use core::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use crate::{cx::Cx, sys};

/// A value behind a KSPIN_LOCK (C-01, C-02).
///
/// Must live in memory that is never paged out: in pool ([`PoolBox`](crate::pool::PoolBox)) or in a static of the image.
pub struct SpinLock<T> {
    lock: UnsafeCell<sys::KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: The lock lets one thread at a time reach the value, so sharing the lock hands the value from thread to thread, which is
// what `T: Send` allows.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A free lock around `value`. KeInitializeSpinLock stores zero, and so does this.
    pub const fn new(value: T) -> SpinLock<T> {
        SpinLock {
            lock: UnsafeCell::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the lock and raises to DISPATCH_LEVEL. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// The guard keeps the token borrowed: nothing that calls out of the driver, and no second lock, can be written until the
    /// guard is gone (C-02, C-03). Hold it for a few field updates, not for a loop over packets.
    pub fn lock<'a>(&'a self, cx: &'a mut Cx) -> Guard<'a, T> {
        let _ = cx;
        // SAFETY: The lock is in non-paged memory (the type's documentation), was initialised by `new`, and is not held by this
        // thread: a thread that holds a spin lock of this crate has its token borrowed by the guard (C-02). The token also says
        // that the IRQL is ≤ DISPATCH_LEVEL (C.1).
        let old_irql = unsafe { sys::ntddk::KeAcquireSpinLockRaiseToDpc(self.lock.get()) };
        Guard {
            lock: self,
            old_irql,
            of_this_thread: PhantomData,
        }
    }

    /// The value, without the lock: an exclusive borrow proves that nobody else can reach it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value, at the end of the lock's life.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpinLock(..)")
    }
}

/// A held [`SpinLock`]: the value, and the proof that the IRQL is DISPATCH_LEVEL.
///
/// Destructors of values that leave the guarded value run under the lock. Move owners out and let them go after the guard.
pub struct Guard<'a, T> {
    lock: &'a SpinLock<T>,
    old_irql: sys::KIRQL,
    // The lock is released by the thread that took it (C-02), so the guard stays on it.
    of_this_thread: PhantomData<*mut ()>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The guard exists only while this thread holds the lock, so nobody has a mutable reference to the value.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The guard exists only while this thread holds the lock, and it is borrowed mutably, so this is the only reference.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: This thread took the lock when the guard was made and nothing else releases it. The IRQL is DISPATCH_LEVEL, as
        // KeAcquireSpinLockRaiseToDpc left it: functions that change it ask for a token, which the guard holds. The IRQL restored
        // is the one that call returned (C.1).
        unsafe { sys::ntddk::KeReleaseSpinLock(self.lock.lock.get(), self.old_irql) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
