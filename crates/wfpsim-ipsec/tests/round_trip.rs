//! Protecting and unprotecting are each other's inverse, for every association that there can be.

mod support;

use proptest::prelude::*;
use support::{
    AH, ESP, UDP, ah, esp, every_association, packet, peeled, protected, recipe, sadb, udp,
};
use wfpsim_ipsec::{Association, Authentication, Encryption, Inbound, Mode, Protocol, Sadb};

/// What a receiver gets out of a packet, whatever the mode.
fn opened(sadb: &mut Sadb, packet: &[u8]) -> Vec<u8> {
    match sadb.open(packet) {
        Ok(Inbound::Transport(opened)) => opened.clean,
        Ok(Inbound::Tunnel(opened)) => opened.inner,
        other => panic!("expected a protected packet, got {other:?}"),
    }
}

/// A packet that the association may carry: of its own family, or in a tunnel also of the other.
fn to_carry(association: &Association, other_family: bool, data: &[u8]) -> Vec<u8> {
    let v6 = association.key.dst.is_ipv6() ^ (other_family && association.mode == Mode::Tunnel);
    packet(v6, UDP, &udp(4321, 3389, data))
}

#[test]
fn there_is_an_association_of_every_sort() {
    let all = every_association();
    // Per family and mode: 3 of AH; of ESP 3 null, 3 x 4 AES-CBC, 3 AES-GCM and 4 triple DES, each
    // bare and in UDP.
    assert_eq!(all.len(), 2 * 2 * (3 + 2 * (3 + 3 * 4 + 3 + 4)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_opened_is_what_was_protected(
        data in prop::collection::vec(any::<u8>(), 0..100),
        sequence in 1..u32::MAX,
        other_family: bool,
    ) {
        let all = every_association();
        let mut sadb = sadb(&all);
        for association in &all {
            let clean = to_carry(association, other_family, &data);
            let protected = protected(&sadb, association, sequence, &clean);
            prop_assert_ne!(&protected, &clean);
            prop_assert_eq!(opened(&mut sadb, &protected), clean, "{:?}", association);
        }
    }

    #[test]
    fn what_is_peeled_is_protected_again_to_the_same_bytes(
        data in prop::collection::vec(any::<u8>(), 0..100),
        sequence: u32,
        other_family: bool,
        link_padding in prop::collection::vec(any::<u8>(), 0..7),
    ) {
        let all = every_association();
        let sadb = sadb(&all);
        for association in &all {
            let clean = to_carry(association, other_family, &data);
            let captured = protected(&sadb, association, sequence, &clean);
            let (peeled, recipe) = peeled(&sadb, &[&captured[..], &link_padding].concat());
            prop_assert_eq!(&peeled, &clean, "{:?}", association);
            prop_assert_eq!(sadb.protect(&peeled, &recipe), Ok(captured), "{:?}", association);
        }
    }

    #[test]
    fn a_packet_that_the_driver_changed_still_reaches_its_receiver(
        before in prop::collection::vec(any::<u8>(), 0..100),
        after in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let all = every_association();
        let mut sadb = sadb(&all);
        for association in &all {
            let captured = protected(&sadb, association, 1, &to_carry(association, false, &before));
            let (_, recipe) = peeled(&sadb, &captured);
            let changed = to_carry(association, false, &after);
            let sent = sadb.protect(&changed, &recipe).expect("any length can be protected");
            prop_assert_eq!(opened(&mut sadb, &sent), changed, "{:?}", association);
        }
    }

    #[test]
    fn a_bundle_of_ah_over_esp_opens_in_one_go(
        data in prop::collection::vec(any::<u8>(), 0..100),
        v6: bool,
    ) {
        let inner = esp(v6, 0x101, Encryption::AesCbc, Authentication::HmacSha1_96);
        let outer = ah(v6, 0x102, Authentication::HmacSha256_128);
        let mut sadb = sadb(&[inner.clone(), outer.clone()]);
        let bundle = recipe(&sadb, &inner, 5).within(recipe(&sadb, &outer, 9));
        let clean = packet(v6, UDP, &udp(4321, 3389, &data));
        let captured = sadb.protect(&clean, &bundle).expect("it can be protected");
        let (peeled, recipe) = peeled(&sadb, &captured);
        prop_assert_eq!(recipe.associations(), vec![outer.key, inner.key]);
        prop_assert_eq!(&peeled, &clean);
        prop_assert_eq!(sadb.protect(&peeled, &recipe), Ok(captured.clone()));
        prop_assert_eq!(opened(&mut sadb, &captured), clean);
    }

    #[test]
    fn transport_within_a_tunnel_is_peeled_to_the_bottom(
        data in prop::collection::vec(any::<u8>(), 0..100),
        v6: bool,
    ) {
        let inner = esp(v6, 0x101, Encryption::AesGcm, Authentication::None);
        let tunnel = Association { mode: Mode::Tunnel, ..ah(!v6, 0x102, Authentication::HmacMd5_96) };
        let mut sadb = sadb(&[inner.clone(), tunnel.clone()]);
        let both = recipe(&sadb, &inner, 5).within(recipe(&sadb, &tunnel, 9));
        let clean = packet(v6, UDP, &udp(4321, 3389, &data));
        let captured = sadb.protect(&clean, &both).expect("it can be protected");
        let (peeled, recipe) = peeled(&sadb, &captured);
        prop_assert_eq!(&peeled, &clean);
        prop_assert_eq!(sadb.protect(&peeled, &recipe), Ok(captured.clone()));
        // The receiver does it in two steps: it receives what comes out of the tunnel as a packet
        // of its own.
        let through = opened(&mut sadb, &captured);
        prop_assert_eq!(opened(&mut sadb, &through), clean);
    }
}

#[test]
fn a_checksum_that_was_left_to_hardware_is_left_to_it_again() {
    let association = esp(
        false,
        0x101,
        Encryption::AesCbc,
        Authentication::HmacSha1_96,
    );
    let sadb = sadb(std::slice::from_ref(&association));
    let mut captured = protected(
        &sadb,
        &association,
        1,
        &packet(false, UDP, &udp(1, 2, b"x")),
    );
    captured[10..12].copy_from_slice(&[0, 0]);
    let (clean, recipe) = peeled(&sadb, &captured);
    assert_eq!(
        support::checksum(&clean[..20]),
        0,
        "what the stack handed down has a right one"
    );
    assert_eq!(sadb.protect(&clean, &recipe), Ok(captured));
}

#[test]
fn a_udp_checksum_of_esp_in_udp_is_kept_whether_right_or_wrong() {
    for v6 in [false, true] {
        let mut association = esp(v6, 0x101, Encryption::AesCbc, Authentication::HmacSha1_96);
        association.udp_encap = true;
        let sadb = sadb(std::slice::from_ref(&association));
        let mut captured = protected(&sadb, &association, 1, &packet(v6, UDP, &udp(1, 2, b"x")));
        let at = if v6 { 40 } else { 20 } + 6;
        for wrong in [[0, 0], [0x12, 0x34]] {
            captured[at..at + 2].copy_from_slice(&wrong);
            let (clean, recipe) = peeled(&sadb, &captured);
            assert_eq!(sadb.protect(&clean, &recipe).as_ref(), Ok(&captured));
        }
    }
}

#[test]
fn a_packet_in_a_tunnel_that_others_protected_is_what_the_stack_handed_down() {
    let theirs = esp(
        false,
        0x101,
        Encryption::AesCbc,
        Authentication::HmacSha1_96,
    );
    let tunnel = Association {
        mode: Mode::Tunnel,
        ..ah(false, 0x102, Authentication::HmacMd5_96)
    };
    let forwarded = {
        let sadb = sadb(std::slice::from_ref(&theirs));
        protected(&sadb, &theirs, 1, &packet(false, UDP, &udp(1, 2, b"x")))
    };
    let sadb = sadb(std::slice::from_ref(&tunnel));
    let captured = protected(&sadb, &tunnel, 1, &forwarded);
    let (clean, recipe) = peeled(&sadb, &captured);
    assert_eq!(clean, forwarded);
    assert_eq!(recipe.associations(), [tunnel.key]);
    assert!(recipe.is_tunnel());
}

#[test]
fn a_protected_packet_names_the_protocol_that_protects_it() {
    for association in every_association() {
        let sadb = sadb(std::slice::from_ref(&association));
        let sent = protected(&sadb, &association, 1, &to_carry(&association, false, b"x"));
        let named = if association.key.dst.is_ipv6() {
            sent[6]
        } else {
            sent[9]
        };
        let expected = match association.key.protocol {
            Protocol::Ah => AH,
            Protocol::Esp if association.udp_encap => UDP,
            Protocol::Esp => ESP,
        };
        assert_eq!(named, expected);
    }
}

#[test]
fn a_packet_that_would_be_too_long_is_not_made() {
    let association = ah(false, 0x101, Authentication::HmacSha1_96);
    let sadb = sadb(std::slice::from_ref(&association));
    let clean = packet(false, UDP, &udp(1, 2, &vec![0; 65535 - 20 - 8]));
    let error = sadb
        .protect(&clean, &recipe(&sadb, &association, 1))
        .expect_err("24 bytes more");
    assert_eq!(error.reason(), "ipsec_too_long");
}

#[test]
fn a_recipe_is_of_no_use_without_its_association() {
    let association = ah(false, 0x101, Authentication::HmacSha1_96);
    let recipe = recipe(&sadb(std::slice::from_ref(&association)), &association, 1);
    let clean = packet(false, UDP, &udp(1, 2, b"x"));
    let error = Sadb::default()
        .protect(&clean, &recipe)
        .expect_err("no association");
    assert_eq!(error.reason(), "ipsec_no_association");
}
