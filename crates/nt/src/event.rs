//! The executive's event.

use core::{cell::UnsafeCell, fmt, ptr, time::Duration};

use crate::{
    cx::Passive,
    pool::PoolBox,
    status::{NtStatus, Result},
    sys,
    time::RelativeTime,
};

/// What a satisfied wait does to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Stays signalled until it is cleared; all waits are satisfied.
    Notification,
    /// Satisfies one wait and clears itself.
    Synchronization,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The object was or became signalled.
    Signaled,
    /// The time was over first.
    TimedOut,
}

/// A KEVENT. It lives in pool, because it must be resident and must not move.
pub struct Event {
    event: PoolBox<UnsafeCell<sys::KEVENT>>,
}

// SAFETY: Every operation goes through kernel functions that may be called from any thread at once.
unsafe impl Send for Event {}
// SAFETY: As above.
unsafe impl Sync for Event {}

impl Event {
    /// An event that is not signalled. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub fn new(kind: EventKind) -> Result<Event> {
        let event = PoolBox::try_new(UnsafeCell::new(sys::KEVENT::default()))?;
        let kind = match kind {
            EventKind::Notification => sys::_EVENT_TYPE::NotificationEvent,
            EventKind::Synchronization => sys::_EVENT_TYPE::SynchronizationEvent,
        };
        // SAFETY: The event is in non-paged pool, where it stays until it is freed, and nobody knows of it yet (C.1).
        unsafe { sys::ntddk::KeInitializeEvent(event.get(), kind, FALSE) };
        Ok(Event { event })
    }

    /// Signals the event. IRQL ≤ DISPATCH_LEVEL; allowed with a spin lock held.
    pub fn set(&self) {
        // SAFETY: The event was initialised by `new`. With Wait = FALSE the call is allowed up to DISPATCH_LEVEL (C.1).
        let _was_signalled = unsafe { sys::ntddk::KeSetEvent(self.event.get(), 0, FALSE) };
    }

    /// Waits until the event is signalled, or for `timeout` at most. IRQL = PASSIVE_LEVEL.
    pub fn wait(&self, passive: &Passive, timeout: Option<Duration>) -> Wait {
        let _ = passive;
        // SAFETY: The event was initialised by `new` and lives for the call. The token says that the IRQL is PASSIVE_LEVEL and no
        // lock is held (C.1, C-03).
        unsafe { wait_for_object(self.event.get().cast(), timeout) }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event")
    }
}

/// A BOOLEAN that is false. The headers' FALSE is a plain number, which bindgen makes a `u32`.
const FALSE: sys::BOOLEAN = 0;

/// Waits for a dispatcher object.
///
/// # Safety
///
/// `object` is a valid dispatcher object for the length of the call; IRQL = PASSIVE_LEVEL and no spin lock is held.
pub(crate) unsafe fn wait_for_object(object: sys::PVOID, timeout: Option<Duration>) -> Wait {
    let mut interval = timeout.map(|timeout| RelativeTime::of(timeout).0);
    let interval = interval.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: The caller's promise. The interval is null or points to this function's own variable. A wait in kernel mode that is not
    // alertable ends in no other way than by the object or the time.
    let status = NtStatus(unsafe {
        sys::ntddk::KeWaitForSingleObject(
            object,
            sys::_KWAIT_REASON::Executive,
            KERNEL_MODE,
            FALSE,
            interval,
        )
    });
    if status.is_success() {
        Wait::Signaled
    } else {
        Wait::TimedOut
    }
}

/// `KernelMode`, in the byte that wait functions take.
pub(crate) const KERNEL_MODE: sys::KPROCESSOR_MODE = 0;
