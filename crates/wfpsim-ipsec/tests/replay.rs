//! The replay window, told from the receiver's side (RFC 4303, section 3.4.3).

mod support;

use support::{UDP, ah, esp, packet, protected, recipe, sadb, udp};
use wfpsim_ipsec::{Association, Authentication, Encryption, Inbound, Refused, Sadb};

/// Bob, and Alice's packets as they arrive, in whatever order.
struct Story {
    bob: Sadb,
    association: Association,
}

impl Story {
    fn begins() -> Self {
        let association = esp(
            false,
            0x101,
            Encryption::AesCbc,
            Authentication::HmacSha1_96,
        );
        Self {
            bob: sadb(std::slice::from_ref(&association)),
            association,
        }
    }

    fn numbered(&self, sequence: u32) -> Vec<u8> {
        protected(
            &self.bob,
            &self.association,
            sequence,
            &packet(false, UDP, &udp(1, 2, b"hello")),
        )
    }

    #[track_caller]
    fn takes(&mut self, sequence: u32) {
        let arrives = self.numbered(sequence);
        let opened = self.bob.open(&arrives);
        assert!(
            matches!(opened, Ok(Inbound::Transport(_))),
            "{sequence}: {opened:?}"
        );
    }

    #[track_caller]
    fn refuses(&mut self, sequence: u32) {
        let arrives = self.numbered(sequence);
        let replayed = Refused::Replayed {
            key: self.association.key,
            sequence,
        };
        assert_eq!(self.bob.open(&arrives), Err(replayed));
    }
}

#[test]
fn packets_in_order_are_taken_once_each() {
    let mut story = Story::begins();
    for sequence in 1..=200 {
        story.takes(sequence);
        story.refuses(sequence);
    }
}

#[test]
fn packets_that_overtook_each_other_are_taken_and_their_copies_are_not() {
    let mut story = Story::begins();
    for sequence in [5, 3, 4, 1, 2, 8, 6, 7] {
        story.takes(sequence);
    }
    for sequence in 1..=8 {
        story.refuses(sequence);
    }
    story.takes(9);
}

#[test]
fn a_packet_63_behind_is_taken_and_one_64_behind_is_not() {
    let mut story = Story::begins();
    story.takes(100);
    story.takes(100 - 63);
    story.refuses(100 - 64);
    story.refuses(1);
}

#[test]
fn a_leap_past_the_window_forgets_what_was_before_and_still_refuses_it() {
    let mut story = Story::begins();
    story.takes(10);
    story.takes(10 + 64);
    story.refuses(10);
    story.takes(11);
    story.takes(1_000_000);
    story.refuses(74);
    story.refuses(1_000_000);
    story.takes(999_999);
}

#[test]
fn number_0_is_never_taken_because_no_sender_sends_it() {
    let mut story = Story::begins();
    story.refuses(0);
    story.takes(1);
    story.refuses(0);
}

#[test]
fn the_last_number_is_taken_and_then_only_what_is_missing_below_it() {
    let mut story = Story::begins();
    story.takes(u32::MAX);
    story.refuses(u32::MAX);
    story.refuses(1);
    story.takes(u32::MAX - 63);
}

#[test]
fn a_forged_packet_with_a_high_number_does_not_move_the_window() {
    let mut story = Story::begins();
    story.takes(1);
    let mut forged = story.numbered(4_000_000);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(
        story.bob.open(&forged),
        Err(Refused::BadIntegrity(story.association.key))
    );
    // Had it moved the window, this one would be too old now.
    story.takes(2);
    story.takes(4_000_000);
}

#[test]
fn in_a_bundle_no_window_moves_when_the_inner_header_is_forged() {
    let inner = esp(
        false,
        0x101,
        Encryption::AesCbc,
        Authentication::HmacSha1_96,
    );
    let outer = ah(false, 0x102, Authentication::HmacSha256_128);
    let mut bob = sadb(&[inner.clone(), outer.clone()]);
    let clean = packet(false, UDP, &udp(1, 2, b"hello"));
    // Whoever has only the key of AH makes ESP with a wrong integrity value and signs it properly.
    let mut forged = protected(&bob, &inner, 1, &clean);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let forged = bob
        .protect(&forged, &recipe(&bob, &outer, 1))
        .expect("AH takes any payload");
    assert_eq!(bob.open(&forged), Err(Refused::BadIntegrity(inner.key)));

    let bundle = recipe(&bob, &inner, 1).within(recipe(&bob, &outer, 1));
    let honest = bob.protect(&clean, &bundle).expect("it can be protected");
    assert!(
        matches!(bob.open(&honest), Ok(Inbound::Transport(_))),
        "neither window had moved"
    );
    assert_eq!(
        bob.open(&honest),
        Err(Refused::Replayed {
            key: outer.key,
            sequence: 1
        })
    );
}

#[test]
fn each_association_has_a_window_of_its_own() {
    let one = esp(
        false,
        0x101,
        Encryption::AesCbc,
        Authentication::HmacSha1_96,
    );
    let other = esp(false, 0x102, Encryption::AesGcm, Authentication::None);
    let mut bob = sadb(&[one.clone(), other.clone()]);
    let clean = packet(false, UDP, &udp(1, 2, b"hello"));
    for association in [&one, &other] {
        let arrives = protected(&bob, association, 1, &clean);
        assert!(bob.open(&arrives).is_ok());
        assert!(bob.open(&arrives).is_err());
    }
}

#[test]
fn without_authentication_a_number_proves_nothing_and_is_not_checked() {
    let association = esp(false, 0x101, Encryption::AesCbc, Authentication::None);
    let mut bob = sadb(std::slice::from_ref(&association));
    let arrives = protected(
        &bob,
        &association,
        1,
        &packet(false, UDP, &udp(1, 2, b"hello")),
    );
    assert!(bob.open(&arrives).is_ok());
    assert!(bob.open(&arrives).is_ok());
}

#[test]
fn a_capture_that_shows_a_sent_packet_twice_is_peeled_twice() {
    let mut story = Story::begins();
    story.takes(1);
    let captured = story.numbered(1);
    let first = story.bob.peel(&captured).expect("no replay check outbound");
    assert_eq!(story.bob.peel(&captured), Ok(first));
}

#[test]
fn a_database_whose_sequences_are_forgotten_is_as_new() {
    let mut story = Story::begins();
    story.takes(1);
    story.refuses(1);
    story.bob.forget_sequences();
    story.takes(1);
}
