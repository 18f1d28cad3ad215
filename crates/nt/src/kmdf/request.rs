//! Control requests, each completed exactly once (D-06).

use core::{fmt, ptr, slice};

use crate::{
    status::{NtStatus, Result},
    sys,
};

/// The transfer type is in the low two bits of a control code.
const METHOD_MASK: u32 = 3;

/// A control request. Completing it consumes it; dropping it completes it with STATUS_UNSUCCESSFUL.
///
/// Only METHOD_BUFFERED gives access to buffers: there the system's own copy is used, which user mode cannot change meanwhile. Input and
/// output are the same memory, so input is read, and copied if it is needed later, before output is written; the borrows enforce it.
///
/// A request that is kept is not cancelable: a process that ends waits for it.
pub struct Request {
    request: sys::WDFREQUEST,
    code: u32,
    input_length: usize,
    output_length: usize,
    /// Bytes of the output buffer, from its start, that have been written.
    written: usize,
}

// SAFETY: A request may be completed from any thread.
unsafe impl Send for Request {}
// SAFETY: A shared request gives access to its input, which nobody writes meanwhile, and to plain numbers.
unsafe impl Sync for Request {}

impl Request {
    /// Takes responsibility for a request.
    ///
    /// # Safety
    ///
    /// The framework just presented `request` with these lengths and this code, and nobody else completes it.
    pub(super) unsafe fn new(
        request: sys::WDFREQUEST,
        code: u32,
        input_length: usize,
        output_length: usize,
    ) -> Request {
        Request {
            request,
            code,
            input_length,
            output_length,
            written: 0,
        }
    }

    /// The control code.
    #[must_use]
    pub const fn code(&self) -> u32 {
        self.code
    }

    /// Bytes of input.
    #[must_use]
    pub const fn input_length(&self) -> usize {
        self.input_length
    }

    /// Bytes of room for output.
    #[must_use]
    pub const fn output_length(&self) -> usize {
        self.output_length
    }

    /// The input, at least `minimum` bytes of it. Untrusted. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_BUFFER_TOO_SMALL if there is less, or none at all; STATUS_INVALID_DEVICE_REQUEST if the code is not METHOD_BUFFERED, or
    /// if output has been written, which is in the same memory.
    pub fn input(&self, minimum: usize) -> Result<&[u8]> {
        self.require_buffered()?;
        if self.written != 0 {
            return Err(NtStatus::INVALID_DEVICE_REQUEST);
        }
        let mut buffer = ptr::null_mut();
        let mut length = 0;
        // SAFETY: The request has not been completed: that consumes this value.
        NtStatus(unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfRequestRetrieveInputBuffer,
                self.request,
                minimum.max(1),
                &raw mut buffer,
                &raw mut length
            )
        })
        .check()?;
        if buffer.is_null() || length < minimum {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        // SAFETY: The framework gives the system buffer with its length; it lives until the request is completed, which the borrow
        // forbids, and is written only through an OutputWriter, which needs the request mutably.
        Ok(unsafe { slice::from_raw_parts(buffer.cast::<u8>(), length) })
    }

    /// Room for output, at least `minimum` bytes of it. Writes go to its start, or on from where the last writer ended.
    /// IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_BUFFER_TOO_SMALL if there is less room, or none at all; STATUS_INVALID_DEVICE_REQUEST if the code is not METHOD_BUFFERED.
    pub fn output(&mut self, minimum: usize) -> Result<OutputWriter<'_>> {
        self.require_buffered()?;
        let mut buffer = ptr::null_mut();
        let mut length = 0;
        // SAFETY: The request has not been completed: that consumes this value.
        NtStatus(unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfRequestRetrieveOutputBuffer,
                self.request,
                minimum.max(1),
                &raw mut buffer,
                &raw mut length
            )
        })
        .check()?;
        if buffer.is_null() || length < minimum {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        // SAFETY: The framework gives the system buffer with the length that the caller has room for; it lives until the request is
        // completed, which the writer's borrow forbids. The bytes are initialised: the I/O manager's buffer is memory that holds the
        // input or what was there before. No slice of the input is left, because this method borrows the request mutably.
        let room = unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
        Ok(OutputWriter {
            room,
            written: &mut self.written,
        })
    }

    fn require_buffered(&self) -> Result<()> {
        if self.code & METHOD_MASK == sys::METHOD_BUFFERED {
            Ok(())
        } else {
            Err(NtStatus::INVALID_DEVICE_REQUEST)
        }
    }

    /// Completes the request. With STATUS_SUCCESS or STATUS_BUFFER_OVERFLOW the bytes written reach the caller, otherwise none (D-06).
    /// IRQL ≤ DISPATCH_LEVEL, no spin lock held.
    pub fn complete(mut self, status: NtStatus) {
        let with_output = status == NtStatus::SUCCESS || status == NtStatus::BUFFER_OVERFLOW;
        let information = if with_output { self.written } else { 0 };
        self.finish(status, information);
    }

    fn finish(&mut self, status: NtStatus, information: usize) {
        let request = core::mem::replace(&mut self.request, ptr::null_mut());
        if request.is_null() {
            return;
        }
        let information = sys::ULONG_PTR::try_from(information).unwrap_or(0);
        // SAFETY: The framework gave this request once, and the pointer is taken out before it is completed, so that it is completed
        // once. `information` counts bytes that were written into the buffer, so no byte of kernel memory goes out with them.
        unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfRequestCompleteWithInformation,
                request,
                status.0,
                information
            );
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.finish(NtStatus::UNSUCCESSFUL, 0);
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("code", &self.code)
            .field("input_length", &self.input_length)
            .field("output_length", &self.output_length)
            .finish_non_exhaustive()
    }
}

/// Writes output from the start on, and counts what was written: that, and not the length of the buffer, is what the caller gets.
#[derive(Debug)]
pub struct OutputWriter<'a> {
    room: &'a mut [u8],
    written: &'a mut usize,
}

impl OutputWriter<'_> {
    /// Bytes that still fit.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.room.len().saturating_sub(*self.written)
    }

    /// Appends bytes, all of them or none.
    ///
    /// # Errors
    ///
    /// STATUS_BUFFER_TOO_SMALL if they do not fit.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.written.saturating_add(bytes.len());
        let place = self
            .room
            .get_mut(*self.written..end)
            .ok_or(NtStatus::BUFFER_TOO_SMALL)?;
        place.copy_from_slice(bytes);
        *self.written = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_reports_only_what_was_written() {
        let mut room = [0xAA; 8];
        let mut written = 0;
        let mut writer = OutputWriter {
            room: &mut room,
            written: &mut written,
        };
        writer.write(b"abc").unwrap();
        assert_eq!(writer.write(b"123456"), Err(NtStatus::BUFFER_TOO_SMALL));
        assert_eq!(writer.remaining(), 5);
        writer.write(b"de").unwrap();
        assert_eq!((written, &room), (5, b"abcde\xAA\xAA\xAA"));
    }
}
