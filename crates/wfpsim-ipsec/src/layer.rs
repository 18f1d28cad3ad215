//! One IPsec header taken off a packet. Inbound and outbound both repeat this until none is left.

use crate::address::final_destination;
use crate::ah;
use crate::association::{Association, Mode, Protocol, SaKey};
use crate::checksum;
use crate::crypto;
use crate::esp;
use crate::headers::{self, Headers, UDP_HEADER_LEN, protocol, read_u16, read_u32};
use crate::recipe::{Body, Checksum, OuterHeader, Position, Step, UdpHeader, header_checksum};
use crate::refused::Refused;
use crate::sadb::Sadb;

/// The port of UDP-encapsulated ESP and of IKE behind a NAT (RFC 3948).
pub(crate) const NAT_TRAVERSAL_PORT: u16 = 4500;

/// The most IPsec headers that one packet may have. Real bundles have two.
pub(crate) const MAX_LAYERS: usize = 8;

/// An IPsec header that a packet had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Authentication Header.
    Ah,
    /// Encapsulating Security Payload.
    Esp,
    /// Encapsulating Security Payload behind a UDP header.
    EspInUdp,
}

/// What is left when one IPsec header was taken off. Offsets are in the packet that still has it.
#[derive(Debug)]
pub(crate) struct Unwrapped {
    pub(crate) kind: Kind,
    pub(crate) mode: Mode,
    /// Where the IPsec header (or its UDP header) begins.
    pub(crate) at: usize,
    /// Its length up to the data, in bytes, with UDP header and IV.
    pub(crate) header_len: usize,
    /// Everything from there to the end of the packet, decrypted, as long as before.
    pub(crate) body: Vec<u8>,
    /// How much of `body` is data (in tunnel mode: the inner packet).
    pub(crate) data_len: usize,
    /// What the data is.
    pub(crate) next_header: u8,
    /// Where the byte lies that named the IPsec header.
    pub(crate) named_at: usize,
    /// How to do it again.
    pub(crate) step: Step,
}

impl Unwrapped {
    /// The data alone.
    pub(crate) fn data(&self) -> &[u8] {
        self.body.get(..self.data_len).unwrap_or_default()
    }

    /// The packet as it was before this header was added, in transport mode.
    pub(crate) fn without_header(&self, packet: &[u8]) -> Result<Vec<u8>, Refused> {
        let before = packet
            .get(..self.at)
            .ok_or(Refused::Malformed("too short"))?;
        let mut clean = [before, self.data()].concat();
        headers::write_u8(&mut clean, self.named_at, self.next_header)?;
        headers::finish(&mut clean)?;
        Ok(clean)
    }
}

