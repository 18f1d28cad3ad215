//! What a callout sees of a packet after IPsec (rules ), and which packets IPsec
//! leaves alone.

mod support;

use std::net::Ipv6Addr;

use support::{
    ALICE_V4, BOB_V4, ESP, UDP, ah, esp, ipv4, ipv6, packet, peeled, protected, recipe, sadb, udp,
};
use wfpsim_ipsec::{
    Association, Authentication, Encryption, Inbound, Kind, Mode, Outbound, Refused, Sadb,
    TransportMode, TunnelMode, is_nat_keepalive,
};

fn transport(sadb: &mut Sadb, packet: &[u8]) -> TransportMode {
    match sadb.open(packet) {
        Ok(Inbound::Transport(opened)) => opened,
        other => panic!("expected transport mode, got {other:?}"),
    }
}

fn tunnel(sadb: &mut Sadb, packet: &[u8]) -> TunnelMode {
    match sadb.open(packet) {
        Ok(Inbound::Tunnel(opened)) => opened,
        other => panic!("expected tunnel mode, got {other:?}"),
    }
}

fn aes(v6: bool) -> Association {
    esp(v6, 0x101, Encryption::AesCbc, Authentication::HmacSha1_96)
}

fn sha1(v6: bool) -> Association {
    ah(v6, 0x102, Authentication::HmacSha1_96)
}

#[test]
fn the_esp_header_stays_before_the_transport_header_and_the_trailer_behind_the_data() {
    let association = aes(false);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let datagram = udp(4321, 3389, b"hello");
    let sent = protected(&sadb, &association, 7, &packet(false, UDP, &datagram));
    let opened = transport(&mut sadb, &sent);
    assert_eq!(opened.kinds, [Kind::Esp]);
    assert_eq!(opened.protocol, UDP);
    assert_eq!(opened.laid_out.len(), sent.len());
    // IP header, SPI, sequence number, IV: as they came.
    assert_eq!(opened.ip_header_len, 20 + 8 + 16);
    assert_eq!(
        opened.laid_out[..opened.ip_header_len],
        sent[..opened.ip_header_len]
    );
    assert_eq!(opened.laid_out[9], ESP);
    assert_eq!(
        opened.laid_out[opened.ip_header_len..opened.data_end],
        datagram
    );
    // 13 bytes of data in a 16-byte block leave one byte of padding, then its length, UDP, and 12
    // bytes of integrity value.
    assert_eq!(opened.laid_out[opened.data_end..][..3], [1, 1, UDP]);
    assert_eq!(opened.laid_out.len() - opened.data_end, 3 + 12);
}

#[test]
fn the_ah_header_stays_before_the_transport_header_and_nothing_is_behind_the_data() {
    for (v6, header, ah_len) in [(false, 20, 24), (true, 40, 24)] {
        let association = sha1(v6);
        let mut sadb = sadb(std::slice::from_ref(&association));
        let sent = protected(
            &sadb,
            &association,
            7,
            &packet(v6, UDP, &udp(4321, 3389, b"hello")),
        );
        let opened = transport(&mut sadb, &sent);
        assert_eq!(opened.kinds, [Kind::Ah]);
        assert_eq!(opened.laid_out, sent, "AH changes no payload");
        assert_eq!(opened.ip_header_len, header + ah_len);
        assert_eq!(opened.data_end, sent.len());
    }
}

#[test]
fn an_ah_header_is_a_multiple_of_8_bytes_over_ipv6() {
    let association = ah(true, 0x101, Authentication::HmacSha256_128);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let sent = protected(
        &sadb,
        &association,
        7,
        &packet(true, UDP, &udp(4321, 3389, b"hello")),
    );
    // 12 bytes, 16 of integrity value, and 4 of padding.
    assert_eq!(transport(&mut sadb, &sent).ip_header_len, 40 + 32);
}

