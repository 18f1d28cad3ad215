//! what a classify is given, what it answers, where a packet's data starts.

use super::Check;
use super::Rule;
use super::Severity;
use super::Windows;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "A-12",
        title: "What a classify is given is valid during the call only: copy what is needed later",
        severity: Severity::Corruption,
        windows: Windows::LaterAs(
            "0xD1 or wrong data: the memory is the caller's stack or is used again",
        ),
        check: Check::Tested { by: &["A-12"] },
        meaning: "Fixed values, metadata, the filter and all that they point to (IPv6 addresses, control data, the process path) \
                  are gone or something else when classify has returned. A worker that reads them decides about nonsense, or \
                  faults.",
        read: &[
            "FWPS_CALLOUT_CLASSIFY_FN2",
            "windows-driver-docs-ddi issue 1038",
        ],
    },
    Rule {
        id: "A-13",
        title: "A metadata field is valid only if its bit is set; every one may be absent",
        severity: Severity::BugCheck,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &[
                "A-13-endpoint",
                "A-13-compartment",
                "A-13-control-data",
                "OSR-59954",
            ],
        },
        meaning: "A field whose bit is clear holds nothing. A reset that the stack makes itself, for one, comes to the outbound \
                  transport layer with most of them absent. A driver that asserts or assumes one stops there, or works with zero.",
        read: &[
            "FWPS_INCOMING_METADATA_VALUES0",
            "network: Metadata Fields at Each Filtering Layer",
            "OSR 59954",
        ],
    },
    Rule {
        id: "A-14",
        title: "Test condition flags in the FLAGS field and metadata bits in currentMetadataValues, not one in the other",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::NotChecked {
            why: "The comparison happens inside the driver. What it leads to is seen: a packet not rebuilt (A-63), a checksum left wrong (A-60).",
        },
        meaning: "Both are 32 bits and share values: FWP_CONDITION_FLAG_IS_REASSEMBLED is \
                  FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE. A test of the wrong word is true for nearly every packet, or for \
                  none.",
        read: &["npcap pull request 22"],
    },
    Rule {
        id: "A-15",
        title: "Without FWPS_RIGHT_ACTION_WRITE write no action but a BLOCK",
        severity: Severity::Security,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["A-15", "A-15-toggle"],
        },
        meaning: "Another filter has decided, and only a veto of a permit is left to others. A PERMIT written there can let \
                  through what somebody else has blocked for good.",
        read: &["FWPS_CLASSIFY_OUT0", "FWP: Filter Arbitration"],
    },
    Rule {
        id: "A-16",
        title: "Clear the write right with a final BLOCK, with a PERMIT that the filter wants hard, and when the packet is kept",
        severity: Severity::Security,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["A-16", "A-16-pend", "A-16-permit"],
        },
        meaning: "While the right is set, a filter of lower weight may overrule: it permits, or pends in its turn, what this callout \
                  has taken and will inject later. The packet is then there twice, or goes through although it was blocked.",
        read: &["FWPS_CALLOUT_CLASSIFY_FN2", "network: Types of Callouts"],
    },
    Rule {
        id: "A-17",
        title: "FWPS_CLASSIFY_OUT_FLAG_ABSORB goes with FWP_ACTION_BLOCK only, and not at the discard layers",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-17"] },
        meaning: "Absorbing means that the callout has the packet and answers for it. With another action the packet goes on and is \
                  injected as well; absorbed with nothing kept of it, it is lost without any trace in the stack's statistics.",
        read: &[
            "FWPS_CLASSIFY_OUT0",
            "docs/debugging.md#packets-are-missing",
        ],
    },
    Rule {
        id: "A-18",
        title: "A terminating callout answers BLOCK or PERMIT, an inspection callout CONTINUE",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-18"] },
        meaning: "Any other answer of a terminating callout is taken for BLOCK: what it meant to leave alone is dropped. An \
                  inspection callout that decides is not what its filter says it is.",
        read: &["FWPS_CALLOUT_CLASSIFY_FN2", "FWPS_ACTION0"],
    },
    Rule {
        id: "A-19",
        title: "layerData may be NULL; an outbound packet may have several NET_BUFFERs",
        severity: Severity::BugCheck,
        windows: Windows::BugCheck(
            "0xD1 for the NULL; nothing for the NET_BUFFERs that are forgotten",
        ),
        check: Check::Tested { by: &["A-19"] },
        meaning: "A TCP connect and an authorization that is repeated come without a packet. Outbound, each NET_BUFFER of the list is \
                  an IP packet: a driver that looks at the first only decides about one and loses or passes the others.",
        read: &["network: Packet Indication Format"],
    },
    Rule {
        id: "A-20",
        title: "Which packet comes with which ALE layer",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::Tested {
            by: &["A-20", "E-6"],
        },
        meaning: "A connect has no packet for TCP and the first datagram for others; an accept has the SYN or the first datagram.",
        read: &["network: WFP Layer Requirements and Restrictions"],
    },
    Rule {
        id: "A-21",
        title: "IPv4 addresses are host order in fixed values and network order where they are given back: convert once",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["A-21", "A-21-rebuild"],
        },
        meaning: "An address in the wrong order is another host's. Policy is then asked about the wrong peer, or the packet is sent \
                  to it.",
        read: &[
            "FWP_VALUE0",
            "FWPS_TRANSPORT_SEND_PARAMS0",
            "FwpsConstructIpHeaderForTransportPacket0",
        ],
    },
    Rule {
        id: "A-22",
        title: "Look at a value's type before reading it: unknown fields are FWP_EMPTY when a connection is authorized again",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs("0xD1, where the missing value is a pointer"),
        check: Check::Tested { by: &["A-22"] },
        meaning: "The union of an empty value holds nothing. For a value that is a pointer, an IPv6 address or a 64-bit number, \
                  that is a NULL dereference in the classify.",
        read: &["FWP_VALUE0", "FWP: ALE Re-authorization"],
    },
    Rule {
        id: "A-23",
        title: "IP and transport headers are in the first NET_BUFFER",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::NotChecked {
            why: "It says what the stack does, and the model does so.",
        },
        meaning: "What follows in other NET_BUFFERs of a chain has no headers of its own to be looked for.",
        read: &["network: Packet Indication Format"],
    },
    Rule {
        id: "A-24",
        title: "Allow for the stack's own retreat of an absorbed packet: compare the offset with the one at classify",
        severity: Severity::Corruption,
        windows: Windows::LaterAs("a crash in tcpip!, where the clone's header is parsed"),
        check: Check::Tested {
            by: &["O-8", "A-24"],
        },
        meaning: "After a classify that blocked and absorbed, the stack may move the packet's start back by the transport header for \
                  auditing. A worker that retreats by both headers all the same clones from before the IP header, and the stack \
                  parses what it finds there.",
        read: &["network: Packet Modification Examples", "npcap issue 118"],
    },
    Rule {
        id: "A-25",
        title: "Undo every change of an indicated packet's offsets before classify returns",
        severity: Severity::Corruption,
        windows: Windows::LaterAs(
            "a crash or a malformed packet, wherever the packet is parsed next",
        ),
        check: Check::Tested {
            by: &["A-25", "O-7"],
        },
        meaning: "The packet goes on to other callouts and to the stack, which take its start for what it was. Headers are then \
                  read as data, or data as headers.",
        read: &[
            "network: Packet Indication Format",
            "NdisRetreatNetBufferDataStart",
        ],
    },
    Rule {
        id: "A-26",
        title: "A packet's length is NET_BUFFER_DATA_LENGTH, never an MDL's byte count",
        severity: Severity::Corruption,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-26"] },
        meaning: "Behind a decrypted ESP packet the trailer is still in the MDL. A copy by the MDL's length takes it along, and \
                  overruns a buffer that was made for the packet.",
        read: &[
            "docs/debugging.md#0x19-bad_pool_header",
            "network: Data Offset Positions",
        ],
    },
];
