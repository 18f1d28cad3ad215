//! What the four parameters of each code mean: those of Windows' codes as its documentation of bug checks has them, as far as
//! the simulator gives them.

use super::codes::code;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::memory::BlockState;

/// What the parameters behind the first are, and what the first says, where it is a kind.
struct Kind {
    value: u64,
    says: &'static str,
    rest: [&'static str; 3],
}

const fn kind(value: u64, says: &'static str, rest: [&'static str; 3]) -> Kind {
    Kind { value, says, rest }
}

const IRQL: &str = "the current IRQL";
const LOCK: &str = "the spin lock";

/// Bug check 0xC4.
const VERIFIER: &[Kind] = &[
    kind(
        0x00,
        "pool of zero bytes was asked for",
        ["the flags", "the tag", ""],
    ),
    kind(
        0x01,
        "paged pool was asked for above APC_LEVEL",
        [IRQL, "the flags", "the bytes asked for"],
    ),
    kind(
        0x02,
        "pool was asked for above DISPATCH_LEVEL",
        [IRQL, "the highest IRQL allowed", ""],
    ),
    kind(
        0x10,
        "an address that was never allocated was freed",
        ["the address", "", ""],
    ),
    kind(
        0x11,
        "paged pool was freed above APC_LEVEL",
        [IRQL, "the flags", "the block"],
    ),
    kind(
        0x12,
        "pool was freed above DISPATCH_LEVEL",
        [IRQL, "the highest IRQL allowed", ""],
    ),
    kind(0x13, "pool that is free was freed", ["", "the block", ""]),
    kind(0x14, "pool that is free was freed", ["", "the block", ""]),
    kind(
        0x15,
        "pool with an active timer in it was freed",
        ["the timer", "", "the block"],
    ),
    kind(
        0x32,
        "a spin lock was released at an IRQL other than DISPATCH_LEVEL",
        [IRQL, LOCK, ""],
    ),
    kind(
        0x35,
        "a queued spin lock was released at an IRQL other than DISPATCH_LEVEL",
        [IRQL, LOCK, "the IRQL to return to"],
    ),
    kind(
        0x36,
        "a queued spin lock was released at an IRQL other than DISPATCH_LEVEL",
        [IRQL, LOCK, "the IRQL to return to"],
    ),
    kind(
        0x3B,
        "a wait at DISPATCH_LEVEL or above",
        [IRQL, "the object waited for", ""],
    ),
    kind(
        0x3C,
        "ObReferenceObjectByHandle was given a handle that is not open",
        ["the handle", "", ""],
    ),
    kind(
        0x3E,
        "KeLeaveCriticalRegion without KeEnterCriticalRegion",
        ["", "", ""],
    ),
    kind(
        0x3F,
        "an object without references was dereferenced",
        ["the object", "its new number of references", ""],
    ),
    kind(
        0x40,
        "KeAcquireSpinLockAtDpcLevel below DISPATCH_LEVEL",
        [IRQL, LOCK, ""],
    ),
    kind(
        0x41,
        "KeReleaseSpinLockFromDpcLevel below DISPATCH_LEVEL",
        [IRQL, LOCK, ""],
    ),
    kind(
        0x42,
        "a spin lock was acquired above DISPATCH_LEVEL",
        [IRQL, LOCK, ""],
    ),
    kind(
        0x60,
        "the driver was unloaded with pool not freed",
        [
            "bytes of paged pool",
            "bytes of nonpaged pool",
            "how many blocks",
        ],
    ),
    kind(
        0x61,
        "pool was asked for while the driver is unloaded",
        [
            "bytes of paged pool",
            "bytes of nonpaged pool",
            "how many blocks",
        ],
    ),
    kind(
        0x62,
        "the driver was unloaded with pool not freed",
        ["the driver object", "", "how many blocks"],
    ),
    kind(
        0x80,
        "KeSetEvent above the IRQL that it allows",
        [IRQL, "the event", ""],
    ),
    kind(
        0xDF,
        "a synchronization object where none may be",
        ["the object", "", ""],
    ),
    kind(
        0xE0,
        "a user-mode address was given to a kernel function",
        ["the address", "the bytes", ""],
    ),
    kind(
        0xE1,
        "a synchronization object at an invalid or pageable address",
        ["the object", "", ""],
    ),
    kind(
        0xE3,
        "a user-mode address was given to a Zw function",
        ["the call", "the address", ""],
    ),
    kind(
        0xE5,
        "a kernel function at an IRQL that it does not allow",
        [IRQL, "", ""],
    ),
    kind(
        0xE6,
        "a Zw function above PASSIVE_LEVEL or with special APCs disabled",
        ["", IRQL, ""],
    ),
    kind(
        0xF5,
        "a NULL handle was given to ObReferenceObjectByHandle",
        ["the handle", "the object type", ""],
    ),
    kind(
        0xF6,
        "a handle that is none of the kernel's was used as one",
        ["the handle", "", ""],
    ),
    kind(
        0xF7,
        "a kernel handle was referenced as user mode does",
        ["the handle", "the object type", "the access mode"],
    ),
    kind(
        0x11A,
        "KeEnterCriticalRegion above APC_LEVEL",
        [IRQL, "", ""],
    ),
    kind(
        0x11B,
        "KeLeaveCriticalRegion above APC_LEVEL",
        [IRQL, "", ""],
    ),
    kind(
        0x120,
        "a wait above DISPATCH_LEVEL",
        [IRQL, "the object waited for", "the timeout"],
    ),
    kind(
        0x121,
        "a wait without timeout at DISPATCH_LEVEL",
        [IRQL, "the object waited for", "the timeout"],
    ),
    kind(
        0x122,
        "a wait with a timeout that is not zero at DISPATCH_LEVEL",
        [IRQL, "the object waited for", "the timeout"],
    ),
    kind(
        0x123,
        "a wait as user mode for an object on the kernel's stack",
        ["the object waited for", "", ""],
    ),
    kind(
        0x131,
        "a work item in pageable memory",
        ["the work item", "", ""],
    ),
    kind(
        0x1000,
        "the lock was acquired by the thread that holds it",
        ["the lock", "", ""],
    ),
    kind(
        0x1001,
        "locks were acquired in an order that can deadlock",
        ["the lock that closes the ring", "", ""],
    ),
    kind(
        0x1002,
        "the lock was acquired without having been initialized",
        ["the lock", "", ""],
    ),
    kind(
        0x1003,
        "locks were released in another order than the reverse",
        [
            "the lock that was released",
            "the lock that had to be released first",
            "",
        ],
    ),
    kind(
        0x1004,
        "the lock was released by a thread that does not hold it",
        ["the lock", "the thread that holds it", "this thread"],
    ),
    kind(
        0x1005,
        "the lock was initialized twice",
        ["the lock", "", ""],
    ),
    kind(
        0x1007,
        "the lock was released without having been acquired",
        ["the lock", "", ""],
    ),
    kind(
        0x1008,
        "the lock was acquired by a function of another kind of lock",
        ["the lock", "", ""],
    ),
    kind(
        0x1009,
        "the lock was released by a function of another kind of lock",
        ["the lock", "", ""],
    ),
    kind(
        0x100A,
        "a thread that ended holds the lock",
        ["the lock", "", ""],
    ),
    kind(
        0x100B,
        "memory was freed with a lock in it that is held",
        ["the lock", "the number of the thread that holds it", ""],
    ),
    kind(
        0x2001B,
        "DDI compliance: ObPassive",
        [IRQL, "the highest IRQL allowed", ""],
    ),
    kind(
        0x2001C,
        "DDI compliance: PsPassive",
        [IRQL, "the highest IRQL allowed", ""],
    ),
    kind(
        0x2001F,
        "DDI compliance: ZwPassive",
        [IRQL, "the highest IRQL allowed", ""],
    ),
];