#[test]
fn of_a_bundle_both_headers_stay_and_the_trailer_of_esp() {
    let (inner, outer) = (aes(false), sha1(false));
    let mut sadb = sadb(&[inner.clone(), outer.clone()]);
    let datagram = udp(4321, 3389, b"hello");
    let clean = packet(false, UDP, &datagram);

    let ah_over_esp = recipe(&sadb, &inner, 1).within(recipe(&sadb, &outer, 1));
    let sent = sadb
        .protect(&clean, &ah_over_esp)
        .expect("it can be protected");
    let opened = transport(&mut sadb, &sent);
    assert_eq!(opened.kinds, [Kind::Ah, Kind::Esp]);
    assert_eq!(opened.ip_header_len, 20 + 24 + 8 + 16);
    assert_eq!(
        opened.laid_out[opened.ip_header_len..opened.data_end],
        datagram
    );
    assert_eq!(opened.laid_out.len() - opened.data_end, 3 + 12);
    assert_eq!(opened.clean, clean);

    let esp_over_ah = recipe(&sadb, &outer, 2).within(recipe(&sadb, &inner, 2));
    let sent = sadb
        .protect(&clean, &esp_over_ah)
        .expect("it can be protected");
    let opened = transport(&mut sadb, &sent);
    assert_eq!(opened.kinds, [Kind::Esp, Kind::Ah]);
    assert_eq!(opened.ip_header_len, 20 + 8 + 16 + 24);
    assert_eq!(
        opened.laid_out[20 + 8 + 16],
        UDP,
        "the AH header, decrypted, names what follows"
    );
    assert_eq!(
        opened.laid_out[opened.ip_header_len..opened.data_end],
        datagram
    );
    assert_eq!(opened.clean, clean);
}

#[test]
fn of_udp_encapsulated_esp_the_udp_header_stays_too() {
    for v6 in [false, true] {
        let association = Association {
            udp_encap: true,
            ..aes(v6)
        };
        let mut sadb = sadb(std::slice::from_ref(&association));
        let clean = packet(v6, UDP, &udp(4321, 3389, b"hello"));
        let sent = protected(&sadb, &association, 7, &clean);
        let opened = transport(&mut sadb, &sent);
        assert_eq!(opened.kinds, [Kind::EspInUdp]);
        assert_eq!(opened.ip_header_len, if v6 { 40 } else { 20 } + 8 + 8 + 16);
        assert_eq!(opened.clean, clean);
    }
}

#[test]
fn clean_is_the_packet_as_if_it_had_never_been_protected() {
    let association = aes(false);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let clean = packet(false, UDP, &udp(4321, 3389, b"hello"));
    let mut sent = protected(&sadb, &association, 7, &clean);
    sent[10..12].copy_from_slice(&[0xde, 0xad]);
    let opened = transport(&mut sadb, &sent);
    assert_eq!(
        opened.clean, clean,
        "with the checksum right, whatever the protected packet had"
    );
}

#[test]
fn what_the_link_added_behind_the_packet_is_cut_off() {
    let association = aes(false);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let clean = packet(false, UDP, &udp(4321, 3389, b"hello"));
    let sent = protected(&sadb, &association, 7, &clean);
    let opened = transport(&mut sadb, &[&sent[..], &[0; 6]].concat());
    assert_eq!(opened.laid_out.len(), sent.len());
    assert_eq!(opened.clean, clean);
}

/// Hop-by-hop options with router alert (which no router changes) and an option that routers may
/// change.
const HOP_BY_HOP: [u8; 16] = [
    UDP, 1, 5, 2, 0, 0, 0x3e, 4, 0x11, 0x22, 0x33, 0x44, 1, 2, 0, 0,
];
/// Destination options with padding only.
const DESTINATION: [u8; 8] = [UDP, 0, 1, 4, 0, 0, 0, 0];

/// Extension headers one behind the other, and a datagram behind them.
fn extended(headers: &[(u8, &[u8])], datagram: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (index, (_, header)) in headers.iter().enumerate() {
        let next = headers.get(index + 1).map_or(UDP, |(number, _)| *number);
        payload.push(next);
        payload.extend(&header[1..]);
    }
    payload.extend(datagram);
    packet(true, headers[0].0, &payload)
}

#[test]
fn extension_headers_for_routers_stay_outside_and_those_for_the_receiver_are_protected() {
    let clean = extended(
        &[(0, &HOP_BY_HOP), (60, &DESTINATION)],
        &udp(4321, 3389, b"hello"),
    );
    for association in [aes(true), sha1(true)] {
        let mut sadb = sadb(std::slice::from_ref(&association));
        let sent = protected(&sadb, &association, 7, &clean);
        assert_eq!(sent[6], 0, "hop-by-hop options come first");
        assert_eq!(sent[40], association.key.protocol.number(), "IPsec is next");
        let opened = transport(&mut sadb, &sent);
        // AH with a 12-byte integrity value is as long as the ESP header with an AES IV.
        let ipsec = 24;
        assert_eq!(opened.protocol, UDP);
        assert_eq!(
            opened.ip_header_len,
            40 + 16 + ipsec + 8,
            "destination options are counted in"
        );
        assert_eq!(
            opened.laid_out[opened.ip_header_len..][..4],
            [0x10, 0xe1, 0x0d, 0x3d]
        );
        assert_eq!(opened.clean, clean);
    }
}

