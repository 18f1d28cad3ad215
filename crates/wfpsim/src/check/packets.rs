//! Who talks to whom, and the packets they send.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use wfpsim_packet::IpPacket;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use super::scenario::Family;
use crate::stack::Received;
use crate::stack::Security;

/// SYN and ACK.
pub(super) const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);

/// This host, a peer, and another peer, V4 and V6: addresses of the documentation's ranges.
const HOST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x10)),
];
const PEER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x20, 0, 0, 0, 0, 7)),
];
const OTHER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x30, 0, 0, 0, 0, 9)),
];

/// An endpoint of this host.
pub(super) fn host(family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(HOST[family as usize], port)
}

/// An endpoint of a peer.
pub(super) fn peer(family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(PEER[family as usize], port)
}

/// An endpoint of another peer.
pub(super) fn other(family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(OTHER[family as usize], port)
}

/// A TCP packet with a payload that its numbers tell.
pub(super) fn tcp(from: SocketAddr, to: SocketAddr, flags: TcpFlags, sequence: u32) -> Vec<u8> {
    let payload = if flags.contains(TcpFlags::SYN) || flags.contains(TcpFlags::RST) {
        Vec::new()
    } else {
        format!("segment {sequence} of port {}", from.port()).into_bytes()
    };
    build::tcp(from, to, flags, sequence, 1, &payload)
}

/// A UDP packet with a payload that its number tells.
pub(super) fn udp(from: SocketAddr, to: SocketAddr, number: u32) -> Vec<u8> {
    build::udp(from, to, format!("datagram {number}").as_bytes())
}

/// A TCP packet that arrives protected, as Windows leaves it for a callout to see: the IPsec header still between the IP and
/// the transport header, of ESP also the trailer behind the data.
pub(super) fn protected(clean: Vec<u8>, protection: Protection) -> Received {
    let Some((header, source, destination, protocol)) = split(&clean) else {
        return Received::plain(clean);
    };
    let segment = clean.get(header..).unwrap_or_default();
    let (number, before, behind) = around(protection, protocol, segment.len());
    let body = [&before[..], segment, &behind].concat();
    let security = Security::Transport {
        ip_header: header + before.len(),
        data_end: header + before.len() + segment.len(),
        laid_out: build::ip(source, destination, number, &body),
    };
    Received {
        security,
        ..Received::plain(clean)
    }
}

/// A packet that arrives in a tunnel of ESP: shown first with its outer header, then by itself. What is `inside` may
/// be protected again.
pub(super) fn tunnelled(inside: Received, outer: (IpAddr, IpAddr)) -> Received {
    let packet = match &inside.security {
        Security::Transport { laid_out, .. } => laid_out.clone(),
        _ => inside.clean.clone(),
    };
    let next = if outer.0.is_ipv6() { 41 } else { 4 };
    let (number, before, behind) = around(Protection::Esp, next, packet.len());
    let laid_out = build::ip(
        outer.0,
        outer.1,
        number,
        &[&before[..], &packet, &behind].concat(),
    );
    let inner_offset = laid_out.len() - behind.len() - packet.len();
    Received {
        security: Security::Tunnel {
            data_end: inner_offset + packet.len(),
            laid_out,
            inner_offset,
            inner: Box::new(inside.security),
        },
        ..Received::plain(inside.clean)
    }
}

/// What IPsec puts around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Authentication Header, with a check value of 12 bytes.
    Ah,
    /// Encapsulating Security Payload, with an initialization vector and a check value of 16 bytes each.
    Esp,
}

/// The protocol number of a protection, and the bytes before and behind `length` bytes of protocol `next`.
fn around(protection: Protection, next: u8, length: usize) -> (u8, Vec<u8>, Vec<u8>) {
    const SPI_AND_SEQUENCE: [u8; 8] = [0, 0, 0x10, 1, 0, 0, 0, 1];
    match protection {
        Protection::Ah => {
            let start = [next, 4, 0, 0];
            let before = [&start[..], &SPI_AND_SEQUENCE, &[0xA5; 12]].concat();
            (51, before, Vec::new())
        }
        Protection::Esp => {
            let before = [&SPI_AND_SEQUENCE[..], &[0x1F; 16]].concat();
            let padding = (16 - (length + 2) % 16) % 16;
            let mut behind: Vec<u8> = (1..=padding as u8).collect();
            behind.extend([padding as u8, next]);
            behind.extend([0xC5; 16]);
            (50, before, behind)
        }
    }
}

/// The length of a packet's IP header, its addresses and its protocol.
fn split(packet: &[u8]) -> Option<(usize, IpAddr, IpAddr, u8)> {
    let ip = IpPacket::parse(packet).ok()?;
    Some((
        ip.header_len(),
        ip.source(),
        ip.destination(),
        ip.protocol(),
    ))
}
