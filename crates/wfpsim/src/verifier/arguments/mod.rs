//! What the four parameters of each code mean: those of Windows' codes as its documentation of bug checks has them, as far as
//! the simulator gives them.

mod tables;

use tables::BAD_POOL;
use tables::CONTRACT;
use tables::DEFERRED;
use tables::FAST_FAIL;
use tables::FRAMEWORK;
use tables::IRQL;
use tables::VERIFIER;
use tables::WORKER;

use super::codes::code;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::memory::BlockState;

/// What each parameter is; empty where it is reserved.
pub(super) fn labels(code: u32, parameters: &[u64; 4], rule: &str) -> [&'static str; 4] {
    let table = match code {
        code::DRIVER_VERIFIER_DETECTED_VIOLATION => VERIFIER,
        code::BAD_POOL_CALLER => BAD_POOL,
        code::WDF_VIOLATION => FRAMEWORK,
        code::TIMER_OR_DPC_INVALID => DEFERRED,
        code::WORKER_INVALID => WORKER,
        code::KERNEL_SECURITY_CHECK_FAILURE => FAST_FAIL,
        code::KERNEL_APC_PENDING_DURING_EXIT => {
            return ["", "the thread's APC disable count", "", ""];
        }
        code::KMODE_EXCEPTION_NOT_HANDLED => return ["the exception's status", "", "", ""],
        code::INVALID_KERNEL_HANDLE => return ["the handle", "1: it is none", "", ""],
        code::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION => {
            let where_it_is = if parameters[3] == 0x23 {
                "bytes before the block were written"
            } else {
                "bytes behind the block were written"
            };
            return [
                "the block",
                "the first byte that was written",
                "the block's bytes",
                where_it_is,
            ];
        }
        code::PAGE_FAULT_IN_FREED_SPECIAL_POOL | code::PAGE_FAULT_BEYOND_END_OF_ALLOCATION => {
            return [
                "the address touched",
                "0 read, 1 write",
                "the instruction",
                "",
            ];
        }
        code::DRIVER_IRQL_NOT_LESS_OR_EQUAL => {
            return [
                "the address touched",
                IRQL,
                "0 read, 1 write, 8 execute",
                "the instruction",
            ];
        }
        code::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS => {
            return [
                "the address called, or the driver object of what is left",
                "0 read, 1 write",
                "the instruction",
                "",
            ];
        }
        code::WFP_INVALID_OPERATION => {
            return [
                "1: several NET_BUFFERs injected into the receive path",
                "",
                "the net buffer list",
                "",
            ];
        }
        code::WFPSIM_PACKET_VIOLATION => {
            return [
                "the packet's number",
                "1: came out wrong, 2: came out twice",
                "",
                "",
            ];
        }
        code::WFPSIM_HANG => {
            return [
                "what is waited for",
                "0 nothing can go on, 2 livelock, 3 starvation, 4 only time passes",
                "",
                "",
            ];
        }
        code::WFPSIM_CONTRACT_VIOLATION => {
            let known = CONTRACT.iter().find(|(known, _)| *known == rule);
            return known.map_or(["", "", "", ""], |(_, labels)| *labels);
        }
        _ => return ["", "", "", ""],
    };
    let known = table.iter().find(|kind| kind.value == parameters[0]);
    known.map_or(["the kind of violation", "", "", ""], |kind| {
        [kind.says, kind.rest[0], kind.rest[1], kind.rest[2]]
    })
}

/// The parameters in words: what each is, and what the machine knows of its value.
pub(super) fn explained(
    kernel: &Kernel,
    labels: [&'static str; 4],
    parameters: &[u64; 4],
) -> [String; 4] {
    let told = |index: usize| {
        let (label, value) = (labels[index], parameters[index]);
        match (label, identity(kernel, label, value)) {
            ("", None) if value == 0 => "reserved".to_owned(),
            ("", None) => String::new(),
            ("", Some(identity)) => identity,
            (label, None) => label.to_owned(),
            (label, Some(identity)) => format!("{label}: {identity}"),
        }
    };
    [0, 1, 2, 3].map(told)
}

/// What a value is.
fn identity(kernel: &Kernel, label: &str, value: u64) -> Option<String> {
    // Other labels tell of a kind of violation, whose number is neither.
    let value_told = label.starts_with("the ");
    if value_told
        && label.contains("IRQL")
        && let Some(level) = u8::try_from(value).ok().filter(|level| *level < 32)
    {
        return Some(level_name(level).to_owned());
    }
    if value_told && label.contains("tag") {
        let tag = u32::try_from(value).ok()?.to_le_bytes();
        return Some(format!("'{}'", tag.escape_ascii()));
    }
    let address = usize::try_from(value).ok()?;
    if let Some(block) = kernel.arena.find(address) {
        let name = kernel.ledger.label(block.object);
        let state = match block.state {
            BlockState::Live => "",
            BlockState::Freed => ", freed",
        };
        let offset = address.wrapping_sub(block.start) as isize;
        return Some(match offset {
            0 => format!("{name}{state}"),
            offset => format!("byte {offset} of {name}{state}"),
        });
    }
    let offset = kernel.image_offset(address)?;
    Some(format!("the driver's image at offset {offset:#x}"))
}

/// The name of an interrupt request level.
pub(super) fn level_name(level: u8) -> &'static str {
    match level {
        irql::PASSIVE => "PASSIVE_LEVEL",
        irql::APC => "APC_LEVEL",
        irql::DISPATCH => "DISPATCH_LEVEL",
        _ => "above DISPATCH_LEVEL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::Rule;

    #[test]
    fn each_kind_and_each_rule_is_told_once() {
        for table in [VERIFIER, BAD_POOL, FRAMEWORK] {
            assert!(table.is_sorted_by(|one, next| one.value < next.value));
        }
        let place = |rule: &str| Rule::all().position(|known| known.id == rule);
        let places: Vec<_> = CONTRACT.iter().map(|(rule, _)| place(rule)).collect();
        assert!(places.iter().all(Option::is_some), "{places:?}");
        assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
    }

    #[test]
    fn a_kind_that_is_not_known_is_said_to_be_one_and_an_unknown_code_says_nothing() {
        let told = |code, first| labels(code, &[first, 0, 0, 0], "C-62")[0];
        let verifier = code::DRIVER_VERIFIER_DETECTED_VIOLATION;
        assert_eq!(
            told(verifier, 0x3E),
            "KeLeaveCriticalRegion without KeEnterCriticalRegion"
        );
        assert_eq!(told(verifier, 0xFFFF), "the kind of violation");
        assert_eq!(told(0x1234, 1), "");
    }
}
