//! UTF-16 literals, made at compile time.

use core::{fmt, marker::PhantomData, mem::size_of};

use crate::sys;

/// A UTF-16 string that ends with a zero, which does not count. At most 32766 units long, so that its length in bytes fits UNICODE_STRING.
#[repr(transparent)]
#[derive(PartialEq, Eq)]
pub struct WStr {
    units_with_zero: [u16],
}

/// The most units a [`WStr`] has, with its zero: UNICODE_STRING counts bytes in 16 bits.
pub const MAX_UNITS: usize = 0x7FFF;

impl WStr {
    /// A string from units of which the last, and no other, is zero. Used by [`utf16!`](crate::utf16!).
    ///
    /// # Panics
    ///
    /// At compile time, which is the only time the macro calls it: if the units are not such a string or are too many.
    #[doc(hidden)]
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "Evaluated at compile time: a mistake does not compile"
    )]
    pub const fn from_units(units: &[u16]) -> &WStr {
        assert!(!units.is_empty() && units.len() <= MAX_UNITS && units[units.len() - 1] == 0);
        let mut at = 0;
        while at + 1 < units.len() {
            assert!(units[at] != 0, "the string has a zero in it");
            at += 1;
        }
        #[expect(
            clippy::as_conversions,
            reason = "The cast between a slice and its transparent wrapper, which has no other form"
        )]
        // SAFETY: WStr is a transparent wrapper of the slice, so the reference is to the same memory with the same length.
        unsafe {
            &*(core::ptr::from_ref(units) as *const WStr)
        }
    }

    /// The first unit, for kernel structures that take a string with a zero at its end.
    #[must_use]
    pub const fn as_ptr(&self) -> *const u16 {
        self.units_with_zero.as_ptr()
    }

    /// The units, without the zero.
    #[must_use]
    pub fn units(&self) -> &[u16] {
        self.units_with_zero
            .split_last()
            .map_or(&[], |(_, units)| units)
    }

    /// The string as kernel functions take it, borrowed.
    #[must_use]
    pub fn as_unicode_string(&self) -> UnicodeString<'_> {
        UnicodeString {
            string: sys::UNICODE_STRING {
                Length: bytes(self.units().len()),
                MaximumLength: bytes(self.units_with_zero.len()),
                Buffer: self.as_ptr().cast_mut(),
            },
            borrowed: PhantomData,
        }
    }
}

impl fmt::Debug for WStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for unit in char::decode_utf16(self.units().iter().copied()) {
            fmt::Write::write_char(f, unit.unwrap_or(char::REPLACEMENT_CHARACTER))?;
        }
        f.write_str("\"")
    }
}

/// Bytes of a number of units. Cannot saturate for a [`WStr`], whose length is limited.
fn bytes(units: usize) -> u16 {
    u16::try_from(units.saturating_mul(size_of::<u16>())).unwrap_or(u16::MAX)
}

/// A UNICODE_STRING that borrows its units. The kernel reads it and does not write through it.
pub struct UnicodeString<'a> {
    string: sys::UNICODE_STRING,
    borrowed: PhantomData<&'a [u16]>,
}

impl UnicodeString<'_> {
    /// The structure's place, valid while this value is.
    #[must_use]
    pub const fn as_ptr(&self) -> *const sys::UNICODE_STRING {
        &raw const self.string
    }
}

impl fmt::Debug for UnicodeString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnicodeString({} bytes)", self.string.Length)
    }
}

/// The units of an ASCII literal and a zero. Used by [`utf16!`](crate::utf16!).
///
/// # Panics
///
/// At compile time: if a character is not ASCII.
#[doc(hidden)]
#[must_use]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "Evaluated at compile time: a mistake does not compile"
)]
pub const fn encode_ascii<const N: usize>(text: &str) -> [u16; N] {
    let bytes = text.as_bytes();
    assert!(bytes.len() + 1 == N);
    let mut units = [0; N];
    let mut at = 0;
    while at < bytes.len() {
        assert!(bytes[at].is_ascii(), "only ASCII");
        units[at] = bytes[at] as u16;
        at += 1;
    }
    units
}

/// A `&'static` [`WStr`] from ASCII text that is known at compile time: a literal or a constant.
///
/// ```
/// assert_eq!(nt::utf16!("Tollgate").units().len(), 8);
/// ```
#[macro_export]
macro_rules! utf16 {
    ($text:expr) => {{
        const ASCII: &str = $text;
        const UNITS: &[u16] = &$crate::utf16::encode_ascii::<{ ASCII.len() + 1 }>(ASCII);
        const TEXT: &$crate::utf16::WStr = $crate::utf16::WStr::from_units(UNITS);
        TEXT
    }};
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_literal_counts_bytes_without_its_zero() {
        let name = utf16!("\\Device\\Tollgate");
        assert_eq!(
            name.units(),
            "\\Device\\Tollgate"
                .encode_utf16()
                .collect::<std::vec::Vec<_>>()
        );
        let string = name.as_unicode_string();
        // SAFETY: The pointer is valid while `string` is.
        let raw = unsafe { *string.as_ptr() };
        assert_eq!((raw.Length, raw.MaximumLength), (32, 34));
        assert_eq!(std::format!("{name:?}"), "\"\\Device\\Tollgate\"");
    }

    #[test]
    #[should_panic(expected = "the string has a zero in it")]
    fn a_zero_within_a_string_is_refused() {
        let _ = super::WStr::from_units(&[65, 0, 66, 0]);
    }

    #[test]
    fn an_empty_literal_is_a_lone_zero() {
        let empty = utf16!("");
        assert!(empty.units().is_empty());
        // SAFETY: The zero is there.
        assert_eq!(unsafe { *empty.as_ptr() }, 0);
    }
}
