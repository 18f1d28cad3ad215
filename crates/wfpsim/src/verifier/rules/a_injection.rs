//! injection.

use super::Check;
use super::Rule;
use super::Severity;
use super::Windows;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "A-42",
        title: "After a successful injection the completion function frees, after a failed one the caller: exactly once",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs(
            "0xC2, parameter 1 = 7, in NETIO!NetioFreeMdl; nothing for a leak",
        ),
        check: Check::Tested {
            by: &["O-11", "O-12", "A-42-again"],
        },
        meaning: "STATUS_SUCCESS gives packet and context away until the completion function is called, once. Whoever frees them \
                  besides frees memory that the stack is using. Any other status means that it will not be called: who waits for \
                  it leaks the clone, and with it the original.",
        read: &[
            "FwpsInjectTransportReceiveAsync0",
            "FWPS_INJECT_COMPLETE0",
            "docs/debugging.md#0xc2-bad_pool_caller",
        ],
    },
    Rule {
        id: "A-43",
        title: "After a successful injection touch neither the packet nor the context: the completion may have run already",
        severity: Severity::Corruption,
        windows: Windows::SpecialPool("0xCC or 0xC2, where the completion was quick"),
        check: Check::Tested {
            by: &["O-13", "O-13-packet", "A-43-list"],
        },
        meaning: "The completion function may run before the injecting call returns, on the same thread or another. Reading the \
                  packet to log it, or a field of one's own context, is then a use after free; holding a lock that the completion \
                  takes is a deadlock.",
        read: &[
            "FWPS_INJECT_COMPLETE0",
            "docs/debugging.md#0x3b-system_service_exception",
        ],
    },
    Rule {
        id: "A-44",
        title: "In a completion function pass its dispatchLevel on, or FALSE",
        severity: Severity::Corruption,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["A-44", "A-44-lock"],
        },
        meaning: "The argument says at which level the function runs, which is DISPATCH_LEVEL at most. TRUE passed on where it said \
                  FALSE breaks A-29; a completion function that returns at another level has lost count of one.",
        read: &["FWPS_INJECT_COMPLETE0"],
    },
    Rule {
        id: "A-45",
        title: "Inject a clone or a packet of your own that begins as the injection wants it, never the original",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs(
            "0xD1 in NETIO!NetioDereferenceNetBufferList or a crash in tcpip!",
        ),
        check: Check::Tested {
            by: &["O-1", "A-45"],
        },
        meaning: "An original that is injected has two owners, who both complete it. A received packet is injected with its IP \
                  header first: whole, of the family that was said, its lengths within the data, and no AH or ESP left in it.",
        read: &["FwpsInjectTransportReceiveAsync0", "OSR 275267"],
    },
    Rule {
        id: "A-46",
        title: "Inject one NET_BUFFER at a time into the receive path",
        severity: Severity::BugCheck,
        windows: Windows::BugCheck("0x1D3 WFP_INVALID_OPERATION, parameter 1 = 1"),
        check: Check::Tested { by: &["O-17"] },
        meaning: "The receive path takes one packet for each NET_BUFFER_LIST. An outbound list, which may have several, is not fit \
                  for it.",
        read: &[
            "bug check 0x1D3",
            "docs/debugging.md#0x1d3-wfp_invalid_operation",
        ],
    },
    Rule {
        id: "A-47",
        title: "Do not inject TCP on the stack of a classify",
        severity: Severity::Hang,
        windows: Windows::LaterAs("0x133 DPC_WATCHDOG_VIOLATION"),
        check: Check::Tested { by: &["O-25"] },
        meaning: "TCP calls the transport layers with its own locks held, and the injected packet wants them. Inject from a thread or \
                  a DPC; this verifier takes the stricter reading and says so for every protocol.",
        read: &[
            "FwpsInjectTransportReceiveAsync0",
            "network: Types of Callouts",
        ],
    },
    Rule {
        id: "A-48",
        title: "Inject into the receive path only what came from a layer that allows it, and an accept after it was completed",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-48"] },
        meaning: "A packet that ALE has still to authorize is not to be taken at the transport layer. A pended accept is completed \
                  with the clone first, and then that same clone is injected; otherwise the connection is never made.",
        read: &["FwpsInjectTransportReceiveAsync0", "FwpsCompleteOperation0"],
    },
    Rule {
        id: "A-49",
        title: "Inject with the packet's own interface, sub-interface and compartment",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-49"] },
        meaning: "With others the packet arrives on the wrong interface: it is dropped, or filtered and routed by the wrong \
                  profile. Without the metadata bit the compartment is UNSPECIFIED_COMPARTMENT_ID.",
        read: &[
            "FwpsInjectTransportReceiveAsync0",
            "FWPS_FIELDS_ALE_AUTH_RECV_ACCEPT_V4",
        ],
    },
    Rule {
        id: "A-50",
        title: "An injected packet is classified again, and skips IPsec's verification",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::NotChecked {
            why: "It says what the stack does, and the model does so. A driver that does not expect its own packet breaks A-51.",
        },
        meaning: "Inbound it enters at the network layer and goes up, outbound at the top and goes down.",
        read: &["network: Packet Injection Functions"],
    },
    Rule {
        id: "A-51",
        title: "Ask FwpsQueryPacketInjectionState0 first, and let pass what you have injected yourself",
        severity: Severity::Hang,
        windows: Windows::LaterAs("0x133, or a packet that goes round for ever"),
        check: Check::Tested { by: &["O-21"] },
        meaning: "A packet that the callout has injected comes back to it. Pended, absorbed or cloned again it goes round without \
                  end; the query must be given the handle that injected it.",
        read: &["FwpsQueryPacketInjectionState0", "Portmaster issue 1583"],
    },
    Rule {
        id: "A-52",
        title: "Remote address and control data of a send injection live until its completion",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs("a crash in tcpip!IppProcessAncillaryData, or 0x13A"),
        check: Check::Tested {
            by: &["O-18", "O-18-classify-memory", "Portmaster-2035"],
        },
        meaning: "WFP does not copy them. On the stack of the injecting function, in the classify's arguments, or freed with the \
                  queue entry they are somebody else's memory when the stack reads them. NULL send parameters are only for a \
                  packet that has its IP header.",
        read: &[
            "FwpsInjectTransportSendAsync0",
            "FWPS_TRANSPORT_SEND_PARAMS1",
            "Portmaster issue 2035",
        ],
    },
    Rule {
        id: "A-53",
        title: "Expect a send injection to fail when its endpoint has been closed meanwhile",
        severity: Severity::Leak,
        windows: Windows::Status("an error, at the call or in the completion"),
        check: Check::Tested {
            by: &["A-53", "A-53-leak"],
        },
        meaning: "An endpoint handle is good while its socket is open. A packet that was held longer is refused, and a driver that \
                  does not expect that leaks it.",
        read: &["FwpsInjectTransportSendAsync0"],
    },
    Rule {
        id: "A-54",
        title: "A raw send that includes its header is injected with that header, one NET_BUFFER, no send parameters",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-54"] },
        meaning: "With IP_HDRINCL the header is not in the packet at the transport layer but beside it. Injected without it, the \
                  packet gets another header than its sender made, or none.",
        read: &[
            "FwpsInjectTransportSendAsync0",
            "network: Data Offset Positions",
        ],
    },
    Rule {
        id: "A-55",
        title: "The MDL of an outgoing IP header is aligned as a pointer",
        severity: Severity::Advice,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-55"] },
        meaning: "It matters only where the injected packet carries its IP header. Unaligned access costs, and faults on some \
                  machines.",
        read: &["FwpsInjectTransportSendAsync0"],
    },
    Rule {
        id: "A-56",
        title: "FwpsInjectionHandleCreate0 may say STATUS_FWP_TCPIP_NOT_READY: look, and try later",
        severity: Severity::Failure,
        windows: Windows::Status("STATUS_FWP_TCPIP_NOT_READY"),
        check: Check::Tested {
            by: &["A-56", "A-56-refused"],
        },
        meaning: "Early in the machine's start TCP/IP is not there yet. A driver that goes on without a handle cannot give back what it \
                  holds.",
        read: &["FwpsInjectionHandleCreate0"],
    },
    Rule {
        id: "A-57",
        title: "Destroy an injection handle once, where its completions can run, and inject nothing with it afterwards",
        severity: Severity::Hang,
        windows: Windows::Status(
            "STATUS_FWP_INJECT_HANDLE_CLOSING for a late injection; the rest hangs or crashes",
        ),
        check: Check::Tested { by: &["A-57"] },
        meaning: "FwpsInjectionHandleDestroy0 waits for every pending completion. Called with something held that a completion needs, \
                  or from a completion function, it waits for ever. A handle that is not destroyed before unload leaves \
                  completions that run in code that is gone.",
        read: &[
            "FwpsInjectionHandleDestroy0",
            "docs/debugging.md#it-does-not-stop",
        ],
    },
    Rule {
        id: "A-58",
        title: "The values of FWPS_INJECTION_TYPE",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::NotChecked {
            why: "It lists values. wfp-sys declares them, and its tests compare them with the contract.",
        },
        meaning: "Which injection functions a handle is for.",
        read: &["FwpsInjectionHandleCreate0"],
    },
    Rule {
        id: "A-59",
        title: "Look at the Status of a completed packet: anything but a success is a packet lost",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["E-9"] },
        meaning: "The stack says there, and only there, that it has refused the packet, with STATUS_DATA_NOT_ACCEPTED for \
                  instance. A driver that does not look cannot count or tell it.",
        read: &["FWPS_INJECT_COMPLETE0", "npcap pull request 22"],
    },
];
