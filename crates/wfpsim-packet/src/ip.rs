//! A checked view of an IP packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
};

/// Numbers of upper-layer protocols and IPv6 extension headers that are told apart here.
#[expect(missing_docs, reason = "the names are those of the registry")]
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const ESP: u8 = 50;
    pub const AH: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const NO_NEXT_HEADER: u8 = 59;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const SCTP: u8 = 132;
}

/// Why bytes are no IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum IpError {
    /// There are no bytes at all.
    #[error("an empty IP packet")]
    Empty,
    /// The version is neither 4 nor 6, or not what the link layer says.
    #[error("IP version {0} where it should not be")]
    Version(u8),
    /// The bytes end before the packet does.
    #[error("an IP packet of {need} bytes or more, of which there are {have}")]
    Truncated {
        /// Bytes the headers call for.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// The IPv4 header says it is shorter than 20 bytes.
    #[error("an IPv4 header that says it has {0} bytes")]
    HeaderLength(usize),
    /// The packet says it is shorter than its own headers.
    #[error("an IP packet that says it has {total} bytes but {header} or more of headers")]
    TotalLength {
        /// The length it says.
        total: usize,
        /// The headers it has.
        header: usize,
    },
    /// The packet says no length: it was captured before the network adapter cut it up (large send offload), or is
    /// an IPv6 jumbogram.
    #[error("an IP packet without a length (large send offload, or a jumbogram)")]
    NoLength,
}

impl IpError {
    /// A stable key to count by.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty | Self::Truncated { .. } => "malformed_ip_truncated",
            Self::Version(_) => "malformed_ip_version",
            Self::HeaderLength(_) => "malformed_ip_header_length",
            Self::TotalLength { .. } => "malformed_ip_total_length",
            Self::NoLength => "ip_without_length",
        }
    }
}

/// The place of a packet in a fragmented datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentInfo {
    /// What the fragments of one datagram have in common: 16 bits for IPv4, 32 for IPv6.
    pub id: u32,
    /// Where in the datagram's fragmentable part this fragment belongs, in bytes.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
    /// IPv6: where the fragment header starts in the packet. IPv4: the length of the header.
    pub header_offset: usize,
    /// Where the fragment's piece of the datagram starts in the packet.
    pub payload_offset: usize,
    /// What the piece at offset 0 starts with: IPv4's protocol, or the fragment header's next header.
    pub protocol: u8,
}

impl FragmentInfo {
    /// An IPv6 packet with a fragment header that is nevertheless whole (RFC 6946).
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// The state of an IPv4 header checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderChecksum {
    /// The header has one and it is right.
    Good,
    /// It is wrong: damage, or computed by the network adapter after the packet was captured.
    Bad,
    /// IPv6 has none.
    Absent,
}

/// A view of an IP packet whose headers have been checked.
///
/// IPv6 hop-by-hop options, routing, fragment and destination options headers are part of the header. Authentication
/// (51) and encapsulating security payload (50) headers are not: they count as upper layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPacket<'a> {
    bytes: &'a [u8],
    version: u8,
    source: IpAddr,
    destination: IpAddr,
    header_len: usize,
    protocol: u8,
    /// Where the number of the upper-layer protocol stands.
    protocol_offset: usize,
    total_len: usize,
    hops: u8,
    fragment: Option<FragmentInfo>,
}

