//! Time as the kernel counts it: units of 100 ns.

use core::time::Duration;

use crate::{cx::Passive, event::KERNEL_MODE, sys};

/// Nanoseconds in one unit.
const UNIT_NANOSECONDS: u64 = 100;

/// Interrupt time: 100 ns units since the system started, not moved by changes of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterruptTime(
    /// Units of 100 ns.
    pub u64,
);

impl InterruptTime {
    /// The time now. Any IRQL.
    #[must_use]
    pub fn now() -> InterruptTime {
        let mut counter = 0;
        // SAFETY: The performance counter's reading goes to this function's own variable; the call is allowed at any IRQL.
        InterruptTime(unsafe { sys::ntddk::KeQueryInterruptTimePrecise(&raw mut counter) })
    }

    /// The time from `earlier` to this one, or nothing if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: InterruptTime) -> Duration {
        Duration::from_nanos(
            self.0
                .saturating_sub(earlier.0)
                .saturating_mul(UNIT_NANOSECONDS),
        )
    }

    /// This time and `duration` more.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> InterruptTime {
        InterruptTime(self.0.saturating_add(units(duration)))
    }
}

/// A duration in units of 100 ns, rounded up so that a short wait stays a wait.
fn units(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(u128::from(UNIT_NANOSECONDS))).unwrap_or(u64::MAX)
}

/// A time span in the form kernel waits take: negative, in units of 100 ns.
#[derive(Clone, Copy)]
pub(crate) struct RelativeTime(pub(crate) sys::LARGE_INTEGER);

impl RelativeTime {
    pub(crate) fn of(duration: Duration) -> RelativeTime {
        let units = i64::try_from(units(duration)).unwrap_or(i64::MAX);
        RelativeTime(sys::LARGE_INTEGER {
            QuadPart: units.saturating_neg(),
        })
    }
}

/// Sleeps. IRQL = PASSIVE_LEVEL.
pub fn sleep(passive: &Passive, duration: Duration) {
    let _ = passive;
    let mut interval = RelativeTime::of(duration).0;
    // SAFETY: The interval is this function's own; the token says that the IRQL is PASSIVE_LEVEL and no lock is held (C.1, C-03). A
    // sleep in kernel mode that is not alertable has no other outcome than that the time is over.
    let _success = unsafe { sys::ntddk::KeDelayExecutionThread(KERNEL_MODE, 0, &raw mut interval) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quad(duration: Duration) -> i64 {
        // SAFETY: The whole of a LARGE_INTEGER is always initialised.
        unsafe { RelativeTime::of(duration).0.QuadPart }
    }

    #[test]
    fn waits_are_negative_and_in_100_ns_units() {
        assert_eq!(quad(Duration::from_millis(1)), -10_000);
        assert_eq!(quad(Duration::from_secs(1)), -10_000_000);
    }

    #[test]
    fn a_wait_shorter_than_a_unit_is_one_unit_and_an_endless_one_does_not_wrap() {
        assert_eq!(quad(Duration::from_nanos(1)), -1);
        assert_eq!(quad(Duration::ZERO), 0);
        assert_eq!(quad(Duration::MAX), -i64::MAX);
    }

    #[test]
    fn a_packet_from_the_future_has_no_age() {
        assert_eq!(
            InterruptTime(30).saturating_since(InterruptTime(10)),
            Duration::from_micros(2)
        );
        assert_eq!(
            InterruptTime(10).saturating_since(InterruptTime(30)),
            Duration::ZERO
        );
        assert_eq!(
            InterruptTime(1).saturating_add(Duration::from_micros(1)),
            InterruptTime(11)
        );
    }
}
