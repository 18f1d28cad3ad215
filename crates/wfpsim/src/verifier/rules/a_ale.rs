//! pending, completing, authorizing again; arbitration and order.

use super::Check;
use super::Rule;
use super::Severity;
use super::Windows;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "A-69",
        title: "FwpsPendOperation0: only in the classify that the completion handle came with, and its status looked at",
        severity: Severity::Corruption,
        windows: Windows::Status(
            "STATUS_FWP_CANNOT_PEND, STATUS_FWP_NULL_POINTER or STATUS_FWP_TCPIP_NOT_READY",
        ),
        check: Check::Tested { by: &["A-69"] },
        meaning: "The completion handle dies with its classify. A connection that is authorized again cannot be pended. A driver that \
                  takes a failure for a success waits with a context that does not exist.",
        read: &["FwpsPendOperation0"],
    },
    Rule {
        id: "A-70",
        title: "After a successful pend answer BLOCK with ABSORB; after a failed one give back what was taken",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["A-70", "A-70-failed", "O-4"],
        },
        meaning: "Another answer decides the operation while it is pended. After a failure nothing is pended: a reference or an entry \
                  that was made for it is to be undone there, or it leaks.",
        read: &[
            "FwpsPendOperation0",
            "network: Processing Classify Callouts Asynchronously",
        ],
    },
    Rule {
        id: "A-71",
        title: "Exactly one FwpsCompleteOperation0 for each successful pend",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs("a crash in FwpsCompleteOperation0; a connection that hangs"),
        check: Check::Tested {
            by: &[
                "O-19",
                "O-19-never",
                "O-19-null",
                "E-1",
                "E-11",
                "fort-dropped-pends",
            ],
        },
        meaning: "Never completed, the connection hangs until its program gives up. Completed twice, or with NULL, the context is used \
                  after it was freed. That holds also when denying, when something failed later, and at unload.",
        read: &[
            "FwpsCompleteOperation0",
            "docs/debugging.md#without-a-bug-check",
            "windows-driver-docs-ddi issue 1086",
        ],
    },
    Rule {
        id: "A-72",
        title: "Before a connect is completed, have the decision stored where its second classify finds it, and hold no lock",
        severity: Severity::Hang,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["O-20", "A-72-clone", "E-6-no-right", "E-8"],
        },
        meaning: "FwpsCompleteOperation0 has the connect classified again, on the same thread, before it returns. A lock that classify \
                  takes is a deadlock; a decision that is stored afterwards is not found, and the connect gets the wrong answer.",
        read: &[
            "FwpsCompleteOperation0",
            "AdguardForWindows issue 2276",
            "Windows-driver-samples pull request 623",
        ],
    },
    Rule {
        id: "A-73",
        title: "A pended connect's entry belongs to the thread that completes it, not to the second classify",
        severity: Severity::Leak,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-73"] },
        meaning: "That the second classify always comes is not documented. An entry that only it frees is leaked when it does not \
                  come.",
        read: &["Windows-driver-samples pull request 623"],
    },
    Rule {
        id: "A-74",
        title: "An accept is completed with the clone, and then that clone is injected; denied, it is completed with NULL",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["A-74", "A-74-another"],
        },
        meaning: "The accept is not classified again by the completion: the injected clone, let pass at the accept layer, is the \
                  authorization. Another packet, or none, and the peer's connection attempt is lost.",
        read: &[
            "FwpsCompleteOperation0",
            "network: Processing Classify Callouts Asynchronously",
        ],
    },
    Rule {
        id: "A-75",
        title: "Do not pend at ALE_FLOW_ESTABLISHED, and block there only for an error of security",
        severity: Severity::Failure,
        windows: Windows::Status("an error: there is no completion handle"),
        check: Check::Tested { by: &["A-75"] },
        meaning: "The flow is there already. Blocking it tears down a connection that both ends believe in.",
        read: &["network: Processing Classify Callouts Asynchronously"],
    },
    Rule {
        id: "A-76",
        title: "When authorized again, a packet at either ALE layer may go either way: read the direction",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-76"] },
        meaning: "A policy change has existing connections authorized by their next packet, which may be inbound at CONNECT and outbound \
                  at RECV_ACCEPT. Taken for the usual direction, its headers are looked for in the wrong place, and it is injected \
                  into the wrong path.",
        read: &["FWP: ALE Re-authorization", "network: ALE Reauthorization"],
    },
    Rule {
        id: "A-76b",
        title: "A packet that is authorized again cannot be pended, but may be absorbed and injected; without one decide at once",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-76b"] },
        meaning: "The operation cannot wait, the packet can. Where there is neither a packet nor a stored decision the answer is due \
                  now, and BLOCK is the safe one.",
        read: &[
            "FWP: ALE Re-authorization",
            "Windows-driver-samples pull request 623",
        ],
    },
    Rule {
        id: "A-77",
        title: "Buffer the data of a pended datagram, and tell pended operations apart by context: a SYN may come again",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-77"] },
        meaning: "The data of a pended operation is flushed: the callout injects it, or it is gone. A peer sends its SYN again while \
                  the first is pended, so that addresses and ports do not name one operation.",
        read: &["FwpsPendOperation0"],
    },
    Rule {
        id: "A-78",
        title: "Two callouts that pend and resume one connection: known defects of old Windows",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs("a crash on Windows 7 and Server 2008 R2 without the hotfix"),
        check: Check::Tested { by: &["KB979278"] },
        meaning: "KB979278: one callout resumed a connection while another pended it. KB979223: blocking a chain leaked its last \
                  packet. KB2664888: a stream injection lost count of the level.",
        read: &["KB979278", "KB979223", "KB2664888"],
    },
    Rule {
        id: "A-79",
        title: "How sublayers and filters are weighed, and which answer wins",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::NotChecked {
            why: "It says what the filter engine does, and the model arbitrates so. Answers that disregard it break A-15 or A-16.",
        },
        meaning: "Sublayers from the highest weight down, in each the filters until one permits or blocks. A block overrides a permit; \
                  a hard block is final.",
        read: &["FWP: Filter Arbitration"],
    },
    Rule {
        id: "A-80",
        title: "A sublayer of lower weight sees a packet later, after IPsec in the universal sublayer",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::NotChecked {
            why: "It follows from A-79. A sublayer that is too heavy breaks A-67.",
        },
        meaning: "That is why a callout that takes packets away belongs below the universal sublayer.",
        read: &["FWP: Filter Arbitration"],
    },
    Rule {
        id: "A-81",
        title: "At the discard layers a block means silence, and ABSORB is not valid",
        severity: Severity::Failure,
        windows: Windows::Nothing,
        check: Check::NotChecked {
            why: "The model has no discard layers; ABSORB there would be A-17.",
        },
        meaning: "A packet that nobody listens for is seen there. Blocked, no reset and no ICMP error goes out.",
        read: &["FWP: Preventing Port Scanning"],
    },
    Rule {
        id: "A-82",
        title: "In which order the layers see a connection's packets",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::NotChecked {
            why: "It says what the stack does; the model generates that order, of the layers that it has.",
        },
        meaning: "A driver that counts on another order waits for something that has been.",
        read: &["FWP: TCP Packet Flows", "FWP: UDP Packet Flows"],
    },
    Rule {
        id: "A-83",
        title: "IP loopback is FWP_CONDITION_FLAG_IS_LOOPBACK, not NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::NotChecked {
            why: "Reading a flag that is never set is no act that could be seen. A driver that so misses loopback injects it into the \
                  receive path, which the model refuses as Windows is reported to.",
        },
        meaning: "NDIS's flag is for loopback of the link layer and is clear on IP loopback.",
        read: &["FWP: Filtering Condition Flags"],
    },
];
