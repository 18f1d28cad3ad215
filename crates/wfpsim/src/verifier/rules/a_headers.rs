//! checksums, the rebuilt IP header, IPsec.

use super::Check;
use super::Rule;
use super::Severity;
use super::Windows;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "A-60",
        title: "Make the IP header's checksum again before a receive injection",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-60"] },
        meaning: "The header of a reassembled packet carries the checksum of a fragment, and no flag says so reliably. Injected as it \
                  is, the stack drops the packet without a word.",
        read: &["network: Callout Driver Programming Considerations"],
    },
    Rule {
        id: "A-61",
        title: "Mend the transport checksum of what was modified, and make a whole one where offload left only a part",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-61"] },
        meaning: "An outbound packet whose checksum is left to the adapter holds the sum of the pseudo header only. Injected into \
                  the receive path, as with loopback, it is dropped as damaged.",
        read: &["NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO"],
    },
    Rule {
        id: "A-62",
        title: "FwpsConstructIpHeaderForTransportPacket0: on a clone, at the place and with the lengths it is documented for",
        severity: Severity::Corruption,
        windows: Windows::Status("an error for some arguments; others damage the packet"),
        check: Check::Tested {
            by: &[
                "O-16",
                "O-16-transport",
                "A-62-original",
                "A-62-length",
                "A-62-construct",
                "A-62-protocol",
                "A-62-addresses",
            ],
        },
        meaning: "To rebuild, the data starts at the IP header and its length is given, with one NET_BUFFER; to construct, it starts \
                  at the transport header and the length is 0. It writes to what it is given: the original, which others share, is \
                  not to be given.",
        read: &["FwpsConstructIpHeaderForTransportPacket0"],
    },
    Rule {
        id: "A-63",
        title: "Rebuild the IP header of an IPsec protected packet before it is injected",
        severity: Severity::PacketLoss,
        windows: Windows::LaterAs("a drop, or a crash in tcpip!"),
        check: Check::Tested { by: &["O-15"] },
        meaning: "After decryption the AH or ESP header is still in the IP header. The stack would take the clear text for protected \
                  data once more.",
        read: &[
            "network: Using Packet Modification with IPsec",
            "FwpsGetPacketListSecurityInformation0",
            "OSR 275267",
        ],
    },
    Rule {
        id: "A-64",
        title: "FwpsGetPacketListSecurityInformation0: inside classify, with one direction, and its status looked at",
        severity: Severity::PacketLoss,
        windows: Windows::Status("an error, with the information left as it was"),
        check: Check::Tested {
            by: &["A-64", "E-12"],
        },
        meaning: "Later the information is gone. A failed query leaves zeroes, which read as \"not protected\": the packet is then \
                  injected with its ESP header.",
        read: &["FwpsGetPacketListSecurityInformation0"],
    },
    Rule {
        id: "A-65",
        title: "Let a tunnel mode packet pass that is not detunneled yet",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["O-23"] },
        meaning: "Where isTunnelMode is set and isDeTunneled is not, IPsec has still to work on the packet, and it will be \
                  indicated again. Taken before that it never comes out of the tunnel.",
        read: &["FWPS_PACKET_LIST_INFORMATION0", "OSR 275267"],
    },
    Rule {
        id: "A-66",
        title: "Permit at the inbound transport layer what has FWPS_METADATA_FIELD_ALE_CLASSIFY_REQUIRED",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["O-22"] },
        meaning: "That packet, a SYN, a first datagram, one that authorizes again, has still to go through ALE, and IPsec \
                  processing waits for it. Absorbed at the transport layer, the flow is never created.",
        read: &[
            "FWPS_INCOMING_METADATA_VALUES0",
            "network: Types of Callouts",
        ],
    },
    Rule {
        id: "A-67",
        title: "A sublayer that takes packets away weighs less than FWPM_SUBLAYER_UNIVERSAL",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-67"] },
        meaning: "IPsec's and ALE's own callouts are in the universal sublayer. A callout above it sees packets before IPsec has, and \
                  what it takes and injects was never verified.",
        read: &[
            "network: Using Packet Modification with IPsec",
            "OSR 275267",
        ],
    },
    Rule {
        id: "A-68",
        title: "Reinject protected and loopback packets only with a rebuilt header and not on the classify's stack, and count failures",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-68"] },
        meaning: "A sample of Microsoft's does not reinject protected packets at all. Where it is done, the stack may refuse, and the \
                  driver must see that (A-59).",
        read: &["Windows-driver-samples: WFPSampler"],
    },
];
