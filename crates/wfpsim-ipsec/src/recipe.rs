//! How a packet was protected, so that it can be protected again the same way.

use crate::association::{Association, Mode, Protocol, SaKey};
use crate::headers::{self, Headers, protocol};
use crate::layer::Kind;
use crate::refused::Refused;

/// How a packet was protected: made by [`Sadb::peel`](crate::Sadb::peel) or
/// [`Sadb::recipe`](crate::Sadb::recipe), used by [`Sadb::protect`](crate::Sadb::protect).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// Outermost first.
    pub(crate) steps: Vec<Step>,
}

impl Recipe {
    /// What this protects is in turn protected as `outer` says, for instance ESP in AH.
    #[must_use]
    pub fn within(mut self, outer: Self) -> Self {
        let mut steps = outer.steps;
        steps.append(&mut self.steps);
        Self { steps }
    }

    /// The IPsec headers, outermost first.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        self.steps.iter().map(Step::kind).collect()
    }

    /// The associations, outermost first.
    #[must_use]
    pub fn associations(&self) -> Vec<SaKey> {
        self.steps.iter().map(|step| step.key).collect()
    }

    /// Whether one of the layers is a tunnel, so that what is protected is a packet within a
    /// packet.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        self.steps.iter().any(|step| step.outer.is_some())
    }
}

/// One IPsec header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) key: SaKey,
    pub(crate) sequence: u32,
    /// Where the header goes, in transport mode.
    pub(crate) position: Position,
    /// The IPv4 header checksum of the protected packet.
    pub(crate) header_checksum: Checksum,
    pub(crate) body: Body,
    /// In tunnel mode: the IP header in front, with its options or extension headers.
    pub(crate) outer: Option<OuterHeader>,
}

impl Step {
    pub(crate) fn kind(&self) -> Kind {
        match &self.body {
            Body::Ah { .. } => Kind::Ah,
            Body::Esp { udp: None, .. } => Kind::Esp,
            Body::Esp { udp: Some(_), .. } => Kind::EspInUdp,
        }
    }
}

/// What only one of the two protocols has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Esp {
        iv: Vec<u8>,
        /// `None` lets the length of the data decide.
        padding: Option<Vec<u8>>,
        /// Bytes between the end of an inner packet and the padding (RFC 4303, section 2.7).
        traffic_flow_padding: Vec<u8>,
        udp: Option<UdpHeader>,
    },
    Ah {
        reserved: [u8; 2],
        /// Bytes behind the integrity value. `None` lets the IP version decide.
        padding: Option<Vec<u8>>,
    },
}

/// The UDP header in front of ESP (RFC 3948). Its length follows from the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UdpHeader {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) checksum: Checksum,
}

/// A checksum of the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// It was right, and is made again.
    Right,
    /// It was this, which is not right: left to hardware, or not used.
    Verbatim(u16),
}

impl Checksum {
    /// Compares what a packet has with what it should have.
    pub(crate) fn of(found: u16, right: u16) -> Self {
        if found == right {
            Self::Right
        } else {
            Self::Verbatim(found)
        }
    }

    /// The checksum to write where `right` is the one that is right.
    pub(crate) fn value(self, right: u16) -> u16 {
        match self {
            Self::Right => right,
            Self::Verbatim(value) => value,
        }
    }
}

/// Where an IPsec header goes among the extension headers of IPv6. In IPv4 it always follows the IP
/// header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Behind this many extension headers.
    Behind(usize),
    /// Behind those that routers look at (RFC 4302 and 4303, section 3.1.1).
    BehindRouting,
}

impl Position {
    /// Offset for the header and of the byte that will name it.
    pub(crate) fn find(self, headers: &Headers) -> Result<(usize, usize), Refused> {
        let index = match self {
            Self::Behind(count) => count,
            Self::BehindRouting => headers
                .extensions
                .iter()
                .rposition(|header| header.protocol != protocol::DESTINATION_OPTIONS)
                .map_or(0, |last| last.saturating_add(1)),
        };
        match headers.extensions.get(index) {
            Some(header) => Ok((header.at, header.named_at)),
            None if index == headers.extensions.len() => Ok((headers.payload, headers.named_at)),
            None => Err(Refused::Malformed(
                "extension headers before IPsec are gone",
            )),
        }
    }
}

/// The IP header in front of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OuterHeader {
    pub(crate) bytes: Vec<u8>,
    /// Where the byte lies that names the IPsec (or UDP) header.
    pub(crate) named_at: usize,
}

impl OuterHeader {
    /// A plain header from the addresses of the association. The lengths and checksum are filled in
    /// later.
    fn plain(association: &Association) -> Result<Self, Refused> {
        const HOPS: u8 = 64;
        match (association.src, association.key.dst) {
            (std::net::IpAddr::V4(source), std::net::IpAddr::V4(destination)) => {
                let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, HOPS, 0, 0, 0];
                bytes.extend_from_slice(&source.octets());
                bytes.extend_from_slice(&destination.octets());
                Ok(Self { bytes, named_at: 9 })
            }
            (std::net::IpAddr::V6(source), std::net::IpAddr::V6(destination)) => {
                let mut bytes = vec![0x60, 0, 0, 0, 0, 0, 0, HOPS];
                bytes.extend_from_slice(&source.octets());
                bytes.extend_from_slice(&destination.octets());
                Ok(Self { bytes, named_at: 6 })
            }
            _ => Err(Refused::Malformed(
                "addresses of the association are of two families",
            )),
        }
    }
}

/// The recipe of a sender that protects a packet of its own now.
pub(crate) fn fresh(
    association: &Association,
    sequence: u32,
    iv: &[u8],
) -> Result<Recipe, Refused> {
    const NAT_TRAVERSAL: u16 = crate::layer::NAT_TRAVERSAL_PORT;
    let body = match association.key.protocol {
        Protocol::Ah => Body::Ah {
            reserved: [0, 0],
            padding: None,
        },
        Protocol::Esp => Body::Esp {
            iv: iv.to_vec(),
            padding: None,
            traffic_flow_padding: Vec::new(),
            udp: association.udp_encap.then_some(UdpHeader {
                source: NAT_TRAVERSAL,
                destination: NAT_TRAVERSAL,
                // RFC 3948, section 2.1, has the sender leave it out.
                checksum: Checksum::Verbatim(0),
            }),
        },
    };
    let outer = match association.mode {
        Mode::Transport => None,
        Mode::Tunnel => Some(OuterHeader::plain(association)?),
    };
    let step = Step {
        key: association.key,
        sequence,
        position: Position::BehindRouting,
        header_checksum: Checksum::Right,
        body,
        outer,
    };
    Ok(Recipe { steps: vec![step] })
}

/// The IPv4 header checksum of `packet` as a recipe keeps it.
pub(crate) fn header_checksum(packet: &[u8], headers: &Headers) -> Result<Checksum, Refused> {
    if headers.v6 {
        return Ok(Checksum::Right);
    }
    let found = headers::read_u16(packet, 10).ok_or(Refused::Malformed("IPv4 header"))?;
    Ok(Checksum::of(
        found,
        crate::checksum::ipv4_header(headers::ipv4_header(packet)?),
    ))
}
