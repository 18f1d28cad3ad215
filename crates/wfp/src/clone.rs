//! Clones of NET_BUFFER_LISTs: what is changed and injected instead of the original.

use core::{fmt, net::IpAddr, ptr, ptr::NonNull};

use nt::{Passive, Result, status::NtStatus};
use wfp_sys::{
    FALSE, TRUE,
    fwps::{
        FwpsAllocateCloneNetBufferList0, FwpsConstructIpHeaderForTransportPacket0,
        FwpsFreeCloneNetBufferList0,
    },
    ndis::{
        NET_BUFFER_LIST, NdisAdvanceNetBufferDataStart, NdisGetDataBuffer,
        NdisRetreatNetBufferDataStart,
    },
};

use crate::{
    address,
    nbl_raw::{RawNbl, readers},
};

/// What [`ClonedNbl::rebuild_ip_header`] needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Rebuild {
    /// The source address of the new header: for an inbound packet the remote peer's.
    pub source: IpAddr,
    /// The other address: for an inbound packet the local one.
    pub remote: IpAddr,
    /// The transport protocol, which follows the new header.
    pub next_protocol: u8,
    /// Bytes of the present header from the metadata, AH or ESP included.
    pub ip_header_size: u32,
    /// The interface, or 0.
    pub interface_index: u32,
    /// The sub-interface, or 0.
    pub sub_interface_index: u32,
}

/// Why a header was not put in front. The clone is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrependError {
    /// The list does not have exactly one packet.
    NotOnePacket,
    /// A header was put in front already.
    AlreadyPrepended,
    /// The header is longer than a packet can be.
    TooLong,
    /// NDIS found the room in memory that the clone shares with the original, which must not be written.
    SharedRoom,
    /// The new room is not in one piece or could not be mapped (B-05).
    Unavailable,
    /// NDIS refused to make room.
    Failed(NtStatus),
}

/// A clone that this driver owns. Dropping it frees it, exactly once, after undoing what was put in front of it.
///
/// The data are shared with the original, which stays alive as long as the clone.
pub struct ClonedNbl {
    raw: RawNbl,
    /// Bytes by which [`ClonedNbl::prepend_header`] moved the start into memory that NDIS allocated.
    prepended: u32,
}

// SAFETY: A clone may be used and freed from any thread (A.1).
unsafe impl Send for ClonedNbl {}
// SAFETY: A shared clone reads single fields, which nobody writes meanwhile: changes need it exclusively.
unsafe impl Sync for ClonedNbl {}

impl ClonedNbl {
    /// Clones a list.
    ///
    /// # Safety
    ///
    /// The list is alive.
    pub(crate) unsafe fn of(passive: &Passive, original: RawNbl) -> Result<ClonedNbl> {
        let _ = passive;
        let mut clone = ptr::null_mut();
        // SAFETY: The original is alive by the caller's promise. Pools may be null (B-08) and flags are 0 (B-10).
        NtStatus(unsafe {
            FwpsAllocateCloneNetBufferList0(
                original.as_ptr(),
                ptr::null_mut(),
                ptr::null_mut(),
                0,
                &raw mut clone,
            )
        })
        .check()?;
        let clone = NonNull::new(clone).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        Ok(ClonedNbl {
            raw: RawNbl(clone),
            prepended: 0,
        })
    }

    pub(crate) fn raw(&self) -> RawNbl {
        self.raw
    }

    pub(crate) fn as_ptr(&self) -> *mut NET_BUFFER_LIST {
        self.raw.as_ptr()
    }

