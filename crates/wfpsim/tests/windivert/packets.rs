//! Packets of a host at 192.0.2.10 and 2001:db8::10.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

/// A host and its peer.
pub struct Pair {
    pub host: IpAddr,
    pub peer: IpAddr,
}

pub const V4: Pair = Pair {
    host: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
    peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)),
};
pub const V6: Pair = Pair {
    host: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)),
    peer: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x9)),
};

impl Pair {
    /// A datagram to the host.
    pub fn datagram_in(&self, payload: &[u8]) -> Vec<u8> {
        build::udp(
            SocketAddr::new(self.peer, 40_000),
            SocketAddr::new(self.host, 5353),
            payload,
        )
    }

    /// A datagram from the host.
    pub fn datagram_out(&self, payload: &[u8]) -> Vec<u8> {
        build::udp(
            SocketAddr::new(self.host, 50_000),
            SocketAddr::new(self.peer, 53),
            payload,
        )
    }

    /// A datagram from the host to itself.
    pub fn datagram_to_itself(&self, payload: &[u8]) -> Vec<u8> {
        build::udp(
            SocketAddr::new(self.host, 50_001),
            SocketAddr::new(self.host, 5354),
            payload,
        )
    }

    /// What a peer that connects to the host sends: SYN, ACK, data.
    pub fn connection_in(&self) -> Vec<Vec<u8>> {
        let (from, to) = (
            SocketAddr::new(self.peer, 40_001),
            SocketAddr::new(self.host, 80),
        );
        vec![
            build::tcp(from, to, TcpFlags::SYN, 100, 0, b""),
            build::tcp(from, to, TcpFlags::ACK, 101, 501, b""),
            build::tcp(
                from,
                to,
                TcpFlags::ACK | TcpFlags::PSH,
                101,
                501,
                b"GET / HTTP/1.0\r\n\r\n",
            ),
        ]
    }

    /// A reset from the peer of that connection.
    pub fn reset_in(&self) -> Vec<u8> {
        build::tcp(
            SocketAddr::new(self.peer, 40_001),
            SocketAddr::new(self.host, 80),
            TcpFlags::RST | TcpFlags::ACK,
            119,
            501,
            b"",
        )
    }

    /// An echo request to the host.
    pub fn echo_in(&self) -> Vec<u8> {
        build::echo_request(self.peer, self.host, 7, 1, b"are you there?")
    }
}
