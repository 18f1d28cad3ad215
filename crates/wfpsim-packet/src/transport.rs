//! What WFP says of a packet's transport header: its length, ports or type and code, flags.

use etherparse::{TcpHeaderSlice, UdpHeaderSlice};

use crate::ip::{IpPacket, protocol};

/// The transport header of a whole packet or a first fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The protocol's number.
    pub protocol: u8,
    /// The length of the transport header in bytes: TCP's with options, 8 for UDP and ICMP, 0 for protocols whose
    /// headers Windows does not look into. For ICMP, WFP says this length too, but the data it shows at transport
    /// layers starts before the header, not after it.
    pub header_len: usize,
    /// What the header says.
    pub header: Header,
}

/// What a transport header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP or ICMPv6.
    Icmp(Icmp),
    /// Any other protocol, AH and ESP among them.
    Other,
}

/// What a TCP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number of the first byte, or of SYN.
    pub sequence: u32,
    /// Acknowledgment number, meaningful with ACK.
    pub acknowledgment: u32,
    /// The flags.
    pub flags: TcpFlags,
}

/// What an ICMP or ICMPv6 header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The message's type, which WFP puts in place of the local port.
    pub icmp_type: u8,
    /// The message's code, which WFP puts in place of the remote port.
    pub code: u8,
    /// Identifier and sequence number, of echo messages only.
    pub id_and_sequence: Option<(u16, u16)>,
    /// Whether this is an error message, which quotes the packet it is about.
    pub is_error: bool,
}

/// TCP's flags, the lowest bit being FIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);

    /// Whether all of `flags` are set.
    #[must_use]
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether this asks for a new connection: SYN without ACK.
    #[must_use]
    pub fn is_connect(self) -> bool {
        self.contains(Self::SYN) && !self.contains(Self::ACK)
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Why a packet has no transport header to speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// It is a fragment other than the first.
    #[error("a later fragment has no transport header")]
    LaterFragment,
    /// The packet ends within its transport header.
    #[error(
        "the packet ends within its transport header: protocol {protocol}, {have} of {need} bytes"
    )]
    Truncated {
        /// The protocol's number.
        protocol: u8,
        /// Bytes the header has at least.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// TCP says its header has fewer than 20 bytes.
    #[error("a TCP header that says it has {0} bytes")]
    TcpHeaderLength(usize),
}

impl TransportError {
    /// A stable key to count by.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::LaterFragment => "later_fragment",
            Self::Truncated { .. } => "transport_header_truncated",
            Self::TcpHeaderLength(_) => "tcp_header_length",
        }
    }
}

impl Transport {
    /// Reads the transport header of `packet`.
    pub fn parse(packet: &IpPacket<'_>) -> Result<Self, TransportError> {
        if !packet.has_upper_layer_header() {
            return Err(TransportError::LaterFragment);
        }
        Self::parse_payload(packet.protocol(), packet.payload(), packet.version() == 6)
    }

    /// Reads a transport header at the start of `payload`. ICMP counts only over IPv4, ICMPv6 only over IPv6.
    pub fn parse_payload(
        protocol: u8,
        payload: &[u8],
        is_v6: bool,
    ) -> Result<Self, TransportError> {
        let truncated = |need| TransportError::Truncated {
            protocol,
            need,
            have: payload.len(),
        };
        let (header_len, header) = match protocol {
            protocol::TCP => {
                let said = payload
                    .get(12)
                    .map_or(20, |byte| usize::from(byte >> 4) * 4);
                if said < 20 {
                    return Err(TransportError::TcpHeaderLength(said));
                }
                let header = TcpHeaderSlice::from_slice(payload).map_err(|_| truncated(said))?;
                let tcp = Tcp {
                    source: header.source_port(),
                    destination: header.destination_port(),
                    sequence: header.sequence_number(),
                    acknowledgment: header.acknowledgment_number(),
                    flags: TcpFlags(payload.get(13).copied().unwrap_or(0)),
                };
                (header.slice().len(), Header::Tcp(tcp))
            }
            protocol::UDP => {
                let header = UdpHeaderSlice::from_slice(payload).map_err(|_| truncated(8))?;
                let (source, destination) = (header.source_port(), header.destination_port());
                (
                    8,
                    Header::Udp {
                        source,
                        destination,
                    },
                )
            }
            protocol::ICMP if !is_v6 => Self::icmp(payload, false).ok_or(truncated(8))?,
            protocol::ICMPV6 if is_v6 => Self::icmp(payload, true).ok_or(truncated(8))?,
            _ => (0, Header::Other),
        };
        Ok(Self {
            protocol,
            header_len,
            header,
        })
    }

    fn icmp(payload: &[u8], is_v6: bool) -> Option<(usize, Header)> {
        let [
            icmp_type,
            code,
            _,
            _,
            id_high,
            id_low,
            sequence_high,
            sequence_low,
        ] = *payload.first_chunk()?;
        let (is_echo, is_error) = if is_v6 {
            // RFC 4443, section 2.1: error messages have a type without the highest bit.
            (matches!(icmp_type, 128 | 129), icmp_type < 128)
        } else {
            // Unreachable, source quench, redirect, time exceeded, parameter problem.
            (
                matches!(icmp_type, 0 | 8),
                matches!(icmp_type, 3 | 4 | 5 | 11 | 12),
            )
        };
        let id_and_sequence = is_echo.then(|| {
            (
                u16::from_be_bytes([id_high, id_low]),
                u16::from_be_bytes([sequence_high, sequence_low]),
            )
        });
        Some((
            8,
            Header::Icmp(Icmp {
                icmp_type,
                code,
                id_and_sequence,
                is_error,
            }),
        ))
    }

    /// Source and destination port, of TCP and UDP.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.header {
            Header::Tcp(tcp) => Some((tcp.source, tcp.destination)),
            Header::Udp {
                source,
                destination,
            } => Some((source, destination)),
            Header::Icmp(_) | Header::Other => None,
        }
    }

    /// Type and code, of ICMP and ICMPv6.
    #[must_use]
    pub fn type_and_code(&self) -> Option<(u8, u8)> {
        self.icmp_header().map(|icmp| (icmp.icmp_type, icmp.code))
    }

    /// The ICMP header.
    #[must_use]
    pub fn icmp_header(&self) -> Option<Icmp> {
        match self.header {
            Header::Icmp(icmp) => Some(icmp),
            _ => None,
        }
    }

    /// The TCP header.
    #[must_use]
    pub fn tcp(&self) -> Option<Tcp> {
        match self.header {
            Header::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }

    /// What follows the transport header in `packet`, which this was read from.
    #[must_use]
    pub fn data<'a>(&self, packet: &IpPacket<'a>) -> &'a [u8] {
        packet.payload().get(self.header_len..).unwrap_or_default()
    }

    /// The start of the packet that an ICMP error is about, if its headers are all quoted.
    #[must_use]
    pub fn quoted<'a>(&self, packet: &IpPacket<'a>) -> Option<IpPacket<'a>> {
        let is_error = self.icmp_header().is_some_and(|icmp| icmp.is_error);
        is_error
            .then(|| IpPacket::parse_quoted(self.data(packet)).ok())
            .flatten()
    }
}
