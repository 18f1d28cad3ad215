//! Reference-counted values in non-paged pool.

use core::{fmt, ops::Deref, ptr::NonNull};

use crate::{
    pool::{OutOfMemory, PoolBox},
    sync::{AtomicUsize, Ordering},
};

/// From this count on the value is never freed. Half of what a count can hold: no number of processors that race past the check
/// can reach the end.
const IMMORTAL: usize = usize::MAX / 2;

struct Counted<T> {
    count: AtomicUsize,
    value: T,
}

/// A value in pool with many owners; the last one to go drops it, wherever that happens.
///
/// Making the first owner can fail, making another cannot. A count that would overflow stays where it is, and the value is then never
/// freed: a leak is the safe end of an endless loop of clones.
pub struct Shared<T> {
    counted: NonNull<Counted<T>>,
}

// SAFETY: Owners on several threads read the value (`Sync`), and any of them may be the one that drops it (`Send`).
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: As above: a shared `Shared` can be cloned.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Moves `value` into pool with one owner. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// The value comes back in [`OutOfMemory`], which turns into STATUS_INSUFFICIENT_RESOURCES.
    pub fn try_new(value: T) -> Result<Shared<T>, OutOfMemory<T>> {
        match PoolBox::try_new(Counted {
            count: AtomicUsize::new(1),
            value,
        }) {
            Ok(counted) => {
                // SAFETY: The pointer is given back by the last owner's destructor.
                let counted = unsafe { PoolBox::into_raw(counted) };
                Ok(Shared { counted })
            }
            Err(OutOfMemory(counted)) => Err(OutOfMemory(counted.value)),
        }
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: The value lives until the last owner goes, and this is one.
        unsafe { self.counted.as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        let count = &self.counted().count;
        let mut seen = count.load(Ordering::Relaxed);
        while seen < IMMORTAL {
            match count.compare_exchange_weak(
                seen,
                seen.saturating_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        Shared {
            counted: self.counted,
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let count = &self.counted().count;
        let mut seen = count.load(Ordering::Relaxed);
        while seen < IMMORTAL {
            match count.compare_exchange_weak(
                seen,
                seen.saturating_sub(1),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(1) => {
                    // What other owners did with the value happens before it is dropped. Not a fence, which would do as well:
                    // ThreadSanitizer does not know fences.
                    let _ = count.load(Ordering::Acquire);
                    // SAFETY: The count went from one to nothing, so this owner was the last, and `try_new` took the pointer from
                    // a box of this type.
                    drop(unsafe { PoolBox::from_raw(self.counted) });
                    return;
                }
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{self, fail_allocations_after};
    use std::sync::Arc;

    #[test]
    fn the_last_owner_drops_the_value() {
        let before = doubles::outstanding();
        let inner = Arc::new(());
        let first = Shared::try_new(Arc::clone(&inner)).unwrap();
        let second = first.clone();
        drop(first);
        assert_eq!(Arc::strong_count(&inner), 2);
        drop(second);
        assert_eq!(Arc::strong_count(&inner), 1);
        assert_eq!(doubles::outstanding(), before);
    }

    #[test]
    fn a_value_that_cannot_be_shared_for_want_of_memory_comes_back() {
        let refused = fail_allocations_after(0, || Shared::try_new(7));
        assert_eq!(refused.err().unwrap().0, 7);
    }

    #[test]
    fn a_count_at_its_limit_stays_there_and_never_frees() {
        let shared = Shared::try_new(5).unwrap();
        shared.counted().count.store(IMMORTAL, Ordering::Relaxed);
        let other = shared.clone();
        assert_eq!(shared.counted().count.load(Ordering::Relaxed), IMMORTAL);
        drop(other);
        assert_eq!(shared.counted().count.load(Ordering::Relaxed), IMMORTAL);
        assert_eq!(*shared, 5);
        // Put back, so that the test itself leaks nothing.
        shared.counted().count.store(1, Ordering::Relaxed);
    }
}