/// Bug check 0xC2.
const BAD_POOL: &[Kind] = &[
    kind(
        0x06,
        "a block that is free was freed",
        ["", "the block", ""],
    ),
    kind(
        0x07,
        "a block that is free was freed",
        ["", "", "the block"],
    ),
    kind(
        0x08,
        "pool was asked for at an IRQL that is not allowed",
        [IRQL, "the flags", "the bytes asked for"],
    ),
    kind(
        0x09,
        "pool was freed at an IRQL that is not allowed",
        [IRQL, "the flags", "the block"],
    ),
    kind(
        0x0A,
        "pool was freed with another tag",
        [
            "the block",
            "the tag that it was allocated with",
            "the tag that it was freed with",
        ],
    ),
    kind(
        0x99,
        "what is no pool was freed as pool",
        ["the address", "", ""],
    ),
    kind(
        0x9B,
        "pool was asked for with tag 0",
        ["the flags", "the bytes asked for", ""],
    ),
];

/// Bug check 0x10D.
const FRAMEWORK: &[Kind] = &[
    kind(0x02, "a lock that is held was acquired", ["", "", ""]),
    kind(
        0x03,
        "a request was completed with references left",
        ["the request", "how many", ""],
    ),
    kind(
        0x04,
        "NULL was given to a function that wants a value",
        ["", "", ""],
    ),
    kind(
        0x05,
        "a handle of another type, or one that is gone",
        ["the handle", "", ""],
    ),
    kind(
        0x06,
        "a request was handled wrongly",
        ["how", "the request", ""],
    ),
    kind(
        0x07,
        "an object was dereferenced away instead of deleted",
        ["the handle", "", ""],
    ),
    kind(
        0x0A,
        "a request was given to a queue that cannot take it",
        ["the queue or the request", "", ""],
    ),
    kind(
        0x0B,
        "a lock was acquired or released wrongly",
        ["the handle", "how", ""],
    ),
    kind(
        0x0E,
        "a callback returned at another IRQL than it was called at",
        [
            "the IRQL that it was called at",
            "the IRQL that it returned at",
            "",
        ],
    ),
    kind(
        0x0F,
        "a callback returned inside a critical region",
        ["the callback", "", ""],
    ),
];