impl<'a> IpPacket<'a> {
    /// Checks the packet at the start of `bytes`; what follows its end is left out.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, IpError> {
        Self::parse_with(bytes, false)
    }

    /// Checks the start of a packet that ICMP errors quote: its headers must be there, but its end need not be.
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Self, IpError> {
        Self::parse_with(bytes, true)
    }

    fn parse_with(bytes: &'a [u8], quoted: bool) -> Result<Self, IpError> {
        match bytes.first() {
            None => Err(IpError::Empty),
            Some(first) => match first >> 4 {
                4 => Self::parse_v4(bytes, quoted),
                6 => Self::parse_v6(bytes, quoted),
                other => Err(IpError::Version(other)),
            },
        }
    }

    fn parse_v4(bytes: &'a [u8], quoted: bool) -> Result<Self, IpError> {
        let said = usize::from(bytes.first().copied().unwrap_or(0) & 0x0f) * 4;
        if said < 20 {
            return Err(IpError::HeaderLength(said));
        }
        let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|_| IpError::Truncated {
            need: said,
            have: bytes.len(),
        })?;
        let header_len = header.slice().len();
        let total = match usize::from(header.total_len()) {
            0 => return Err(IpError::NoLength),
            total if total < header_len => {
                return Err(IpError::TotalLength {
                    total,
                    header: header_len,
                });
            }
            total => total,
        };
        let bytes = cut(bytes, total, quoted)?;
        let fragment = header.is_fragmenting_payload().then(|| FragmentInfo {
            id: header.identification().into(),
            offset: header.fragments_offset().value() << 3,
            more: header.more_fragments(),
            header_offset: header_len,
            payload_offset: header_len,
            protocol: header.protocol().0,
        });
        Ok(Self {
            bytes,
            version: 4,
            source: header.source_addr().into(),
            destination: header.destination_addr().into(),
            header_len,
            protocol: header.protocol().0,
            protocol_offset: 9,
            total_len: total,
            hops: header.ttl(),
            fragment,
        })
    }

    fn parse_v6(bytes: &'a [u8], quoted: bool) -> Result<Self, IpError> {
        let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| IpError::Truncated {
            need: 40,
            have: bytes.len(),
        })?;
        let fixed = header.slice().len();
        let total = fixed + usize::from(header.payload_length());
        let next = header.next_header().0;
        // Without payload there is no header either; with hop-by-hop options, a jumbogram's length may be in these.
        if total == fixed && next != protocol::NO_NEXT_HEADER {
            return Err(IpError::NoLength);
        }
        let bytes = cut(bytes, total, quoted)?;
        let chain = Chain::walk(bytes, fixed, next).map_err(|need| {
            if bytes.len() < total {
                IpError::Truncated {
                    need,
                    have: bytes.len(),
                }
            } else {
                IpError::TotalLength {
                    total,
                    header: need,
                }
            }
        })?;
        Ok(Self {
            bytes,
            version: 6,
            source: header.source_addr().into(),
            destination: header.destination_addr().into(),
            header_len: chain.end,
            protocol: chain.next,
            protocol_offset: chain.next_at,
            total_len: total,
            hops: header.hop_limit(),
            fragment: chain.fragment,
        })
    }

    /// The packet's bytes, from its IP header to its end.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// 4 or 6.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The source address.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// The destination address.
    #[must_use]
    pub fn destination(&self) -> IpAddr {
        self.destination
    }

    /// The length of all headers up to the upper-layer header, in bytes: with IPv4 options and IPv6 extension headers.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// The number of the upper-layer protocol. In an IPv6 fragment that is not the first, it is what the datagram's
    /// fragmentable part starts with, which may be an extension header.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Where the number of the upper-layer protocol stands in the packet.
    #[must_use]
    pub fn protocol_offset(&self) -> usize {
        self.protocol_offset
    }

    /// The length the packet says it has, in bytes. Only a quoted packet's bytes may be fewer.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.total_len
    }

    /// Time to live or hop limit.
    #[must_use]
    pub fn hops(&self) -> u8 {
        self.hops
    }

    /// The packet's place in a fragmented datagram, if it says one; atomic fragments (RFC 6946) do.
    #[must_use]
    pub fn fragment(&self) -> Option<FragmentInfo> {
        self.fragment
    }

    /// Whether this is only a piece of a datagram: fragmented, and not atomically.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| !fragment.is_atomic())
    }

    /// Whether the upper-layer header starts in this packet: it is whole or the first fragment.
    #[must_use]
    pub fn has_upper_layer_header(&self) -> bool {
        self.fragment.is_none_or(|fragment| fragment.offset == 0)
    }

    /// What follows the headers.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.header_len..).unwrap_or_default()
    }

    /// The headers.
    #[must_use]
    pub fn header(&self) -> &'a [u8] {
        self.bytes.get(..self.header_len).unwrap_or_default()
    }

    /// The state of the IPv4 header checksum.
    #[must_use]
    pub fn header_checksum(&self) -> HeaderChecksum {
        match self.version {
            4 if crate::checksum::sum(self.header()) == 0xffff => HeaderChecksum::Good,
            4 => HeaderChecksum::Bad,
            _ => HeaderChecksum::Absent,
        }
    }

    /// Whether the destination is a single host, rather than a multicast group or the limited broadcast address.
    #[must_use]
    pub fn is_unicast(&self) -> bool {
        is_unicast(self.destination)
    }
}

/// Whether an address can be that of a single host. Directed broadcast addresses are not known as such.
#[must_use]
pub fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !v4.is_multicast() && v4 != Ipv4Addr::BROADCAST && v4 != Ipv4Addr::UNSPECIFIED
        }
        IpAddr::V6(v6) => !v6.is_multicast() && v6 != Ipv6Addr::UNSPECIFIED,
    }
}

/// The packet's bytes without what follows it.
fn cut(bytes: &[u8], total: usize, quoted: bool) -> Result<&[u8], IpError> {
    match bytes.get(..total) {
        Some(packet) => Ok(packet),
        None if quoted => Ok(bytes),
        None => Err(IpError::Truncated {
            need: total,
            have: bytes.len(),
        }),
    }
}

/// The chain of IPv6 extension headers.
struct Chain {
    end: usize,
    next: u8,
    next_at: usize,
    fragment: Option<FragmentInfo>,
}

impl Chain {
    /// Follows the chain from `end`, where a header of type `next` starts. Fails with the length that headers need,
    /// if the packet has not that much.
    fn walk(bytes: &[u8], end: usize, next: u8) -> Result<Self, usize> {
        // The fixed header's next header field.
        let mut chain = Self {
            end,
            next,
            next_at: 6,
            fragment: None,
        };
        loop {
            let rest = bytes.get(chain.end..).unwrap_or_default();
            let len = match chain.next {
                protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                    let need = rest.get(1).map_or(8, |len| (usize::from(*len) + 1) * 8);
                    let header =
                        Ipv6RawExtHeaderSlice::from_slice(rest).map_err(|_| chain.end + need)?;
                    chain.next = header.next_header().0;
                    header.slice().len()
                }
                protocol::FRAGMENT => {
                    let header =
                        Ipv6FragmentHeaderSlice::from_slice(rest).map_err(|_| chain.end + 8)?;
                    let len = header.slice().len();
                    chain.next = header.next_header().0;
                    let fragment = FragmentInfo {
                        id: header.identification(),
                        offset: header.fragment_offset().value() << 3,
                        more: header.more_fragments(),
                        header_offset: chain.end,
                        payload_offset: chain.end + len,
                        protocol: chain.next,
                    };
                    // Only the outermost fragment header is this packet's; none should follow it anyway.
                    chain.fragment.get_or_insert(fragment);
                    len
                }
                _ => return Ok(chain),
            };
            chain.next_at = chain.end;
            chain.end += len;
            // What follows in a later fragment is the middle of something.
            if chain.fragment.is_some_and(|fragment| fragment.offset != 0) {
                return Ok(chain);
            }
        }
    }
}
