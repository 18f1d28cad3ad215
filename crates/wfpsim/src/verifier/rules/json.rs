//! The table for machines. Names are stable; new ones may be added.

use serde_json::Value;
use serde_json::json;

use super::Check;
use super::Counts;
use super::Rule;
use super::Windows;

/// Rules as data, with the counts of the whole table.
pub fn rules(rules: impl IntoIterator<Item = &'static Rule>) -> Value {
    let counts = Counts::of_all();
    json!({
        "rules": rules.into_iter().map(rule).collect::<Vec<_>>(),
        "counts": {
            "rules": counts.rules,
            "checked": counts.tested,
            "mistakes": counts.mistakes,
            "not_checked": counts.not_checked,
            "facts": counts.facts,
            "open": counts.open,
        },
    })
}

/// One rule as data.
pub fn rule(rule: &Rule) -> Value {
    let (state, by, why) = match rule.check {
        Check::Tested { by } => ("checked", by, None),
        Check::NotChecked { why } => ("not_checked", [].as_slice(), Some(why)),
        Check::Open => ("open", [].as_slice(), None),
    };
    let contract = rule.contract();
    let read = [&[contract.as_str()], rule.read].concat();
    json!({
        "id": rule.id,
        "title": rule.title,
        "severity": rule.severity.name(),
        "windows": { "by": by_whom(rule.windows), "how": rule.windows.to_string() },
        "check": { "state": state, "mistakes": by, "why": why },
        "meaning": rule.meaning,
        "read": read,
    })
}

/// What of Windows would notice, as a stable key; null if nothing would.
fn by_whom(windows: Windows) -> Option<&'static str> {
    match windows {
        Windows::Nothing | Windows::LaterAs(_) | Windows::NotApplicable => None,
        Windows::Status(_) => Some("status"),
        Windows::BugCheck(_) => Some("bug_check"),
        Windows::DriverVerifier(_) => Some("driver_verifier"),
        Windows::SpecialPool(_) => Some("special_pool"),
        Windows::Ndis(_) => Some("ndis"),
        Windows::Framework(_) => Some("kmdf"),
    }
}
