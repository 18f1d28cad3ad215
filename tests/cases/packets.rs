//! Who talks to whom, and the packets they send.

use std::net::IpAddr;
use std::net::SocketAddr;

use wfpsim::driver::Parameters;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

/// This host, V4 and V6.
pub const HOST: [&str; 2] = ["192.0.2.10", "2001:db8:10::10"];
/// A peer, V4 and V6.
pub const PEER: [&str; 2] = ["203.0.113.7", "2001:db8:20::7"];
/// Another peer, V4 and V6.
pub const OTHER: [&str; 2] = ["198.51.100.9", "2001:db8:30::9"];

/// SYN and ACK.
pub const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);

/// An address.
pub fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// An endpoint.
pub fn at(text: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address(text), port)
}

/// A TCP packet with a payload that its numbers tell.
pub fn tcp(from: SocketAddr, to: SocketAddr, flags: TcpFlags, sequence: u32) -> Vec<u8> {
    let payload = if flags.contains(TcpFlags::SYN) || flags.contains(TcpFlags::RST) {
        Vec::new()
    } else {
        format!("segment {sequence} of port {}", from.port()).into_bytes()
    };
    build::tcp(from, to, flags, sequence, 1, &payload)
}

/// A UDP packet with a payload that its number tells.
pub fn udp(from: SocketAddr, to: SocketAddr, number: u32) -> Vec<u8> {
    build::udp(from, to, format!("datagram {number}").as_bytes())
}

/// The parameters of a block.
pub fn blocking(address: Option<&str>, port: Option<u16>) -> Parameters {
    let mut parameters = Parameters::default();
    if let Some(address) = address {
        parameters.set_string("BlockRemoteAddress", address);
    }
    if let Some(port) = port {
        parameters.set_u32("BlockRemotePort", port.into());
    }
    parameters
}
