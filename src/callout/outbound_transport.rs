//! OUTBOUND_TRANSPORT: every packet an endpoint sends, loopback included.
//!
//! What the stack sends without an endpoint, such as the reset for a segment nobody listens to, has most of its
//! metadata empty and cannot be send-injected; it is decided at once.

use nt::Cx;
use tollgate_abi::Counter;
use wfp::{Answer, Classify, Direction};

use super::{answer, hold_packet, inline, leave, read};
use crate::entry::Tollgate;
use crate::held::Work;
use crate::triage::{self, Inline, OutboundPlan, OutboundTransport, Triage};
use crate::verdict::Facts;

/// Classify at OUTBOUND_TRANSPORT. IRQL ≤ DISPATCH_LEVEL.
pub fn classify(tollgate: &Tollgate, cx: &mut Cx, classify: &mut Classify<'_>) -> Answer {
    tollgate.count(Counter::ClassifiedOutboundTransport);
    let facts = read::facts(classify, Direction::Outbound);
    let seen = OutboundTransport {
        may_write: classify.may_write(),
        packet: read::outbound_shape(classify),
        self_injected: read::self_injected(tollgate, cx, classify),
    };
    match triage::outbound_transport(&seen) {
        Triage::Leave(reason) => leave(tollgate, classify, reason),
        Triage::Inline(reason) => inline(tollgate, classify, &facts, reason),
        Triage::Answer(verdict) => answer(tollgate, classify, verdict),
        Triage::Hold(plan) => hold(
            tollgate,
            cx,
            classify,
            facts,
            plan,
            Counter::HeldOutboundTransport,
        )
        .unwrap_or_else(|reason| inline(tollgate, classify, &facts, reason)),
    }
}

/// Holds an outbound packet, of this layer or of a reauthorization, or says why there is no room or memory to.
///
/// IRQL ≤ DISPATCH_LEVEL.
pub fn hold(
    tollgate: &Tollgate,
    cx: &mut Cx,
    classify: &mut Classify<'_>,
    facts: Facts,
    plan: OutboundPlan,
    counter: Counter,
) -> Result<Answer, Inline> {
    let place = tollgate.queue.place(read::bytes(classify))?;
    let copy = read::outbound_copy(classify, &facts, plan)?;
    let work = |nbl| Work::Outbound(copy.with(nbl));
    Ok(hold_packet(
        tollgate, cx, classify, facts, place, counter, work,
    ))
}
