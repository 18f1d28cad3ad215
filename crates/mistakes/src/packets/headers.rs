//! Checksums, IP headers, and IPsec.

use super::failing;
use super::stories;
use crate::Mistake;
use crate::traffic;

pub(super) const TABLE: &[Mistake] = &[
    Mistake::always(
        "A-60",
        "A-60",
        "injects a reassembled packet with the header checksum it came with",
        traffic::inbound_reassembled,
    ),
    Mistake::always(
        "A-61",
        "A-61",
        "changes the payload and leaves the checksum as it was",
        traffic::inbound_esp,
    ),
    Mistake::always(
        "O-16",
        "A-62",
        "rebuilds the headers of two packets at once",
        traffic::outbound_batch,
    ),
    Mistake::always(
        "O-16-transport",
        "A-62",
        "rebuilds a header where the transport header stands",
        traffic::outbound_datagram,
    ),
    Mistake::always(
        "A-62-original",
        "A-62",
        "rebuilds the header of the original",
        traffic::inbound_esp,
    ),
    Mistake::always(
        "A-62-length",
        "A-62",
        "takes an IP header with ESP for one of 20 bytes",
        traffic::inbound_esp,
    ),
    Mistake::always(
        "A-62-construct",
        "A-62",
        "has a second IP header put before the first",
        traffic::inbound_esp,
    ),
    Mistake::always(
        "A-62-protocol",
        "A-62",
        "says that what follows the new header is ESP",
        traffic::inbound_esp,
    ),
    Mistake::always(
        "A-62-addresses",
        "A-62",
        "gives its own address as the source of a packet that it received",
        traffic::inbound_esp,
    ),
    Mistake::always(
        "O-15",
        "A-63",
        "injects a decrypted packet with the ESP header still in it",
        traffic::inbound_esp,
    ),
    Mistake::always(
        "A-64",
        "A-64",
        "asks for the IPsec state of a packet in its worker",
        traffic::inbound_data,
    ),
    Mistake::always(
        "E-12",
        "A-64",
        "takes a packet for unprotected when it could not find out",
        traffic::inbound_esp,
    )
    .on(|config| failing(config, "FwpsGetPacketListSecurityInformation0")),
    Mistake::always(
        "O-23",
        "A-65",
        "takes a packet of a tunnel that still has its outer header",
        traffic::inbound_tunnel,
    ),
    Mistake::always(
        "O-22",
        "A-66",
        "absorbs a packet that ALE has still to classify",
        traffic::inbound_data,
    ),
    Mistake::always(
        "A-67",
        "A-67",
        "puts its sublayer beside FWPM_SUBLAYER_UNIVERSAL and not below",
        traffic::inbound_esp,
    ),
    Mistake::always(
        "A-68",
        "A-68",
        "receives again, as it is, what the host sent itself",
        stories::loopback_flow,
    ),
];
