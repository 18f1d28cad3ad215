//! From frames to IP packets to transport headers.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use wfpsim_packet::checksum::{self, Checksum};
use wfpsim_packet::ip::{HeaderChecksum, IpError, protocol};
use wfpsim_packet::link::ip_packet;
use wfpsim_packet::transport::{Header, TcpFlags, TransportError};
use wfpsim_packet::{IpPacket, LinkType, NotIp, Transport, build};

const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

fn udp_v4() -> Vec<u8> {
    build::udp(socket("10.0.0.1:4000"), socket("10.0.0.2:53"), b"hi")
}

fn udp_v6() -> Vec<u8> {
    build::udp(socket("[fd00::1]:4000"), socket("[fd00::2]:53"), b"hi")
}

fn ip(link: LinkType, frame: &[u8]) -> Result<&[u8], NotIp> {
    ip_packet(link, frame, u32::try_from(frame.len()).expect("short"))
}

#[test]
fn ethernet_padding_and_trailers_are_cut_off() {
    for packet in [udp_v4(), udp_v6()] {
        let mut frame = build::ethernet(HERE, THERE, &[], &packet);
        assert!(frame.len() >= 60);
        frame.extend([0xfc; 4]);
        assert_eq!(ip(LinkType::ETHERNET, &frame), Ok(packet.as_slice()));
    }
}

#[test]
fn any_number_of_vlan_tags_is_passed() {
    for tags in [&[5][..], &[5, 6], &[5, 6, 7]] {
        let frame = build::ethernet(HERE, THERE, tags, &udp_v6());
        assert_eq!(ip(LinkType::ETHERNET, &frame), Ok(udp_v6().as_slice()));
    }
    let mut qinq = build::ethernet(HERE, THERE, &[5, 6], &udp_v4());
    qinq[12..14].copy_from_slice(&[0x88, 0xa8]);
    assert_eq!(ip(LinkType::ETHERNET, &qinq), Ok(udp_v4().as_slice()));
}

#[test]
fn every_link_type_gives_its_ip_packet() {
    let (v4, v6) = (udp_v4(), udp_v6());
    let cooked = |packet: &[u8], ether_type: [u8; 2]| {
        [
            &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
            &ether_type[..],
            packet,
        ]
        .concat()
    };
    let cooked2 = |packet: &[u8], ether_type: [u8; 2]| [&ether_type[..], &[0; 18], packet].concat();
    let cases: [(LinkType, Vec<u8>, &[u8]); 16] = [
        (LinkType::RAW, v4.clone(), &v4),
        (LinkType::RAW, v6.clone(), &v6),
        (LinkType::DLT_RAW, v4.clone(), &v4),
        (LinkType::IPV4, v4.clone(), &v4),
        (LinkType::IPV6, v6.clone(), &v6),
        (LinkType::NULL, [&[2, 0, 0, 0], v4.as_slice()].concat(), &v4),
        (
            LinkType::NULL,
            [&[0, 0, 0, 30], v6.as_slice()].concat(),
            &v6,
        ),
        (
            LinkType::NULL,
            [&[24, 0, 0, 0], v6.as_slice()].concat(),
            &v6,
        ),
        (LinkType::LOOP, [&[0, 0, 0, 2], v4.as_slice()].concat(), &v4),
        (LinkType::LINUX_SLL, cooked(&v4, [8, 0]), &v4),
        (LinkType::LINUX_SLL, cooked(&v6, [0x86, 0xdd]), &v6),
        (LinkType::LINUX_SLL2, cooked2(&v6, [0x86, 0xdd]), &v6),
        (
            LinkType::PPP,
            [&[0xff, 3, 0, 0x21], v4.as_slice()].concat(),
            &v4,
        ),
        (LinkType::PPP, [&[0x57], v6.as_slice()].concat(), &v6),
        (
            LinkType::PPP_HDLC,
            [&[0xff, 3, 0, 0x21], v4.as_slice()].concat(),
            &v4,
        ),
        (
            LinkType::ETHERNET,
            [
                &[0; 12][..],
                &[0x88, 0x64, 0x11, 0, 0, 1, 0, 9, 0, 0x21],
                v4.as_slice(),
            ]
            .concat(),
            &v4,
        ),
    ];
    for (link, frame, packet) in cases {
        assert_eq!(ip(link, &frame), Ok(packet), "{link}");
    }
}

