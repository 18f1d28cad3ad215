//! Where the data begins, and how much of it there is.

use crate::Mistake;
use crate::traffic;

pub(super) const TABLE: &[Mistake] = &[
    Mistake::always(
        "O-8",
        "A-24",
        "retreats by both headers although the stack has retreated by one already",
        traffic::accept_datagram,
    )
    .on(|mut config| {
        config.freedom.audit_retreat = 100;
        config
    }),
    Mistake::always(
        "A-24",
        "A-24",
        "takes whatever the offset has moved by for what the stack retreated by",
        traffic::accept_datagram,
    )
    .on(|mut config| {
        config.freedom.odd_retreat = 100;
        config
    }),
    Mistake::always(
        "A-25",
        "A-25",
        "retreats a packet in its classify and returns",
        traffic::inbound_data,
    ),
    Mistake::always(
        "O-7",
        "A-25",
        "gives a packet back that it has retreated and not advanced again",
        traffic::inbound_data,
    ),
    Mistake::always(
        "A-26",
        "A-26",
        "takes the length of a decrypted packet from its MDLs, with the trailer",
        traffic::inbound_esp,
    ),
];
