//! Reading NET_BUFFER_LISTs: what every owner and borrower of one can look at.
//!
//! Fields are read one at a time and anew each time. The stack may move an original's data start while nobody looks, and may
//! replace its MDLs after classify returned, so nothing that was read is kept.

use core::ptr::NonNull;

use wfp_sys::ndis::{MDL, NET_BUFFER, NET_BUFFER_LIST, NdisGetDataBuffer};

/// The most bytes from a packet's start that can be looked at: they are copied over the stack. Room for an IPv6 header with extension
/// headers and a TCP header.
pub const READ_LIMIT: usize = 128;

/// How many packets of a list are counted at most: a chain that leads back into itself must not hang the machine.
pub const NET_BUFFER_LIMIT: usize = 4096;

/// Why bytes of a packet could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The list has no packet.
    NoNetBuffer,
    /// The end of what was asked for lies beyond [`READ_LIMIT`].
    TooFar,
    /// The packet is shorter, or its memory could not be mapped (B-05).
    Unavailable,
}

/// A pointer to a list. Says nothing about who owns it or for how long it is valid: each method's caller does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawNbl(pub(crate) NonNull<NET_BUFFER_LIST>);

impl RawNbl {
    pub(crate) const fn as_ptr(self) -> *mut NET_BUFFER_LIST {
        self.0.as_ptr()
    }

    /// Whether another list is chained behind this one, which does not happen at the layers of this crate.
    ///
    /// # Safety
    ///
    /// The list is alive.
    pub(crate) unsafe fn is_chained(self) -> bool {
        // SAFETY: The list is alive by the caller's promise, and `Next` is in the part of it that every version of NDIS has (B-12).
        let next = unsafe { (&raw const (*self.as_ptr()).Next).read_volatile() };
        !next.is_null()
    }

    /// The first packet, which has the headers.
    ///
    /// # Safety
    ///
    /// The list is alive. The result is valid while it is, and while nothing relinks its packets.
    pub(crate) unsafe fn first(self) -> Option<NonNull<NET_BUFFER>> {
        // SAFETY: As in `is_chained`.
        NonNull::new(unsafe { (&raw const (*self.as_ptr()).FirstNetBuffer).read_volatile() })
    }

    /// Bytes from the start of the first packet's MDL chain to its data: the room a retreat has (B-01).
    ///
    /// # Safety
    ///
    /// The list is alive.
    pub(crate) unsafe fn data_offset(self) -> Option<u32> {
        // SAFETY: The first packet is alive as long as the list (B-11).
        unsafe {
            self.first()
                .map(|first| (&raw const (*first.as_ptr()).DataOffset).read_volatile())
        }
    }

    /// Bytes of data in the first packet. Not the MDLs' byte count, which may include an ESP trailer.
    ///
    /// # Safety
    ///
    /// The list is alive.
    pub(crate) unsafe fn data_length(self) -> Option<u32> {
        // SAFETY: As in `data_offset`.
        unsafe {
            self.first()
                .map(|first| (&raw const (*first.as_ptr()).DataLength).read_volatile())
        }
    }

    /// The first MDL of the first packet's chain.
    ///
    /// # Safety
    ///
    /// The list is alive.
    pub(crate) unsafe fn mdl_chain(self) -> Option<*mut MDL> {
        // SAFETY: As in `data_offset`.
        unsafe {
            self.first()
                .map(|first| (&raw const (*first.as_ptr()).MdlChain).read_volatile())
        }
    }

    /// How many packets the list has, [`NET_BUFFER_LIMIT`] at most.
    ///
    /// # Safety
    ///
    /// The list is alive.
    pub(crate) unsafe fn net_buffers(self) -> usize {
        // SAFETY: The list is alive by the caller's promise.
        let mut next = unsafe { self.first() };
        let mut count: usize = 0;
        while let Some(packet) = next {
            count = count.saturating_add(1);
            if count == NET_BUFFER_LIMIT {
                break;
            }
            // SAFETY: Packets of a list are alive as long as the list, and `Next` is null at the end (B-11).
            next = NonNull::new(unsafe { (&raw const (*packet.as_ptr()).Next).read_volatile() });
        }
        count
    }

    /// Copies bytes of the first packet, `offset` bytes behind the start of its data. IRQL ≤ DISPATCH_LEVEL (B-07).
    ///
    /// # Safety
    ///
    /// The list is alive.
    pub(crate) unsafe fn copy_first_bytes(
        self,
        offset: usize,
        to: &mut [u8],
    ) -> Result<(), ReadError> {
        // SAFETY: The list is alive by the caller's promise.
        let first = unsafe { self.first() }.ok_or(ReadError::NoNetBuffer)?;
        let end = offset
            .checked_add(to.len())
            .filter(|end| *end <= READ_LIMIT)
            .ok_or(ReadError::TooFar)?;
        if to.is_empty() {
            return Ok(());
        }
        let needed = u32::try_from(end).map_err(|_| ReadError::TooFar)?;
        let mut storage = [0_u8; READ_LIMIT];
        // SAFETY: The packet is alive. The storage has READ_LIMIT bytes, which `needed` does not exceed. No alignment is asked for.
        let start =
            unsafe { NdisGetDataBuffer(first.as_ptr(), needed, storage.as_mut_ptr().cast(), 1, 0) };
        let start = NonNull::new(start.cast::<u8>()).ok_or(ReadError::Unavailable)?;
        // SAFETY: `needed` bytes are readable there, in the packet or in the storage (B-05), and `offset + to.len()` is `needed`. The
        // destination is the caller's own memory, which neither is.
        unsafe {
            start
                .add(offset)
                .copy_to_nonoverlapping(NonNull::from(&mut *to).cast(), to.len())
        };
        Ok(())
    }
}

/// Gives a type the readers. Its `raw` method returns the list, which is alive while the value is.
macro_rules! readers {
    ($($generics:tt)*) => {
        impl $($generics)* {
            /// Bytes from the start of the first packet's MDL chain to its data: the room that a retreat has (B-01). Nothing if the
            /// list has no packet.
            #[must_use]
            pub fn data_offset(&self) -> Option<u32> {
                // SAFETY: The list is alive while this value is.
                unsafe { self.raw().data_offset() }
            }

            /// Bytes of data in the first packet. Nothing if the list has no packet.
            #[must_use]
            pub fn data_length(&self) -> Option<u32> {
                // SAFETY: The list is alive while this value is.
                unsafe { self.raw().data_length() }
            }

            /// How many packets the list has, counted up to [`NET_BUFFER_LIMIT`](crate::nbl::NET_BUFFER_LIMIT).
            #[must_use]
            pub fn net_buffers(&self) -> usize {
                // SAFETY: The list is alive while this value is.
                unsafe { self.raw().net_buffers() }
            }

            /// Fills `to` with bytes of the first packet, from `offset` bytes behind the start of its data. `offset + to.len()` is at
            /// most [`READ_LIMIT`](crate::READ_LIMIT). The headers may lie in any number of MDLs (B-05). IRQL ≤ DISPATCH_LEVEL.
            ///
            /// # Errors
            ///
            /// See [`ReadError`](crate::ReadError); `to` is then unchanged.
            pub fn copy_first_bytes(&self, cx: &nt::Cx, offset: usize, to: &mut [u8]) -> core::result::Result<(), $crate::ReadError> {
                let _ = cx;
                // SAFETY: The list is alive while this value is. The token says ≤ DISPATCH_LEVEL and that no lock is held.
                unsafe { self.raw().copy_first_bytes(offset, to) }
            }
        }
    };
}
pub(crate) use readers;
