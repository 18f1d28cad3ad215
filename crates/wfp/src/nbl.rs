//! Original NET_BUFFER_LISTs: borrowed during a classify, referenced beyond it, and retreated for the length of a clone.

use core::{fmt, marker::PhantomData, ptr::NonNull};

use nt::{Passive, Result, status::NtStatus};
use wfp_sys::{
    FALSE, TRUE,
    fwps::{FwpsDereferenceNetBufferList0, FwpsReferenceNetBufferList0},
    ndis::{
        NET_BUFFER, NET_BUFFER_LIST, NdisAdvanceNetBufferDataStart, NdisRetreatNetBufferDataStart,
    },
};

pub use crate::nbl_raw::NET_BUFFER_LIMIT;
use crate::{
    clone::ClonedNbl,
    nbl_raw::{RawNbl, readers},
};

/// The list a classify was called with. To be looked at; gone when the classify returns.
#[derive(Clone, Copy, Debug)]
pub struct IndicatedNbl<'c> {
    raw: RawNbl,
    during_classify: PhantomData<&'c ()>,
}

impl<'c> IndicatedNbl<'c> {
    /// The list.
    ///
    /// # Safety
    ///
    /// It is alive for `'c`.
    pub(crate) unsafe fn new(nbl: NonNull<NET_BUFFER_LIST>) -> IndicatedNbl<'c> {
        IndicatedNbl {
            raw: RawNbl(nbl),
            during_classify: PhantomData,
        }
    }

    pub(crate) fn raw(&self) -> RawNbl {
        self.raw
    }

    /// Whether another list is chained behind this one, which does not happen at the layers of this crate.
    #[must_use]
    pub fn is_chained(&self) -> bool {
        // SAFETY: The list is alive during the classify, which `'c` does not outlive.
        unsafe { self.raw.is_chained() }
    }
}

readers!(IndicatedNbl<'_>);

/// One reference on an original list, which keeps it alive after classify returned. Dropping it dereferences, exactly once.
///
/// There is one at most for a list at a time: [`Classify::reference`](crate::Classify::reference) hands out one in a classify, and the answer of
/// that classify takes the packet from everybody else. So an offset change through it is nobody else's surprise.
pub struct NblRef {
    raw: RawNbl,
}

// SAFETY: A reference may be used and given back from any thread (A-27, A.1).
unsafe impl Send for NblRef {}
// SAFETY: A shared NblRef reads single fields and clones the list, both of which the platform allows from any thread.
unsafe impl Sync for NblRef {}

impl NblRef {
    /// Takes a reference, with the intent to modify a clone. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// Called within a classify for the list it was called with, once, and the classify then blocks it, so that nobody else changes the
    /// list while the reference lives.
    pub(crate) unsafe fn new(nbl: NonNull<NET_BUFFER_LIST>) -> NblRef {
        // SAFETY: The list is alive during the classify, and not null. The call cannot fail.
        unsafe { FwpsReferenceNetBufferList0(nbl.as_ptr(), TRUE) };
        NblRef { raw: RawNbl(nbl) }
    }

    pub(crate) fn raw(&self) -> RawNbl {
        self.raw
    }

    /// Moves the start of the first packet's data `delta` bytes towards the front, for as long as the result lives. The bytes must
    /// be there already: this is for headers that the stack has parsed and stepped over. IRQL = PASSIVE_LEVEL, out of band (X5).
    ///
    /// # Errors
    ///
    /// The list is unchanged. See [`RetreatError`].
    pub fn retreat<'a>(
        &'a mut self,
        passive: &'a Passive,
        delta: u32,
    ) -> core::result::Result<Retreated<'a>, RetreatError> {
        // SAFETY: This reference keeps the list alive.
        let first = unsafe { self.raw.first() }.ok_or(RetreatError::NoNetBuffer)?;
        // SAFETY: As above.
        let offset = unsafe { self.raw.data_offset() }.ok_or(RetreatError::NoNetBuffer)?;
        check_headroom(offset, delta)?;
        if delta != 0 {
            // SAFETY: The packet is alive and nobody else moves its start (the type's documentation; the borrow is exclusive). There is
            // room for the delta, so NDIS allocates nothing (B-01, B-04).
            let status =
                NtStatus(unsafe { NdisRetreatNetBufferDataStart(first.as_ptr(), delta, 0, None) });
            status.check().map_err(RetreatError::Failed)?;
        }
        Ok(Retreated {
            nbl: self,
            first,
            delta,
            out_of_band: passive,
        })
    }

    /// Clones the list as it is, data start included. The clone shares the data and keeps the original alive by itself
    /// . IRQL = PASSIVE_LEVEL, out of band: a clone that is made in a classify that then permits is a mistake.
    ///
    /// # Errors
    ///
    /// What FwpsAllocateCloneNetBufferList0 returned.
    pub fn clone_nbl(&self, passive: &Passive) -> Result<ClonedNbl> {
        // SAFETY: This reference keeps the list alive.
        unsafe { ClonedNbl::of(passive, self.raw) }
    }
}

