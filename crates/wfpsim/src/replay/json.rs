//! The summary as data.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::followed::Followed;
use super::summary::Summary;
use crate::verifier::Event;
use crate::verifier::Violation;

/// The summary as a JSON object. Names are stable; new ones may be added.
pub fn summary(summary: &Summary) -> Value {
    let map = |counts: &std::collections::BTreeMap<&'static str, u64>| -> Map<String, Value> {
        counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), json!(count)))
            .collect()
    };
    let driver: Map<String, Value> = summary
        .driver
        .iter()
        .map(|(_, name, count)| ((*name).to_owned(), json!(count)))
        .collect();
    let planned = &summary.planned;
    let stack = &summary.stack;
    json!({
        "capture": summary.capture,
        "seed": summary.seed,
        "block": { "address": summary.block.address.map(|address| address.to_string()), "port": summary.block.port },
        "host": summary.host.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "host_guessed": summary.guessed,
        "packets": {
            "in": planned.records,
            "inbound": planned.inbound,
            "outbound": planned.outbound,
            "loopback": planned.loopback,
            "fragments": planned.fragments,
            "fragment_duplicates": planned.fragment_duplicates,
            "delivered": summary.delivered,
            "sent": summary.sent,
        },
        "permitted_inline": stack.permitted_inline,
        "held": stack.held,
        "pended": stack.pended,
        "reauthorized": stack.reauthorized,
        "reinjected": stack.reinjected,
        "blocked": summary.blocked,
        "dropped": map(&summary.dropped),
        "lost": summary.lost.iter().map(|lost| json!({ "packet": lost.number, "what": lost.what })).collect::<Vec<_>>(),
        "ipsec": {
            "transport": planned.ipsec_transport,
            "tunnel": planned.ipsec_tunnel,
            "rebuilt": stack.rebuilt,
            "skipped_tunnel": stack.skipped_tunnel,
        },
        "driver": driver,
        "followed": summary.followed_in_capture().map(Followed::json),
        "violations": summary.violations.iter().map(violation).collect::<Vec<_>>(),
        "leaks": map(&summary.leaks),
        "error": summary.input_error,
        "stopped_at": summary.stopped_at,
        "interrupted": summary.interrupted,
    })
}

/// One violation as data.
pub fn violation(violation: &Violation) -> Value {
    let events = violation.history.iter().map(event).collect::<Vec<_>>();
    json!({
        "code": format!("{:#x}", violation.code),
        "name": violation.name(),
        "meaning": crate::verifier::code::meaning(violation.code),
        "parameters": violation.parameters.map(|parameter| format!("{parameter:#x}")),
        "arguments": violation.arguments,
        "rule": violation.rule,
        "broken": violation.broken().map(crate::verifier::rules::json::rule),
        "summary": violation.summary,
        "process": violation.process,
        "thread": violation.thread,
        "irql": violation.irql,
        "processor": violation.processor,
        "time_100ns": violation.time,
        "object": violation.object,
        "owner": violation.owner,
        "history": violation.history.iter().map(|event| event.what.to_string()).collect::<Vec<_>>(),
        "events": events,
        "stack": violation.stack,
        "seed": violation.seed,
    })
}

/// Something that happened to an object, as data.
pub(super) fn event(event: &Event) -> Value {
    json!({
        "time_100ns": event.time,
        "thread": event.thread.map(|(thread, _)| thread.0),
        "thread_name": event.name.as_deref(),
        "processor": event.thread.map(|(_, processor)| processor),
        "irql": event.irql,
        "what": event.what,
        "stack": event.stack,
    })
}
