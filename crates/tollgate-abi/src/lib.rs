//! What the driver and the programs that talk to it agree on: the names of the control device, its IOCTLs, and
//! the reply of each, byte for byte.
//!
//! The driver, `wfpsim` and the tests all take the names of the counters from here, so that a reason is spelled
//! the same way in the driver's documentation, in a report and in an assertion. Nothing here depends on Windows.
//!
//! Integers on the wire are little-endian. A reply begins with a [`Version`](VERSION) and the number of values
//! that follow, so that a newer driver may append counters and an older program still reads those it knows.

#![no_std]
#![forbid(unsafe_code)]

mod counters;

pub use counters::{Counter, Counters, CountersError, Disagreement, Group};

/// The control device's name in the object manager's namespace.
pub const DEVICE_NAME: &str = r"\Device\Tollgate";

/// The symbolic link through which user mode opens the control device, as `\\.\Tollgate`.
pub const SYMBOLIC_LINK: &str = r"\DosDevices\Tollgate";

/// Who may open the control device: the system and administrators, everything; nobody else, anything (D-07).
pub const DEVICE_SDDL: &str = "D:P(A;;GA;;;SY)(A;;GA;;;BA)";

/// The version of the replies described here. It changes when a value that was already there changes its
/// meaning or its place; appending a counter does not change it.
pub const VERSION: u32 = 1;

/// `FILE_DEVICE_NETWORK`: the device type of the control device and of its IOCTLs.
pub const FILE_DEVICE_NETWORK: u32 = 0x12;

/// `METHOD_BUFFERED`: one system buffer for input and output (D-06).
const METHOD_BUFFERED: u32 = 0;

/// `FILE_READ_DATA`: the access a handle must have been opened with to send the IOCTL (D-07).
const FILE_READ_DATA: u32 = 1;

/// The `CTL_CODE` macro of devioctl.h.
const fn ctl_code(device_type: u32, function: u32, method: u32, access: u32) -> u32 {
    (device_type << 16) | (access << 14) | (function << 2) | method
}

/// Reads every counter: no input, a [`Counters`] as output.
///
/// `STATUS_BUFFER_TOO_SMALL` when the output buffer is shorter than [`Counters::SIZE`].
pub const IOCTL_TOLLGATE_COUNTERS: u32 =
    ctl_code(FILE_DEVICE_NETWORK, 0x800, METHOD_BUFFERED, FILE_READ_DATA);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ioctl_code_has_the_fields_devioctl_h_gives_it() {
        assert_eq!(IOCTL_TOLLGATE_COUNTERS >> 16, 0x12, "device type");
        assert_eq!((IOCTL_TOLLGATE_COUNTERS >> 14) & 3, 1, "FILE_READ_DATA");
        assert_eq!(
            (IOCTL_TOLLGATE_COUNTERS >> 2) & 0xfff,
            0x800,
            "function, in the vendor's range"
        );
        assert_eq!(IOCTL_TOLLGATE_COUNTERS & 3, 0, "METHOD_BUFFERED");
        assert_eq!(IOCTL_TOLLGATE_COUNTERS, 0x0012_6000);
    }
}
