//! The description as data.

use serde_json::Value;
use serde_json::json;

use super::Description;
use super::Outcome;
use super::Place;
use super::Signature;

pub(super) fn description(it: &Description) -> Value {
    let headers = &it.headers;
    let (signed, signer) = match &it.signature {
        Signature::Absent => (false, None),
        Signature::Present(signer) => (true, signer.as_ref()),
    };
    json!({
        "file": it.file,
        "bytes": it.length,
        "machine": headers.machine,
        "timestamp": headers.timestamp,
        "reproducible": headers.reproducible,
        "base": headers.base,
        "size": headers.size,
        "entry": headers.entry,
        "section_alignment": headers.alignment,
        "subsystem": headers.subsystem,
        "dll_characteristics": headers.characteristics,
        "version": it.version.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>(),
        "signature": { "present": signed, "signer": signer },
        "symbols": it.symbols.as_ref().map(|symbols| json!({
            "name": symbols.name,
            "guid": symbols.guid,
            "age": symbols.age,
            "beside": symbols.beside.is_some(),
            "matches": symbols.matches,
        })),
        "sections": it.sections.iter().map(|section| json!({
            "name": section.name,
            "address": section.address,
            "size": section.size,
            "protection": section.protection(),
            "characteristics": section.flags,
        })).collect::<Vec<_>>(),
        "imports": it.imports.iter().map(|module| json!({
            "module": module.name,
            "symbols": module.symbols.iter().map(|(name, simulated)| json!({ "name": name, "simulated": simulated })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "kmdf": it.framework.as_ref().map(|framework| json!({
            "major": framework.version.map(|version| version.0),
            "minor": framework.version.map(|version| version.1),
            "functions": framework.version.map(|version| version.2),
            "minimum_minor": framework.minimum,
        })),
        "code": it.code.as_ref().map(|code| json!({
            "instructions": code.instructions,
            "protection": places(&code.protection),
            "privileged": places(&code.privileged),
            "fast_fail": places(&code.fast_fail),
            "executable_pool": places(&code.executable_pool),
            "executable_mapping": places(&code.executable_mapping),
            "unknown_pool": places(&code.unknown_pool),
        })),
        "run": run(it),
        "findings": it.findings.iter().map(|finding| json!({
            "name": finding.name,
            "severity": finding.severity.name(),
            "heuristic": finding.heuristic,
            "found": finding.found,
            "wanted": finding.wanted,
            "places": places(&finding.places),
        })).collect::<Vec<_>>(),
    })
}

fn places(places: &[Place]) -> Value {
    places
        .iter()
        .map(|place| json!({ "address": place.address, "what": place.what, "told": place.told }))
        .collect()
}

fn run(it: &Description) -> Value {
    let (outcome, message) = match &it.run.outcome {
        Outcome::NotRun => ("not-run", None),
        Outcome::NotLoaded(message) => ("not-loaded", Some(message)),
        Outcome::Refused(message) => ("refused", Some(message)),
        Outcome::Stopped(message) => ("stopped", Some(message)),
        Outcome::Ran => ("ran", None),
    };
    json!({
        "outcome": outcome,
        "message": message,
        "callouts": it.run.callouts.iter().map(|callout| json!({
            "key": callout.key,
            "registered": callout.registered,
            "layer": callout.layer,
            "filters": callout.filters.iter().map(|filter| json!({
                "layer": filter.layer,
                "action": filter.action,
                "conditions": filter.conditions,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "violations": it.run.violations,
    })
}
