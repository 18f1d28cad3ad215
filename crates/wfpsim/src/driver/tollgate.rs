//! Tollgate itself, linked.

use tollgate_abi::Counters;
use tollgate_abi::IOCTL_TOLLGATE_COUNTERS;

use super::Linked;
use crate::machine::Machine;

/// Tollgate, linked into this process.
pub fn tollgate() -> Linked {
    Linked {
        entry: tollgate::driver_entry,
    }
}

/// Tollgate's counters as a program gets them: the group, the name and the value of each. Those that
/// are zero are left out; empty if it does not answer.
pub fn tollgate_counters(machine: &Machine) -> Vec<(&'static str, &'static str, u64)> {
    let (status, bytes) = machine.ioctl(IOCTL_TOLLGATE_COUNTERS, &[], Counters::SIZE);
    let counters = if status >= 0 {
        Counters::read_from(&bytes).ok()
    } else {
        None
    };
    let counted = counters
        .iter()
        .flat_map(Counters::iter)
        .filter(|(_, value)| *value > 0);
    counted
        .map(|(counter, value)| (counter.group().name(), counter.name(), value))
        .collect()
}
