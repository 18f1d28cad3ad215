//! From a captured frame to the IP packet in it.

use std::fmt;

use etherparse::{EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice};

use crate::capture::Direction;
use crate::ip::{IpError, IpPacket};

/// A link-layer type as captures name it (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

macro_rules! link_types {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        #[expect(missing_docs, reason = "the names are those of the registry")]
        impl LinkType {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The name in the registry without its prefix, if it is one of those handled here.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

link_types! {
    NULL = 0;
    ETHERNET = 1;
    PPP = 9;
    /// What captures of raw IP have that were written with the number of the capturing system in place of 101.
    DLT_RAW = 12;
    /// The same, by OpenBSD.
    DLT_RAW_OPENBSD = 14;
    PPP_HDLC = 50;
    RAW = 101;
    LOOP = 108;
    LINUX_SLL = 113;
    IPV4 = 228;
    IPV6 = 229;
    LINUX_SLL2 = 276;
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}"),
            None => write!(f, "link type {}", self.0),
        }
    }
}

impl fmt::Debug for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({})", self.0)
    }
}

/// Why a captured frame gives no IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotIp {
    /// Address resolution, which Windows handles below WFP.
    #[error("address resolution (ARP)")]
    Arp,
    /// Another network protocol, by its EtherType.
    #[error("EtherType {0:#06x}, which is not IP")]
    OtherEtherType(u16),
    /// An IEEE 802.3 frame with a length in place of the EtherType: spanning tree, NetBEUI and the like.
    #[error("an IEEE 802.3 frame with LLC header")]
    Llc,
    /// A frame of the PPP link itself, or of a protocol that is not IP.
    #[error("PPP protocol {0:#06x}, which is not IP")]
    OtherPppProtocol(u16),
    /// Another address family on a link whose frames start with one.
    #[error("address family {0}, which is not IP")]
    OtherAddressFamily(u32),
    /// A Linux cooked frame whose protocol field is not an EtherType.
    #[error("a frame of a kind that has no EtherType")]
    OtherCooked,
    /// Link-layer headers that are not known here.
    #[error("{0} is not supported")]
    UnsupportedLinkType(LinkType),
    /// The capture has only the start of the packet.
    #[error("the capture kept only the first {captured} of {original} bytes (snapshot length)")]
    TruncatedBySnaplen {
        /// Bytes captured.
        captured: u32,
        /// Bytes there were.
        original: u32,
    },
    /// The frame ends within its link-layer header.
    #[error("the frame ends within its link-layer header")]
    MalformedLink,
    /// The link layer says IP, but what follows is no whole IP packet.
    #[error("{0}")]
    MalformedIp(#[from] IpError),
}

impl NotIp {
    /// A stable key to count by.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::OtherEtherType(_) => "other_ethertype",
            Self::Llc => "llc",
            Self::OtherPppProtocol(_) => "other_ppp_protocol",
            Self::OtherAddressFamily(_) => "other_address_family",
            Self::OtherCooked => "other_cooked",
            Self::UnsupportedLinkType(_) => "unsupported_link_type",
            Self::TruncatedBySnaplen { .. } => "truncated_by_snaplen",
            Self::MalformedLink => "malformed_link",
            Self::MalformedIp(error) => error.reason(),
        }
    }
}

/// The IP packet in the frame `data`, cut to the length its header says, so that padding and frame check sequences
/// are gone. `original_len` is how many bytes the frame had before the capture's length limit.
///
/// The packet is whole and its headers are sound: [`IpPacket::parse`] accepts it.
pub fn ip_packet(link: LinkType, data: &[u8], original_len: u32) -> Result<&[u8], NotIp> {
    let cut = || NotIp::TruncatedBySnaplen {
        captured: u32::try_from(data.len()).unwrap_or(u32::MAX),
        original: original_len,
    };
    let is_cut = data.len() < original_len as usize;
    let network = match network_layer(link, data) {
        Err(NotIp::MalformedLink) if is_cut => return Err(cut()),
        other => other?,
    };
    match (IpPacket::parse(network.bytes), network.version) {
        (Ok(packet), Some(version)) if packet.version() != version => {
            Err(IpError::Version(packet.version()).into())
        }
        (Ok(packet), _) => Ok(packet.bytes()),
        (Err(IpError::Truncated { .. }), _) if is_cut => Err(cut()),
        (Err(error), _) => Err(error.into()),
    }
}

/// What follows the link-layer header.
struct Network<'a> {
    bytes: &'a [u8],
    /// The IP version the link layer says, if it does.
    version: Option<u8>,
}

