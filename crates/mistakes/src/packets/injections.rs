//! Injections and their completion.

use super::failing;
use super::stories;
use crate::Mistake;
use crate::traffic;

pub(super) const TABLE: &[Mistake] = &[
    Mistake::always(
        "O-11",
        "A-42",
        "frees the clone although the injection was accepted",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-12",
        "A-42",
        "keeps the clone although the injection was refused",
        traffic::inbound_data,
    )
    .on(|config| failing(config, "FwpsInjectTransportReceiveAsync0")),
    Mistake::always(
        "A-42-again",
        "A-42",
        "injects a clone that was injected already",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-13",
        "A-43",
        "logs a field of the clone that it has just injected",
        traffic::inbound_data,
    ),
    Mistake::sometimes(
        "O-13-packet",
        "A-43",
        "logs a field of its own packet structure, which the completion function frees",
        traffic::inbound_data,
    ),
    Mistake::sometimes(
        "A-43-list",
        "A-43",
        "walks its list on from a packet that it has injected",
        traffic::inbound_data,
    ),
    Mistake::sometimes(
        "A-44",
        "A-44",
        "claims DISPATCH_LEVEL in every completion",
        traffic::inbound_data,
    ),
    Mistake::always(
        "A-44-lock",
        "A-44",
        "returns from the completion function with a spin lock held",
        traffic::inbound_data,
    ),
    Mistake::always("O-1", "A-45", "injects the original", traffic::inbound_data),
    Mistake::always(
        "A-45",
        "A-45",
        "injects a clone that begins with the payload",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-17",
        "A-46",
        "injects two packets at once into the receive path",
        traffic::outbound_batch,
    ),
    Mistake::always(
        "O-25",
        "A-47",
        "injects on the stack of the classify",
        traffic::inbound_data,
    ),
    Mistake::always(
        "A-48",
        "A-48",
        "injects the packet of a pended accept before it completes the accept",
        traffic::accept,
    ),
    Mistake::always(
        "A-49",
        "A-49",
        "takes the interface for the sub-interface",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-21",
        "A-51",
        "does not ask whether it has injected a packet itself",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-18",
        "A-52",
        "frees the arguments of a send when the call has returned",
        traffic::outbound_datagram,
    ),
    Mistake::always(
        "O-18-classify-memory",
        "A-52",
        "keeps the pointer to the control data that the classify was given",
        traffic::outbound_with_control_data,
    ),
    Mistake::always(
        "Portmaster-2035",
        "A-52",
        "frees its copy of the control data before the send completes",
        traffic::outbound_with_control_data,
    ),
    Mistake::always(
        "A-53",
        "A-53",
        "sends everything with the endpoint handle that it was told first",
        stories::one_socket_after_another,
    ),
    Mistake::always(
        "A-53-leak",
        "A-53",
        "keeps the clone when the stack could not send it because the socket was closed",
        stories::socket_closed_meanwhile,
    ),
    Mistake::always(
        "OSR-59954",
        "A-13",
        "takes it for granted that every packet has an endpoint, and the stack sends a reset of its own",
        traffic::outbound_reset,
    )
    .on(|mut config| {
        config.garbage = true;
        config
    }),
    Mistake::always(
        "A-54",
        "A-54",
        "sends a raw socket's packet without the IP header that the socket made",
        traffic::outbound_raw,
    ),
    Mistake::always(
        "A-55",
        "A-55",
        "puts an IP header where no pointer could stand",
        traffic::outbound_raw,
    ),
    Mistake::always(
        "A-56",
        "A-56",
        "injects IPv6 with a handle for IPv4",
        stories::outbound_v6,
    ),
    Mistake::always(
        "A-56-refused",
        "A-56",
        "goes on without an injection handle when TCP/IP was not ready for one",
        traffic::inbound_data,
    )
    .on(|config| failing(config, "FwpsInjectionHandleCreate0")),
    Mistake::always(
        "A-57",
        "A-57",
        "destroys the injection handle twice",
        traffic::inbound_data,
    ),
    Mistake::always(
        "E-9",
        "A-59",
        "does not look at the Status of what the stack gives back",
        stories::socket_closed_meanwhile,
    ),
];
