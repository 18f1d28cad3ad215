//! What AH authenticates: the packet with every field zeroed that may change on its way (RFC 4302,
//! section 3.3.3.1).

use std::net::IpAddr;

use crate::address::{final_destination, ipv4_options};
use crate::headers::{Extension, Headers, protocol};
use crate::refused::Refused;

/// Length of an AH header before its integrity value, in bytes.
pub(crate) const FIXED_LEN: usize = 12;

/// Options of IPv4 that no router changes (RFC 4302, appendix A). All others are zeroed, also those
/// nobody knows.
const IMMUTABLE_OPTIONS: [u8; 7] = [
    0,   // end of the list
    1,   // no operation
    130, // security
    133, // extended security
    134, // commercial security
    148, // router alert
    149, // sender directed multi-destination delivery
];

/// The bytes that the integrity value of the AH header at `ah_at` covers.
pub(crate) fn authenticated_bytes(
    packet: &[u8],
    headers: &Headers,
    ah_at: usize,
    icv_len: usize,
) -> Result<Vec<u8>, Refused> {
    let mut bytes = packet
        .get(..headers.end)
        .ok_or(Refused::Malformed("AH packet shorter than its header says"))?
        .to_vec();
    let destination =
        final_destination(packet, headers).ok_or(Refused::Malformed("destination address"))?;
    if headers.v6 {
        zero_v6(&mut bytes, headers)?;
    } else {
        zero_v4(&mut bytes, headers)?;
    }
    match destination {
        IpAddr::V4(address) => put(&mut bytes, 16, &address.octets())?,
        IpAddr::V6(address) => put(&mut bytes, 24, &address.octets())?,
    }
    zero(&mut bytes, ah_at.saturating_add(FIXED_LEN), icv_len)?;
    Ok(bytes)
}

fn zero_v4(bytes: &mut [u8], headers: &Headers) -> Result<(), Refused> {
    zero(bytes, 1, 1)?; // DSCP and ECN
    zero(bytes, 6, 2)?; // flags and fragment offset
    zero(bytes, 8, 1)?; // TTL
    zero(bytes, 10, 2)?; // header checksum
    let mut after = 20;
    let options: Vec<_> = ipv4_options(bytes, headers.header_len).collect();
    for (at, number, len) in options {
        if !IMMUTABLE_OPTIONS.contains(&number) {
            zero(bytes, at, len)?;
        }
        after = at.saturating_add(len);
    }
    if after != headers.header_len {
        return Err(Refused::Malformed("IPv4 options"));
    }
    Ok(())
}

fn zero_v6(bytes: &mut [u8], headers: &Headers) -> Result<(), Refused> {
    // The version stays; traffic class and flow label are zeroed.
    put(bytes, 0, &[0x60, 0, 0, 0])?;
    zero(bytes, 7, 1)?; // hop limit
    for header in &headers.extensions {
        match header.protocol {
            protocol::ROUTING => predict_routing(bytes, header)?,
            _ => zero_options(bytes, header)?,
        }
    }
    Ok(())
}

/// Zeroes the data of options whose number says that it may change on the way (RFC 8200, section
/// 4.2).
fn zero_options(bytes: &mut [u8], header: &Extension) -> Result<(), Refused> {
    const MAY_CHANGE: u8 = 0x20;
    let malformed = || Refused::Malformed("IPv6 options");
    let end = header.at.saturating_add(header.len);
    let mut at = header.at.saturating_add(2);
    while at < end {
        let number = *bytes.get(at).ok_or_else(malformed)?;
        if number == 0 {
            // Pad1, the one option without a length.
            at = at.saturating_add(1);
            continue;
        }
        let len = usize::from(*bytes.get(at.saturating_add(1)).ok_or_else(malformed)?);
        let data = at.saturating_add(2);
        at = data.saturating_add(len);
        if at > end {
            return Err(malformed());
        }
        if number & MAY_CHANGE != 0 {
            zero(bytes, data, len)?;
        }
    }
    Ok(())
}

/// Brings a routing header to the form that it has on arrival: each hop swaps the destination with
/// the next address of the list.
fn predict_routing(bytes: &mut [u8], header: &Extension) -> Result<(), Refused> {
    let malformed = || Refused::Malformed("IPv6 routing header");
    let end = header.at.saturating_add(header.len);
    let (kind_at, left_at) = (header.at.saturating_add(2), header.at.saturating_add(3));
    let kind = *bytes.get(kind_at).ok_or_else(malformed)?;
    let left = usize::from(*bytes.get(left_at).ok_or_else(malformed)?);
    if left == 0 {
        return Ok(());
    }
    let addresses = header.len.saturating_sub(8) / 16;
    if !matches!(kind, 0 | 2) || left > addresses {
        return Err(malformed());
    }
    let mut destination = *bytes
        .get(24..)
        .and_then(<[u8]>::first_chunk::<16>)
        .ok_or_else(malformed)?;
    let list = bytes
        .get_mut(header.at.saturating_add(8)..end)
        .ok_or_else(malformed)?;
    let (list, _) = list.as_chunks_mut::<16>();
    for address in list.iter_mut().skip(addresses.saturating_sub(left)) {
        std::mem::swap(address, &mut destination);
    }
    zero(bytes, left_at, 1)
}

fn zero(bytes: &mut [u8], at: usize, len: usize) -> Result<(), Refused> {
    let range = at..at.saturating_add(len);
    bytes
        .get_mut(range)
        .ok_or(Refused::Malformed("too short"))?
        .fill(0);
    Ok(())
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<(), Refused> {
    let range = at..at.saturating_add(value.len());
    bytes
        .get_mut(range)
        .ok_or(Refused::Malformed("too short"))?
        .copy_from_slice(value);
    Ok(())
}