readers!(NblRef);

impl Drop for NblRef {
    fn drop(&mut self) {
        // SAFETY: The reference was taken by `new` and is given back once, on the same list. FALSE is right at any IRQL.
        unsafe { FwpsDereferenceNetBufferList0(self.raw.as_ptr(), FALSE) };
    }
}

impl fmt::Debug for NblRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NblRef({:p})", self.raw.as_ptr())
    }
}

/// Why the data start was not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetreatError {
    /// The list has no packet.
    NoNetBuffer,
    /// There is less room in front of the data than asked for. NDIS would have allocated memory that holds anything but the headers
    /// (B-04), so it was not asked.
    NoHeadroom {
        /// Bytes in front of the data.
        offset: u32,
        /// Bytes asked for.
        delta: u32,
    },
    /// NDIS refused; nothing is to be undone (B-03).
    Failed(NtStatus),
}

/// The headers of a received packet are in front of its data, or they are nowhere (B-04).
fn check_headroom(offset: u32, delta: u32) -> core::result::Result<(), RetreatError> {
    if delta > offset {
        Err(RetreatError::NoHeadroom { offset, delta })
    } else {
        Ok(())
    }
}

/// An original list whose first packet's data start has been moved. Dropping it moves the start back by the same number (B-02, B-03).
///
/// Borrows the reference exclusively and the token, too, so that no spin lock is taken in between.
pub struct Retreated<'a> {
    nbl: &'a mut NblRef,
    first: NonNull<NET_BUFFER>,
    delta: u32,
    out_of_band: &'a Passive,
}

impl Retreated<'_> {
    fn raw(&self) -> RawNbl {
        self.nbl.raw
    }

    /// Clones the list from the moved start on. As [`NblRef::clone_nbl`].
    ///
    /// # Errors
    ///
    /// What FwpsAllocateCloneNetBufferList0 returned.
    pub fn clone_nbl(&self) -> Result<ClonedNbl> {
        self.nbl.clone_nbl(self.out_of_band)
    }

    /// Bytes the start was moved by.
    #[must_use]
    pub fn delta(&self) -> u32 {
        self.delta
    }
}

readers!(Retreated<'_>);

impl Drop for Retreated<'_> {
    fn drop(&mut self) {
        if self.delta != 0 {
            // SAFETY: The list is alive, and its first packet was moved by a successful retreat of the same delta and by nobody since
            // (B-03). No MDL became unused, and on the receive path none may go (B-02).
            unsafe { NdisAdvanceNetBufferDataStart(self.first.as_ptr(), self.delta, FALSE, None) };
        }
    }
}

impl fmt::Debug for Retreated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retreated")
            .field("nbl", &self.nbl)
            .field("delta", &self.delta)
            .finish()
    }
}
