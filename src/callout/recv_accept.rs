//! ALE_AUTH_RECV_ACCEPT: the first packet of an inbound connection, and reauthorizations.
//!
//! A first classify is pended and its packet kept: the connection is permitted by completing the operation with a
//! clone and injecting that clone, which comes back here as injected by this driver. A reauthorization cannot
//! be pended; its packet is held as a packet, whichever way it goes (A-76, A-76b).

use nt::Cx;
use tollgate_abi::Counter;
use wfp::{Answer, Classify, ConditionFlags, Direction};

use super::{
    answer, hold_packet, inline, leave, outbound_transport, put, read, refuse, unreferenced,
};
use crate::entry::Tollgate;
use crate::held::Work;
use crate::triage::{self, InboundPlan, Inline, RecvAccept, RecvAcceptPlan, Triage};
use crate::verdict::Facts;

/// Classify at ALE_AUTH_RECV_ACCEPT. IRQL ≤ DISPATCH_LEVEL.
pub fn classify(tollgate: &Tollgate, cx: &mut Cx, classify: &mut Classify<'_>) -> Answer {
    tollgate.count(Counter::ClassifiedRecvAccept);
    let facts = read::facts(classify, Direction::Inbound);
    let seen = RecvAccept {
        may_write: classify.may_write(),
        packet: read::ale_packet(classify, Direction::Inbound),
        self_injected: read::self_injected(tollgate, cx, classify),
        reauthorize: read::flag(classify, ConditionFlags::IS_REAUTHORIZE),
        completion_handle: classify.metadata().has_completion_handle(),
    };
    match triage::recv_accept(&seen) {
        Triage::Leave(reason) => leave(tollgate, classify, reason),
        Triage::Inline(reason) => inline(tollgate, classify, &facts, reason),
        Triage::Answer(verdict) => answer(tollgate, classify, verdict),
        Triage::Hold(plan) => hold(tollgate, cx, classify, facts, plan)
            .unwrap_or_else(|reason| inline(tollgate, classify, &facts, reason)),
    }
}

/// Holds as the plan says, or says why there is no room or memory to. IRQL ≤ DISPATCH_LEVEL.
fn hold(
    tollgate: &Tollgate,
    cx: &mut Cx,
    classify: &mut Classify<'_>,
    facts: Facts,
    plan: RecvAcceptPlan,
) -> Result<Answer, Inline> {
    match plan {
        RecvAcceptPlan::Pend(plan) => pend(tollgate, cx, classify, facts, plan),
        RecvAcceptPlan::HoldInbound(plan) => {
            let place = tollgate.queue.place(read::bytes(classify))?;
            let copy = read::inbound_copy(classify, &facts, plan, secured(classify))?;
            let work = |nbl| Work::Inbound(copy.with(nbl));
            let counter = Counter::HeldRecvAcceptReauthorizeInbound;
            Ok(hold_packet(
                tollgate, cx, classify, facts, place, counter, work,
            ))
        }
        RecvAcceptPlan::HoldOutbound(plan) => {
            let counter = Counter::HeldRecvAcceptReauthorizeOutbound;
            outbound_transport::hold(tollgate, cx, classify, facts, plan, counter)
        }
    }
}

/// Whether IPsec protected the packet, as this layer tells it.
fn secured(classify: &Classify<'_>) -> bool {
    read::flag(classify, ConditionFlags::IS_IPSEC_SECURED)
}

/// Pends the operation and keeps its packet. The pend is the last step that can fail, so that a pended operation
/// always has its place; when it fails, place and reference go back on the way out.
///
/// IRQL ≤ DISPATCH_LEVEL.
fn pend(
    tollgate: &Tollgate,
    cx: &mut Cx,
    classify: &mut Classify<'_>,
    facts: Facts,
    plan: InboundPlan,
) -> Result<Answer, Inline> {
    let place = tollgate.queue.place(read::bytes(classify))?;
    let copy = read::inbound_copy(classify, &facts, plan, secured(classify))?;
    let nbl = classify
        .reference(cx)
        .map_err(|error| unreferenced(&error))?;
    match classify.pend(cx) {
        Ok(pended) => {
            let work = || Work::RecvAccept {
                pended,
                packet: copy.with(nbl),
            };
            put(tollgate, cx, place, Counter::HeldRecvAccept, facts, work);
            Ok(classify.absorb())
        }
        Err(error) => Ok(refuse(tollgate, classify, &error)),
    }
}
