//! ALE_AUTH_CONNECT: outbound connections, and the reauthorizations that completing them brings.
//!
//! A first classify is pended, with its first datagram when the protocol has one, because the stack does not keep
//! it. Completing the operation brings a reauthorization at once and on the worker's own stack, which is
//! answered with the decision that the worker has stored ([`crate::completing`]); the datagram is sent after that.

use nt::Cx;
use tollgate_abi::Counter;
use wfp::{Answer, Classify, ConditionFlags, Direction};

use super::{answer, inline, leave, put, read, refuse, unreferenced};
use crate::entry::Tollgate;
use crate::held::Work;
use crate::triage::{self, Connect, ConnectPlan, Inline, Triage};
use crate::verdict::{Facts, Verdict};

/// Classify at ALE_AUTH_CONNECT. IRQL ≤ DISPATCH_LEVEL.
pub fn classify(tollgate: &Tollgate, cx: &mut Cx, classify: &mut Classify<'_>) -> Answer {
    tollgate.count(Counter::ClassifiedConnect);
    let facts = read::facts(classify, Direction::Outbound);
    let reauthorize = read::flag(classify, ConditionFlags::IS_REAUTHORIZE);
    let self_injected = read::self_injected(tollgate, cx, classify);
    let seen = Connect {
        may_write: classify.may_write(),
        packet: read::ale_packet(classify, Direction::Outbound),
        self_injected,
        reauthorize,
        decided: if reauthorize && !self_injected {
            decided(tollgate, cx, classify, &facts)
        } else {
            None
        },
        completion_handle: classify.metadata().has_completion_handle(),
    };
    match triage::connect(&seen) {
        Triage::Leave(reason) => leave(tollgate, classify, reason),
        Triage::Inline(reason) => inline(tollgate, classify, &facts, reason),
        Triage::Answer(verdict) => answer(tollgate, classify, verdict),
        Triage::Hold(plan) => hold(tollgate, cx, classify, facts, plan)
            .unwrap_or_else(|reason| inline(tollgate, classify, &facts, reason)),
    }
}

/// The decision for this reauthorization, if the worker is completing its connect right now.
/// IRQL ≤ DISPATCH_LEVEL.
fn decided(
    tollgate: &Tollgate,
    cx: &mut Cx,
    classify: &Classify<'_>,
    facts: &Facts,
) -> Option<Verdict> {
    let endpoint_handle = classify.metadata().endpoint_handle();
    tollgate
        .completing
        .find(cx, endpoint_handle, facts, classify.reauthorize_reason())
}

/// Pends as the plan says, or says why there is no room or memory to. The pend is the last step that can fail
/// . IRQL ≤ DISPATCH_LEVEL.
fn hold(
    tollgate: &Tollgate,
    cx: &mut Cx,
    classify: &mut Classify<'_>,
    facts: Facts,
    plan: ConnectPlan,
) -> Result<Answer, Inline> {
    let place = tollgate.queue.place(read::bytes(classify))?;
    let endpoint_handle = classify.metadata().endpoint_handle();
    let (datagram, counter) = match plan {
        ConnectPlan::Pend => (None, Counter::HeldConnect),
        ConnectPlan::PendDatagram(plan) => {
            let copy = read::outbound_copy(classify, &facts, plan)?;
            let nbl = classify
                .reference(cx)
                .map_err(|error| unreferenced(&error))?;
            (Some(copy.with(nbl)), Counter::HeldConnectDatagram)
        }
    };
    match classify.pend(cx) {
        Ok(pended) => {
            put(tollgate, cx, place, counter, facts, || Work::Connect {
                pended,
                endpoint_handle,
                datagram,
            });
            Ok(classify.absorb())
        }
        Err(error) => Ok(refuse(tollgate, classify, &error)),
    }
}
