//! Headers that contradict themselves, and addresses that are not the last word.

mod support;

use std::net::{IpAddr, Ipv4Addr};

use support::{
    ALICE_V4, BOB_V4, ESP, UDP, ah, esp, ipv4, packet, peeled, protected, recipe, sadb, udp,
};
use wfpsim_ipsec::{Association, Authentication, Encryption, Inbound, Kind, Mode, Refused, Sadb};

fn aes(spi: u32) -> Association {
    esp(false, spi, Encryption::AesCbc, Authentication::HmacSha1_96)
}

fn reason(sadb: &mut Sadb, packet: &[u8]) -> &'static str {
    sadb.open(packet).expect_err("it must be refused").reason()
}

#[test]
fn the_udp_header_around_esp_must_end_where_the_packet_does() {
    let association = Association {
        udp_encap: true,
        ..aes(0x101)
    };
    let mut sadb = sadb(std::slice::from_ref(&association));
    let sent = protected(
        &sadb,
        &association,
        1,
        &packet(false, UDP, &udp(1, 2, b"hello")),
    );
    for wrong in [0_u8, 8, sent[25] - 4, sent[25] + 1] {
        let mut changed = sent.clone();
        changed[25] = wrong;
        assert_eq!(
            reason(&mut sadb, &changed),
            "ipsec_malformed",
            "UDP length {wrong}"
        );
    }
}

#[test]
fn udp_on_port_4500_that_was_inside_esp_is_no_longer_on_the_wire_and_stays_udp() {
    let outer = aes(0x101);
    let in_udp = Association {
        udp_encap: true,
        ..aes(0x102)
    };
    let mut sadb = sadb(&[outer.clone(), in_udp.clone()]);
    let encapsulated = protected(&sadb, &in_udp, 1, &packet(false, UDP, &udp(1, 2, b"hello")));
    let sent = protected(&sadb, &outer, 1, &encapsulated);
    let Ok(Inbound::Transport(opened)) = sadb.open(&sent) else {
        panic!("it does not open")
    };
    assert_eq!(opened.kinds, [Kind::Esp]);
    assert_eq!((opened.protocol, opened.clean), (UDP, encapsulated));
}

#[test]
fn the_length_of_an_ah_header_must_fit_its_integrity_value_and_its_ip_version() {
    for v6 in [false, true] {
        let association = ah(v6, 0x101, Authentication::HmacSha256_128);
        let mut sadb = sadb(std::slice::from_ref(&association));
        let clean = packet(v6, UDP, &udp(1, 2, b"hello, hello, hello"));
        let sent = protected(&sadb, &association, 1, &clean);
        let at = if v6 { 41 } else { 21 };
        for words in 0..=u8::MAX {
            let mut changed = sent.clone();
            changed[at] = words;
            let len = (usize::from(words) + 2) * 4;
            let possible = if v6 {
                len == 32
            } else {
                len == 28 || len == 32
            };
            match (possible, words == sent[at]) {
                (true, true) => assert!(sadb.clone().open(&changed).is_ok()),
                (true, false) => assert_eq!(reason(&mut sadb, &changed), "ipsec_bad_integrity"),
                _ => assert_eq!(
                    reason(&mut sadb, &changed),
                    "ipsec_malformed",
                    "{len} bytes"
                ),
            }
        }
    }
}

#[test]
fn an_ah_tunnel_ends_with_its_packet() {
    let as_transport = ah(false, 0x101, Authentication::HmacSha1_96);
    let as_tunnel = Association {
        mode: Mode::Tunnel,
        ..as_transport.clone()
    };
    let inner = packet(false, UDP, &udp(1, 2, b"hello"));
    let longer = packet(false, 4, &[&inner[..], &[0; 4]].concat());
    let sent = protected(
        &sadb(std::slice::from_ref(&as_transport)),
        &as_transport,
        1,
        &longer,
    );
    assert_eq!(reason(&mut sadb(&[as_tunnel]), &sent), "ipsec_malformed");
}

#[test]
fn the_last_fragment_is_a_fragment_too() {
    let mut sadb = sadb(&[aes(0x101)]);
    let mut last = packet(false, ESP, &[0; 64]);
    last[6..8].copy_from_slice(&[0, 8]);
    assert_eq!(sadb.open(&last), Err(Refused::Fragment));
    last[6..8].copy_from_slice(&[0x40, 0]); // Don't Fragment is no sign of one.
    assert_eq!(reason(&mut sadb, &last), "ipsec_no_association");
}

#[test]
fn a_source_route_may_arrive_as_it_was_sent_or_as_the_hops_left_it() {
    let (IpAddr::V4(alice), IpAddr::V4(bob)) = (ALICE_V4, BOB_V4) else {
        unreachable!("both are IPv4")
    };
    let hop = Ipv4Addr::new(192, 0, 2, 9);
    for strict_or_loose in [137, 131] {
        let association = ah(false, 0x101, Authentication::HmacSha1_96);
        let mut sadb = sadb(std::slice::from_ref(&association));
        let routed = |dst: Ipv4Addr, pointer: u8, listed: Ipv4Addr| {
            let options = [&[strict_or_loose, 7, pointer][..], &listed.octets(), &[0]].concat();
            ipv4(alice, dst, UDP, &options, &udp(4321, 3389, b"hello"))
        };
        // Sent to the hop, with Bob next; at the hop the two change places and the pointer moves on.
        let on_its_way = protected(&sadb, &association, 7, &routed(hop, 4, bob));
        let (_, recipe) = peeled(&sadb, &on_its_way);
        let arrived = sadb
            .protect(&routed(bob, 8, hop), &recipe)
            .expect("it can be protected");
        let icv = 28 + 12..28 + 24;
        assert_eq!(on_its_way[icv.clone()], arrived[icv]);
        let Ok(Inbound::Transport(opened)) = sadb.open(&arrived) else {
            panic!("it does not open")
        };
        assert_eq!(opened.clean, routed(bob, 8, hop));
    }
}

#[test]
fn ipv4_options_that_do_not_add_up_are_refused_under_ah() {
    let association = ah(false, 0x101, Authentication::HmacSha1_96);
    let sadb = sadb(std::slice::from_ref(&association));
    let (IpAddr::V4(alice), IpAddr::V4(bob)) = (ALICE_V4, BOB_V4) else {
        unreachable!("both are IPv4")
    };
    for options in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 4, 0], [1, 1, 1, 7]] {
        let clean = ipv4(alice, bob, UDP, &options, &udp(1, 2, b"hello"));
        let refused = sadb.protect(&clean, &recipe(&sadb, &association, 1));
        assert_eq!(
            refused.map_err(|refused| refused.reason()),
            Err("ipsec_malformed")
        );
    }
}
