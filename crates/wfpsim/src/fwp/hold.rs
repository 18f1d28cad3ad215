//! How long a driver holds a packet.

use wfp_sys::ndis::NET_BUFFER_LIST;

use crate::machine::Kernel;
use crate::ndis::Kind;
use crate::verifier::Violation;

/// A driver holds packets for as long as it takes to decide, not for as long as it takes to ask somebody.
pub(super) fn check(kernel: &Kernel, list: *mut NET_BUFFER_LIST) {
    let Some((Some(since), ledger)) = kernel
        .ndis
        .with(list, |list| (list.past.held_since, list.ledger))
    else {
        return;
    };
    let held = kernel.now().saturating_sub(since);
    if held > kernel.config.hold_limit {
        let summary = format!(
            "a packet was held for {} ms; the stack and power management wait for it",
            held / 10_000
        );
        let parameters = [list as u64, held, kernel.config.hold_limit, 0];
        kernel.bug_check(
            Violation::contract(kernel, "A-30", parameters, summary).about(kernel, ledger),
        );
    }
}

/// The driver gives a clone to the stack: from here on the time is the stack's, for the clone and for its original.
pub(super) fn end(kernel: &Kernel, clone: *mut NET_BUFFER_LIST) {
    let parent = kernel.ndis.with(clone, |list| match list.kind {
        Kind::Clone { parent } => Some(parent),
        Kind::Original | Kind::Made { .. } => None,
    });
    let original = parent
        .flatten()
        .map(|parent| parent as *mut NET_BUFFER_LIST);
    for list in [Some(clone), original].into_iter().flatten() {
        check(kernel, list);
        kernel
            .ndis
            .with_mut(list, |list| list.past.held_since = None);
    }
}
