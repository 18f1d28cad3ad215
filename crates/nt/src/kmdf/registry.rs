//! The service's `Parameters` key.

use core::{fmt, mem::size_of, ptr};

use crate::{
    bug_check::require_passive,
    cx::Passive,
    status::{NtStatus, Result},
    sys,
    utf16::WStr,
};

/// The open key. Closed when dropped, at PASSIVE_LEVEL: it is not `Send`, and stays where DriverEntry opened it.
pub struct Parameters {
    key: sys::WDFKEY,
}

impl Parameters {
    /// Opens the key for reading.
    ///
    /// # Safety
    ///
    /// `driver` is the handle of this driver.
    pub(super) unsafe fn open(passive: &Passive, driver: sys::WDFDRIVER) -> Result<Parameters> {
        let _ = passive;
        let mut key = ptr::null_mut();
        // SAFETY: The handle is valid by the caller's promise; PASSIVE_LEVEL by the token. Null attributes are the defaults.
        NtStatus(unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfDriverOpenParametersRegistryKey,
                driver,
                sys::KEY_READ,
                ptr::null_mut(),
                &raw mut key
            )
        })
        .check()?;
        Ok(Parameters { key })
    }

    /// A REG_DWORD value. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_OBJECT_NAME_NOT_FOUND if there is none of this name, STATUS_OBJECT_TYPE_MISMATCH if it has another type.
    pub fn read_u32(&self, passive: &Passive, name: &WStr) -> Result<u32> {
        let _ = passive;
        let name = name.as_unicode_string();
        let mut value = 0;
        // SAFETY: The key is open, the name lives for the call and the value is this function's own.
        NtStatus(unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfRegistryQueryULong,
                self.key,
                name.as_ptr(),
                &raw mut value
            )
        })
        .check()?;
        Ok(value)
    }

    /// A REG_SZ value, as UTF-16 units without zeros at their end. What the units say is not checked: whoever may write the
    /// registry chose them. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_OBJECT_NAME_NOT_FOUND if there is none of this name, STATUS_OBJECT_TYPE_MISMATCH if it has another type,
    /// STATUS_BUFFER_OVERFLOW if the buffer is too small (the string's zero needs room, too).
    pub fn read_string<'b>(
        &self,
        passive: &Passive,
        name: &WStr,
        buffer: &'b mut [u16],
    ) -> Result<&'b [u16]> {
        let _ = passive;
        let name = name.as_unicode_string();
        let room =
            u32::try_from(buffer.len().saturating_mul(size_of::<u16>())).unwrap_or(u32::MAX - 1);
        let mut length = 0;
        let mut kind = 0;
        // SAFETY: The key is open and the name lives for the call. The buffer has at least `room` bytes.
        NtStatus(unsafe {
            sys::call_unsafe_wdf_function_binding!(
                WdfRegistryQueryValue,
                self.key,
                name.as_ptr(),
                room,
                buffer.as_mut_ptr().cast(),
                &raw mut length,
                &raw mut kind
            )
        })
        .check()?;
        if kind != sys::REG_SZ {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        }
        // An odd last byte is no unit. A length beyond the buffer cannot come with success; it would yield nothing.
        let units = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .div_euclid(const { size_of::<u16>() });
        let text = buffer.get(..units).ok_or(NtStatus::BUFFER_OVERFLOW)?;
        Ok(without_trailing_zeros(text))
    }
}

/// The registry keeps a string as it was written: with a zero at its end, several, or none.
fn without_trailing_zeros(mut units: &[u16]) -> &[u16] {
    while let [rest @ .., 0] = units {
        units = rest;
    }
    units
}

impl Drop for Parameters {
    fn drop(&mut self) {
        // A guard's life raises the IRQL, and nothing in the types keeps a key from being dropped within it.
        require_passive();
        // SAFETY: The key was opened by `open` and is closed once. PASSIVE_LEVEL was looked at above.
        unsafe { sys::call_unsafe_wdf_function_binding!(WdfRegistryClose, self.key) };
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parameters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_the_same_with_one_zero_at_its_end_many_or_none() {
        for stored in [&[65, 66][..], &[65, 66, 0], &[65, 66, 0, 0]] {
            assert_eq!(without_trailing_zeros(stored), [65, 66]);
        }
        assert_eq!(without_trailing_zeros(&[0, 0]), []);
        assert_eq!(without_trailing_zeros(&[65, 0, 66]), [65, 0, 66]);
    }
}
