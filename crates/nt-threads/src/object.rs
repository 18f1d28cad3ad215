//! Dispatcher objects: events, and threads, whose object is signalled when they end.

use std::ffi::c_void;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nt::sys;

/// Every object that can be waited for begins so; no larger than a KEVENT.
#[repr(C)]
pub struct Waitable {
    signalled: AtomicU32,
    /// Whether one wait takes the signal away.
    clears: AtomicU32,
}

const _: () = assert!(size_of::<Waitable>() <= size_of::<sys::KEVENT>());

impl Waitable {
    /// One that stays signalled.
    pub(crate) const fn lasting() -> Self {
        Self {
            signalled: AtomicU32::new(0),
            clears: AtomicU32::new(0),
        }
    }

    /// Signals it.
    pub(crate) fn set(&self) -> u32 {
        self.signalled.swap(1, Ordering::AcqRel)
    }

    /// Whether a wait is satisfied now.
    fn take(&self) -> bool {
        if self.clears.load(Ordering::Relaxed) == 0 {
            self.signalled.load(Ordering::Acquire) != 0
        } else {
            self.signalled.swap(0, Ordering::AcqRel) != 0
        }
    }
}

fn waitable<'a>(object: *mut c_void) -> &'a Waitable {
    // SAFETY: The object begins with it, and is there as long as somebody waits for it or signals it.
    unsafe { &*object.cast() }
}

#[unsafe(no_mangle)]
extern "C" fn KeInitializeEvent(
    event: *mut sys::KEVENT,
    kind: sys::EVENT_TYPE,
    state: sys::BOOLEAN,
) {
    let event = waitable(event.cast());
    let clears = kind == sys::_EVENT_TYPE::SynchronizationEvent;
    event.clears.store(clears.into(), Ordering::Relaxed);
    event.signalled.store(state.into(), Ordering::Relaxed);
}

#[unsafe(no_mangle)]
extern "C" fn KeSetEvent(event: *mut sys::KEVENT, _increment: i32, _wait: sys::BOOLEAN) -> i32 {
    waitable(event.cast()).set() as i32
}

#[unsafe(no_mangle)]
extern "C" fn KeWaitForSingleObject(
    object: *mut c_void,
    _reason: sys::KWAIT_REASON,
    _mode: sys::KPROCESSOR_MODE,
    _alertable: sys::BOOLEAN,
    timeout: *mut sys::LARGE_INTEGER,
) -> i32 {
    const TIMEOUT: i32 = 0x102;
    let begun = Instant::now();
    // SAFETY: Null or the caller's; in units of 100 ns, and negative because it is relative.
    let most = unsafe { timeout.as_ref() }.map(|interval| {
        // SAFETY: Every view of the union is a number.
        let units = unsafe { interval.QuadPart }.unsigned_abs();
        Duration::from_nanos(units * 100)
    });
    let object = waitable(object);
    loop {
        if object.take() {
            return 0;
        }
        if most.is_some_and(|most| begun.elapsed() >= most) {
            return TIMEOUT;
        }
        std::thread::yield_now();
    }
}