#[test]
fn what_is_not_ip_has_its_reason() {
    let ethernet = |ether_type: u16| [&[0; 12][..], &ether_type.to_be_bytes(), &[0; 46]].concat();
    let reason = |link, frame: &[u8]| ip(link, frame).expect_err("not IP").reason();
    assert_eq!(reason(LinkType::ETHERNET, &ethernet(0x0806)), "arp");
    assert_eq!(
        reason(LinkType::ETHERNET, &ethernet(0x88cc)),
        "other_ethertype"
    );
    assert_eq!(reason(LinkType::ETHERNET, &ethernet(38)), "llc");
    assert_eq!(reason(LinkType::ETHERNET, &[0; 13]), "malformed_link");
    assert_eq!(
        reason(LinkType::ETHERNET, &ethernet(0x0800)),
        "malformed_ip_version"
    );
    assert_eq!(reason(LinkType(147), &udp_v4()), "unsupported_link_type");
    assert_eq!(
        reason(LinkType::NULL, &[7, 0, 0, 0]),
        "other_address_family"
    );
    assert_eq!(
        reason(LinkType::PPP, &[0xff, 3, 0xc0, 0x21]),
        "other_ppp_protocol"
    );
    assert_eq!(reason(LinkType::LINUX_SLL, &[0; 16]), "other_cooked");
    assert_eq!(reason(LinkType::IPV6, &udp_v4()), "malformed_ip_version");
    assert_eq!(reason(LinkType::RAW, &[]), "malformed_ip_truncated");
}

#[test]
fn a_packet_cut_by_the_snapshot_length_is_told_from_a_malformed_one() {
    let packet = udp_v4();
    let frame = build::ethernet(HERE, THERE, &[], &packet);
    let cut = NotIp::TruncatedBySnaplen {
        captured: 40,
        original: 60,
    };
    assert_eq!(ip_packet(LinkType::ETHERNET, &frame[..40], 60), Err(cut));
    assert_eq!(
        ip_packet(LinkType::ETHERNET, &frame[..10], 60)
            .expect_err("cut")
            .reason(),
        "truncated_by_snaplen"
    );
    assert_eq!(
        ip(LinkType::ETHERNET, &frame[..40])
            .expect_err("cut")
            .reason(),
        "malformed_ip_truncated"
    );
    let only_padding_is_cut = ip_packet(LinkType::ETHERNET, &frame[..14 + packet.len()], 60);
    assert_eq!(only_padding_is_cut, Ok(packet.as_slice()));
}

#[test]
fn ipv4_options_are_part_of_the_header() {
    let bytes = build::with_extensions(&udp_v4(), &[(0, &[1, 1, 1, 0]), (0, &[148, 4, 0, 0])]);
    let packet = IpPacket::parse(&bytes).expect("a packet");
    assert_eq!(
        (packet.version(), packet.header_len(), packet.protocol()),
        (4, 28, protocol::UDP)
    );
    assert_eq!(packet.header_checksum(), HeaderChecksum::Good);
    assert_eq!(packet.payload(), &udp_v4()[20..]);
    assert_eq!(
        (packet.source(), packet.destination()),
        (address("10.0.0.1"), address("10.0.0.2"))
    );
}

