//! IRQL and lock discipline as types.
//!
//! | token | says about the running thread | who gets one |
//! |---|---|---|
//! | [`Cx`] | holds no spin lock of this crate; IRQL ≤ DISPATCH_LEVEL | every entry point the kernel calls |
//! | [`Passive`] | the same, and IRQL = PASSIVE_LEVEL | DriverEntry, unload, system threads, IOCTLs |
//!
//! A spin lock's guard borrows the token mutably ([`SpinLock::lock`](crate::spinlock::SpinLock::lock)), and a call out of the driver
//! takes a shared borrow, so the borrow checker refuses a call out while a guard lives (C-03):
//!
//! ```compile_fail,E0502
//! # use nt::{cx::{Cx, Passive}, spinlock::SpinLock, time::sleep};
//! # use core::time::Duration;
//! fn worker(queue: &SpinLock<u32>, passive: &mut Passive) {
//!     let mut guard = queue.lock(passive);
//!     sleep(passive, Duration::from_millis(1)); // error: `passive` is borrowed by the guard
//!     *guard += 1;
//! }
//! ```
//!
//! A second lock while the first is held is refused in the same way, so there is no lock order to get wrong (C-02).
//!
//! # What the types cannot stop
//!
//! A destructor has no parameter for a token. Assigning over a value under a guard, or letting a list of owners go out of scope
//! there, runs destructors with the lock held, and those of `wfp`'s types call out. The queue types are shaped so that the natural code
//! does not do this: [`Fifo::take_all`](crate::fifo::Fifo::take_all) moves everything out in O(1), to be dropped after the guard.
//! `core::mem::forget` of a guard would leave the lock held with the token free again; clippy.toml forbids the function.

use core::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

/// The running thread holds no spin lock and runs at IRQL ≤ DISPATCH_LEVEL.
///
/// Not `Send`, not `Sync`, not `Copy`, not constructible: it speaks of the thread that has it.
#[derive(Debug)]
pub struct Cx {
    of_this_thread: PhantomData<*mut ()>,
}

impl Cx {
    /// Asserts what the token says.
    ///
    /// # Safety
    ///
    /// The caller was entered from the kernel, and not by a call that the driver made while a [`Guard`](crate::spinlock::Guard)
    /// lived; it runs at IRQL ≤ DISPATCH_LEVEL; and the token is not used after the caller returns to the kernel.
    #[must_use]
    pub const unsafe fn assume() -> Cx {
        Cx {
            of_this_thread: PhantomData,
        }
    }
}

/// The running thread holds no spin lock and runs at PASSIVE_LEVEL.
///
/// Dereferences to [`Cx`], also mutably: `lock.lock(passive)` takes a spin lock, and until its guard is gone this token, too,
/// cannot be used. That is right, because the guard has raised the IRQL to DISPATCH_LEVEL.
#[derive(Debug)]
pub struct Passive {
    cx: Cx,
}

impl Passive {
    /// Asserts what the token says.
    ///
    /// # Safety
    ///
    /// As for [`Cx::assume`], and the IRQL is PASSIVE_LEVEL from the call to the end of the token's life, except while a
    /// [`Guard`](crate::spinlock::Guard) made from it lives.
    #[must_use]
    pub const unsafe fn assume() -> Passive {
        // SAFETY: The caller promises all that `Cx::assume` asks.
        let cx = unsafe { Cx::assume() };
        Passive { cx }
    }
}

impl Deref for Passive {
    type Target = Cx;

    fn deref(&self) -> &Cx {
        &self.cx
    }
}

impl DerefMut for Passive {
    fn deref_mut(&mut self) -> &mut Cx {
        &mut self.cx
    }
}
