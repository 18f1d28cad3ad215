//! What Tollgate says of itself, where the driver answers its counters request.

use tollgate_abi::Counter;
use tollgate_abi::Counters;
use tollgate_abi::Group;
use tollgate_abi::IOCTL_TOLLGATE_COUNTERS;

use crate::Machine;

/// The counters, if the driver is one that has them.
pub(super) fn counters(machine: &Machine) -> Option<Counters> {
    let (status, bytes) = machine.ioctl(IOCTL_TOLLGATE_COUNTERS, &[], Counters::SIZE);
    if status < 0 {
        return None;
    }
    Counters::read_from(&bytes).ok()
}

/// Packets that the driver says are gone, each with a reason of its own: dropped, refused, blocked, or injected and not
/// accepted by the stack.
pub(super) fn accounted(counters: &Counters) -> u64 {
    counters.sum(Group::Dropped)
        + counters.sum(Group::Refused)
        + counters.sum(Group::Blocked)
        + counters.get(Counter::InlineBlocked)
        + counters.get(Counter::CompletedNotAccepted)
        + counters.get(Counter::CompletedFailure)
}
