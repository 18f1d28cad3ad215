//! NTSTATUS, with the difference between "not an error" and "done" kept.

use core::fmt;

/// A kernel status (ntdef.h). The top two bits are its severity: 0 success, 1 informational, 2 warning, 3 error.
///
/// Some calls return a success-class code to say that they did *not* do what was asked: STATUS_OBJECT_NAME_EXISTS from a context
/// association, STATUS_PENDING. Others return a warning where a retry is wanted: STATUS_DEVICE_BUSY. `NT_SUCCESS`
/// tells neither apart from plain success or failure, so [`NtStatus::check`] accepts only STATUS_SUCCESS.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct NtStatus(
    /// The value as the kernel writes it.
    pub i32,
);

/// What a function returns that can fail with a kernel status.
pub type Result<T> = core::result::Result<T, NtStatus>;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)+) => {
        impl NtStatus {
            $($(#[$doc])* pub const $name: NtStatus = NtStatus::from_bits($value);)+

            /// The name ntstatus.h gives this value, for the values this crate knows.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.bits() {
                    $($value => Some(concat!("STATUS_", stringify!($name))),)+
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    /// The call did what was asked.
    SUCCESS = 0x0000_0000;
    /// A wait ended because its time was over. Success class.
    TIMEOUT = 0x0000_0102;
    /// The operation goes on after the call. Success class.
    PENDING = 0x0000_0103;
    /// The name or context is already there. Informational: `NT_SUCCESS` holds although nothing was done.
    OBJECT_NAME_EXISTS = 0x4000_0000;
    /// Part of the data did not fit. Warning class.
    BUFFER_OVERFLOW = 0x8000_0005;
    /// Try again: something still uses the object. Warning class: `NT_SUCCESS` does not hold.
    DEVICE_BUSY = 0x8000_0011;
    /// Failure without a reason.
    UNSUCCESSFUL = 0xC000_0001;
    /// A parameter is not valid.
    INVALID_PARAMETER = 0xC000_000D;
    /// The device does not know this request.
    INVALID_DEVICE_REQUEST = 0xC000_0010;
    /// The caller may not do this.
    ACCESS_DENIED = 0xC000_0022;
    /// The buffer is shorter than the least useful length.
    BUFFER_TOO_SMALL = 0xC000_0023;
    /// A value has another type than the one asked for.
    OBJECT_TYPE_MISMATCH = 0xC000_0024;
    /// No object or value of this name.
    OBJECT_NAME_NOT_FOUND = 0xC000_0034;
    /// The object is being deleted.
    DELETE_PENDING = 0xC000_0056;
    /// No memory.
    INSUFFICIENT_RESOURCES = 0xC000_009A;
    /// The device is not ready.
    DEVICE_NOT_READY = 0xC000_00A3;
    /// The operation is not supported.
    NOT_SUPPORTED = 0xC000_00BB;
    /// The object is not in a state in which this can be done.
    INVALID_DEVICE_STATE = 0xC000_0184;
    /// The receiver did not take the data; seen in completions of injections.
    DATA_NOT_ACCEPTED = 0xC000_021B;
    /// Not found.
    NOT_FOUND = 0xC000_0225;
    /// The filter engine has no such callout.
    FWP_CALLOUT_NOT_FOUND = 0xC022_0001;
    /// The filter engine has no such sublayer.
    FWP_SUBLAYER_NOT_FOUND = 0xC022_0007;
    /// The key is taken.
    FWP_ALREADY_EXISTS = 0xC022_0009;
    /// Something refers to the object.
    FWP_IN_USE = 0xC022_000A;
    /// The layer does not allow this.
    FWP_INCOMPATIBLE_LAYER = 0xC022_0014;
    /// A pointer that must not be null was null; FwpsPendOperation0 without a completion handle.
    FWP_NULL_POINTER = 0xC022_001C;
    /// A parameter is not valid.
    FWP_INVALID_PARAMETER = 0xC022_0035;
    /// tcpip.sys is not up yet: try later.
    FWP_TCPIP_NOT_READY = 0xC022_0100;
    /// The injection handle is being destroyed.
    FWP_INJECT_HANDLE_CLOSING = 0xC022_0101;
    /// The injection handle belongs to a former life of tcpip.sys.
    FWP_INJECT_HANDLE_STALE = 0xC022_0102;
    /// This classify cannot be pended: it is a reauthorization.
    FWP_CANNOT_PEND = 0xC022_0103;
}

impl NtStatus {
    /// A status from its value as ntstatus.h prints it.
    #[must_use]
    pub const fn from_bits(bits: u32) -> NtStatus {
        NtStatus(bits.cast_signed())
    }

    /// The value as ntstatus.h prints it.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0.cast_unsigned()
    }

    /// Whether this is STATUS_SUCCESS itself.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 == 0
    }

    /// The macro `NT_SUCCESS`: success or informational. Most callers want [`NtStatus::is_success`]; see the type.
    #[must_use]
    pub const fn is_nt_success(self) -> bool {
        self.0 >= 0
    }

    /// `Ok` for STATUS_SUCCESS and nothing else.
    ///
    /// # Errors
    ///
    /// The status itself, if it is any other one, success-class codes included.
    pub const fn check(self) -> Result<()> {
        if self.is_success() { Ok(()) } else { Err(self) }
    }

    /// The status to return for the outcome of a function.
    #[must_use]
    pub const fn of(result: &Result<()>) -> NtStatus {
        match result {
            Ok(()) => NtStatus::SUCCESS,
            Err(status) => *status,
        }
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({:#010X})", self.bits()),
            None => write!(f, "NTSTATUS {:#010X}", self.bits()),
        }
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn device_busy_is_a_failure_although_it_is_only_a_warning() {
        assert_eq!(NtStatus::DEVICE_BUSY.check(), Err(NtStatus::DEVICE_BUSY));
        assert!(!NtStatus::DEVICE_BUSY.is_nt_success());
    }

    #[test]
    fn object_name_exists_passes_nt_success_but_not_check() {
        assert!(NtStatus::OBJECT_NAME_EXISTS.is_nt_success());
        assert_eq!(
            NtStatus::OBJECT_NAME_EXISTS.check(),
            Err(NtStatus::OBJECT_NAME_EXISTS)
        );
        assert_eq!(NtStatus::PENDING.check(), Err(NtStatus::PENDING));
    }

    #[test]
    fn only_success_checks_out() {
        assert_eq!(NtStatus::SUCCESS.check(), Ok(()));
        assert_eq!(
            NtStatus::of(&Err(NtStatus::FWP_IN_USE)),
            NtStatus::FWP_IN_USE
        );
    }

    #[test]
    fn a_status_prints_by_name_and_number() {
        assert_eq!(
            format!("{}", NtStatus::FWP_CANNOT_PEND),
            "STATUS_FWP_CANNOT_PEND (0xC0220103)"
        );
        assert_eq!(format!("{}", NtStatus(-1)), "NTSTATUS 0xFFFFFFFF");
    }
}