#[test]
fn ipv6_extension_headers_are_part_of_the_header_but_ah_and_esp_are_not() {
    let options = [0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let routing = [0, 0, 4, 0, 0, 0, 0, 0];
    let fragment = [0, 0, 0, 0, 0, 0, 0, 9];
    let extensions: [(u8, &[u8]); 4] = [
        (protocol::HOP_BY_HOP, &options),
        (protocol::ROUTING, &routing),
        (protocol::FRAGMENT, &fragment),
        (protocol::DESTINATION_OPTIONS, &options),
    ];
    let bytes = build::with_extensions(&udp_v6(), &extensions);
    let packet = IpPacket::parse(&bytes).expect("a packet");
    assert_eq!(
        (packet.header_len(), packet.protocol()),
        (40 + 16 + 8 + 8 + 16, protocol::UDP)
    );
    assert_eq!(packet.protocol_offset(), 40 + 16 + 8 + 8);
    let info = packet.fragment().expect("an atomic fragment");
    assert!(info.is_atomic());
    assert_eq!(
        (info.id, info.header_offset, info.payload_offset),
        (9, 64, 72)
    );
    assert_eq!(info.protocol, protocol::DESTINATION_OPTIONS);

    for upper in [protocol::AH, protocol::ESP] {
        let bytes = build::with_extensions(
            &build::ip(address("fd00::1"), address("fd00::2"), upper, &[17; 40]),
            &[(protocol::DESTINATION_OPTIONS, &options)],
        );
        let packet = IpPacket::parse(&bytes).expect("a packet");
        assert_eq!((packet.header_len(), packet.protocol()), (56, upper));
        assert_eq!(
            Transport::parse(&packet).map(|transport| transport.header_len),
            Ok(0)
        );
    }
}

#[test]
fn lengths_that_cannot_be_are_told_apart() {
    let change = |at: usize, value: u8| {
        let mut bytes = udp_v4();
        bytes[at] = value;
        IpPacket::parse(&bytes).expect_err("malformed")
    };
    assert_eq!(change(0, 0x44), IpError::HeaderLength(16));
    assert_eq!(
        change(3, 19),
        IpError::TotalLength {
            total: 19,
            header: 20
        }
    );
    assert_eq!(change(3, 0), IpError::NoLength);
    assert_eq!(change(3, 31), IpError::Truncated { need: 31, have: 30 });
    assert_eq!(change(0, 0x50), IpError::Version(5));

    let mut v6 = udp_v6();
    v6[4..6].fill(0);
    assert_eq!(IpPacket::parse(&v6), Err(IpError::NoLength));
    // Destination options that reach beyond the packet.
    let mut v6 = udp_v6();
    v6[6] = protocol::DESTINATION_OPTIONS;
    v6[41] = 200;
    assert_eq!(
        IpPacket::parse(&v6),
        Err(IpError::TotalLength {
            total: 50,
            header: 40 + 201 * 8
        })
    );
}

#[test]
fn tcp_has_ports_flags_and_a_header_with_options() {
    let flags = TcpFlags::SYN | TcpFlags::ACK;
    let bytes = build::tcp(
        socket("[fd00::1]:3389"),
        socket("[fd00::2]:50000"),
        flags,
        7,
        9,
        b"data",
    );
    let packet = IpPacket::parse(&bytes).expect("a packet");
    let transport = Transport::parse(&packet).expect("a TCP header");
    let tcp = transport.tcp().expect("a TCP header");
    assert_eq!(
        (transport.header_len, transport.ports()),
        (20, Some((3389, 50000)))
    );
    assert_eq!((tcp.sequence, tcp.acknowledgment, tcp.flags), (7, 9, flags));
    assert!(!tcp.flags.is_connect() && TcpFlags::SYN.is_connect());
    assert_eq!(transport.data(&packet), b"data");

    let mut payload = packet.payload().to_vec();
    payload[12] = 6 << 4;
    let longer =
        Transport::parse_payload(protocol::TCP, &payload, true).expect("options are there");
    assert_eq!(longer.header_len, 24);
    payload[12] = 7 << 4;
    let truncated = TransportError::Truncated {
        protocol: protocol::TCP,
        need: 28,
        have: 24,
    };
    assert_eq!(
        Transport::parse_payload(protocol::TCP, &payload, true),
        Err(truncated)
    );
    payload[12] = 4 << 4;
    let error = Transport::parse_payload(protocol::TCP, &payload, true);
    assert_eq!(error, Err(TransportError::TcpHeaderLength(16)));
}

#[test]
fn icmp_has_type_and_code_and_echoes_an_identifier() {
    for (from, to, request, reply) in [
        ("10.0.0.1", "10.0.0.2", 8, 0),
        ("fd00::1", "fd00::2", 128, 129),
    ] {
        let (from, to) = (address(from), address(to));
        let packets = [
            (build::echo_request(from, to, 0x1234, 7, b"ping"), request),
            (build::echo_reply(from, to, 0x1234, 7, b"ping"), reply),
        ];
        for (bytes, icmp_type) in packets {
            let packet = IpPacket::parse(&bytes).expect("a packet");
            let transport = Transport::parse(&packet).expect("an ICMP header");
            assert_eq!((transport.header_len, transport.ports()), (8, None));
            assert_eq!(transport.type_and_code(), Some((icmp_type, 0)));
            let icmp = transport.icmp_header().expect("an ICMP header");
            assert_eq!(
                (icmp.id_and_sequence, icmp.is_error),
                (Some((0x1234, 7)), false)
            );
        }
    }
}

#[test]
fn icmp_errors_quote_the_start_of_the_packet_they_are_about() {
    for (about, icmp_type) in [(udp_v4(), 3), (udp_v6(), 1)] {
        let inner = IpPacket::parse(&about).expect("a packet");
        let quote = [&[0; 4], &about[..about.len() - 2]].concat();
        let bytes = build::icmp(inner.destination(), inner.source(), icmp_type, 3, &quote);
        let packet = IpPacket::parse(&bytes).expect("a packet");
        let transport = Transport::parse(&packet).expect("an ICMP header");
        let quoted = transport.quoted(&packet).expect("a quoted packet");
        assert_eq!(
            (quoted.source(), quoted.total_len()),
            (inner.source(), about.len())
        );
        assert_eq!(quoted.bytes().len(), about.len() - 2);
        assert_eq!(
            Transport::parse(&quoted).map(|transport| transport.ports()),
            Ok(Some((4000, 53)))
        );
    }
    let echo = build::echo_request(address("fd00::1"), address("fd00::2"), 1, 1, &udp_v6());
    let packet = IpPacket::parse(&echo).expect("a packet");
    assert_eq!(
        Transport::parse(&packet)
            .expect("an ICMP header")
            .quoted(&packet),
        None
    );
}

#[test]
fn icmp_of_the_other_version_and_other_protocols_are_not_looked_into() {
    for number in [protocol::ICMPV6, protocol::SCTP, protocol::ESP] {
        let bytes = build::ip(address("10.0.0.1"), address("10.0.0.2"), number, &[1, 2, 3]);
        let packet = IpPacket::parse(&bytes).expect("a packet");
        let transport = Transport::parse(&packet).expect("nothing to check");
        assert_eq!(
            (transport.protocol, transport.header_len, transport.header),
            (number, 0, Header::Other)
        );
    }
}

#[test]
fn a_later_fragment_has_no_transport_header() {
    let mut bytes = udp_v4();
    bytes[6..8].copy_from_slice(&[0, 1]);
    let packet = IpPacket::parse(&bytes).expect("a fragment");
    assert!(packet.is_fragment() && !packet.has_upper_layer_header());
    assert_eq!(
        Transport::parse(&packet),
        Err(TransportError::LaterFragment)
    );
}

/// Looks at everything there is to see.
fn look(bytes: &[u8]) {
    for link in [0, 1, 9, 12, 14, 50, 101, 108, 113, 228, 229, 276, 999] {
        for original_len in [0, 100_000] {
            if let Ok(packet) = ip_packet(LinkType(link), bytes, original_len) {
                assert!(
                    IpPacket::parse(packet).is_ok(),
                    "what is given out is sound"
                );
            }
        }
    }
    let views = [IpPacket::parse(bytes), IpPacket::parse_quoted(bytes)];
    for packet in views.into_iter().flatten() {
        assert!(packet.header_len() <= packet.bytes().len());
        assert_eq!([packet.header(), packet.payload()].concat(), packet.bytes());
        assert_eq!(
            packet.header_checksum() == HeaderChecksum::Absent,
            packet.version() == 6
        );
        if packet.is_fragment() {
            assert_eq!(checksum::verify(&packet), Checksum::NotApplicable);
        }
        let mut filled = packet.bytes().to_vec();
        if checksum::fill_all(&mut filled).is_ok() {
            let filled =
                IpPacket::parse(&filled).expect("checksums do not change what the headers say");
            assert_ne!(filled.header_checksum(), HeaderChecksum::Bad);
            assert!(matches!(
                checksum::verify(&filled),
                Checksum::Good | Checksum::NotApplicable
            ));
        }
        if let Ok(transport) = Transport::parse(&packet) {
            assert!(transport.header_len <= packet.payload().len());
            assert!(packet.payload().ends_with(transport.data(&packet)));
            let is_error = transport.icmp_header().is_some_and(|icmp| icmp.is_error);
            assert!(is_error || transport.quoted(&packet).is_none());
        }
    }
}

#[test]
fn every_truncation_of_good_packets_is_refused_and_never_panics() {
    let options = [0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let fragment = [0, 0, 0, 0, 0, 0, 0, 9];
    let tcp = build::tcp(
        socket("10.0.0.1:1"),
        socket("10.0.0.2:2"),
        TcpFlags::SYN,
        1,
        0,
        b"x",
    );
    let packets = [
        udp_v4(),
        udp_v6(),
        tcp,
        build::with_extensions(&udp_v4(), &[(0, &[1, 1, 1, 0])]),
        build::with_extensions(
            &udp_v6(),
            &[
                (protocol::HOP_BY_HOP, &options),
                (protocol::FRAGMENT, &fragment),
            ],
        ),
        build::echo_request(address("fd00::1"), address("fd00::2"), 1, 1, b"ping"),
    ];
    for packet in packets {
        for len in 0..packet.len() {
            let cut = &packet[..len];
            assert!(IpPacket::parse(cut).is_err(), "cut to {len}");
            look(cut);
            look(&build::ethernet(HERE, THERE, &[1], cut));
        }
        look(&packet);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(version in 0..4usize, mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let (Some(first), Some(start)) = (bytes.first_mut(), [0x45, 0x46, 0x60].get(version)) {
            *first = *start;
        }
        look(&bytes);
    }

    /// Chains of extension headers, with lengths that fit more often than chance would have it.
    #[test]
    fn arbitrary_extension_chains_never_panic(
        chain in proptest::collection::vec((prop_oneof![Just(0u8), Just(43), Just(44), Just(60), Just(51)], 0..3u8, any::<[u8; 6]>()), 0..6),
        last in prop_oneof![Just(6u8), Just(17), Just(58), Just(59), Just(50)],
        tail in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = build::ip(address("fd00::1"), address("fd00::2"), protocol::NO_NEXT_HEADER, &[]);
        bytes[6] = chain.first().map_or(last, |(kind, ..)| *kind);
        for (index, (_, len, rest)) in chain.iter().enumerate() {
            let next = chain.get(index + 1).map_or(last, |(kind, ..)| *kind);
            bytes.extend([&[next, *len][..], rest].concat());
            bytes.resize(bytes.len() + usize::from(*len) * 8, 0);
        }
        bytes.extend(tail);
        let len = (bytes.len() - 40) as u16;
        bytes[4..6].copy_from_slice(&len.to_be_bytes());
        look(&bytes);
    }
}
