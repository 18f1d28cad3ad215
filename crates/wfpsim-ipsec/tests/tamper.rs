//! What an attacker or a bad link does to packets: nothing gets through, and nothing panics.

mod support;

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha1::Sha1;
use support::{AH, ESP, UDP, ah, esp, every_association, packet, protected, recipe, sadb, udp};
use wfpsim_ipsec::{
    Association, Authentication, Encryption, Inbound, Mode, Protocol, Refused, Sadb,
};

/// The bits of a protected packet that its integrity value covers, as bit numbers from the start of
/// the packet.
fn authenticated_bits(association: &Association, packet: &[u8]) -> Vec<usize> {
    let v6 = association.key.dst.is_ipv6();
    let ip = if v6 { 40 } else { 20 };
    let bits = |from: usize, to: usize| from * 8..to * 8;
    match association.key.protocol {
        // All of ESP: header, IV, data, integrity value. The IP and UDP headers in front are not
        // covered.
        Protocol::Esp => {
            let udp = if association.udp_encap { 8 } else { 0 };
            bits(ip + udp, packet.len()).collect()
        }
        // Of the IP header all that no router changes: version, lengths, identification, protocol
        // and addresses.
        Protocol::Ah if v6 => (0..4)
            .chain(bits(4, 7))
            .chain(bits(8, packet.len()))
            .collect(),
        Protocol::Ah => [bits(0, 1), bits(2, 6), bits(9, 10), bits(12, packet.len())]
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// Whether a changed packet went no further: refused, or (where the change hides that it is IPsec
/// at all) left as it came.
fn went_no_further(sadb: &mut Sadb, changed: &[u8], association: &Association) -> bool {
    match sadb.open(changed) {
        Err(_) => true,
        // AH covers the protocol and version: a flip there makes it another protocol's packet,
        // which nobody decrypts.
        Ok(Inbound::Clear) => association.key.protocol == Protocol::Ah || association.udp_encap,
        Ok(_) => false,
    }
}

#[test]
fn no_single_bit_of_an_authenticated_packet_can_be_flipped() {
    for association in every_association()
        .iter()
        .filter(|association| association.authenticates())
    {
        let mut sadb = sadb(std::slice::from_ref(association));
        let v6 = association.key.dst.is_ipv6();
        let honest = protected(
            &sadb,
            association,
            1,
            &packet(v6, UDP, &udp(4321, 3389, b"attack at dawn")),
        );
        let bits = authenticated_bits(association, &honest);
        // Every header bit, and every seventh of the rest: all residues of 8 come up.
        for (index, bit) in bits
            .into_iter()
            .enumerate()
            .filter(|(index, _)| *index < 320 || index % 7 == 0)
        {
            let mut changed = honest.clone();
            changed[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(
                went_no_further(&mut sadb, &changed, association),
                "bit {bit} (number {index}) of {association:?}"
            );
        }
        assert!(
            sadb.open(&honest).is_ok(),
            "the honest packet still opens: no window has moved"
        );
    }
}

#[test]
fn what_routers_change_on_the_way_may_change() {
    for v6 in [false, true] {
        let association = ah(v6, 0x101, Authentication::HmacSha1_96);
        let mut sadb = sadb(std::slice::from_ref(&association));
        let clean = packet(v6, UDP, &udp(4321, 3389, b"hello"));
        let mut arrived = protected(&sadb, &association, 1, &clean);
        if v6 {
            arrived[..4].copy_from_slice(&[0x60, 1, 2, 3]); // traffic class and flow label
            arrived[7] = 1; // hop limit
        } else {
            arrived[1] = 3; // congestion experienced
            arrived[6] = 0; // Don't Fragment cleared
            arrived[8] = 1; // TTL
            arrived[10..12].copy_from_slice(&[0xde, 0xad]); // checksum
        }
        let opened = sadb.open(&arrived);
        assert!(matches!(opened, Ok(Inbound::Transport(_))), "{opened:?}");
    }
}

#[test]
fn a_packet_cut_at_any_byte_is_refused_or_clear_and_never_opens() {
    for association in every_association() {
        let mut sadb = sadb(std::slice::from_ref(&association));
        let v6 = association.key.dst.is_ipv6();
        let whole = protected(
            &sadb,
            &association,
            1,
            &packet(v6, UDP, &udp(4321, 3389, b"hello")),
        );
        for length in 0..whole.len() {
            let cut = &whole[..length];
            assert!(
                matches!(sadb.open(cut), Err(_) | Ok(Inbound::Clear)),
                "{length} bytes"
            );
            // Peel sees the same, whatever it says; it must only not panic.
            drop(sadb.peel(cut));
            // With the length field made to fit, the cut is no longer seen at once.
            let mut fitted = cut.to_vec();
            if fit_length(&mut fitted) && association.authenticates() {
                let opened = sadb.open(&fitted);
                assert!(
                    matches!(opened, Err(_) | Ok(Inbound::Clear)),
                    "{length} bytes: {opened:?}"
                );
            }
        }
    }
}

/// Makes the length field of an IP header say what is there. False when there is not even a header.
fn fit_length(packet: &mut [u8]) -> bool {
    let (at, header) = if packet.first().is_some_and(|first| first >> 4 == 6) {
        (4, 40)
    } else {
        (2, 20)
    };
    if packet.len() < header {
        return false;
    }
    let length = packet.len() - if at == 4 { 40 } else { 0 };
    packet[at..at + 2].copy_from_slice(&u16::try_from(length).expect("short").to_be_bytes());
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_whatever_make_it_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        v6: bool,
        protocol in prop::sample::select(vec![ESP, AH, UDP, 0, 43, 44, 60]),
        fit: bool,
    ) {
        let all = every_association();
        let mut sadb = sadb(&all);
        if let Some(first) = bytes.first_mut() {
            *first = if v6 { 0x60 } else { 0x40 | (*first & 0x0f) };
        }
        if let Some(named) = bytes.get_mut(if v6 { 6 } else { 9 }) {
            *named = protocol;
        }
        if fit {
            fit_length(&mut bytes);
        }
        prop_assert!(matches!(sadb.open(&bytes), Err(_) | Ok(Inbound::Clear)));
        drop(sadb.peel(&bytes));
    }

    #[test]
    fn no_payload_of_a_true_association_makes_it_panic(
        payload in prop::collection::vec(any::<u8>(), 0..120),
        protocol in prop::sample::select(vec![ESP, AH, UDP, 0, 4, 41, 43, 44, 59, 60]),
        tunnel: bool,
    ) {
        // The sender has the key and is out of its mind: everything verifies, and what is inside is
        // garbage.
        for association in every_association() {
            if association.mode == Mode::Tunnel && !tunnel {
                continue;
            }
            let mut sadb = sadb(std::slice::from_ref(&association));
            let clean = packet(association.key.dst.is_ipv6(), protocol, &payload);
            if let Ok(sent) = sadb.protect(&clean, &recipe(&sadb, &association, 1)) {
                if let Ok(Inbound::Transport(opened)) = sadb.open(&sent) {
                    prop_assert!(opened.ip_header_len <= opened.data_end);
                    prop_assert!(opened.data_end <= opened.laid_out.len());
                    prop_assert_eq!(opened.laid_out.len(), sent.len());
                }
                drop(sadb.peel(&sent));
            }
        }
    }
}

#[test]
fn only_padding_that_counts_up_is_taken_because_it_may_be_all_that_tells_a_wrong_key() {
    let association = esp(false, 0x101, Encryption::AesCbc, Authentication::None);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let honest = protected(&sadb, &association, 1, &packet(false, UDP, &udp(1, 2, b"")));
    for flip in 1..=255_u8 {
        let mut changed = honest.clone();
        // CBC adds the IV to the only block, so the last byte but one of the IV is that of the pad
        // length, which is 6.
        changed[20 + 8 + 14] ^= flip;
        let opened = sadb.open(&changed);
        match 6 ^ flip {
            // No padding at all: this cannot be told from a packet that was sent so.
            0 => assert!(matches!(opened, Ok(Inbound::Transport(_))), "{opened:?}"),
            _ => assert_eq!(
                opened,
                Err(Refused::BadPadding(association.key)),
                "pad length 6 ^ {flip}"
            ),
        }
    }
}

#[test]
fn padding_longer_than_the_data_is_refused_even_when_it_is_authentic() {
    let inner = esp(false, 0x101, Encryption::AesCbc, Authentication::None);
    let outer = ah(false, 0x102, Authentication::HmacSha256_128);
    let mut sadb = sadb(&[inner.clone(), outer.clone()]);
    let mut sent = protected(&sadb, &inner, 1, &packet(false, UDP, &udp(1, 2, b"")));
    sent[20 + 8 + 14] ^= 6 ^ 15;
    let sent = protected(&sadb, &outer, 1, &sent);
    assert_eq!(sadb.open(&sent), Err(Refused::BadPadding(inner.key)));
}

/// ESP without encryption, with any trailer that one likes under a right integrity value.
fn by_hand(key: &[u8], trailer: &[u8]) -> Vec<u8> {
    let mut esp = [&[0, 0, 1, 1, 0, 0, 0, 9][..], &udp(1, 2, b"hello"), trailer].concat();
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("any length will do");
    mac.update(&esp);
    esp.extend(&mac.finalize().into_bytes()[..12]);
    packet(false, ESP, &esp)
}

#[test]
fn padding_may_be_longer_than_it_need_be_and_is_then_made_so_again() {
    let association = esp(false, 0x101, Encryption::Null, Authentication::HmacSha1_96);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let padding: Vec<u8> = (1..=253).collect();
    let sent = by_hand(
        &support::key_bytes(20),
        &[&padding[..], &[253, UDP]].concat(),
    );
    let clean = packet(false, UDP, &udp(1, 2, b"hello"));
    let (peeled, recipe) = support::peeled(&sadb, &sent);
    assert_eq!(peeled, clean);
    assert_eq!(sadb.protect(&clean, &recipe).as_ref(), Ok(&sent));
    assert!(matches!(sadb.open(&sent), Ok(Inbound::Transport(opened)) if opened.clean == clean));
    // A changed length that this padding does not bring to a multiple of 4 gets the least that
    // does.
    let changed = packet(false, UDP, &udp(1, 2, b"hello!"));
    let sent = sadb
        .protect(&changed, &recipe)
        .expect("any length can be protected");
    assert_eq!(sent.len(), 20 + 8 + 14 + 2 + 12);
}

#[test]
fn authentic_padding_of_other_bytes_is_refused() {
    let association = esp(false, 0x101, Encryption::Null, Authentication::HmacSha1_96);
    let mut sadb = sadb(std::slice::from_ref(&association));
    let key = support::key_bytes(20);
    assert!(
        sadb.open(&by_hand(&key, &[0, UDP])).is_err(),
        "not a multiple of 4"
    );
    for trailer in [[0, 1, UDP], [2, 1, UDP], [0, 255, UDP]] {
        // 13 bytes of data, one of padding, and two: 16.
        let refused = Err(Refused::BadPadding(association.key));
        assert_eq!(sadb.open(&by_hand(&key, &trailer)), refused, "{trailer:?}");
    }
}

#[test]
fn every_refusal_has_a_key() {
    let association = esp(
        false,
        0x101,
        Encryption::AesCbc,
        Authentication::HmacSha1_96,
    );
    let key = association.key;
    let all = [
        Refused::NoAssociation(key),
        Refused::BadIntegrity(key),
        Refused::Replayed { key, sequence: 1 },
        Refused::Malformed("so"),
        Refused::BadPadding(key),
        Refused::NotATunnel {
            key,
            next_header: 6,
        },
        Refused::WrongEncapsulation(key),
        Refused::Fragment,
        Refused::Dummy(key),
        Refused::TooManyLayers,
        Refused::TooLong,
    ];
    let reasons: BTreeSet<_> = all.iter().map(Refused::reason).collect();
    assert_eq!(reasons, BTreeSet::from(Refused::REASONS));
    assert!(all.iter().all(|refused| !refused.to_string().is_empty()));
}
