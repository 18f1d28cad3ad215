//! As much of IP headers as IPsec has to know: where the headers lie, what names the next one, and
//! how long the packet is.

use crate::checksum;
use crate::refused::Refused;

/// IP protocol numbers that mean something here.
pub(crate) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ESP: u8 = 50;
    pub(crate) const AH: u8 = 51;
    pub(crate) const NO_NEXT_HEADER: u8 = 59;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
}

/// Length of an IPv6 header without extension headers, in bytes.
pub(crate) const IPV6_HEADER_LEN: usize = 40;
/// Length of a UDP header in bytes.
pub(crate) const UDP_HEADER_LEN: usize = 8;

/// The longest chain of extension headers that is followed. RFC 8200 knows five kinds before IPsec.
const MAX_EXTENSION_HEADERS: usize = 16;

/// One IPv6 extension header.
#[derive(Clone, Debug)]
pub(crate) struct Extension {
    /// Its number.
    pub(crate) protocol: u8,
    /// Where it begins, in bytes from the start of the IP header.
    pub(crate) at: usize,
    /// Its length in bytes.
    pub(crate) len: usize,
    /// Where the byte lies that names it.
    pub(crate) named_at: usize,
}

/// Where the headers of an IP packet lie. Offsets are in bytes from the start of the IP header.
#[derive(Clone, Debug)]
pub(crate) struct Headers {
    /// IPv6, otherwise IPv4.
    pub(crate) v6: bool,
    /// Length of the packet by its own header, never more than there are bytes.
    pub(crate) end: usize,
    /// Length of the IP header with options, without extension headers.
    pub(crate) header_len: usize,
    /// The extension headers before `payload`.
    pub(crate) extensions: Vec<Extension>,
    /// The first header that is not an extension header. Behind an IPv6 fragment header, its next
    /// header.
    pub(crate) protocol: u8,
    /// Where the byte lies that names the header at `payload`.
    pub(crate) named_at: usize,
    /// Where the header of `protocol` begins; for an IPv6 fragment, where the fragment header does.
    pub(crate) payload: usize,
    /// The packet is a fragment, or (IPv6) carries a fragment header.
    pub(crate) fragment: bool,
}

/// A packet whose headers cannot be followed to the end.
#[derive(Debug)]
pub(crate) struct Broken {
    /// What it says it carries, as far as could be read.
    pub(crate) protocol: Option<u8>,
}

/// Reads the headers of `packet`.
pub(crate) fn parse(packet: &[u8]) -> Result<Headers, Broken> {
    match packet.first().map(|first| first >> 4) {
        Some(4) => parse_v4(packet),
        Some(6) => parse_v6(packet),
        _ => Err(Broken { protocol: None }),
    }
}

fn parse_v4(packet: &[u8]) -> Result<Headers, Broken> {
    let protocol = packet.get(9).copied();
    let broken = || Broken { protocol };
    let words = packet.first().ok_or_else(broken)? & 0x0f;
    let header_len = usize::from(words).saturating_mul(4);
    let end = usize::from(read_u16(packet, 2).ok_or_else(broken)?);
    if header_len < 20 || end < header_len || packet.len() < end {
        return Err(broken());
    }
    Ok(Headers {
        v6: false,
        end,
        header_len,
        extensions: Vec::new(),
        protocol: protocol.ok_or_else(broken)?,
        named_at: 9,
        payload: header_len,
        // More Fragments, or an offset.
        fragment: read_u16(packet, 6).ok_or_else(broken)? & 0x3fff != 0,
    })
}

fn parse_v6(packet: &[u8]) -> Result<Headers, Broken> {
    let mut protocol = *packet.get(6).ok_or(Broken { protocol: None })?;
    let length = read_u16(packet, 4).ok_or(Broken {
        protocol: Some(protocol),
    })?;
    let end = IPV6_HEADER_LEN.saturating_add(usize::from(length));
    let whole = packet.get(..end).ok_or(Broken {
        protocol: Some(protocol),
    })?;
    let mut named_at = 6;
    let mut at = IPV6_HEADER_LEN;
    let mut extensions = Vec::new();
    let mut fragment = false;
    loop {
        match protocol {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                let broken = || Broken {
                    protocol: Some(protocol),
                };
                let next = *whole.get(at).ok_or_else(broken)?;
                let units = *whole.get(at.saturating_add(1)).ok_or_else(broken)?;
                let len = usize::from(units).saturating_add(1).saturating_mul(8);
                let after = at.saturating_add(len);
                if after > end || extensions.len() == MAX_EXTENSION_HEADERS {
                    return Err(Broken {
                        protocol: Some(next),
                    });
                }
                extensions.push(Extension {
                    protocol,
                    at,
                    len,
                    named_at,
                });
                (protocol, named_at, at) = (next, at, after);
            }
            protocol::FRAGMENT => {
                fragment = true;
                protocol = *whole.get(at).ok_or(Broken {
                    protocol: Some(protocol),
                })?;
                break;
            }
            _ => break,
        }
    }
    Ok(Headers {
        v6: true,
        end,
        header_len: IPV6_HEADER_LEN,
        extensions,
        protocol,
        named_at,
        payload: at,
        fragment,
    })
}

/// Writes the length of `packet` into its IP header and makes an IPv4 header checksum right.
pub(crate) fn finish(packet: &mut [u8]) -> Result<(), Refused> {
    let length = packet.len();
    match packet.first().map(|first| first >> 4) {
        Some(4) => {
            write_u16(
                packet,
                2,
                u16::try_from(length).map_err(|_| Refused::TooLong)?,
            )?;
            let sum = checksum::ipv4_header(ipv4_header(packet)?);
            write_u16(packet, 10, sum)
        }
        Some(6) => {
            let length = length
                .checked_sub(IPV6_HEADER_LEN)
                .ok_or(Refused::Malformed("IPv6 header"))?;
            write_u16(
                packet,
                4,
                u16::try_from(length).map_err(|_| Refused::TooLong)?,
            )
        }
        _ => Err(Refused::Malformed("IP version")),
    }
}

/// The IPv4 header of `packet`, options included.
pub(crate) fn ipv4_header(packet: &[u8]) -> Result<&[u8], Refused> {
    let words = packet.first().map_or(0, |first| first & 0x0f);
    packet
        .get(..usize::from(words).saturating_mul(4))
        .ok_or(Refused::Malformed("IPv4 header"))
}

/// Reads a big-endian u16.
pub(crate) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

/// Reads a big-endian u32.
pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

/// Writes a big-endian u16.
pub(crate) fn write_u16(bytes: &mut [u8], at: usize, value: u16) -> Result<(), Refused> {
    let place = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
    *place.ok_or(Refused::Malformed("too short"))? = value.to_be_bytes();
    Ok(())
}

/// Writes one byte.
pub(crate) fn write_u8(bytes: &mut [u8], at: usize, value: u8) -> Result<(), Refused> {
    *bytes.get_mut(at).ok_or(Refused::Malformed("too short"))? = value;
    Ok(())
}
