//! What an exploration came to, as data.

use serde_json::Value;
use serde_json::json;

use super::Ended;
use super::Finding;
use super::Report;

/// A report as JSON.
pub fn json(subject: &str, report: &Report) -> Value {
    let (seconds, busy) = (report.elapsed.as_secs_f64(), report.busy.as_secs_f64());
    json!({
        "scenario": subject,
        "schedules": report.progress.schedules,
        "distinct": report.progress.distinct,
        "violations": report.progress.violations,
        "made_again": report.progress.again,
        "seconds": seconds,
        "busy_seconds": busy,
        "schedules_per_busy_second": report.progress.schedules as f64 / busy.max(1e-9),
        "schedules_per_second": report.progress.schedules as f64 / seconds.max(1e-9),
        "ended": match report.ended {
            Ended::Covered => "covered",
            Ended::Schedules => "schedules",
            Ended::Time => "time",
            Ended::Found => "found",
            Ended::Interrupted => "interrupted",
        },
        "longest_run": { "calls": report.longest.0, "threads": report.longest.1 },
        "least_probability": report.bound,
        "redundant_runs": report.redundant_and_cut.map(|(redundant, _)| redundant),
        "cut_runs": report.redundant_and_cut.map(|(_, cut)| cut),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

/// A finding as JSON.
pub fn finding(finding: &Finding) -> Value {
    let first = finding.violations.first();
    json!({
        "rule": first.map(|violation| violation.rule),
        "name": first.map(|violation| violation.name()),
        "code": first.map(|violation| violation.code),
        "summary": first.map(|violation| violation.summary.as_str()),
        "schedule": finding.schedule,
        "choices_found": finding.choices.0,
        "choices": finding.choices.1,
        "steps": finding.timeline.calls(),
        "repeats": finding.repeats,
        "token": finding.token.to_string(),
        "report": finding.to_string(),
    })
}