#[test]
fn a_router_may_change_a_mutable_hop_by_hop_option_and_no_other() {
    let association = sha1(true);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let clean = extended(&[(0, &HOP_BY_HOP)], &udp(4321, 3389, b"hello"));
    let sent = protected(&sadb, &association, 7, &clean);
    let mut router_alert = sent.clone();
    router_alert[40 + 5] ^= 1;
    assert_eq!(
        sadb.open(&router_alert),
        Err(Refused::BadIntegrity(association.key))
    );
    let mut mutable = sent.clone();
    mutable[40 + 9] ^= 0xff;
    assert!(matches!(sadb.open(&mutable), Ok(Inbound::Transport(_))));
}

#[test]
fn a_router_may_record_itself_in_an_ipv4_option_under_ah() {
    let association = sha1(false);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let (std::net::IpAddr::V4(src), std::net::IpAddr::V4(dst)) = (ALICE_V4, BOB_V4) else {
        unreachable!("both are IPv4")
    };
    // Router alert, record route with room for one address, end of list.
    let options = [148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0];
    let clean = ipv4(src, dst, UDP, &options, &udp(4321, 3389, b"hello"));
    let sent = protected(&sadb, &association, 7, &clean);
    let mut alert = sent.clone();
    alert[20 + 3] = 1;
    assert_eq!(
        sadb.open(&alert),
        Err(Refused::BadIntegrity(association.key))
    );
    let mut recorded = sent;
    recorded[20 + 6] = 8;
    recorded[20 + 7..20 + 11].copy_from_slice(&[192, 0, 2, 254]);
    let opened = transport(&mut sadb, &recorded);
    assert_eq!(opened.ip_header_len, 32 + 24);
    assert_eq!(
        opened.clean[20..32],
        recorded[20..32],
        "what the router wrote is kept"
    );
}

#[test]
fn a_routing_header_may_arrive_as_it_was_sent_or_as_the_hops_left_it() {
    let association = sha1(true);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let hop = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
    let (std::net::IpAddr::V6(alice), std::net::IpAddr::V6(bob)) = support::addresses(true) else {
        unreachable!("both are IPv6")
    };
    let routed = |dst: Ipv6Addr, left: u8, listed: Ipv6Addr| {
        let mut payload = vec![UDP, 2, 0, left, 0, 0, 0, 0];
        payload.extend(listed.octets());
        payload.extend(udp(4321, 3389, b"hello"));
        ipv6(alice, dst, 43, &payload)
    };
    // Sent to the hop, with Bob next; at the hop the two change places.
    let sent = protected(&sadb, &association, 7, &routed(hop, 1, bob));
    let (_, recipe) = peeled(&sadb, &sent);
    let arrived = sadb
        .protect(&routed(bob, 0, hop), &recipe)
        .expect("it can be protected");
    let icv = 40 + 24 + 12..40 + 24 + 24;
    assert_eq!(
        sent[icv.clone()],
        arrived[icv],
        "the integrity value is of the form on arrival"
    );
    assert_eq!(transport(&mut sadb, &arrived).clean, routed(bob, 0, hop));
}

#[test]
fn a_tunnel_ends_the_work_and_hands_over_the_inner_packet() {
    for (outer_v6, inner_v6) in [(false, false), (false, true), (true, false), (true, true)] {
        let association = Association {
            mode: Mode::Tunnel,
            ..aes(outer_v6)
        };
        let mut sadb = sadb(std::slice::from_ref(&association));
        let inner = packet(inner_v6, UDP, &udp(4321, 3389, b"hello"));
        let opened = {
            let sent = protected(&sadb, &association, 7, &inner);
            tunnel(&mut sadb, &sent)
        };
        let outer = if outer_v6 { 40 } else { 20 };
        assert_eq!(opened.outer_header_len, outer);
        assert_eq!(opened.inner_offset, outer + 8 + 16);
        assert_eq!(opened.laid_out[opened.inner_offset..opened.data_end], inner);
        assert_eq!(opened.inner, inner);
        assert_eq!(opened.protocol, if inner_v6 { 41 } else { 4 });
        assert_eq!(opened.kinds, [Kind::Esp]);
    }
}

#[test]
fn ah_over_a_tunnel_gives_the_outer_header_without_either() {
    let association = Association {
        mode: Mode::Tunnel,
        ..aes(false)
    };
    let outer = sha1(false);
    let mut sadb = sadb(&[association.clone(), outer.clone()]);
    let inner = packet(false, UDP, &udp(4321, 3389, b"hello"));
    let both = recipe(&sadb, &association, 1).within(recipe(&sadb, &outer, 1));
    let sent = sadb.protect(&inner, &both).expect("it can be protected");
    let opened = tunnel(&mut sadb, &sent);
    assert_eq!(opened.outer_header_len, 20);
    assert_eq!(opened.inner_offset, 20 + 24 + 8 + 16);
    assert_eq!(opened.laid_out[opened.inner_offset..opened.data_end], inner);
    assert_eq!(opened.kinds, [Kind::Ah, Kind::Esp]);
}

