//! Packets that stories give to the machine, and the stories that several tables share.
//!
//! The host is 192.0.2.1, its peer 192.0.2.9; addresses of IPv6 end in the same numbers.

use std::net::IpAddr;
use std::net::SocketAddr;

use wfpsim::Machine;
use wfpsim::stack::Received;
use wfpsim::stack::Security;
use wfpsim::stack::Transmitted;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use crate::driver;
use crate::driver::Layer;
use crate::driver::Setup;

/// The host's end of TCP connections that the peer makes.
pub const SERVER: &str = "192.0.2.1:3389";
/// The peer's end of them.
pub const CLIENT: &str = "192.0.2.9:50000";
/// The host's end of what it sends itself.
pub const LOCAL: &str = "192.0.2.1:49152";
/// The peer's end of that.
pub const REMOTE: &str = "192.0.2.9:53";

/// An address with a port.
///
/// # Panics
///
/// If it is none.
pub fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

/// The peer's SYN.
pub fn syn() -> Vec<u8> {
    build::tcp(socket(CLIENT), socket(SERVER), TcpFlags::SYN, 1, 0, b"")
}

/// Data on the connection that [`syn`] began.
pub fn data() -> Vec<u8> {
    build::tcp(
        socket(CLIENT),
        socket(SERVER),
        TcpFlags::ACK,
        2,
        1,
        b"some data",
    )
}

/// A datagram from the peer.
pub fn datagram_in() -> Vec<u8> {
    build::udp(socket(CLIENT), socket("192.0.2.1:53"), b"a question")
}

/// A datagram to the peer.
pub fn datagram_out() -> Vec<u8> {
    build::udp(socket(LOCAL), socket(REMOTE), b"a question")
}

/// A SYN to the peer.
pub fn syn_out() -> Vec<u8> {
    build::tcp(
        socket(LOCAL),
        socket("192.0.2.9:443"),
        TcpFlags::SYN,
        1,
        0,
        b"",
    )
}

/// A packet arrives, and everything that follows from it happens.
pub fn receive(machine: &Machine, packet: Vec<u8>) -> u64 {
    receive_as(machine, Received::plain(packet))
}

/// The same, of a packet that is more than its bytes.
pub fn receive_as(machine: &Machine, received: Received) -> u64 {
    let number = machine.receive(received);
    machine.run();
    number
}

/// An application sends a packet, and everything that follows from it happens.
pub fn send(machine: &Machine, packet: Vec<u8>) -> u64 {
    send_as(machine, vec![Transmitted::plain(packet, false)])[0]
}

/// The same, of several packets in one NET_BUFFER_LIST, or of one that is more than its bytes.
pub fn send_as(machine: &Machine, packets: Vec<Transmitted>) -> Vec<u64> {
    let numbers = machine.transmit(packets);
    machine.run();
    numbers
}

/// The bytes of ESP before what it protects: SPI and sequence number.
pub const ESP_HEADER: [u8; 8] = [0, 0, 0x10, 1, 0, 0, 0, 1];
/// The bytes behind that: padding, its length, the protocol, and what proves that all is genuine.
pub const ESP_TRAILER: [u8; 16] = [1, 2, 2, 6, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
const ESP: u8 = 50;

/// An IPv4 packet as Windows leaves it when it came in ESP in transport mode: ESP's header still in front of the transport
/// header, its trailer still behind the data.
pub fn in_esp(packet: Vec<u8>) -> Received {
    let (header, segment) = packet.split_at(20);
    let mut laid_out = header.to_vec();
    laid_out.extend_from_slice(&ESP_HEADER);
    laid_out.extend_from_slice(segment);
    let data_end = laid_out.len();
    laid_out.extend_from_slice(&ESP_TRAILER);
    finish_ipv4(&mut laid_out, ESP);
    Received {
        security: Security::Transport {
            laid_out,
            ip_header: 20 + ESP_HEADER.len(),
            data_end,
        },
        ..Received::plain(packet)
    }
}

/// An IPv4 packet that came in a tunnel: shown in the outer packet first, then by itself.
pub fn in_tunnel(packet: Vec<u8>) -> Received {
    let gateway = |last| IpAddr::from([198, 51, 100, last]);
    let outer = build::ip(gateway(9), gateway(1), ESP, b"");
    let mut laid_out = outer;
    laid_out.extend_from_slice(&ESP_HEADER);
    let inner_offset = laid_out.len();
    laid_out.extend_from_slice(&packet);
    let data_end = laid_out.len();
    laid_out.extend_from_slice(&ESP_TRAILER);
    finish_ipv4(&mut laid_out, ESP);
    Received {
        security: Security::Tunnel {
            laid_out,
            inner_offset,
            data_end,
            inner: Box::new(Security::Clear),
        },
        ..Received::plain(packet)
    }
}

/// Sets protocol, length and checksum of an IPv4 header without options.
fn finish_ipv4(packet: &mut [u8], protocol: u8) {
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[9] = protocol;
    packet[10..12].fill(0);
    let sum = wfpsim_packet::checksum::header_checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// A packet with an IPv4 header checksum that nobody recomputed when it was put together from fragments.
pub fn reassembled(mut packet: Vec<u8>) -> Received {
    packet[10] ^= 0x55;
    Received {
        reassembled: true,
        ..Received::plain(packet)
    }
}

/// The driver at INBOUND_TRANSPORT, a connection, data on it, and the end.
pub fn inbound_data(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::InboundTransport]));
    receive(machine, syn());
    receive(machine, data());
    driver::unload(machine);
}

