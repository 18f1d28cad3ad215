//! The suite as data.

use serde_json::Value;
use serde_json::json;

use super::bench::Failure;
use super::suite::Line;
use super::suite::Summary;
use super::text::Table;
use super::text::verdict;
use crate::replay::json::violation;

/// The summary as a JSON object. Names are stable; new ones may be added. `table` knows the commands.
pub fn summary(summary: &Summary, table: &Table) -> Value {
    json!({
        "holds": summary.holds(),
        "interrupted": summary.interrupted,
        "scenarios": summary.lines.iter().map(|line| scenario(line, table)).collect::<Vec<_>>(),
    })
}

fn scenario(line: &Line, table: &Table) -> Value {
    let failed = line.failed.as_ref().map(|failed| {
        json!({
            "seed": failed.seed,
            "case": failed.case,
            "failures": failed.failures.iter().map(failure).collect::<Vec<_>>(),
            "command": table.command(line, failed),
        })
    });
    json!({
        "name": line.scenario.name,
        "what": line.scenario.what,
        "seeds": line.seeds,
        "runs": line.runs,
        "packets": line.packets,
        "taken": line.taken,
        "lost": line.lost,
        "verdict": verdict(line),
        "not_applicable": line.not_applicable,
        "failed": failed,
    })
}

fn failure(failure: &Failure) -> Value {
    match failure {
        Failure::Violation(found) => json!({ "kind": "violation", "violation": violation(found) }),
        Failure::Load(what) => json!({ "kind": "load", "what": what }),
        Failure::Packet(what) => json!({ "kind": "packet", "what": what }),
        Failure::Counters(what) => json!({ "kind": "counters", "what": what }),
    }
}