#[test]
fn packets_without_ipsec_are_clear() {
    let mut sadb = sadb(&[aes(false), sha1(true)]);
    for v6 in [false, true] {
        let clear = packet(v6, UDP, &udp(4321, 3389, b"hello"));
        assert_eq!(sadb.open(&clear), Ok(Inbound::Clear));
        assert_eq!(sadb.peel(&clear), Ok(Outbound::Clear));
    }
    assert_eq!(sadb.open(&[]), Ok(Inbound::Clear));
}

#[test]
fn ike_and_keepalives_and_other_traffic_on_port_4500_are_clear() {
    let association = Association {
        udp_encap: true,
        ..aes(false)
    };
    let mut bob = sadb(std::slice::from_ref(&association));
    let ike = [&[0; 4][..], &[7; 28]].concat();
    for data in [&ike[..], &[0xff], &[]] {
        let arrives = packet(false, UDP, &udp(4500, 4500, data));
        assert_eq!(bob.open(&arrives), Ok(Inbound::Clear));
    }
    assert!(is_nat_keepalive(&packet(
        false,
        UDP,
        &udp(61234, 4500, &[0xff])
    )));
    assert!(!is_nat_keepalive(&packet(
        false,
        UDP,
        &udp(4500, 4501, &[0xff])
    )));
    assert!(!is_nat_keepalive(&packet(
        true,
        UDP,
        &udp(4500, 4500, &[0xff, 0xff])
    )));
    let sent = protected(
        &bob,
        &association,
        1,
        &packet(false, UDP, &udp(1, 2, b"hello")),
    );
    let mut elsewhere = sadb(&[aes(false)]);
    assert_eq!(
        elsewhere.open(&sent),
        Ok(Inbound::Clear),
        "no association is in UDP here"
    );
    let mut other_port = sent;
    other_port[20..24].copy_from_slice(&[0x11, 0x95, 0x11, 0x95]);
    assert_eq!(bob.open(&other_port), Ok(Inbound::Clear));
}

#[test]
fn behind_a_nat_only_one_port_is_4500() {
    let association = Association {
        udp_encap: true,
        ..aes(false)
    };
    let mut bob = sadb(std::slice::from_ref(&association));
    let mut arrives = protected(
        &bob,
        &association,
        1,
        &packet(false, UDP, &udp(1, 2, b"hello")),
    );
    arrives[20..22].copy_from_slice(&61234_u16.to_be_bytes());
    assert!(matches!(bob.open(&arrives), Ok(Inbound::Transport(_))));
    let (clean, recipe) = peeled(&bob, &arrives);
    assert_eq!(bob.protect(&clean, &recipe), Ok(arrives));
}

#[test]
fn protected_packets_without_association_are_refused() {
    let association = aes(false);
    let sent = protected(
        &sadb(std::slice::from_ref(&association)),
        &association,
        1,
        &packet(false, UDP, &udp(1, 2, b"hello")),
    );
    let refused = Err(Refused::NoAssociation(association.key));
    assert_eq!(Sadb::default().open(&sent), refused);
    assert_eq!(Sadb::default().peel(&sent).map(|_| Inbound::Clear), refused);
    let in_udp = Association {
        udp_encap: true,
        ..aes(false)
    };
    let other_spi = packet(false, UDP, &udp(4500, 4500, &[9; 40]));
    let opened = sadb(&[in_udp]).open(&other_spi);
    assert_eq!(
        opened.map_err(|refused| refused.reason()),
        Err("ipsec_no_association")
    );
}

#[test]
fn bare_esp_of_an_association_in_udp_is_refused_and_the_other_way_round() {
    let bare = aes(false);
    let in_udp = Association {
        udp_encap: true,
        ..aes(false)
    };
    let clean = packet(false, UDP, &udp(1, 2, b"hello"));
    let refused = Err(Refused::WrongEncapsulation(bare.key));
    let sent = protected(&sadb(std::slice::from_ref(&bare)), &bare, 1, &clean);
    assert_eq!(sadb(std::slice::from_ref(&in_udp)).open(&sent), refused);
    let sent = protected(&sadb(std::slice::from_ref(&in_udp)), &in_udp, 1, &clean);
    let mut other = in_udp;
    other.key.spi = 0x999;
    assert_eq!(sadb(&[bare, other]).open(&sent), refused);
}

