//! Where a packet goes in the end: the destination address, or what source routing says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::headers::{Extension, Headers, protocol};

/// Options of an IPv4 header: offset, number and length of each. Ends where the list does, or where
/// it cannot be followed.
pub(crate) fn ipv4_options(
    packet: &[u8],
    header_len: usize,
) -> impl Iterator<Item = (usize, u8, usize)> {
    let mut at = 20_usize;
    std::iter::from_fn(move || {
        let options = packet.get(..header_len)?;
        let here = at;
        let number = *options.get(here)?;
        let len = match number {
            // End of the list: what follows is padding.
            0 => header_len.saturating_sub(here),
            1 => 1,
            _ => usize::from(*options.get(here.saturating_add(1))?),
        };
        if len == 0 || (number > 1 && len < 2) {
            return None;
        }
        at = here.saturating_add(len);
        (at <= header_len).then_some((here, number, len))
    })
}

/// The address that the packet reaches in the end, which is what AH authenticates (RFC 4302,
/// section 3.3.3.1) and what an association is looked up by.
pub(crate) fn final_destination(packet: &[u8], headers: &Headers) -> Option<IpAddr> {
    if headers.v6 {
        let routed = headers
            .extensions
            .iter()
            .find_map(|header| routed_v6(packet, header));
        let address = match routed {
            Some(address) => address,
            None => *packet.get(24..)?.first_chunk::<16>()?,
        };
        Some(IpAddr::V6(Ipv6Addr::from(address)))
    } else {
        let routed = ipv4_options(packet, headers.header_len)
            .find_map(|(at, number, len)| routed_v4(packet, at, number, len));
        let address = match routed {
            Some(address) => address,
            None => *packet.get(16..)?.first_chunk::<4>()?,
        };
        Some(IpAddr::V4(Ipv4Addr::from(address)))
    }
}

/// The last address of a loose or strict source route that is not used up.
fn routed_v4(packet: &[u8], at: usize, number: u8, len: usize) -> Option<[u8; 4]> {
    if !matches!(number, 131 | 137) {
        return None;
    }
    let option = packet.get(at..at.checked_add(len)?)?;
    let pointer = usize::from(*option.get(2)?);
    if pointer > len {
        return None;
    }
    option.get(3..)?.last_chunk().copied()
}

/// The last address of a routing header of type 0 or 2 that has segments left.
fn routed_v6(packet: &[u8], header: &Extension) -> Option<[u8; 16]> {
    if header.protocol != protocol::ROUTING {
        return None;
    }
    let routing = packet.get(header.at..header.at.checked_add(header.len)?)?;
    let (kind, left) = (*routing.get(2)?, *routing.get(3)?);
    if !matches!(kind, 0 | 2) || left == 0 {
        return None;
    }
    routing.get(8..)?.last_chunk().copied()
}