/// Takes the first IPsec header off `packet`; `None` when there is none.
///
/// `first` says that no header was taken off before: only then is UDP on port 4500 looked into,
/// because what comes out of an ESP packet is no longer on the wire. `replay` asks for the replay
/// check.
pub(crate) fn unwrap(
    sadb: &Sadb,
    packet: &[u8],
    first: bool,
    replay: bool,
) -> Result<Option<Unwrapped>, Refused> {
    let headers = match headers::parse(packet) {
        Ok(headers) => headers,
        Err(broken) => {
            return match broken.protocol {
                Some(protocol::ESP | protocol::AH) => {
                    Err(Refused::Malformed("IP header or length"))
                }
                _ => Ok(None),
            };
        }
    };
    if headers.fragment {
        return match headers.protocol {
            protocol::ESP | protocol::AH => Err(Refused::Fragment),
            _ => Ok(None),
        };
    }
    let packet = packet
        .get(..headers.end)
        .ok_or(Refused::Malformed("IP length"))?;
    let unwrapped = match headers.protocol {
        protocol::ESP => unwrap_esp(sadb, packet, &headers, None, replay)?,
        protocol::AH => unwrap_ah(sadb, packet, &headers, replay)?,
        protocol::UDP if first => match encapsulated(sadb, packet, &headers)? {
            Some(udp) => unwrap_esp(sadb, packet, &headers, Some(udp), replay)?,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    if unwrapped.mode == Mode::Transport && unwrapped.next_header == protocol::NO_NEXT_HEADER {
        return Err(Refused::Dummy(unwrapped.step.key));
    }
    Ok(Some(unwrapped))
}

/// Finds out whether a UDP datagram carries ESP, and returns its header if so.
///
/// It does when one port is 4500, the first four bytes are not zero (that is the mark of IKE), it
/// is no keepalive (one byte 0xff), and the destination has an association with UDP encapsulation;
/// otherwise port 4500 is a port like any other.
fn encapsulated(
    sadb: &Sadb,
    packet: &[u8],
    headers: &Headers,
) -> Result<Option<UdpHeader>, Refused> {
    let datagram = packet.get(headers.payload..).unwrap_or_default();
    let (Some(source), Some(destination), Some(length), Some(found)) = (
        read_u16(datagram, 0),
        read_u16(datagram, 2),
        read_u16(datagram, 4),
        read_u16(datagram, 6),
    ) else {
        return Ok(None);
    };
    if source != NAT_TRAVERSAL_PORT && destination != NAT_TRAVERSAL_PORT {
        return Ok(None);
    }
    let spi = match read_u32(datagram, UDP_HEADER_LEN) {
        None | Some(0) => return Ok(None),
        Some(spi) => spi,
    };
    let address =
        final_destination(packet, headers).ok_or(Refused::Malformed("destination address"))?;
    if !sadb.has_udp_encapsulation_to(address) {
        return Ok(None);
    }
    let key = SaKey {
        dst: address,
        spi,
        protocol: Protocol::Esp,
    };
    sadb.find(&key)?;
    if usize::from(length) != datagram.len() {
        return Err(Refused::Malformed("length of UDP around ESP"));
    }
    let right = udp_checksum(packet, headers.v6, datagram)?;
    let checksum = Checksum::of(found, right);
    Ok(Some(UdpHeader {
        source,
        destination,
        checksum,
    }))
}

/// Whether `packet` is a NAT keepalive: one byte 0xff in UDP to port 4500 (RFC 3948, section 2.3).
pub(crate) fn is_nat_keepalive(packet: &[u8]) -> bool {
    let Ok(headers) = headers::parse(packet) else {
        return false;
    };
    if headers.fragment || headers.protocol != protocol::UDP {
        return false;
    }
    let datagram = packet.get(headers.payload..headers.end).unwrap_or_default();
    read_u16(datagram, 2) == Some(NAT_TRAVERSAL_PORT)
        && datagram.get(UDP_HEADER_LEN..) == Some(&[0xff])
}

/// The checksum that the UDP header of `datagram` should have; the addresses are those of `packet`.
pub(crate) fn udp_checksum(packet: &[u8], v6: bool, datagram: &[u8]) -> Result<u16, Refused> {
    let mut datagram = datagram.to_vec();
    headers::write_u16(&mut datagram, 6, 0)?;
    let (source, destination) = if v6 {
        (8..24, 24..40)
    } else {
        (12..16, 16..20)
    };
    let short = || Refused::Malformed("IP header");
    let source = packet.get(source).ok_or_else(short)?;
    let destination = packet.get(destination).ok_or_else(short)?;
    Ok(checksum::udp(source, destination, &datagram))
}

fn unwrap_esp(
    sadb: &Sadb,
    packet: &[u8],
    headers: &Headers,
    udp: Option<UdpHeader>,
    replay: bool,
) -> Result<Unwrapped, Refused> {
    let udp_len = if udp.is_some() { UDP_HEADER_LEN } else { 0 };
    let esp = packet
        .get(headers.payload.saturating_add(udp_len)..)
        .unwrap_or_default();
    let spi = read_u32(esp, 0).ok_or(Refused::Malformed("ESP shorter than its headers"))?;
    let sequence = esp::sequence(esp)?;
    let dst =
        final_destination(packet, headers).ok_or(Refused::Malformed("destination address"))?;
    let key = SaKey {
        dst,
        spi,
        protocol: Protocol::Esp,
    };
    let association = sadb.find(&key)?;
    if association.udp_encap != udp.is_some() {
        return Err(Refused::WrongEncapsulation(key));
    }
    if replay {
        sadb.check_replay(&key, sequence)?;
    }
    let opened = esp::open(association, esp)?;
    let data = opened.body.get(..opened.data_len).unwrap_or_default();
    let data_len = data_len(association, data, opened.next_header)?;
    let kind = if udp.is_some() {
        Kind::EspInUdp
    } else {
        Kind::Esp
    };
    let body = Body::Esp {
        iv: opened.iv,
        padding: Some(opened.padding),
        traffic_flow_padding: data.get(data_len..).unwrap_or_default().to_vec(),
        udp,
    };
    Ok(Unwrapped {
        kind,
        mode: association.mode,
        at: headers.payload,
        header_len: udp_len.saturating_add(opened.header_len),
        data_len,
        next_header: opened.next_header,
        named_at: headers.named_at,
        step: step(association, sequence, packet, headers, body)?,
        body: opened.body,
    })
}

fn unwrap_ah(
    sadb: &Sadb,
    packet: &[u8],
    headers: &Headers,
    replay: bool,
) -> Result<Unwrapped, Refused> {
    let short = || Refused::Malformed("AH shorter than its header");
    let ah = packet.get(headers.payload..).unwrap_or_default();
    let &[next_header, words, reserved_0, reserved_1] = ah.first_chunk().ok_or_else(short)?;
    let spi = read_u32(ah, 4).ok_or_else(short)?;
    let sequence = read_u32(ah, 8).ok_or_else(short)?;
    let dst =
        final_destination(packet, headers).ok_or(Refused::Malformed("destination address"))?;
    let key = SaKey {
        dst,
        spi,
        protocol: Protocol::Ah,
    };
    let association = sadb.find(&key)?;
    if replay {
        sadb.check_replay(&key, sequence)?;
    }
    let header_len = usize::from(words).saturating_add(2).saturating_mul(4);
    let (header, body) = ah.split_at_checked(header_len).ok_or_else(short)?;
    let (_, rest) = header.split_at_checked(ah::FIXED_LEN).ok_or_else(short)?;
    let (icv, padding) = rest
        .split_at_checked(association.icv_len())
        .ok_or_else(short)?;
    // Padding brings the header to 4 bytes in IPv4 and 8 in IPv6 (RFC 4302, section 3.3.3.2.1);
    // some senders use 8 in both.
    if padding.len() >= 8 || (headers.v6 && !header_len.is_multiple_of(8)) {
        return Err(Refused::Malformed("length of the AH header"));
    }
    let bytes = ah::authenticated_bytes(packet, headers, headers.payload, icv.len())?;
    crypto::verify(association, &[&bytes], icv).map_err(|_| Refused::BadIntegrity(key))?;
    let data_len = data_len(association, body, next_header)?;
    if data_len != body.len() {
        return Err(Refused::Malformed(
            "bytes behind the packet in an AH tunnel",
        ));
    }
    let padding = Some(padding.to_vec());
    let step_body = Body::Ah {
        reserved: [reserved_0, reserved_1],
        padding,
    };
    Ok(Unwrapped {
        kind: Kind::Ah,
        mode: association.mode,
        at: headers.payload,
        header_len,
        data_len,
        next_header,
        named_at: headers.named_at,
        step: step(association, sequence, packet, headers, step_body)?,
        body: body.to_vec(),
    })
}

/// How much of `data` is what was protected: all of it, or in tunnel mode the IP packet in it.
fn data_len(association: &Association, data: &[u8], next_header: u8) -> Result<usize, Refused> {
    let key = association.key;
    if association.mode == Mode::Transport {
        return Ok(data.len());
    }
    match next_header {
        protocol::NO_NEXT_HEADER => return Err(Refused::Dummy(key)),
        protocol::IPV4 | protocol::IPV6 => {}
        _ => return Err(Refused::NotATunnel { key, next_header }),
    }
    let inner = inner_len(data).ok_or(Refused::Malformed("packet in the tunnel"))?;
    let v6 = data.first().is_some_and(|first| first >> 4 == 6);
    if v6 != (next_header == protocol::IPV6) {
        return Err(Refused::Malformed(
            "packet in the tunnel is of the other IP version",
        ));
    }
    Ok(inner)
}

/// The length of an IP packet by its own header. What it carries is not looked at: that is for
/// whoever gets it.
fn inner_len(packet: &[u8]) -> Option<usize> {
    let len = match packet.first()? >> 4 {
        4 => {
            let len = usize::from(read_u16(packet, 2)?);
            (len >= headers::ipv4_header(packet).ok()?.len().max(20)).then_some(len)?
        }
        6 => usize::from(read_u16(packet, 4)?).saturating_add(headers::IPV6_HEADER_LEN),
        _ => return None,
    };
    (packet.len() >= len).then_some(len)
}

fn step(
    association: &Association,
    sequence: u32,
    packet: &[u8],
    headers: &Headers,
    body: Body,
) -> Result<Step, Refused> {
    let before = packet.get(..headers.payload).unwrap_or_default();
    Ok(Step {
        key: association.key,
        sequence,
        position: Position::Behind(headers.extensions.len()),
        header_checksum: header_checksum(packet, headers)?,
        body,
        outer: (association.mode == Mode::Tunnel).then(|| OuterHeader {
            bytes: before.to_vec(),
            named_at: headers.named_at,
        }),
    })
}