#[test]
fn fragments_of_protected_packets_are_refused_and_other_fragments_are_clear() {
    let mut sadb = sadb(&[aes(false), aes(true)]);
    for (protocol, expected) in [(ESP, Err(Refused::Fragment)), (UDP, Ok(Inbound::Clear))] {
        let mut v4 = packet(false, protocol, &[0; 64]);
        v4[6] = 0x20; // More Fragments
        assert_eq!(sadb.open(&v4), expected);
        let v6 = packet(
            true,
            44,
            &[&[protocol, 0, 0, 1, 0, 0, 0, 1][..], &[0; 64]].concat(),
        );
        assert_eq!(sadb.open(&v6), expected);
    }
}

#[test]
fn a_tunnel_without_a_packet_in_it_is_refused() {
    let as_transport = aes(false);
    let as_tunnel = Association {
        mode: Mode::Tunnel,
        ..aes(false)
    };
    let sender = sadb(std::slice::from_ref(&as_transport));
    let mut bob = sadb(std::slice::from_ref(&as_tunnel));
    let sent = protected(
        &sender,
        &as_transport,
        1,
        &packet(false, UDP, &udp(1, 2, b"hello")),
    );
    assert_eq!(
        bob.open(&sent),
        Err(Refused::NotATunnel {
            key: as_tunnel.key,
            next_header: UDP
        })
    );
    let sent = protected(&sender, &as_transport, 1, &packet(false, 4, b"no packet"));
    assert_eq!(
        bob.open(&sent).map_err(|refused| refused.reason()),
        Err("ipsec_malformed")
    );
    let v6_named_v4 = packet(false, 4, &packet(true, UDP, &udp(1, 2, b"hello")));
    let sent = protected(&sender, &as_transport, 1, &v6_named_v4);
    assert_eq!(
        bob.open(&sent).map_err(|refused| refused.reason()),
        Err("ipsec_malformed")
    );
}

#[test]
fn ip_in_ip_under_transport_mode_is_a_payload_like_any_other() {
    let association = aes(false);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let clean = packet(false, 4, &packet(false, UDP, &udp(1, 2, b"hello")));
    let sent = protected(&sadb, &association, 1, &clean);
    let opened = transport(&mut sadb, &sent);
    assert_eq!((opened.protocol, opened.clean), (4, clean));
}

#[test]
fn a_dummy_packet_that_hides_how_much_is_sent_carries_nothing() {
    for mode in [Mode::Transport, Mode::Tunnel] {
        let association = aes(false);
        let sent = protected(
            &sadb(std::slice::from_ref(&association)),
            &association,
            1,
            &packet(false, 59, &[0; 40]),
        );
        let mut bob = sadb(&[Association {
            mode,
            ..association.clone()
        }]);
        assert_eq!(bob.open(&sent), Err(Refused::Dummy(association.key)));
    }
}

#[test]
fn padding_against_traffic_analysis_behind_the_inner_packet_is_cut_off_and_put_back() {
    let as_transport = aes(false);
    let as_tunnel = Association {
        mode: Mode::Tunnel,
        ..aes(false)
    };
    let inner = packet(false, UDP, &udp(1, 2, b"hello"));
    let padded = packet(false, 4, &[&inner[..], &[0x5a; 100]].concat());
    let sent = protected(
        &sadb(std::slice::from_ref(&as_transport)),
        &as_transport,
        1,
        &padded,
    );
    let mut bob = sadb(std::slice::from_ref(&as_tunnel));
    let (clean, recipe) = peeled(&bob, &sent);
    assert_eq!(clean, inner);
    assert_eq!(bob.protect(&clean, &recipe), Ok(sent.clone()));
    assert_eq!(tunnel(&mut bob, &sent).inner, inner);
}

#[test]
fn more_headers_than_any_sender_makes_are_refused() {
    let associations: Vec<_> = (0x101..0x10a)
        .map(|spi| ah(false, spi, Authentication::HmacMd5_96))
        .collect();
    let mut bob = sadb(&associations);
    let mut sent = packet(false, UDP, &udp(1, 2, b"hello"));
    for (count, association) in (1..).zip(&associations) {
        sent = protected(&bob, association, 1, &sent);
        match count {
            ..=8 => assert_eq!(transport(&mut bob.clone(), &sent).kinds.len(), count),
            _ => assert_eq!(bob.open(&sent), Err(Refused::TooManyLayers)),
        }
    }
    assert_eq!(associations.len(), 9);
}
