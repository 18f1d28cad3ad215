//! The findings in an image's code.

use super::Code;
use super::Finding;
use super::Place;
use super::Severity;

pub(super) fn find(code: &Code) -> Vec<Finding> {
    use Severity::Error;
    use Severity::Note;
    let kinds = [
        (
            "executable-pool",
            Error,
            true,
            "calls that seem to ask for executable pool",
            "NonPagedPoolNx or POOL_FLAG_NON_PAGED (0xC4, 0x2000)",
            &code.executable_pool,
        ),
        (
            "executable-mapping",
            Error,
            true,
            "calls that seem to map memory executable",
            "MdlMappingNoExecute in the priority (0xC4, 0x2002)",
            &code.executable_mapping,
        ),
        (
            "pool-type-not-seen",
            Note,
            true,
            "pool calls whose type is no constant here",
            "look at them; a driver built with POOL_NX_OPTIN reads its pool type from a variable, which is right",
            &code.unknown_pool,
        ),
        (
            "protection-instruction",
            Error,
            false,
            "instructions that change what the processor protects",
            "none: memory integrity stops most of them, and a callout driver needs no such thing",
            &code.protection,
        ),
        (
            "privileged-instruction",
            Note,
            false,
            "privileged instructions, which the simulator may not be able to run",
            "the kernel's functions, such as KeGetCurrentIrql; inlined ones of the WDK are right on Windows",
            &code.privileged,
        ),
        (
            "fast-fail",
            Note,
            false,
            "fast fails (bug check 0x139)",
            "right where a check of the compiler's ends in them (security cookie, list corruption)",
            &code.fast_fail,
        ),
    ];
    kinds
        .into_iter()
        .filter(|kind| !kind.5.is_empty())
        .map(
            |(name, severity, heuristic, what, wanted, places)| Finding {
                name,
                severity,
                heuristic,
                found: format!("{what}: {}", counted(places)),
                wanted,
                places: places.clone(),
            },
        )
        .collect()
}

/// What is at the places, each with how often.
fn counted(places: &[Place]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for place in places {
        match counts.iter_mut().find(|(what, _)| *what == place.what) {
            Some((_, count)) => *count += 1,
            None => counts.push((&place.what, 1)),
        }
    }
    let told: Vec<String> = counts
        .iter()
        .map(|(what, count)| match count {
            1 => (*what).to_owned(),
            count => format!("{what} ({count} times)"),
        })
        .collect();
    told.join("; ")
}
