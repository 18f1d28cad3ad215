//! Checksums of IPv4 headers, TCP, UDP, ICMP and ICMPv6.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

use crate::ip::{IpError, IpPacket, protocol};

/// The state of an upper-layer checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// It is right.
    Good,
    /// It is wrong.
    Bad {
        /// What the packet has.
        found: u16,
        /// What would be right.
        right: u16,
    },
    /// UDP over IPv4 without checksum.
    Absent,
    /// Only the sum of the pseudo-header is there, with or without its length: the packet was captured on the way to
    /// a network adapter that computes checksums, or never left the machine.
    Partial,
    /// There is none to speak of: a fragment, another protocol, a header that is cut short, or a routing header
    /// whose final destination is yet to come.
    NotApplicable,
}

/// The ones' complement sum of `bytes` as 16-bit words in network byte order, padded with a zero byte.
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    folded(&Sum16BitWords::new().add_slice(bytes))
}

/// Verifies the upper-layer checksum of a whole IP packet.
#[must_use]
pub fn verify(packet: &IpPacket<'_>) -> Checksum {
    let Some(place) = Place::of(packet) else {
        return Checksum::NotApplicable;
    };
    let segment = packet.payload().get(..place.len).unwrap_or_default();
    let Some(found) = segment
        .get(place.at..)
        .and_then(|rest| rest.first_chunk())
        .map(|field| u16::from_be_bytes(*field))
    else {
        return Checksum::NotApplicable;
    };
    if found == 0 && place.is_optional {
        return Checksum::Absent;
    }
    if folded(&place.pseudo_header.clone().add_slice(segment)) == 0xffff {
        return Checksum::Good;
    }
    if [&place.pseudo_header, &place.pseudo_header_without_len]
        .map(folded)
        .contains(&found)
    {
        return Checksum::Partial;
    }
    Checksum::Bad {
        found,
        right: place.right(segment),
    }
}

/// Fills in the upper-layer checksum of the whole IP packet at the start of `bytes`, also where UDP over IPv4 had
/// none. Says `false`, and changes nothing, where [`verify`] says [`Checksum::NotApplicable`].
pub fn fill(bytes: &mut [u8]) -> Result<bool, IpError> {
    let packet = IpPacket::parse(bytes)?;
    let Some(place) = Place::of(&packet) else {
        return Ok(false);
    };
    let right = place.right(packet.payload().get(..place.len).unwrap_or_default());
    let at = packet.header_len() + place.at;
    Ok(put(bytes, at, right))
}

/// Fills in the header checksum of the IPv4 packet at the start of `bytes`. Says `false`, and changes nothing, for
/// IPv6.
pub fn fill_ipv4_header(bytes: &mut [u8]) -> Result<bool, IpError> {
    let packet = IpPacket::parse(bytes)?;
    if packet.version() != 4 {
        return Ok(false);
    }
    let right = header_checksum(packet.header());
    Ok(put(bytes, 10, right))
}

/// Fills in every checksum of the IP packet at the start of `bytes`.
pub fn fill_all(bytes: &mut [u8]) -> Result<(), IpError> {
    fill_ipv4_header(bytes)?;
    fill(bytes)?;
    Ok(())
}

/// The right checksum of an IPv4 header, whatever its checksum field says.
#[must_use]
pub fn header_checksum(header: &[u8]) -> u16 {
    let (before, rest) = header.split_at_checked(10).unwrap_or((header, &[]));
    Sum16BitWords::new()
        .add_slice(before)
        .add_slice(rest.get(2..).unwrap_or_default())
        .ones_complement()
        .to_be()
}

/// Where a checksum stands and what it covers.
struct Place {
    /// Bytes of the payload that it covers.
    len: usize,
    /// Its offset in the payload.
    at: usize,
    /// Whether zero means that there is none.
    is_optional: bool,
    /// Whether a sum of zero is written as all ones.
    is_never_zero: bool,
    pseudo_header: Sum16BitWords,
    pseudo_header_without_len: Sum16BitWords,
}

impl Place {
    fn of(packet: &IpPacket<'_>) -> Option<Self> {
        if packet.is_fragment()
            || packet.bytes().len() < packet.total_len()
            || has_segments_left(packet)
        {
            return None;
        }
        let payload = packet.payload();
        let is_v4 = packet.version() == 4;
        let (at, header, has_pseudo_header) = match packet.protocol() {
            protocol::TCP => (16, 20, true),
            protocol::UDP => (6, 8, true),
            protocol::ICMP if is_v4 => (2, 4, false),
            protocol::ICMPV6 if !is_v4 => (2, 4, true),
            _ => return None,
        };
        let is_udp = packet.protocol() == protocol::UDP;
        let len = match payload.get(4..6) {
            // UDP says its own length, and zero where 16 bits cannot say it.
            Some(&[high, low]) if is_udp && (high, low) != (0, 0) => {
                usize::from(u16::from_be_bytes([high, low]))
            }
            _ => payload.len(),
        };
        if len < header || len > payload.len() {
            return None;
        }
        let addresses = if has_pseudo_header {
            let sum = Sum16BitWords::new().add_2bytes([0, packet.protocol()]);
            match (packet.source(), packet.destination()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    sum.add_slice(&from.octets()).add_slice(&to.octets())
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    sum.add_slice(&from.octets()).add_slice(&to.octets())
                }
                _ => return None,
            }
        } else {
            Sum16BitWords::new()
        };
        let said = if has_pseudo_header {
            u32::try_from(len).ok()?
        } else {
            0
        };
        Some(Self {
            len,
            at,
            is_optional: is_udp && is_v4,
            is_never_zero: is_udp,
            pseudo_header: addresses.clone().add_slice(&said.to_be_bytes()),
            pseudo_header_without_len: addresses,
        })
    }

    /// The right checksum of `segment`, whatever its checksum field says.
    fn right(&self, segment: &[u8]) -> u16 {
        let (before, rest) = segment.split_at_checked(self.at).unwrap_or((segment, &[]));
        let sum = self
            .pseudo_header
            .clone()
            .add_slice(before)
            .add_slice(rest.get(2..).unwrap_or_default());
        let sum = if self.is_never_zero {
            sum.to_ones_complement_with_no_zero()
        } else {
            sum.ones_complement()
        };
        sum.to_be()
    }
}

/// Whether an IPv6 routing header names a destination beyond that in the fixed header, which the pseudo-header would
/// have to have.
fn has_segments_left(packet: &IpPacket<'_>) -> bool {
    if packet.version() != 6 {
        return false;
    }
    let header = packet.header();
    let (mut at, mut next) = (
        40,
        header.get(6).copied().unwrap_or(protocol::NO_NEXT_HEADER),
    );
    while let Some(&[following, len, _, segments_left]) =
        header.get(at..).and_then(|rest| rest.first_chunk())
    {
        if next == protocol::ROUTING && segments_left != 0 {
            return true;
        }
        at += if next == protocol::FRAGMENT {
            8
        } else {
            (usize::from(len) + 1) * 8
        };
        next = following;
    }
    false
}

/// The sum itself, of which checksums are the complement.
fn folded(sum: &Sum16BitWords) -> u16 {
    !sum.ones_complement().to_be()
}

fn put(bytes: &mut [u8], at: usize, value: u16) -> bool {
    match bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        Some(field) => {
            *field = value.to_be_bytes();
            true
        }
        None => false,
    }
}
