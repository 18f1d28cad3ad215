//! Clones.

use super::failing;
use crate::Mistake;
use crate::traffic;

pub(super) const TABLE: &[Mistake] = &[
    Mistake::always(
        "A-36",
        "A-36",
        "clones first and retreats the clone, whose new memory holds no headers",
        traffic::inbound_data,
    ),
    Mistake::always(
        "A-37",
        "A-37",
        "frees a clone that has a clone of its own",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-14",
        "A-38",
        "frees a clone with an MDL of the driver's in its chain",
        traffic::inbound_data,
    ),
    Mistake::always(
        "A-39",
        "A-39",
        "frees a clone twice when its injection was refused",
        traffic::inbound_data,
    )
    .on(|config| failing(config, "FwpsInjectTransportReceiveAsync0")),
    Mistake::always(
        "A-39-original",
        "A-39",
        "frees the original as if it were a clone",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-27",
        "A-40",
        "clones a packet in its classify, frees the clone and lets the packet pass",
        traffic::inbound_data,
    ),
    Mistake::always(
        "nmap-1529",
        "A-40",
        "clones a packet that it lets pass, and frees the clone later",
        traffic::inbound_data,
    ),
];