    /// Replaces the IP header of a received packet by a plain one: without AH, ESP and IPv6 extension headers, with IPv4 options,
    /// with full checksums. The clone's data begin with the present header. IRQL = PASSIVE_LEVEL.
    ///
    /// Nothing that this changes has to be undone before the clone is freed.
    ///
    /// # Errors
    ///
    /// STATUS_INVALID_PARAMETER if the list has not exactly one packet, the addresses are not of one family, or the header size is 0 or
    /// more than there is; otherwise what FwpsConstructIpHeaderForTransportPacket0 returned.
    pub fn rebuild_ip_header(&mut self, passive: &Passive, rebuild: &Rebuild) -> Result<()> {
        let _ = passive;
        let family = address::family(rebuild.source);
        let header_fits = rebuild.ip_header_size != 0
            && self
                .data_length()
                .is_some_and(|length| rebuild.ip_header_size <= length);
        if self.net_buffers() != 1
            || self.prepended != 0
            || family != address::family(rebuild.remote)
            || !header_fits
        {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let source = address::octets(rebuild.source);
        let remote = address::octets(rebuild.remote);
        // SAFETY: The list is a clone that this driver owns and holds exclusively, with one packet, whose data begin with a header of the
        // given size. The addresses are in network order and as long as the family says. Endpoint, control data and flags
        // may be absent, reserved is null.
        NtStatus(unsafe {
            FwpsConstructIpHeaderForTransportPacket0(
                self.as_ptr(),
                rebuild.ip_header_size,
                family.address_family(),
                source.as_ptr(),
                remote.as_ptr(),
                i32::from(rebuild.next_protocol),
                0,
                ptr::null(),
                0,
                0,
                ptr::null_mut(),
                rebuild.interface_index,
                rebuild.sub_interface_index,
            )
        })
        .check()
    }

    /// Puts a header in front of the packet, in memory of its own: for packets that a raw socket sent with its IP header. The destructor
    /// takes it off again before the clone is freed. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// See [`PrependError`]; the clone is unchanged.
    pub fn prepend_header(
        &mut self,
        passive: &Passive,
        header: &[u8],
    ) -> core::result::Result<(), PrependError> {
        let _ = passive;
        if self.prepended != 0 {
            return Err(PrependError::AlreadyPrepended);
        }
        if self.net_buffers() != 1 {
            return Err(PrependError::NotOnePacket);
        }
        if header.is_empty() {
            return Ok(());
        }
        let length = u16::try_from(header.len()).map_err(|_| PrependError::TooLong)?;
        let delta = u32::from(length);
        // SAFETY: The clone is alive and owned.
        let (first, chain) = unsafe { (self.raw.first(), self.raw.mdl_chain()) };
        let first = first.ok_or(PrependError::NotOnePacket)?;
        // SAFETY: The packet belongs to the clone, which is held exclusively.
        let status =
            NtStatus(unsafe { NdisRetreatNetBufferDataStart(first.as_ptr(), delta, 0, None) });
        status.check().map_err(PrependError::Failed)?;
        // SAFETY: The clone is alive and owned.
        if unsafe { self.raw.mdl_chain() } == chain {
            // The clone had room in front after all, and it is the original's memory.
            // SAFETY: Undoes the retreat above. It linked no MDL, so none is to be freed (B-02).
            unsafe { NdisAdvanceNetBufferDataStart(first.as_ptr(), delta, FALSE, None) };
            return Err(PrependError::SharedRoom);
        }
        self.prepended = delta;
        // SAFETY: The packet now begins with `delta` bytes of new memory; without storage the result points to it or is null (B-05).
        let room = unsafe { NdisGetDataBuffer(first.as_ptr(), delta, ptr::null_mut(), 1, 0) };
        match NonNull::new(room.cast::<u8>()) {
            Some(room) => {
                // SAFETY: `delta` bytes are there, in memory that NDIS allocated for this clone alone, and `header` is as long.
                unsafe { ptr::copy_nonoverlapping(header.as_ptr(), room.as_ptr(), header.len()) };
                Ok(())
            }
            None => {
                self.take_header_off();
                Err(PrependError::Unavailable)
            }
        }
    }

    /// Undoes [`ClonedNbl::prepend_header`], its memory included.
    fn take_header_off(&mut self) {
        let delta = core::mem::replace(&mut self.prepended, 0);
        // SAFETY: The clone is alive and owned.
        let first = unsafe { self.raw.first() };
        if let (1.., Some(first)) = (delta, first) {
            // SAFETY: The packet was moved by a successful retreat of the same delta (B-03), which linked an MDL in front that nothing
            // else uses: TRUE frees it, which a clone must have happen before it is freed itself.
            unsafe { NdisAdvanceNetBufferDataStart(first.as_ptr(), delta, TRUE, None) };
        }
    }
}

readers!(ClonedNbl);

impl Drop for ClonedNbl {
    fn drop(&mut self) {
        self.take_header_off();
        // SAFETY: The list came from FwpsAllocateCloneNetBufferList0 with the same flags and is freed once: an injection that took it
        // gives it back in its completion, and owns this value until then.
        unsafe { FwpsFreeCloneNetBufferList0(self.raw.as_ptr(), 0) };
    }
}

impl fmt::Debug for ClonedNbl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClonedNbl({:p})", self.raw.as_ptr())
    }
}
