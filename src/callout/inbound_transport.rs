//! INBOUND_TRANSPORT: packets of connections that are authorized already, and of protocols without any.
//!
//! The first packet of a connection comes here too, marked ALE_CLASSIFY_REQUIRED, and goes on untouched to
//! RECV_ACCEPT. What IPsec did to a packet is asked here, where it can be asked.

use nt::Cx;
use tollgate_abi::Counter;
use wfp::{Answer, Classify, Direction};

use super::{answer, hold_packet, inline, leave, read};
use crate::entry::Tollgate;
use crate::held::Work;
use crate::triage::{self, InboundPlan, InboundTransport, Inline, Triage};
use crate::verdict::Facts;

/// Classify at INBOUND_TRANSPORT. IRQL ≤ DISPATCH_LEVEL.
pub fn classify(tollgate: &Tollgate, cx: &mut Cx, classify: &mut Classify<'_>) -> Answer {
    tollgate.count(Counter::ClassifiedInboundTransport);
    let facts = read::facts(classify, Direction::Inbound);
    let security = classify.inbound_security(cx).ok();
    let seen = InboundTransport {
        may_write: classify.may_write(),
        packet: read::inbound_shape(classify),
        self_injected: read::self_injected(tollgate, cx, classify),
        ale_classify_required: classify.metadata().ale_classify_required(),
        tunnel_not_detunneled: security
            .map(|ipsec| ipsec.is_tunnel_mode() && !ipsec.is_detunneled()),
    };
    let secured = security.is_some_and(|ipsec| ipsec.is_secure());
    match triage::inbound_transport(&seen) {
        Triage::Leave(reason) => leave(tollgate, classify, reason),
        Triage::Inline(reason) => inline(tollgate, classify, &facts, reason),
        Triage::Answer(verdict) => answer(tollgate, classify, verdict),
        Triage::Hold(plan) => hold(tollgate, cx, classify, facts, plan, secured)
            .unwrap_or_else(|reason| inline(tollgate, classify, &facts, reason)),
    }
}

/// Holds the packet, or says why there is no room or memory to. IRQL ≤ DISPATCH_LEVEL.
fn hold(
    tollgate: &Tollgate,
    cx: &mut Cx,
    classify: &mut Classify<'_>,
    facts: Facts,
    plan: InboundPlan,
    secured: bool,
) -> Result<Answer, Inline> {
    let place = tollgate.queue.place(read::bytes(classify))?;
    let copy = read::inbound_copy(classify, &facts, plan, secured)?;
    let work = |nbl| Work::Inbound(copy.with(nbl));
    Ok(hold_packet(
        tollgate,
        cx,
        classify,
        facts,
        place,
        Counter::HeldInboundTransport,
        work,
    ))
}
