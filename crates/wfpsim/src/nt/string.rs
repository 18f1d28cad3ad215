//! Counted strings, and what of the run-time library works on them.

use wdk_sys_portable::PCUNICODE_STRING;
use wdk_sys_portable::UNICODE_STRING;

use super::NtStatus;
use super::status;
use crate::machine::Kernel;

/// Copies as much as there is room for; a null source empties the destination.
pub(super) fn copy(_kernel: &Kernel, to: *mut UNICODE_STRING, from: PCUNICODE_STRING) {
    // SAFETY: the driver's pointers; bad ones fault and are reported.
    unsafe {
        if from.is_null() {
            (*to).Length = 0;
            return;
        }
        let length = (*from).Length.min((*to).MaximumLength);
        std::ptr::copy(
            (*from).Buffer.cast::<u8>(),
            (*to).Buffer.cast::<u8>(),
            usize::from(length),
        );
        (*to).Length = length;
        // A zero goes behind the text where there is room for one.
        if usize::from(length) + 2 <= usize::from((*to).MaximumLength) {
            (*to)
                .Buffer
                .byte_add(usize::from(length))
                .write_unaligned(0);
        }
    }
}

/// Writes a number in base 2, 8, 10 or 16; base 0 is 10.
pub(super) fn integer(
    _kernel: &Kernel,
    value: u32,
    base: u32,
    string: *mut UNICODE_STRING,
) -> NtStatus {
    let text = match base {
        0 | 10 => value.to_string(),
        2 => format!("{value:b}"),
        8 => format!("{value:o}"),
        16 => format!("{value:X}"),
        _ => return status::INVALID_PARAMETER,
    };
    let units: Vec<u16> = text.encode_utf16().collect();
    let length = units.len() * 2;
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe {
        if length > usize::from((*string).MaximumLength) {
            return status::BUFFER_OVERFLOW;
        }
        for (index, unit) in units.iter().enumerate() {
            (*string).Buffer.add(index).write_unaligned(*unit);
        }
        (*string).Length = length as u16;
        if length + 2 <= usize::from((*string).MaximumLength) {
            (*string).Buffer.add(units.len()).write_unaligned(0);
        }
    }
    status::SUCCESS
}
