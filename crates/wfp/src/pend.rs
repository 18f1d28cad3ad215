//! Pended ALE authorizations.

use core::{fmt, ptr, ptr::NonNull};

use nt::{Passive, Result, status::NtStatus};
use wfp_sys::{
    HANDLE,
    fwps::{FwpsCompleteOperation0, FwpsPendOperation0},
};

use crate::clone::ClonedNbl;

/// An authorization that waits for its decision, and is completed exactly once. Dropping it completes it with NULL: a denied
/// connection at RECV_ACCEPT, a renewed classification at CONNECT.
#[must_use = "a pended connection waits until it is completed"]
pub struct PendedOperation {
    context: Option<NonNull<core::ffi::c_void>>,
}

// SAFETY: A pended operation may be completed from any thread (A.1).
unsafe impl Send for PendedOperation {}
// SAFETY: A shared PendedOperation can do nothing.
unsafe impl Sync for PendedOperation {}

impl PendedOperation {
    /// Pends the running classification.
    ///
    /// # Safety
    ///
    /// Called within a classify with the handle of its metadata, which then blocks and absorbs.
    pub(crate) unsafe fn new(completion_handle: HANDLE) -> Result<PendedOperation> {
        let mut context = ptr::null_mut();
        // SAFETY: The caller's promise; the context's place is this function's own.
        NtStatus(unsafe { FwpsPendOperation0(completion_handle, &raw mut context) }).check()?;
        // A null context could not be completed; none comes with success.
        Ok(PendedOperation {
            context: NonNull::new(context),
        })
    }

    /// Ends the wait. At RECV_ACCEPT a permitted connection is completed with the clone that is injected next, a denied one with
    /// nothing. At CONNECT it is always completed with nothing, and the connection is classified again, usually within this call and
    /// on this thread: the decision must be where that classify finds it. IRQL = PASSIVE_LEVEL, no lock held.
    pub fn complete(mut self, passive: &Passive, clone: Option<&ClonedNbl>) {
        let _ = passive;
        self.finish(clone.map_or(ptr::null_mut(), ClonedNbl::as_ptr));
    }

    fn finish(&mut self, nbl: *mut wfp_sys::ndis::NET_BUFFER_LIST) {
        if let Some(context) = self.context.take() {
            // SAFETY: The context came from a successful pend and is taken out before it is completed, so it is completed once.
            // The list is null or a clone that lives for the call.
            unsafe { FwpsCompleteOperation0(context.as_ptr(), nbl) };
        }
    }
}

impl Drop for PendedOperation {
    fn drop(&mut self) {
        self.finish(ptr::null_mut());
    }
}

impl fmt::Debug for PendedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendedOperation")
    }
}