/// What the parameters of the simulator's own codes are, by rule. Of rules that are not here the first is the object.
const CONTRACT: &[(&str, [&str; 4])] = &[
    ("A.1", [IRQL, "the highest IRQL allowed", "", ""]),
    ("A-06", ["the handle", "", "", ""]),
    ("A-11", ["the handle or address that was given", "", "", ""]),
    ("A-25", ["the net buffer list", "", "", ""]),
    ("A-28", ["the net buffer list", "", "", ""]),
    ("A-29", ["the net buffer list", IRQL, "", ""]),
    ("A-39", ["the net buffer list", "", "", ""]),
    ("A-43", ["the net buffer list", "", "", ""]),
    (
        "A-45",
        [
            "the net buffer list",
            "the address family, or the header's total length",
            "the bytes that it has",
            "",
        ],
    ),
    ("A-47", ["the net buffer list", "", "", ""]),
    ("A-48", ["the net buffer list", "", "", ""]),
    (
        "A-49",
        [
            "the net buffer list",
            "the interface",
            "the sub-interface",
            "the compartment",
        ],
    ),
    (
        "A-51",
        ["the net buffer list", "how often it was injected", "", ""],
    ),
    ("A-57", ["the injection handle", "", "", ""]),
    (
        "A-62",
        [
            "the net buffer list",
            "its NET_BUFFERs, or the address family",
            "",
            "",
        ],
    ),
    (
        "A-63",
        [
            "the net buffer list",
            "the protocol that is left in its header",
            "",
            "",
        ],
    ),
    ("A-64", ["the net buffer list", "queryFlags", "", ""]),
    ("A-69", ["the completion handle", "", "", ""]),
    (
        "A-71",
        [
            "the completion context",
            "the layer that it was pended at",
            "",
            "",
        ],
    ),
    ("A-72", ["the clone that was given", "", "", ""]),
    (
        "A-74",
        [
            "the completion context, or the net buffer list that was injected",
            "the net buffer list it was completed with",
            "",
            "",
        ],
    ),
    ("B-01", ["the NET_BUFFER", "the bytes asked for", "", ""]),
    (
        "B-03",
        [
            "the net buffer list",
            "the bytes that it was advanced by",
            "the bytes of the retreat that is to be undone",
            "",
        ],
    ),
    ("C-01", ["the spin lock", "the lock queue handle", "", ""]),
    ("C-03", ["the spin lock that is held", "", "", ""]),
    ("C-04", ["the object", "", "", ""]),
    ("C-06", ["the EX_RUNDOWN_REF", "its value", "", ""]),
    ("D-01", ["the driver object", "", "", ""]),
    ("D-02", ["the device", "", "", ""]),
    ("D-04", ["the device", "", "", ""]),
    (
        "D-06",
        [
            "the request",
            "the Information that it was completed with",
            "the first byte that was not written",
            "",
        ],
    ),
];

/// What each parameter is; empty where it is reserved.
pub(super) fn labels(code: u32, parameters: &[u64; 4], rule: &str) -> [&'static str; 4] {
    let table = match code {
        code::DRIVER_VERIFIER_DETECTED_VIOLATION => VERIFIER,
        code::BAD_POOL_CALLER => BAD_POOL,
        code::WDF_VIOLATION => FRAMEWORK,
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
        code::WFPSIM_HANG => return ["what is waited for", "", "", ""],
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
    if label.contains("IRQL") {
        return u8::try_from(value)
            .ok()
            .map(|level| level_name(level).to_owned());
    }
    if label.contains("tag") {
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