/// The driver at INBOUND_TRANSPORT, and data that came in ESP.
pub fn inbound_esp(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::InboundTransport]));
    receive_as(machine, in_esp(syn()));
    receive_as(machine, in_esp(data()));
    driver::unload(machine);
}

/// The driver at INBOUND_TRANSPORT, and data that came through a tunnel.
pub fn inbound_tunnel(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::InboundTransport]));
    receive_as(machine, in_tunnel(syn()));
    receive_as(machine, in_tunnel(data()));
    driver::unload(machine);
}

/// The driver at INBOUND_TRANSPORT, and data that was put together from fragments.
pub fn inbound_reassembled(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::InboundTransport]));
    receive(machine, syn());
    receive_as(machine, reassembled(data()));
    driver::unload(machine);
}

/// The driver at OUTBOUND_TRANSPORT, and one datagram.
pub fn outbound_datagram(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]));
    send(machine, datagram_out());
    driver::unload(machine);
}

/// The driver at OUTBOUND_TRANSPORT, and two datagrams in one NET_BUFFER_LIST.
pub fn outbound_batch(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]));
    let datagram = Transmitted::plain(datagram_out(), false);
    send_as(machine, vec![datagram.clone(), datagram]);
    driver::unload(machine);
}

/// The driver at OUTBOUND_TRANSPORT, and a datagram with ancillary data.
pub fn outbound_with_control_data(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]));
    let datagram = Transmitted {
        control_data: Some(vec![0x11; 24]),
        ..Transmitted::plain(datagram_out(), false)
    };
    send_as(machine, vec![datagram]);
    driver::unload(machine);
}

/// The driver at OUTBOUND_TRANSPORT, and a datagram of a raw socket that made the IP header itself.
pub fn outbound_raw(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]));
    let datagram = Transmitted {
        raw: true,
        ..Transmitted::plain(datagram_out(), false)
    };
    send_as(machine, vec![datagram]);
    driver::unload(machine);
}

/// The driver at OUTBOUND_TRANSPORT, and a reset that the stack makes itself.
pub fn outbound_reset(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::OutboundTransport]));
    let reset = build::tcp(socket(LOCAL), socket(REMOTE), TcpFlags::RST, 1, 0, b"");
    send(machine, reset);
    driver::unload(machine);
}

/// The driver at both transport layers, and a datagram of the host to itself.
pub fn loopback(machine: &Machine) {
    driver::load(
        machine,
        Setup::at(&[Layer::InboundTransport, Layer::OutboundTransport]),
    );
    let datagram = build::udp(socket(LOCAL), socket("192.0.2.1:53"), b"to myself");
    send_as(machine, vec![Transmitted::plain(datagram, true)]);
    driver::unload(machine);
}

/// The driver at ALE_AUTH_RECV_ACCEPT, and a connection with data on it.
pub fn accept(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::RecvAccept]));
    receive(machine, syn());
    receive(machine, data());
    driver::unload(machine);
}

/// The driver at ALE_AUTH_RECV_ACCEPT, and the first datagram of a peer.
pub fn accept_datagram(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::RecvAccept]));
    receive(machine, datagram_in());
    driver::unload(machine);
}

/// The driver at ALE_AUTH_CONNECT, and a connection that the host makes.
pub fn connect(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::Connect]));
    send(machine, syn_out());
    driver::unload(machine);
}

/// The driver at ALE_AUTH_CONNECT, and the first datagram of the host.
pub fn connect_datagram(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::Connect]));
    send(machine, datagram_out());
    driver::unload(machine);
}

/// The driver everywhere, and something of everything, with a change of policy in between.
pub fn everything(machine: &Machine) {
    driver::load(
        machine,
        Setup::at(&[
            Layer::InboundTransport,
            Layer::OutboundTransport,
            Layer::RecvAccept,
            Layer::Connect,
        ]),
    );
    for _ in 0..2 {
        machine.receive(Received::plain(syn()));
        machine.receive(Received::plain(data()));
        machine.receive(in_esp(data()));
        machine.receive(Received::plain(datagram_in()));
        machine.transmit(vec![Transmitted::plain(datagram_out(), false)]);
        machine.transmit(vec![Transmitted::plain(syn_out(), false)]);
        machine.run();
        machine.change_policy();
    }
    driver::unload(machine);
}
