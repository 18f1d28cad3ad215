//! Why a packet was refused.

use std::fmt;

use crate::association::SaKey;

/// Why a protected packet goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// No association has this destination, SPI and protocol.
    NoAssociation(SaKey),
    /// The integrity check value is not what the key gives: the packet was changed on its way, or
    /// the key is another one.
    BadIntegrity(SaKey),
    /// The sequence number was seen before, or is older than the replay window, or is 0.
    Replayed {
        /// The association.
        key: SaKey,
        /// The sequence number in the packet.
        sequence: u32,
    },
    /// The packet cannot be what it says it is; the text says where.
    Malformed(&'static str),
    /// The ESP trailer claims more padding than there is data, or its padding is not 1, 2, 3, ...
    /// (RFC 4303, section 2.4). Counted as malformed: it is one more way of not being what it says
    /// it is.
    BadPadding(SaKey),
    /// The association is for tunnel mode and there is no IP packet inside.
    NotATunnel {
        /// The association.
        key: SaKey,
        /// The next header number that was found instead of 4 or 41.
        next_header: u8,
    },
    /// ESP came bare where the association has it in UDP, or the other way round.
    WrongEncapsulation(SaKey),
    /// A fragment of an IPsec packet: it has to be reassembled first.
    Fragment,
    /// A dummy packet, made to hide how much traffic there is (RFC 4303, section 2.6). It carries
    /// nothing.
    Dummy(SaKey),
    /// More IPsec headers in a row than any sender makes.
    TooManyLayers,
    /// With IPsec added the packet would be longer than an IP packet can be.
    TooLong,
}

impl Refused {
    /// A key for counters and reports. It does not change between versions.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoAssociation(_) => "ipsec_no_association",
            Self::BadIntegrity(_) => "ipsec_bad_integrity",
            Self::Replayed { .. } => "ipsec_replayed",
            Self::Malformed(_) | Self::BadPadding(_) => "ipsec_malformed",
            Self::NotATunnel { .. } => "ipsec_not_a_tunnel",
            Self::WrongEncapsulation(_) => "ipsec_wrong_encapsulation",
            Self::Fragment => "ipsec_fragment",
            Self::Dummy(_) => "ipsec_dummy",
            Self::TooManyLayers => "ipsec_too_many_layers",
            Self::TooLong => "ipsec_too_long",
        }
    }

    /// Every key that [`Refused::reason`] can give.
    pub const REASONS: [&'static str; 10] = [
        "ipsec_no_association",
        "ipsec_bad_integrity",
        "ipsec_replayed",
        "ipsec_malformed",
        "ipsec_not_a_tunnel",
        "ipsec_wrong_encapsulation",
        "ipsec_fragment",
        "ipsec_dummy",
        "ipsec_too_many_layers",
        "ipsec_too_long",
    ];
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAssociation(key) => write!(f, "no association for {key}"),
            Self::BadIntegrity(key) => write!(f, "wrong integrity value for {key}"),
            Self::Replayed { key, sequence } => {
                write!(f, "sequence number {sequence} replayed for {key}")
            }
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::BadPadding(key) => write!(f, "bad padding for {key}"),
            Self::NotATunnel { key, next_header } => {
                write!(
                    f,
                    "protocol {next_header} where an IP packet should be, for the tunnel {key}"
                )
            }
            Self::WrongEncapsulation(key) => write!(
                f,
                "UDP encapsulation is not what the association says for {key}"
            ),
            Self::Fragment => {
                f.write_str("a fragment of an IPsec packet, which must be reassembled first")
            }
            Self::Dummy(key) => write!(f, "a dummy packet of {key}"),
            Self::TooManyLayers => f.write_str("too many IPsec headers in one packet"),
            Self::TooLong => {
                f.write_str("with IPsec added the packet is longer than an IP packet can be")
            }
        }
    }
}

impl std::error::Error for Refused {}
