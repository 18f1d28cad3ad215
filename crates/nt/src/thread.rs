//! System threads that cannot outlive the driver (C-04).

use core::{
    fmt,
    ptr::{self, NonNull},
};

use crate::{
    bug_check::{Reason, bug_check, require_passive},
    cx::Passive,
    event::{Event, EventKind, KERNEL_MODE, Wait, wait_for_object},
    pool::PoolBox,
    shared::Shared,
    signal::Signal,
    status::{NtStatus, Result},
    sync::{AtomicBool, Ordering},
    sys,
};

/// Holds a new thread back until its creator has a reference on it, or tells it to end at once.
struct Gate {
    opened: Event,
    cancelled: AtomicBool,
}

/// What a new thread is handed.
struct Start<F> {
    gate: Shared<Gate>,
    signal: Shared<Signal>,
    body: F,
}

/// A running system thread. Dropping it stops its [`Signal`] and waits until the thread object is signalled, which is when no code of the
/// image runs on it any more; an event that the thread sets at its end would come too early (C-04).
///
/// Drop at PASSIVE_LEVEL, and not from the thread itself, which would wait for itself for ever.
pub struct SystemThread {
    object: NonNull<core::ffi::c_void>,
    signal: Shared<Signal>,
}

// SAFETY: The reference on the thread object may be used and given back from any thread.
unsafe impl Send for SystemThread {}
// SAFETY: A shared SystemThread gives access to its signal, which is Sync, and to nothing else.
unsafe impl Sync for SystemThread {}

impl SystemThread {
    /// Starts a thread that runs `body` at PASSIVE_LEVEL and ends when it returns. The body ends soon after `signal` is stopped:
    /// whoever drops the SystemThread waits for it. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_INSUFFICIENT_RESOURCES, or what PsCreateSystemThread or ObReferenceObjectByHandle returned. The body has then not run and is
    /// dropped, and no thread is left.
    pub fn spawn<F>(passive: &Passive, signal: Shared<Signal>, body: F) -> Result<SystemThread>
    where
        F: FnOnce(&mut Passive, &Signal) + Send + 'static,
    {
        let gate = Shared::try_new(Gate {
            opened: Event::new(EventKind::Notification)?,
            cancelled: AtomicBool::new(false),
        })?;
        let start = PoolBox::try_new(Start {
            gate: gate.clone(),
            signal: signal.clone(),
            body,
        })?;
        // SAFETY: The pointer goes to the thread, which takes it back, or is taken back below if there is no thread.
        let start = unsafe { PoolBox::into_raw(start) };

        let mut handle: sys::HANDLE = ptr::null_mut();
        let mut attributes = kernel_handle_attributes();
        // SAFETY: The token says PASSIVE_LEVEL (C.1). The handle is a kernel handle (C-04), so no user process can close it. `run` is
        // the routine for a context of this type.
        let created = NtStatus(unsafe {
            sys::ntddk::PsCreateSystemThread(
                &raw mut handle,
                sys::THREAD_ALL_ACCESS,
                &raw mut attributes,
                ptr::null_mut(),
                ptr::null_mut(),
                Some(run::<F>),
                start.as_ptr().cast(),
            )
        });
        if let Err(status) = created.check() {
            // SAFETY: No thread was made, so the pointer is still ours alone.
            drop(unsafe { PoolBox::from_raw(start) });
            return Err(status);
        }

        let referenced = reference_thread(handle);
        if referenced.is_err() {
            // The thread exists and there will never be an object to wait for, so it is told to end and waited for by its handle.
            gate.cancelled.store(true, Ordering::Release);
        }
        gate.opened.set();
        if referenced.is_err() {
            wait_for_handle(passive, handle);
        }
        // SAFETY: The handle is the one made above and is closed once; the reference, if there is one, is taken already (C-04).
        let _closed = unsafe { sys::ntddk::ZwClose(handle) };
        Ok(SystemThread {
            object: referenced?,
            signal,
        })
    }

