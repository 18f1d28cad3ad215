//! The base filtering engine's state: without it there is no session to open.

use core::{ffi::c_void, fmt, marker::PhantomData, ptr, ptr::NonNull};

use nt::{
    Cx, Passive, Result,
    bug_check::{Reason, bug_check, require_passive},
    kmdf::DeviceObject,
    slot::Global,
    status::NtStatus,
};
use wfp_sys::fwpm::{
    FWPM_SERVICE_RUNNING, FWPM_SERVICE_START_PENDING, FWPM_SERVICE_STATE,
    FWPM_SERVICE_STOP_PENDING, FwpmBfeStateGet0, FwpmBfeStateSubscribeChanges0,
    FwpmBfeStateUnsubscribeChanges0,
};

/// State of the base filtering engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BfeState {
    /// Not running.
    Stopped,
    /// On its way up.
    StartPending,
    /// On its way down.
    StopPending,
    /// Running: sessions can be opened.
    Running,
}

impl BfeState {
    fn of(state: FWPM_SERVICE_STATE) -> BfeState {
        match state {
            FWPM_SERVICE_RUNNING => BfeState::Running,
            FWPM_SERVICE_START_PENDING => BfeState::StartPending,
            FWPM_SERVICE_STOP_PENDING => BfeState::StopPending,
            _ => BfeState::Stopped,
        }
    }
}

/// The base filtering engine.
#[derive(Clone, Copy, Debug)]
pub struct Bfe;

impl Bfe {
    /// Its state now. IRQL ≤ DISPATCH_LEVEL.
    #[must_use]
    pub fn state() -> BfeState {
        // SAFETY: The call takes nothing and is allowed up to DISPATCH_LEVEL (A.1).
        BfeState::of(unsafe { FwpmBfeStateGet0() })
    }
}

/// Who is told when the state changes: the driver's state, found through its slot, so that a call that comes late finds nothing.
pub trait BfeObserver: Global {
    /// The state changed. The IRQL is not documented, so ≤ DISPATCH_LEVEL is assumed: wake a worker, which opens the session.
    fn bfe_changed(&self, cx: &mut Cx, state: BfeState);
}

/// A subscription to changes. Dropping ends it, at PASSIVE_LEVEL.
///
/// Subscribe first and look at [`Bfe::state`] then: the other way round a change in between is missed.
pub struct BfeSubscription<H: BfeObserver> {
    handle: NonNull<c_void>,
    observer: PhantomData<fn() -> H>,
}

// SAFETY: The handle may be used from any thread at PASSIVE_LEVEL.
unsafe impl<H: BfeObserver> Send for BfeSubscription<H> {}
// SAFETY: A shared subscription can do nothing.
unsafe impl<H: BfeObserver> Sync for BfeSubscription<H> {}

impl<H: BfeObserver> BfeSubscription<H> {
    /// Subscribes. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What FwpmBfeStateSubscribeChanges0 returned.
    pub fn new(passive: &Passive, device: DeviceObject) -> Result<BfeSubscription<H>> {
        let _ = passive;
        let mut handle = ptr::null_mut();
        // SAFETY: The device object exists; the callback needs no context and stays valid until the subscription ends, which the
        // destructor sees to. PASSIVE_LEVEL by the token.
        NtStatus(unsafe {
            FwpmBfeStateSubscribeChanges0(
                device.as_ptr(),
                Some(changed::<H>),
                ptr::null_mut(),
                &raw mut handle,
            )
        })
        .check()?;
        Ok(BfeSubscription {
            handle: NonNull::new(handle).ok_or(NtStatus::UNSUCCESSFUL)?,
            observer: PhantomData,
        })
    }
}

/// The callback.
unsafe extern "system" fn changed<H: BfeObserver>(
    _context: *mut c_void,
    state: FWPM_SERVICE_STATE,
) {
    if let Some(observer) = H::slot().enter() {
        // SAFETY: Called by the filter engine at IRQL ≤ DISPATCH_LEVEL; if from within a call of this driver, that was made without a
        // lock: the token it took says so.
        let mut cx = unsafe { Cx::assume() };
        observer.bfe_changed(&mut cx, BfeState::of(state));
    }
}

impl<H: BfeObserver> Drop for BfeSubscription<H> {
    fn drop(&mut self) {
        require_passive();
        // SAFETY: The handle is that of the subscription and is given back once, at PASSIVE_LEVEL.
        let status = NtStatus(unsafe { FwpmBfeStateUnsubscribeChanges0(self.handle.as_ptr()) });
        if let Err(status) = status.check() {
            // The callback may still come, into an image that is about to go.
            bug_check(
                Reason::StillSubscribed,
                usize::try_from(status.bits()).unwrap_or(usize::MAX),
                0,
            );
        }
    }
}

impl<H: BfeObserver> fmt::Debug for BfeSubscription<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BfeSubscription")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_running_engine_is_running() {
        for (told, state) in [
            (FWPM_SERVICE_RUNNING, BfeState::Running),
            (FWPM_SERVICE_START_PENDING, BfeState::StartPending),
            (FWPM_SERVICE_STOP_PENDING, BfeState::StopPending),
        ] {
            assert_eq!(BfeState::of(told), state);
        }
        assert_eq!(BfeState::of(0), BfeState::Stopped, "FWPM_SERVICE_STOPPED");
    }
}
