//! NDIS (B-01 to B-12).

use super::failing;
use crate::Mistake;
use crate::traffic;

pub(super) const TABLE: &[Mistake] = &[
    Mistake::always(
        "B-01",
        "B-01",
        "goes on as if a retreat had not failed",
        traffic::inbound_data,
    )
    .on(|config| failing(config, "NdisRetreatNetBufferDataStart")),
    Mistake::always(
        "B-02",
        "B-02",
        "has NDIS free MDLs of a received packet",
        traffic::inbound_data,
    ),
    Mistake::always(
        "B-03",
        "B-03",
        "advances by another number than it retreated by",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-7-late",
        "B-03",
        "advances a packet that it has given back",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-9",
        "B-03",
        "advances after a retreat that failed",
        traffic::inbound_data,
    )
    .on(|config| failing(config, "NdisRetreatNetBufferDataStart")),
    Mistake::always(
        "E-7",
        "B-03",
        "does not look at what a retreat returned, and advances",
        traffic::inbound_data,
    )
    .on(|config| failing(config, "NdisRetreatNetBufferDataStart")),
    Mistake::always(
        "O-10",
        "B-04",
        "clones over an MDL that a retreat had put in front, and has the advance free it",
        traffic::outbound_datagram,
    )
    .on(|mut config| {
        config.freedom.no_headroom = 100;
        config
    }),
    Mistake::sometimes(
        "OSR-275267",
        "B-04",
        "does not look whether the stack has retreated a pended packet meanwhile",
        traffic::accept,
    ),
    Mistake::always(
        "B-05",
        "B-05",
        "gives NdisGetDataBuffer no storage and follows the NULL that it returns",
        traffic::inbound_data,
    )
    .on(|mut config| {
        config.cut_at = Some(14 + 10);
        config
    }),
    Mistake::always(
        "B-06",
        "B-06",
        "reads through an MDL that could not be mapped",
        traffic::inbound_data,
    )
    .on(|mut config| {
        config.freedom.unmapped_mdls = 100;
        failing(config, "MmMapLockedPagesSpecifyCache")
    }),
    Mistake::always(
        "B-09",
        "B-09",
        "frees the original that it has cloned",
        traffic::inbound_data,
    ),
    Mistake::always(
        "B-10",
        "B-10",
        "frees a clone with other flags than it was made with",
        traffic::inbound_data,
    ),
    Mistake::always(
        "B-11",
        "B-11",
        "moves the start of the data by writing DataOffset",
        traffic::inbound_data,
    ),
    Mistake::always(
        "B-12",
        "B-12",
        "copies a NET_BUFFER_LIST",
        traffic::inbound_data,
    ),
];
