//! Who talks to whom, and the packets they send.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use super::scenario::Family;

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
