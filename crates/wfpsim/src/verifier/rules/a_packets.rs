//! references and clones.

use super::Check;
use super::Rule;
use super::Severity;
use super::Windows;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "A-27",
        title: "Reference a packet that is used after its classify returned",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs("0xD1, 0xCC under special pool, or data of another packet"),
        check: Check::Tested { by: &["O-2"] },
        meaning: "Without FwpsReferenceNetBufferList0 the packet goes back to its owner, usually a network adapter, when classify \
                  returns. The worker that has queued it reads freed memory, or the packet that the buffer was used for next.",
        read: &[
            "FwpsReferenceNetBufferList0",
            "docs/debugging.md#0x3b-system_service_exception",
        ],
    },
    Rule {
        id: "A-28",
        title: "Exactly one dereference for each reference, on the same packet",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs(
            "0xD1 in NETIO!NetioDereferenceNetBufferList, 0xC2; nothing at all for a leak",
        ),
        check: Check::Tested {
            by: &["A-28", "O-3", "O-5", "OSR-292860"],
        },
        meaning: "One too many gives the packet back while somebody uses it. One too few keeps it for ever: the adapter runs out of \
                  receive buffers, and sleep and unbinding wait. The pointer must be the packet's: NULL faults at offset 0xE0, \
                  and a clone has no reference to give back.",
        read: &[
            "FwpsDereferenceNetBufferList0",
            "docs/debugging.md#0xd1-driver_irql_not_less_or_equal",
            "OSR 292860",
        ],
    },
    Rule {
        id: "A-29",
        title: "dispatchLevel TRUE only where the level is known to be DISPATCH_LEVEL",
        severity: Severity::Corruption,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["O-6"] },
        meaning: "With TRUE the platform touches state of the current processor without raising. At a lower level the thread can be \
                  moved to another processor in between, and that state is corrupted. FALSE is always correct.",
        read: &["FwpsDereferenceNetBufferList0"],
    },
    Rule {
        id: "A-30",
        title: "Do not hold packets for long: no waiting for people",
        severity: Severity::Hang,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-30"] },
        meaning: "References and clones keep an adapter's buffers. Held for long they stop its receiving, and keep the machine from \
                  sleeping. What must wait long is copied whole, and the original let go.",
        read: &[
            "FwpsReferenceNetBufferList0",
            "FwpsAllocateNetBufferAndNetBufferList0",
        ],
    },
    Rule {
        id: "A-31",
        title: "Keep only the packet's pointer: its NET_BUFFERs, MDLs and addresses may be others after classify",
        severity: Severity::Corruption,
        windows: Windows::LaterAs("0xD1 or 0xCC"),
        check: Check::Tested { by: &["A-31"] },
        meaning: "The platform may copy a packet that is kept, and put other MDLs under the same NET_BUFFER_LIST. A pointer to the \
                  old ones is a pointer to freed memory.",
        read: &[
            "FwpsReferenceNetBufferList0",
            "network: Packet Modification Examples",
        ],
    },
    Rule {
        id: "A-32",
        title: "Never write NetBufferListInfo[WfpNetBufferListInfo]",
        severity: Severity::Corruption,
        windows: Windows::LaterAs("0xD1 in NETIO!WfpNbl..."),
        check: Check::Tested { by: &["A-32"] },
        meaning: "There, at offset 0xE0 of the NET_BUFFER_LIST, WFP keeps its own state of the packet: tags, contexts, who has \
                  injected it.",
        read: &["OSR 292860"],
    },
    Rule {
        id: "A-33",
        title: "The original may be dereferenced as soon as it is cloned: the clone keeps it",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::NotChecked {
            why: "It is a permission. The model keeps an original while it has references or clones; that a driver uses the original \
                  itself without a reference is A-27.",
        },
        meaning: "An original lives while it has references or clones. Both orders, dereferencing early and late, are legal.",
        read: &["network: Types of Callouts"],
    },
    Rule {
        id: "A-34",
        title: "A DPC on the classifying processor avoids a deep copy of the packet",
        severity: Severity::Advice,
        windows: Windows::Nothing,
        check: Check::NotChecked {
            why: "A thread is as right, and costs a copy that the model does not make. There is nothing wrong to report.",
        },
        meaning: "Work on the packet elsewhere is right, and slower.",
        read: &["network: Packet Modification Examples"],
    },
    Rule {
        id: "A-35",
        title: "Do not write the original's bytes, also not through a plain clone, which shares them",
        severity: Severity::Corruption,
        windows: Windows::DriverVerifier(
            "invariant MDL checking for driver or stack (0x4000, 0x2000), if it is on",
        ),
        check: Check::Tested { by: &["O-26"] },
        meaning: "A clone has MDLs of its own over the same pages. What is written through it changes the packet for every other \
                  callout, for the adapter, and for a sender that will send it again.",
        read: &[
            "FwpsAllocateCloneNetBufferList0",
            "devtest: Invariant MDL Checking for Driver",
        ],
    },
    Rule {
        id: "A-36",
        title: "A clone starts at the data, not at the headers before it; its flags are 0",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-36"] },
        meaning: "Cloning copies no bytes and no room in front. Where the headers are to be in the clone, the original is retreated \
                  first; a retreat of the clone allocates memory that holds no header.",
        read: &[
            "FwpsAllocateCloneNetBufferList0",
            "NdisAllocateCloneNetBufferList",
        ],
    },
    Rule {
        id: "A-37",
        title: "A clone's ParentNetBufferList and its parent's ChildRefCount are the platform's",
        severity: Severity::Corruption,
        windows: Windows::LaterAs("0xC2 or an original that never comes back"),
        check: Check::Tested { by: &["A-37"] },
        meaning: "By these two the original is kept while clones live. A driver that changes them frees the original too early, or \
                  never.",
        read: &[
            "FwpsAllocateCloneNetBufferList0",
            "FwpsFreeCloneNetBufferList0",
        ],
    },
    Rule {
        id: "A-38",
        title: "Take back NET_BUFFERs and MDLs that were put into a clone before it is freed",
        severity: Severity::Corruption,
        windows: Windows::LaterAs("0xC2, parameter 1 = 7, in NETIO!NetioFreeMdl"),
        check: Check::Tested { by: &["O-14"] },
        meaning: "FwpsFreeCloneNetBufferList0 frees what it finds in the clone. MDLs of the driver's are then freed as if they were the \
                  platform's, and once more by the driver.",
        read: &["FwpsFreeCloneNetBufferList0"],
    },
    Rule {
        id: "A-39",
        title: "Free a clone exactly once, with FwpsFreeCloneNetBufferList0 and nothing but a clone",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs(
            "0xC2, parameter 1 = 7, in NETIO!NetioFreeMdl, or 0x13A; nothing for a leak",
        ),
        check: Check::Tested {
            by: &["A-39", "A-39-original"],
        },
        meaning: "Freed twice, its MDLs are freed twice, and somebody else's allocation is the victim. Never freed, it keeps its \
                  original for ever (A-28).",
        read: &[
            "FwpsFreeCloneNetBufferList0",
            "docs/debugging.md#0xc2-bad_pool_caller",
        ],
    },
    Rule {
        id: "A-40",
        title: "Do not clone in a classify, free the clone, and permit the original",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["O-27", "nmap-1529"],
        },
        meaning: "A clone that is freed without having been injected has been seen to take tags and contexts off the original: \
                  filters below then do not know the packet any more.",
        read: &["nmap issue 1529"],
    },
    Rule {
        id: "A-41",
        title: "FwpsAllocateDeepCloneNetBufferList0 is not in every Windows",
        severity: Severity::Failure,
        windows: Windows::LaterAs("an image that does not load"),
        check: Check::NotChecked {
            why: "The simulator has no such function, as the headers that the driver is compiled against have none: a driver \
                  that is linked does not link, and an image is stopped where it calls it, by name.",
        },
        meaning: "It is documented, but not in the headers of the Windows that this driver is for. An image that imports it does \
                  not load where it is missing.",
        read: &["windows-driver-docs-ddi pull request 1468"],
    },
];
