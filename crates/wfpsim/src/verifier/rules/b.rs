//! B: NDIS.

use super::Check;
use super::Rule;
use super::Severity;
use super::Windows;
use super::shown;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "B-01",
        title: "Look at what NdisRetreatNetBufferDataStart returns; without room it allocates memory that holds nothing",
        severity: Severity::Corruption,
        windows: Windows::Status("NDIS_STATUS_RESOURCES or NDIS_STATUS_FAILURE"),
        check: Check::Tested { by: &["B-01"] },
        meaning: "A retreat that failed has changed nothing, and what follows works on the wrong bytes. One that found no room has put an \
                  MDL of its own in front, whose bytes are no header.",
        read: &["NdisRetreatNetBufferDataStart"],
    },
    Rule {
        id: "B-02",
        title: "NdisAdvanceNetBufferDataStart on a received packet: FreeMdl FALSE",
        severity: Severity::Corruption,
        windows: Windows::LaterAs("0xC2 when the packet's owner frees its MDLs"),
        check: Check::Tested { by: &["B-02"] },
        meaning: "With TRUE, MDLs that the advance passes over are freed. On the receive path they are the adapter's, whose chain must \
                  not change.",
        read: &["NdisAdvanceNetBufferDataStart"],
    },
    Rule {
        id: "B-03",
        title: "Each advance undoes one successful retreat, by the same number of bytes",
        severity: Severity::Corruption,
        windows: Windows::LaterAs(
            "a packet that starts in the wrong place, 0xD1 where it starts in none",
        ),
        check: Check::Tested {
            by: &["B-03", "O-7-late", "O-9", "E-7"],
        },
        meaning: "After an advance without its retreat the packet starts behind its headers or its data; after a retreat without its \
                  advance, before. Memory that a retreat has allocated is freed by the matching advance only. An advance beyond the data leaves a \
                  length of four gigabytes.",
        read: &[
            "NdisAdvanceNetBufferDataStart",
            "NdisRetreatNetBufferDataStart",
        ],
    },
    Rule {
        id: "B-04",
        title: "Retreat a received packet only into headers that are there, and clone nothing over a retreat's own memory",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs("0xC2, parameter 1 = 7, in NETIO!NetioFreeMdl"),
        check: Check::Tested {
            by: &["O-10", "OSR-275267"],
        },
        meaning: "Where there was no room, the retreat has put memory in front that holds no headers. A clone made over it is left with \
                  an MDL over freed memory once the advance takes it away. It is one consistent explanation of OSR 275267.",
        read: &[
            "docs/debugging.md#0xc2-bad_pool_caller",
            "NdisRetreatNetBufferDataStart",
            "OSR 275267",
        ],
    },
    Rule {
        id: "B-05",
        title: "NdisGetDataBuffer may return NULL: give it storage, and write to nothing that it returns",
        severity: Severity::BugCheck,
        windows: Windows::BugCheck("0xD1, where the bytes lie in two MDLs and NULL is used"),
        check: Check::Tested { by: &["B-05"] },
        meaning: "NULL where the packet is shorter, where the bytes are not in one piece and there is no storage, where memory is short. \
                  What it returns may be a copy: writing there changes nothing, or the original (A-35).",
        read: &["NdisGetDataBuffer"],
    },
    Rule {
        id: "B-06",
        title: "Mapping an MDL may fail: look for NULL",
        severity: Severity::BugCheck,
        windows: Windows::DriverVerifier("low resources simulation: 0xD1 when NULL is used"),
        check: Check::Tested { by: &["B-06"] },
        meaning: "NdisQueryMdl and MmGetSystemAddressForMdlSafe return NULL when the machine is short of page table entries.",
        read: &["NdisQueryMdl", "MmGetSystemAddressForMdlSafe"],
    },
    Rule {
        id: "B-07",
        title: "NET_BUFFER functions at DISPATCH_LEVEL at most",
        severity: Severity::BugCheck,
        windows: Windows::Ndis("Irql_NetBuffer_Function"),
        check: Check::Tested { by: shown::B_07 },
        meaning: "They take spin locks and allocate pool, which is not allowed above.",
        read: &["devtest: NDIS rule Irql_NetBuffer_Function"],
    },
    Rule {
        id: "B-08",
        title: "NDIS pools are optional for clones",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::NotChecked {
            why: "It is a permission.",
        },
        meaning: "NULL means NDIS's default pool. Only FwpsAllocateNetBufferAndNetBufferList0 wants pools of the driver's.",
        read: &["FwpsAllocateCloneNetBufferList0"],
    },
    Rule {
        id: "B-09",
        title: "Whoever made an NBL frees it: never the parent of a clone",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs("0xC2 when its owner frees it"),
        check: Check::Tested { by: &["B-09"] },
        meaning: "The original is the adapter's or the stack's. Freed by the driver it is freed again by its owner.",
        read: &["NdisFreeNetBufferList", "FwpsFreeCloneNetBufferList0"],
    },
    Rule {
        id: "B-10",
        title: "Free a clone with the flags that it was made with",
        severity: Severity::Corruption,
        windows: Windows::LaterAs("0xC2 or leaked MDLs"),
        check: Check::Tested { by: &["B-10"] },
        meaning: "The flags say whose the MDLs are. With others, MDLs of the original are freed, or those of the clone are not.",
        read: &[
            "NdisAllocateCloneNetBufferList",
            "NdisFreeCloneNetBufferList",
        ],
    },
    Rule {
        id: "B-11",
        title: "Keep a NET_BUFFER consistent: CurrentMdl in the chain, offsets and lengths that add up",
        severity: Severity::Corruption,
        windows: Windows::LaterAs("0xD1 in ndis! or tcpip!"),
        check: Check::Tested { by: &["B-11"] },
        meaning: "DataOffset counts from the chain's start, the data begins at CurrentMdl plus CurrentMdlOffset, and both name the same \
                  byte. A driver that changes one field has everybody else read somewhere else.",
        read: &["NET_BUFFER", "network: Net Buffer Data"],
    },
    Rule {
        id: "B-12",
        title: "Never embed, copy or measure a NET_BUFFER_LIST, nor index its info beyond what it was compiled for",
        severity: Severity::Corruption,
        windows: Windows::LaterAs("0x19 or 0xC1"),
        check: Check::Tested { by: &["B-12"] },
        meaning: "Its size differs between versions of NDIS. A copy of another size leaves something out, or writes behind the end.",
        read: &["NET_BUFFER_LIST", "docs/debugging.md#0x19-bad_pool_header"],
    },
];
