//! Calling the driver, and what must be as before when it returns.

use crate::machine::Kernel;
use crate::verifier::Violation;
use crate::verifier::code;

/// What a thread has when a function of the driver is called, and must have again when it returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    irql: u8,
    locks: usize,
    apc_disabled: u32,
}

/// What the running thread has now.
pub(crate) fn before(kernel: &Kernel) -> Before {
    let thread = kernel.running();
    Before {
        irql: thread.irql.get(),
        locks: thread.locks.borrow().len(),
        apc_disabled: thread.apc_disabled.get(),
    }
}

/// Stops if a function of the driver returned at another level, with another number of spin locks, or in another number
/// of critical regions than it was called with. `routine` is its address.
pub(crate) fn check_return(kernel: &Kernel, what: &str, routine: usize, before: Before) {
    let now = self::before(kernel);
    if now.locks != before.locks {
        let summary = format!(
            "{what} was called with {} spin locks held and returned with {}",
            before.locks, now.locks
        );
        let parameters = [before.locks as u64, now.locks as u64, 0, 0];
        kernel.bug_check(Violation::contract(kernel, "C-02", parameters, summary));
    }
    if now.irql != before.irql {
        let summary = format!(
            "{what} was called at IRQL {} and returned at IRQL {}",
            before.irql, now.irql
        );
        let parameters = [u64::from(before.irql), u64::from(now.irql), 0, 0];
        kernel.bug_check(Violation::contract(kernel, "C.1", parameters, summary));
    }
    check_regions(kernel, what, routine, before.apc_disabled);
}

/// The part of [`check_return`] that is about critical regions.
pub(crate) fn check_regions(kernel: &Kernel, what: &str, routine: usize, before: u32) {
    let now = kernel.running().apc_disabled.get();
    if now != before {
        let summary = format!(
            "{what} was called in {before} critical regions and returned in {now}: KeLeaveCriticalRegion is missing"
        );
        let parameters = [routine as u64, u64::from(now), u64::from(before)];
        kernel.bug_check(Violation::verifier(
            kernel, 0xC5, parameters, summary, "C-62",
        ));
    }
}

/// A thread of the driver's ends in a critical region.
pub(crate) fn regions_at_end(kernel: &Kernel, apc_disabled: u32) -> Violation {
    let summary = format!("a thread of the driver ended in {apc_disabled} critical regions");
    // The count as the kernel keeps it: it goes down with each region.
    let count = u64::from(apc_disabled).wrapping_neg();
    Violation::new(
        kernel,
        code::KERNEL_APC_PENDING_DURING_EXIT,
        [0, count, 0, 0],
        "C-62",
        summary,
    )
}
