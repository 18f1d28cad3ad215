//! The callouts: what is read from a classify, and how it is answered.
//!
//! Each layer's file reads the facts, asks [`crate::triage`], and carries out what it says. The four have the same
//! few endings, which are here.

mod connect;
mod inbound_transport;
mod outbound_transport;
mod read;
mod recv_accept;

use nt::time::InterruptTime;
use nt::{Cx, NtStatus};
use tollgate_abi::Counter;
use wfp::{Answer, Classify, HoldError, Host, LayerKind, NblRef};

use crate::entry::Tollgate;
use crate::held::{Held, Work};
use crate::queue::Place;
use crate::triage::{Inline, Leave};
use crate::verdict::{Facts, Verdict};

impl Host for Tollgate {
    /// classifyFn of every callout. IRQL ≤ DISPATCH_LEVEL.
    fn classify(&self, cx: &mut Cx, classify: &mut Classify<'_>) -> Answer {
        match classify.layer().kind {
            LayerKind::InboundTransport => inbound_transport::classify(self, cx, classify),
            LayerKind::OutboundTransport => outbound_transport::classify(self, cx, classify),
            LayerKind::RecvAccept => recv_accept::classify(self, cx, classify),
            LayerKind::Connect => connect::classify(self, cx, classify),
        }
    }
}

/// Permits without asking, and counts why. IRQL ≤ DISPATCH_LEVEL.
fn leave(tollgate: &Tollgate, classify: &Classify<'_>, reason: Leave) -> Answer {
    tollgate.count(reason.counter());
    classify.permit()
}

/// Asks the policy now, and counts why and what it said. Without the right to write, permitting changes nothing and
/// blocking is the veto that A-15 allows. IRQL ≤ DISPATCH_LEVEL.
fn inline(tollgate: &Tollgate, classify: &Classify<'_>, facts: &Facts, reason: Inline) -> Answer {
    tollgate.count(reason.counter());
    match tollgate.policy.decide(facts) {
        Verdict::Permit => {
            tollgate.count(Counter::InlinePermitted);
            classify.permit()
        }
        Verdict::Block => {
            tollgate.count(Counter::InlineBlocked);
            classify.block()
        }
    }
}

/// Answers a reauthorization with what was decided while its connection was pended. IRQL ≤ DISPATCH_LEVEL.
fn answer(tollgate: &Tollgate, classify: &Classify<'_>, verdict: Verdict) -> Answer {
    match verdict {
        Verdict::Permit => {
            tollgate.count(Counter::AnsweredPermitted);
            classify.permit()
        }
        Verdict::Block => {
            tollgate.count(Counter::AnsweredBlocked);
            classify.block()
        }
    }
}

/// Blocks because the pend failed: nothing is pended, and the caller has given everything back.
/// IRQL ≤ DISPATCH_LEVEL.
fn refuse(tollgate: &Tollgate, classify: &Classify<'_>, error: &HoldError) -> Answer {
    tollgate.count(refusal(error));
    classify.block()
}

/// How a pend that failed is counted.
const fn refusal(error: &HoldError) -> Counter {
    match error {
        HoldError::Reauthorize | HoldError::Failed(NtStatus::FWP_CANNOT_PEND) => {
            Counter::RefusedCannotPend
        }
        HoldError::Failed(NtStatus::FWP_TCPIP_NOT_READY) => Counter::RefusedNotReady,
        _ => Counter::RefusedOther,
    }
}

/// Why a packet that triage wanted to hold could not be referenced. None of these is left after triage; each has
/// its answer all the same.
fn unreferenced(error: &HoldError) -> Inline {
    match error {
        HoldError::NoWriteRight | HoldError::AlreadyHeld | HoldError::WrongLayer => {
            Inline::NoWriteRight
        }
        HoldError::NoNbl => Inline::NoPacket,
        HoldError::Chained => Inline::SeveralNetBuffers,
        HoldError::NoCompletionHandle => Inline::CompletionHandle,
        HoldError::Reauthorize => Inline::Reauthorize,
        HoldError::Failed(_) => Inline::NoMemory,
    }
}

/// Holds a packet that needs no pend: takes the reference, makes `work` of it, and puts it into its place.
///
/// IRQL ≤ DISPATCH_LEVEL.
fn hold_packet(
    tollgate: &Tollgate,
    cx: &mut Cx,
    classify: &mut Classify<'_>,
    facts: Facts,
    place: Place<'_, Held>,
    counter: Counter,
    work: impl FnOnce(NblRef) -> Work,
) -> Answer {
    match classify.reference(cx) {
        Ok(nbl) => {
            put(tollgate, cx, place, counter, facts, || work(nbl));
            classify.absorb()
        }
        Err(error) => inline(tollgate, classify, &facts, unreferenced(&error)),
    }
}

/// Puts what is held into its place, and counts it. IRQL ≤ DISPATCH_LEVEL.
///
/// The time is asked for before `work` is put together: half a kilobyte that lived across that call would be copied twice.
fn put(
    tollgate: &Tollgate,
    cx: &mut Cx,
    place: Place<'_, Held>,
    counter: Counter,
    facts: Facts,
    work: impl FnOnce() -> Work,
) {
    // Counted first: the worker may have ended it before the next line here runs.
    tollgate.count(counter);
    let since = InterruptTime::now();
    let held = Held {
        facts,
        since,
        work: work(),
    };
    place.put(cx, held);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pend_that_failed_is_counted_by_why_it_did() {
        for (error, counter) in [
            (HoldError::Reauthorize, Counter::RefusedCannotPend),
            (
                HoldError::Failed(NtStatus::FWP_CANNOT_PEND),
                Counter::RefusedCannotPend,
            ),
            (
                HoldError::Failed(NtStatus::FWP_TCPIP_NOT_READY),
                Counter::RefusedNotReady,
            ),
            (
                HoldError::Failed(NtStatus::INSUFFICIENT_RESOURCES),
                Counter::RefusedOther,
            ),
            (HoldError::NoCompletionHandle, Counter::RefusedOther),
        ] {
            assert_eq!(refusal(&error), counter, "{error:?}");
        }
    }

    #[test]
    fn what_cannot_be_referenced_is_decided_at_once_and_counted_by_why() {
        for (error, why) in [
            (HoldError::NoWriteRight, Inline::NoWriteRight),
            (HoldError::AlreadyHeld, Inline::NoWriteRight),
            (HoldError::WrongLayer, Inline::NoWriteRight),
            (HoldError::NoNbl, Inline::NoPacket),
            (HoldError::Chained, Inline::SeveralNetBuffers),
            (HoldError::NoCompletionHandle, Inline::CompletionHandle),
            (HoldError::Reauthorize, Inline::Reauthorize),
            (
                HoldError::Failed(NtStatus::INSUFFICIENT_RESOURCES),
                Inline::NoMemory,
            ),
        ] {
            assert_eq!(unreferenced(&error), why, "{error:?}");
        }
    }
}