fn network_layer(link: LinkType, data: &[u8]) -> Result<Network<'_>, NotIp> {
    match link {
        LinkType::ETHERNET => {
            let header =
                Ethernet2HeaderSlice::from_slice(data).map_err(|_| NotIp::MalformedLink)?;
            by_ether_type(header.ether_type(), after(data, header.slice().len())?)
        }
        LinkType::RAW | LinkType::DLT_RAW | LinkType::DLT_RAW_OPENBSD => Ok(Network {
            bytes: data,
            version: None,
        }),
        LinkType::IPV4 => Ok(Network {
            bytes: data,
            version: Some(4),
        }),
        LinkType::IPV6 => Ok(Network {
            bytes: data,
            version: Some(6),
        }),
        LinkType::NULL => {
            let family = data.first_chunk().ok_or(NotIp::MalformedLink)?;
            // The capturing machine's byte order; no address family is so large as to look like one reversed.
            let family = u32::from_le_bytes(*family).min(u32::from_be_bytes(*family));
            by_address_family(family, after(data, 4)?)
        }
        LinkType::LOOP => {
            let family = data.first_chunk().ok_or(NotIp::MalformedLink)?;
            by_address_family(u32::from_be_bytes(*family), after(data, 4)?)
        }
        LinkType::LINUX_SLL => {
            let protocol = after(data, 14)?.first_chunk().ok_or(NotIp::MalformedLink)?;
            by_cooked_protocol(u16::from_be_bytes(*protocol), after(data, 16)?)
        }
        LinkType::LINUX_SLL2 => {
            let protocol = data.first_chunk().ok_or(NotIp::MalformedLink)?;
            by_cooked_protocol(u16::from_be_bytes(*protocol), after(data, 20)?)
        }
        LinkType::PPP => match data {
            // Address and control, which the link may have agreed to leave out.
            [0xff, 0x03, rest @ ..] => by_ppp_protocol(rest),
            _ => by_ppp_protocol(data),
        },
        LinkType::PPP_HDLC => by_ppp_protocol(after(data, 2)?),
        other => Err(NotIp::UnsupportedLinkType(other)),
    }
}

/// What follows an EtherType, past any 802.1Q and QinQ tags.
fn by_ether_type(mut ether_type: EtherType, mut bytes: &[u8]) -> Result<Network<'_>, NotIp> {
    const QINQ_OLD: EtherType = EtherType(0x9200);
    const PPPOE_SESSION: EtherType = EtherType(0x8864);
    loop {
        match ether_type {
            EtherType::IPV4 => {
                return Ok(Network {
                    bytes,
                    version: Some(4),
                });
            }
            EtherType::IPV6 => {
                return Ok(Network {
                    bytes,
                    version: Some(6),
                });
            }
            EtherType::ARP => return Err(NotIp::Arp),
            EtherType::VLAN_TAGGED_FRAME
            | EtherType::PROVIDER_BRIDGING
            | EtherType::VLAN_DOUBLE_TAGGED_FRAME
            | QINQ_OLD => {
                let tag =
                    SingleVlanHeaderSlice::from_slice(bytes).map_err(|_| NotIp::MalformedLink)?;
                ether_type = tag.ether_type();
                bytes = after(bytes, tag.slice().len())?;
            }
            PPPOE_SESSION => return by_ppp_protocol(after(bytes, 6)?),
            // Below 1536 it is no type but the length of an IEEE 802.3 frame.
            EtherType(..1536) => return Err(NotIp::Llc),
            EtherType(other) => return Err(NotIp::OtherEtherType(other)),
        }
    }
}

/// What follows the protocol field of Linux cooked frames: an EtherType, or something below 1536 that is none.
fn by_cooked_protocol(protocol: u16, bytes: &[u8]) -> Result<Network<'_>, NotIp> {
    match protocol {
        ..1536 => Err(NotIp::OtherCooked),
        ether_type => by_ether_type(EtherType(ether_type), bytes),
    }
}

/// What follows an address family as BSD loopbacks and Npcap's have it.
fn by_address_family(family: u32, bytes: &[u8]) -> Result<Network<'_>, NotIp> {
    match family {
        2 => Ok(Network {
            bytes,
            version: Some(4),
        }),
        // Linux; Windows; NetBSD, OpenBSD and Npcap; FreeBSD; Darwin.
        10 | 23 | 24 | 28 | 30 => Ok(Network {
            bytes,
            version: Some(6),
        }),
        other => Err(NotIp::OtherAddressFamily(other)),
    }
}

/// What follows a PPP protocol field of one or two bytes (RFC 1661, section 2: the last byte is odd).
fn by_ppp_protocol(data: &[u8]) -> Result<Network<'_>, NotIp> {
    let (protocol, bytes) = match data {
        [low, rest @ ..] if low & 1 == 1 => (u16::from(*low), rest),
        [high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        _ => return Err(NotIp::MalformedLink),
    };
    match protocol {
        0x0021 => Ok(Network {
            bytes,
            version: Some(4),
        }),
        0x0057 => Ok(Network {
            bytes,
            version: Some(6),
        }),
        other => Err(NotIp::OtherPppProtocol(other)),
    }
}

fn after(data: &[u8], len: usize) -> Result<&[u8], NotIp> {
    data.get(len..).ok_or(NotIp::MalformedLink)
}

/// A link-layer address of Ethernet.
pub type MacAddress = [u8; 6];

/// Source and destination of an Ethernet frame.
#[must_use]
pub fn ethernet_addresses(link: LinkType, data: &[u8]) -> Option<(MacAddress, MacAddress)> {
    if link != LinkType::ETHERNET {
        return None;
    }
    let header = Ethernet2HeaderSlice::from_slice(data).ok()?;
    Some((header.source(), header.destination()))
}

/// Which way a Linux cooked frame went: these say it, other link layers do not.
#[must_use]
pub fn cooked_direction(link: LinkType, data: &[u8]) -> Option<Direction> {
    const OUTGOING: u8 = 4;
    let packet_type = match link {
        LinkType::LINUX_SLL => *data.get(1)?,
        LinkType::LINUX_SLL2 => *data.get(10)?,
        _ => return None,
    };
    match packet_type {
        // To us, broadcast, multicast.
        0..=2 => Some(Direction::Inbound),
        OUTGOING => Some(Direction::Outbound),
        // Somebody else's, seen in promiscuous mode.
        _ => None,
    }
}
