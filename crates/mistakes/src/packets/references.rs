//! References on originals.

use super::failing;
use super::stories;
use crate::Mistake;
use crate::traffic;

pub(super) const TABLE: &[Mistake] = &[
    Mistake::always(
        "O-2",
        "A-27",
        "absorbs a packet and works on it later without having referenced it",
        traffic::inbound_data,
    ),
    Mistake::always(
        "A-28",
        "A-28",
        "drops a packet and keeps its reference",
        stories::blocked_data,
    ),
    Mistake::always(
        "O-3",
        "A-28",
        "dereferences when the injection was accepted, and again when it completes",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-4",
        "A-70",
        "keeps the reference it took when the operation could not be pended",
        traffic::accept,
    )
    .on(|config| failing(config, "FwpsPendOperation0")),
    Mistake::always(
        "O-5",
        "A-28",
        "dereferences the clone",
        traffic::inbound_data,
    ),
    Mistake::always(
        "OSR-292860",
        "A-28",
        "dereferences NULL",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-6",
        "A-29",
        "claims DISPATCH_LEVEL in a thread at PASSIVE_LEVEL",
        stories::blocked_data,
    ),
    Mistake::always(
        "A-30",
        "A-30",
        "holds a packet for as long as it takes a user to answer",
        traffic::inbound_data,
    ),
    Mistake::always(
        "A-31",
        "A-31",
        "keeps a pointer to an MDL from the classify for its worker",
        traffic::inbound_data,
    )
    .on(|mut config| {
        config.freedom.moved_bytes = 100;
        config
    }),
    Mistake::always(
        "A-32",
        "A-32",
        "marks a packet as seen in the slot of NetBufferListInfo that is the filter engine's",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-26",
        "A-35",
        "writes the payload through a clone, which shares it with the original",
        traffic::inbound_data,
    ),
];
