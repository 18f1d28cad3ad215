//! Where callbacks find the driver's state: one slot of the image, which opens once and closes once.
//!
//! Kernel callbacks such as classifyFn have no context argument that the driver chose and could invalidate, so they go through a static. A
//! slot makes that safe: whoever enters keeps the state alive until leaving, and closing waits for everyone who is inside and lets
//! nobody else in (C-06). A callback that comes too early or too late finds the slot empty and does nothing.
//!
//! On Windows the slot's storage is the static itself. In a simulator many machines share one copy of the driver's code, and
//! with it its statics; there the storage is memory of the simulated machine, found by the static's address.

#[cfg(all(not(windows), not(loom)))]
use core::mem::size_of;
use core::{cell::UnsafeCell, ffi::c_void, fmt, marker::PhantomData, ops::Deref, ptr::NonNull};
#[cfg(not(windows))]
use core::{ptr, sync::atomic::AtomicU8};

use crate::{
    cx::Passive,
    pool::PoolBox,
    sync::{AtomicPtr, AtomicU32, Ordering},
    sys,
};

/// A type that has a slot in the image: the driver's state.
///
/// Implement it with a static of the driver, always the same one:
///
/// ```
/// struct MyDriver;
/// impl nt::slot::Global for MyDriver {
///     fn slot() -> &'static nt::slot::Slot<MyDriver> {
///         static SLOT: nt::slot::Slot<MyDriver> = nt::slot::Slot::new();
///         &SLOT
///     }
/// }
/// ```
pub trait Global: Sized + Send + Sync + 'static {
    /// The slot.
    fn slot() -> &'static Slot<Self>;
}

/// Nothing was ever published.
const EMPTY: u32 = 0;
/// Somebody is publishing.
const OPENING: u32 = 1;
/// The value can be entered.
const OPEN: u32 = 2;
/// The slot has been closed and stays so for the life of the image.
const CLOSED: u32 = 3;

/// What a slot consists of. All zero is an empty slot: that is what a fresh image and a fresh simulated machine have.
#[repr(C, align(16))]
struct Storage {
    state: AtomicU32,
    rundown: UnsafeCell<sys::EX_RUNDOWN_REF>,
    value: AtomicPtr<c_void>,
}

/// A place for one value that many threads and callbacks use and that goes away in order.
pub struct Slot<T> {
    #[cfg(windows)]
    storage: Storage,
    /// Gives the static an address of its own, which is the storage's name in the simulator.
    #[cfg(not(windows))]
    anchor: AtomicU8,
    value: PhantomData<PoolBox<T>>,
}

// SAFETY: The slot hands out shared references to its value on any thread (`Sync`) and the value itself to whoever closes it (`Send`).
// Its state is atomic and its run-down protection is used through kernel functions only.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

#[cfg(all(not(windows), not(loom)))]
unsafe extern "system" {
    /// Storage of the running machine that stands for a static of the image: zeroed when the image is loaded, aligned to 16 bytes,
    /// and the same for the same key. Defined by the simulator.
    fn wfpsim_image_data(key: *const c_void, size: usize) -> *mut c_void;
}