    /// The signal the thread listens to.
    #[must_use]
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Stops the signal and waits until the thread has ended. IRQL = PASSIVE_LEVEL.
    pub fn join(self, passive: &Passive) {
        let _ = passive;
        drop(self);
    }
}

impl Drop for SystemThread {
    fn drop(&mut self) {
        require_passive();
        self.signal.stop();
        // SAFETY: The reference keeps the thread object valid. The IRQL was looked at above, and at PASSIVE_LEVEL no spin lock is
        // held.
        if unsafe { wait_for_object(self.object.as_ptr(), None) } != Wait::Signaled {
            bug_check(Reason::ThreadStillRunning, 0, 0);
        }
        // SAFETY: The reference was taken by `spawn` and is given back once, here (C.1: ≤ DISPATCH_LEVEL).
        let _count = unsafe { sys::ntddk::ObfDereferenceObject(self.object.as_ptr()) };
    }
}

impl fmt::Debug for SystemThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemThread")
    }
}

/// Attributes that put a handle into the system's table (C-04).
fn kernel_handle_attributes() -> sys::OBJECT_ATTRIBUTES {
    const LENGTH: u32 = {
        #[expect(clippy::as_conversions, reason = "48 fits, and From is not const")]
        {
            size_of::<sys::OBJECT_ATTRIBUTES>() as u32
        }
    };
    sys::OBJECT_ATTRIBUTES {
        Length: LENGTH,
        RootDirectory: ptr::null_mut(),
        ObjectName: ptr::null_mut(),
        Attributes: sys::OBJ_KERNEL_HANDLE,
        SecurityDescriptor: ptr::null_mut(),
        SecurityQualityOfService: ptr::null_mut(),
    }
}

/// Takes a reference on the thread behind a handle, before the handle is closed (C-04).
fn reference_thread(handle: sys::HANDLE) -> Result<NonNull<core::ffi::c_void>> {
    let mut object = ptr::null_mut();
    // SAFETY: The handle was just made and is a thread's. A null object type is allowed for a caller in kernel mode. PASSIVE_LEVEL: the
    // only caller has the token (C.1).
    NtStatus(unsafe {
        sys::ntddk::ObReferenceObjectByHandle(
            handle,
            sys::THREAD_ALL_ACCESS,
            ptr::null_mut(),
            KERNEL_MODE,
            &raw mut object,
            ptr::null_mut(),
        )
    })
    .check()?;
    NonNull::new(object).ok_or(NtStatus::UNSUCCESSFUL)
}

/// Waits until the thread behind a handle has ended.
fn wait_for_handle(passive: &Passive, handle: sys::HANDLE) {
    let _ = passive;
    // SAFETY: The handle is open. The token says PASSIVE_LEVEL and that no lock is held. Null waits without end.
    let status = NtStatus(unsafe { sys::ntddk::ZwWaitForSingleObject(handle, 0, ptr::null_mut()) });
    if let Err(status) = status.check() {
        // The thread may still run code of an image that is about to go. There is nothing else to wait with.
        bug_check(
            Reason::ThreadStillRunning,
            usize::try_from(status.bits()).unwrap_or(usize::MAX),
            0,
        );
    }
}

/// The routine of every thread. Returning from it ends the thread (C-04).
unsafe extern "C" fn run<F>(context: sys::PVOID)
where
    F: FnOnce(&mut Passive, &Signal) + Send + 'static,
{
    let Some(start) = NonNull::new(context.cast::<Start<F>>()) else {
        return;
    };
    // SAFETY: The kernel hands over what `spawn` gave it, once, to the routine of the same `F`.
    let Start { gate, signal, body } = PoolBox::into_inner(unsafe { PoolBox::from_raw(start) });
    // SAFETY: A system thread starts at PASSIVE_LEVEL without locks, and everything that raises the IRQL borrows the token.
    let mut passive = unsafe { Passive::assume() };
    let _ = gate.opened.wait(&passive, None);
    if !gate.cancelled.load(Ordering::Acquire) {
        body(&mut passive, &signal);
    }
}
