//! Checksums: verified, filled in, and compared with another implementation's.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use wfpsim_packet::checksum::{self, Checksum};
use wfpsim_packet::ip::{HeaderChecksum, protocol};
use wfpsim_packet::transport::TcpFlags;
use wfpsim_packet::{IpPacket, build};

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

fn address(is_v6: bool, last: u8) -> IpAddr {
    if is_v6 {
        IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
    } else {
        [10, 0, 0, last].into()
    }
}

fn verify(bytes: &[u8]) -> Checksum {
    checksum::verify(&IpPacket::parse(bytes).expect("a packet"))
}

fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for is_v6 in [false, true] {
        let (from, to) = (address(is_v6, 1), address(is_v6, 2));
        packets.push(build::udp((from, 1).into(), (to, 2).into(), b"odd"));
        packets.push(build::tcp(
            (from, 1).into(),
            (to, 2).into(),
            TcpFlags::PSH,
            1,
            2,
            b"even",
        ));
        packets.push(build::echo_request(from, to, 1, 2, b"ping"));
    }
    packets
}

/// Where the checksum of a packet of [`packets`] is.
fn place(bytes: &[u8]) -> usize {
    let packet = IpPacket::parse(bytes).expect("a packet");
    packet.header_len()
        + match packet.protocol() {
            protocol::TCP => 16,
            protocol::UDP => 6,
            _ => 2,
        }
}

#[test]
fn good_and_bad_are_told_apart_and_the_right_value_is_named() {
    for good in packets() {
        assert_eq!(verify(&good), Checksum::Good);
        let at = place(&good);
        let right = u16::from_be_bytes([good[at], good[at + 1]]);
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert_eq!(
            verify(&bad),
            Checksum::Bad {
                found: right ^ 0x4000,
                right
            }
        );
        assert_eq!(checksum::fill(&mut bad), Ok(true));
        assert_eq!(bad, good);
    }
}

#[test]
fn udp_over_ipv4_may_have_no_checksum_but_udp_over_ipv6_may_not() {
    let mut v4 = build::udp(socket("10.0.0.1:1"), socket("10.0.0.2:2"), b"x");
    v4[26..28].fill(0);
    assert_eq!(verify(&v4), Checksum::Absent);
    let mut v6 = build::udp(socket("[fd00::1]:1"), socket("[fd00::2]:2"), b"x");
    v6[46..48].fill(0);
    assert!(matches!(verify(&v6), Checksum::Bad { found: 0, .. }));
}

/// What a packet has on the way to an adapter that computes checksums.
#[test]
fn a_pseudo_header_sum_alone_is_partial() {
    // 10.0.0.1 + 10.0.0.2 + protocol 17 + length 9, and the same without the length.
    for (sum, len) in [
        (0x0a00u16 + 1 + 0x0a00 + 2 + 17 + 9, 9),
        (0x0a00 + 1 + 0x0a00 + 2 + 17, 0),
    ] {
        let mut bytes = build::udp(socket("10.0.0.1:1"), socket("10.0.0.2:2"), b"x");
        bytes[26..28].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(verify(&bytes), Checksum::Partial, "with length {len}");
    }
}

#[test]
fn fragments_other_protocols_and_unfinished_routes_have_no_checksum_to_verify() {
    let mut fragment = build::udp(socket("10.0.0.1:1"), socket("10.0.0.2:2"), b"x");
    fragment[6] = 0x20;
    assert_eq!(verify(&fragment), Checksum::NotApplicable);
    let before = fragment.clone();
    assert_eq!(checksum::fill(&mut fragment), Ok(false));
    assert_eq!(fragment, before);
    assert_eq!(
        verify(&build::ip(
            address(false, 1),
            address(false, 2),
            protocol::ESP,
            &[0; 30]
        )),
        Checksum::NotApplicable
    );
    let v6 = build::udp(socket("[fd00::1]:1"), socket("[fd00::2]:2"), b"x");
    let arrived = build::with_extensions(&v6, &[(protocol::ROUTING, &[0, 0, 4, 0, 0, 0, 0, 0])]);
    assert_eq!(verify(&arrived), Checksum::Good);
    let on_the_way = build::with_extensions(&v6, &[(protocol::ROUTING, &[0, 0, 4, 1, 0, 0, 0, 0])]);
    assert_eq!(verify(&on_the_way), Checksum::NotApplicable);
}

#[test]
fn bytes_beyond_the_udp_length_are_not_covered() {
    let mut payload = vec![0, 1, 0, 2, 0, 9, 0, 0, b'x'];
    payload.extend(b"trailer");
    let bytes = build::ip(
        address(false, 1),
        address(false, 2),
        protocol::UDP,
        &payload,
    );
    let mut other = bytes.clone();
    *other.last_mut().expect("it has bytes") ^= 0xff;
    assert_eq!(
        [verify(&bytes), verify(&other)],
        [Checksum::Good, Checksum::Good]
    );
}

proptest! {
    #[test]
    fn filled_in_is_good_and_as_another_implementation_has_it(
        is_v6 in any::<bool>(), kind in 0..3u8, ports in any::<(u16, u16)>(),
        payload in proptest::collection::vec(any::<u8>(), 0..200), garbage in any::<[u8; 2]>(),
    ) {
        let (from, to) = (address(is_v6, 3), address(is_v6, 4));
        // The packet as etherparse's builder has it, with its checksums.
        let theirs = match kind {
            0 => build::udp((from, ports.0).into(), (to, ports.1).into(), &payload),
            1 => build::tcp((from, ports.0).into(), (to, ports.1).into(), TcpFlags::ACK, 5, 6, &payload),
            _ => build::echo_request(from, to, ports.0, ports.1, &payload),
        };
        let mut ours = theirs.clone();
        let at = place(&ours);
        ours[at..at + 2].copy_from_slice(&garbage);
        if !is_v6 {
            ours[10..12].copy_from_slice(&garbage);
        }
        prop_assert_eq!(checksum::fill_all(&mut ours), Ok(()));
        prop_assert_eq!(&ours, &theirs);
        prop_assert_eq!(verify(&ours), Checksum::Good);
        let packet = IpPacket::parse(&ours).expect("a packet");
        prop_assert_ne!(packet.header_checksum(), HeaderChecksum::Bad);
    }

    #[test]
    fn filling_in_arbitrary_packets_never_panics_and_makes_them_good(
        is_v6 in any::<bool>(), number in prop_oneof![Just(1u8), Just(6), Just(17), Just(58), Just(132)],
        payload in proptest::collection::vec(any::<u8>(), 1..60),
    ) {
        let mut bytes = build::ip(address(is_v6, 1), address(is_v6, 2), number, &payload);
        let expected = if checksum::fill(&mut bytes).expect("a packet") { Checksum::Good } else { Checksum::NotApplicable };
        prop_assert_eq!(verify(&bytes), expected);
    }

    #[test]
    fn a_changed_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8u8, which in 0..6usize) {
        let good = packets().swap_remove(which);
        let start = IpPacket::parse(&good).expect("a packet").header_len();
        let mut changed = good.clone();
        let at = start + at.index(good.len() - start);
        changed[at] ^= 1 << bit;
        prop_assert_ne!(verify(&changed), Checksum::Good);
    }
}