impl<T: Send + Sync + 'static> Slot<T> {
    /// An empty slot, for a static.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "A slot is made in a static, where Default cannot be called"
    )]
    pub const fn new() -> Slot<T> {
        Slot {
            #[cfg(windows)]
            storage: Storage {
                state: AtomicU32::new(EMPTY),
                rundown: UnsafeCell::new(crate::rundown::zeroed()),
                value: AtomicPtr::new(core::ptr::null_mut()),
            },
            #[cfg(not(windows))]
            anchor: AtomicU8::new(0),
            value: PhantomData,
        }
    }

    #[cfg(windows)]
    fn storage(&'static self) -> Option<&'static Storage> {
        Some(&self.storage)
    }

    /// Loom's atomics are made and not zeroed.
    #[cfg(loom)]
    fn storage(&'static self) -> Option<&'static Storage> {
        let key = ptr::from_ref(&self.anchor).addr();
        Some(crate::kernel::image_data(key, || Storage {
            state: AtomicU32::new(EMPTY),
            rundown: UnsafeCell::new(sys::EX_RUNDOWN_REF::default()),
            value: AtomicPtr::new(ptr::null_mut()),
        }))
    }

    #[cfg(all(not(windows), not(loom)))]
    fn storage(&'static self) -> Option<&'static Storage> {
        let key = ptr::from_ref(&self.anchor).cast();
        // SAFETY: The key is the address of a static, so no two slots share one, and the size is the same at every call. What comes
        // back is zeroed, which is an empty slot, aligned to 16, and stays for as long as the image is loaded: longer than any
        // code of the driver runs.
        unsafe {
            wfpsim_image_data(key, size_of::<Storage>())
                .cast::<Storage>()
                .as_ref()
        }
    }

    /// Puts the value in and opens the slot. Once in the life of the image. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// The value, if the slot has been opened before.
    pub fn publish(&'static self, passive: &Passive, value: PoolBox<T>) -> Result<(), PoolBox<T>> {
        let _ = passive;
        let Some(storage) = self.storage() else {
            return Err(value);
        };
        if storage
            .state
            .compare_exchange(EMPTY, OPENING, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return Err(value);
        }
        // SAFETY: Nobody uses the run-down protection before the state says open, and only one caller gets past the exchange above.
        // The storage is resident and does not move.
        unsafe { sys::ntddk::ExInitializeRundownProtection(storage.rundown.get()) };
        // SAFETY: The pointer is given back to a box by `close`.
        let value = unsafe { PoolBox::into_raw(value) };
        storage
            .value
            .store(value.as_ptr().cast(), Ordering::Release);
        storage.state.store(OPEN, Ordering::Release);
        Ok(())
    }

    /// Enters: the value, kept alive until the result is dropped; nothing if the slot is not open. IRQL ≤ DISPATCH_LEVEL.
    #[must_use]
    pub fn enter(&'static self) -> Option<Entered<T>> {
        let storage = self.storage()?;
        if storage.state.load(Ordering::Acquire) != OPEN {
            return None;
        }
        // SAFETY: The state says open, so the protection is initialised; it is in non-paged memory (C.1).
        if unsafe { sys::ntddk::ExAcquireRundownProtection(storage.rundown.get()) } == 0 {
            return None;
        }
        match NonNull::new(storage.value.load(Ordering::Acquire).cast::<T>()) {
            Some(value) => Some(Entered { storage, value }),
            None => {
                // SAFETY: Balances the acquire above.
                unsafe { sys::ntddk::ExReleaseRundownProtection(storage.rundown.get()) };
                None
            }
        }
    }

    /// Closes the slot for good, waits until everyone who entered has left, and hands the value over. Nothing if it was not open.
    /// IRQL = PASSIVE_LEVEL. Waits without end if the calling thread itself is inside.
    #[must_use]
    pub fn close(&'static self, passive: &Passive) -> Option<PoolBox<T>> {
        let _ = passive;
        let storage = self.storage()?;
        storage
            .state
            .compare_exchange(OPEN, CLOSED, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        // SAFETY: The state was open, so the protection is initialised; the token says PASSIVE_LEVEL and that no lock is held.
        unsafe { sys::ntddk::ExWaitForRundownProtectionRelease(storage.rundown.get()) };
        let value = NonNull::new(
            storage
                .value
                .swap(core::ptr::null_mut(), Ordering::AcqRel)
                .cast::<T>(),
        )?;
        // SAFETY: `publish` took the pointer from a box of this type. Everyone who had entered has left and nobody can enter, and
        // only one caller gets past the exchange above.
        Some(unsafe { PoolBox::from_raw(value) })
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot(..)")
    }
}

/// Someone inside a [`Slot`]. Dereferences to the value; leaves when dropped, on whatever thread. While it lives the slot does not finish
/// closing, so the driver does not unload.
pub struct Entered<T> {
    storage: &'static Storage,
    value: NonNull<T>,
}

// SAFETY: Gives shared references to the value (`Sync`) and releases run-down protection, which any thread may do.
unsafe impl<T: Send + Sync> Send for Entered<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Entered<T> {}

impl<T> Deref for Entered<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The value was published, and `close` waits for this object before it takes the value out.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for Entered<T> {
    fn drop(&mut self) {
        // SAFETY: Balances the acquire of `enter`, once; ≤ DISPATCH_LEVEL is what every token says (C.1).
        unsafe { sys::ntddk::ExReleaseRundownProtection(self.storage.rundown.get()) };
    }
}

impl<T: fmt::Debug> fmt::Debug for Entered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{self, passive};

    #[test]
    fn a_callback_before_publication_and_after_closing_finds_nothing() {
        static SLOT: Slot<u32> = Slot::new();
        let passive = passive();
        assert!(SLOT.enter().is_none());
        assert!(SLOT.close(&passive).is_none());
        SLOT.publish(&passive, PoolBox::try_new(7).unwrap())
            .unwrap();
        let entered = SLOT.enter().unwrap();
        assert_eq!(*entered, 7);
        drop(entered);
        assert_eq!(SLOT.close(&passive).map(PoolBox::into_inner), Some(7));
        assert!(SLOT.enter().is_none());
        assert!(SLOT.close(&passive).is_none());
    }

    #[test]
    fn a_slot_opens_once_and_gives_a_second_value_back() {
        static SLOT: Slot<u32> = Slot::new();
        let passive = passive();
        SLOT.publish(&passive, PoolBox::try_new(1).unwrap())
            .unwrap();
        let refused = SLOT.publish(&passive, PoolBox::try_new(2).unwrap());
        assert_eq!(refused.err().map(PoolBox::into_inner), Some(2));
        drop(SLOT.close(&passive));
        let late = SLOT.publish(&passive, PoolBox::try_new(3).unwrap());
        assert_eq!(late.err().map(PoolBox::into_inner), Some(3));
    }

    #[test]
    fn two_slots_of_one_type_do_not_share_storage() {
        static FIRST: Slot<u32> = Slot::new();
        static SECOND: Slot<u32> = Slot::new();
        let passive = passive();
        FIRST
            .publish(&passive, PoolBox::try_new(1).unwrap())
            .unwrap();
        assert!(SECOND.enter().is_none());
        drop(FIRST.close(&passive));
    }

    #[test]
    fn closing_waits_for_everyone_inside() {
        static SLOT: Slot<u32> = Slot::new();
        let passive = passive();
        SLOT.publish(&passive, PoolBox::try_new(1).unwrap())
            .unwrap();
        let entered = SLOT.enter().unwrap();
        let leaver = std::thread::spawn(move || {
            std::thread::sleep(core::time::Duration::from_millis(20));
            assert_eq!(*entered, 1);
            doubles::note("left");
        });
        drop(SLOT.close(&passive));
        doubles::note("closed");
        leaver.join().unwrap();
        assert_eq!(doubles::notes(), ["left", "closed"]);
    }
}
