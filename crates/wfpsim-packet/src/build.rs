//! Packets and captures for tests, with right checksums.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};

use crate::checksum;
use crate::link::{LinkType, MacAddress};
use crate::time::Timestamp;
use crate::transport::TcpFlags;

/// The time to live and hop limit of built packets.
pub const HOPS: u8 = 64;

/// A UDP packet.
///
/// # Panics
///
/// As all builders here: if the addresses are of different versions, or the payload is too long for one packet.
#[must_use]
pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let step = headers(from.ip(), to.ip()).udp(from.port(), to.port());
    let mut packet = Vec::with_capacity(step.size(payload.len()));
    step.write(&mut packet, payload)
        .expect("the payload fits a UDP packet");
    packet
}

/// A TCP packet; an acknowledgment number goes with [`TcpFlags::ACK`].
#[must_use]
pub fn tcp(
    from: SocketAddr,
    to: SocketAddr,
    flags: TcpFlags,
    sequence: u32,
    acknowledgment: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = etherparse::TcpHeader::new(from.port(), to.port(), sequence, 65_535);
    header.acknowledgment_number = acknowledgment;
    header.fin = flags.contains(TcpFlags::FIN);
    header.syn = flags.contains(TcpFlags::SYN);
    header.rst = flags.contains(TcpFlags::RST);
    header.psh = flags.contains(TcpFlags::PSH);
    header.ack = flags.contains(TcpFlags::ACK);
    header.urg = flags.contains(TcpFlags::URG);
    let step = headers(from.ip(), to.ip()).tcp_header(header);
    let mut packet = Vec::with_capacity(step.size(payload.len()));
    step.write(&mut packet, payload)
        .expect("the payload fits a TCP packet");
    packet
}

/// An ICMP or ICMPv6 echo request.
#[must_use]
pub fn echo_request(from: IpAddr, to: IpAddr, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let written = match from {
        IpAddr::V4(_) => headers(from, to)
            .icmpv4_echo_request(id, sequence)
            .write(&mut packet, payload),
        IpAddr::V6(_) => headers(from, to)
            .icmpv6_echo_request(id, sequence)
            .write(&mut packet, payload),
    };
    written.expect("the payload fits an echo request");
    packet
}

/// An ICMP or ICMPv6 echo reply.
#[must_use]
pub fn echo_reply(from: IpAddr, to: IpAddr, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let written = match from {
        IpAddr::V4(_) => headers(from, to)
            .icmpv4_echo_reply(id, sequence)
            .write(&mut packet, payload),
        IpAddr::V6(_) => headers(from, to)
            .icmpv6_echo_reply(id, sequence)
            .write(&mut packet, payload),
    };
    written.expect("the payload fits an echo reply");
    packet
}

/// An ICMP or ICMPv6 message of any type: `payload` is what follows type, code and checksum.
#[must_use]
pub fn icmp(from: IpAddr, to: IpAddr, icmp_type: u8, code: u8, payload: &[u8]) -> Vec<u8> {
    let protocol = if from.is_ipv4() {
        crate::ip::protocol::ICMP
    } else {
        crate::ip::protocol::ICMPV6
    };
    ip(
        from,
        to,
        protocol,
        &[&[icmp_type, code, 0, 0], payload].concat(),
    )
}

/// An IP packet of any protocol; the checksum in `payload` is filled in if the protocol has one that is known here.
#[must_use]
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let step = headers(from, to);
    let mut packet = Vec::with_capacity(step.size(payload.len()));
    // An extension header's number would have to be followed by one that the writer was told of; here it is in the payload.
    let written = if from.is_ipv4() {
        protocol
    } else {
        crate::ip::protocol::NO_NEXT_HEADER
    };
    step.write(&mut packet, written.into(), payload)
        .expect("the payload fits an IP packet");
    if from.is_ipv6() {
        packet[6] = protocol;
    }
    // A payload that is no message of the protocol has no checksum to be filled in.
    let _ = checksum::fill_all(&mut packet);
    packet
}

/// An IPv4 packet with `options` put in (a multiple of four bytes), or an IPv6 packet with `extensions` put in (whole
/// extension headers, the first being of type `kind`, whose next header fields are set here).
#[must_use]
pub fn with_extensions(packet: &[u8], extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let (at, is_v4) = if packet[0] >> 4 == 4 {
        (20, true)
    } else {
        (40, false)
    };
    for (kind, bytes) in extensions.iter().rev() {
        let mut bytes = bytes.to_vec();
        if !is_v4 {
            bytes[0] = packet[6];
            packet[6] = *kind;
        }
        packet.splice(at..at, bytes);
    }
    let len = packet.len();
    if is_v4 {
        packet[0] = 0x40
            | u8::try_from(
                (20 + extensions
                    .iter()
                    .map(|(_, bytes)| bytes.len())
                    .sum::<usize>())
                    / 4,
            )
            .expect("at most 40 bytes of options");
        packet[2..4].copy_from_slice(
            &u16::try_from(len)
                .expect("at most 65535 bytes")
                .to_be_bytes(),
        );
    } else {
        packet[4..6].copy_from_slice(
            &u16::try_from(len - 40)
                .expect("at most 65535 bytes")
                .to_be_bytes(),
        );
    }
    checksum::fill_all(&mut packet).expect("a built packet is sound");
    packet
}

fn headers(from: IpAddr, to: IpAddr) -> PacketBuilderStep<IpHeaders> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), HOPS),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), HOPS),
        _ => panic!("{from} and {to} are of different IP versions"),
    }
}

/// An Ethernet frame around an IP packet, with `tags` of 802.1Q (VLAN numbers, the outer first), padded to 60 bytes.
#[must_use]
pub fn ethernet(from: MacAddress, to: MacAddress, tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut frame = [to, from].concat();
    for tag in tags {
        frame.extend_from_slice(&[0x81, 0x00]);
        frame.extend_from_slice(&tag.to_be_bytes());
    }
    let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    frame.extend_from_slice(if is_v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] });
    frame.extend_from_slice(packet);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A pcap file with nanosecond times.
#[must_use]
pub fn pcap(link: LinkType, packets: &[(Timestamp, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    // Magic number for nanoseconds; version 2.4; time zone and accuracy, which nobody uses; length limit; link type.
    let limit = crate::capture::MAXIMUM_PACKET;
    for field in [0xa1b2_3c4d, 0x0004_0002, 0, 0, limit, link.0.into()] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    for (time, data) in packets {
        let seconds = u32::try_from(time.0 / 1_000_000_000).expect("a time that pcap can say");
        let len = u32::try_from(data.len()).expect("packets are short");
        for field in [seconds, (time.0 % 1_000_000_000) as u32, len, len] {
            file.extend_from_slice(&field.to_le_bytes());
        }
        file.extend_from_slice(data);
    }
    file
}
