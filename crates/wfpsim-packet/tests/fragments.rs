//! Putting datagrams together from fragments, and taking them apart the same way.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use wfpsim_packet::fragment::{
    Layout, Limits, Outcome, Reassembler, RefragmentError, Rejection, refragment,
};
use wfpsim_packet::ip::{HeaderChecksum, protocol};
use wfpsim_packet::{IpPacket, Timestamp, build, checksum};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn datagram(is_v6: bool, len: usize) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = if is_v6 {
        (
            "[fd00::1]:4000".parse().expect("an address"),
            "[fd00::2]:53".parse().expect("an address"),
        )
    } else {
        (
            "10.0.0.1:4000".parse().expect("an address"),
            "10.0.0.2:53".parse().expect("an address"),
        )
    };
    let payload: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
    build::udp(from, to, &payload)
}

fn push<T>(reassembler: &mut Reassembler<T>, bytes: &[u8], tag: T) -> Outcome<T> {
    reassembler.push(&IpPacket::parse(bytes).expect("a sound fragment"), tag, NOW)
}

/// Fragments of a datagram, cut before the given offsets.
fn fragments(packet: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let layout = Layout::cut(packet, cuts, 0x1234).expect("a datagram");
    refragment(packet, &layout).expect("a datagram")
}

/// A packet but for its IPv4 header checksum.
fn but_checksum(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 {
        packet[10..12].fill(0);
    }
    packet
}

#[test]
fn a_datagram_comes_together_when_its_last_fragment_comes() {
    for is_v6 in [false, true] {
        let whole = datagram(is_v6, 100);
        let [first, second, third]: [Vec<u8>; 3] = fragments(&whole, &[40, 80])
            .try_into()
            .expect("three fragments");
        let mut reassembler = Reassembler::default();
        assert_eq!(push(&mut reassembler, &third, 'c'), Outcome::Held);
        assert_eq!(push(&mut reassembler, &first, 'a'), Outcome::Held);
        let Outcome::Complete {
            packet,
            pieces,
            layout,
        } = push(&mut reassembler, &second, 'b')
        else {
            panic!("not complete");
        };
        if is_v6 {
            assert_eq!(packet, whole);
        } else {
            assert_eq!(
                packet[4..6],
                0x1234u16.to_be_bytes(),
                "the identification stays"
            );
        }
        let order: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.tag, piece.offset, piece.len))
            .collect();
        assert_eq!(order, [('c', 80, 28), ('a', 0, 40), ('b', 40, 40)]);
        assert_eq!(
            refragment(&packet, &layout).expect("a datagram"),
            [third, first, second]
        );
        assert_eq!(reassembler.pending(), 0);
        assert!(reassembler.drain().is_empty());
    }
}

/// Rule A-60: the header checksum of a reassembled packet is that of its first fragment, and wrong for it.
#[test]
fn a_reassembled_v4_packet_keeps_the_first_fragments_header_checksum() {
    let fragments = fragments(&datagram(false, 100), &[40]);
    let mut reassembler = Reassembler::default();
    push(&mut reassembler, &fragments[1], 2);
    let Outcome::Complete { packet, layout, .. } = push(&mut reassembler, &fragments[0], 1) else {
        panic!("not complete");
    };
    assert_eq!(packet[10..12], fragments[0][10..12]);
    let view = IpPacket::parse(&packet).expect("a whole packet");
    assert_eq!(view.header_checksum(), HeaderChecksum::Bad);
    assert_eq!(view.fragment(), None);
    assert_eq!(checksum::verify(&view), checksum::Checksum::Good);

    let mut put_right = packet.clone();
    checksum::fill_ipv4_header(&mut put_right).expect("a whole packet");
    assert_ne!(put_right, packet);
    let again = refragment(&put_right, &layout).expect("a datagram");
    assert_eq!(
        again,
        [fragments[1].clone(), fragments[0].clone()],
        "a corrected checksum changes no fragment"
    );
}

#[test]
fn a_whole_packet_is_no_fragment_and_an_atomic_one_is_complete_by_itself() {
    let whole = datagram(true, 20);
    let mut reassembler = Reassembler::default();
    assert_eq!(push(&mut reassembler, &whole, 7), Outcome::NotAFragment(7));
    let atomic = fragments(&whole, &[]).remove(0);
    assert_eq!(atomic.len(), whole.len() + 8);
    let Outcome::Complete {
        packet,
        pieces,
        layout,
    } = push(&mut reassembler, &atomic, 8)
    else {
        panic!("not complete");
    };
    assert_eq!((packet.as_slice(), pieces.len()), (whole.as_slice(), 1));
    assert_eq!(refragment(&packet, &layout).expect("a datagram"), [atomic]);
}

#[test]
fn exact_duplicates_are_tolerated() {
    let fragments = fragments(&datagram(true, 100), &[40]);
    let mut reassembler = Reassembler::default();
    assert_eq!(push(&mut reassembler, &fragments[0], 1), Outcome::Held);
    assert_eq!(
        push(&mut reassembler, &fragments[0], 2),
        Outcome::Duplicate(2)
    );
    assert!(matches!(
        push(&mut reassembler, &fragments[1], 3),
        Outcome::Complete { .. }
    ));
}

/// RFC 5722: all fragments of the datagram go, also those that come later.
#[test]
fn overlapping_fragments_reject_the_datagram_and_what_comes_of_it_later() {
    for is_v6 in [false, true] {
        let whole = datagram(is_v6, 100);
        let (one, other) = (fragments(&whole, &[40, 80]), fragments(&whole, &[32, 80]));
        let mut reassembler = Reassembler::default();
        push(&mut reassembler, &one[0], 1);
        push(&mut reassembler, &one[2], 2);
        let rejected = Outcome::Rejected {
            why: Rejection::Overlap,
            tags: vec![1, 2, 3],
        };
        assert_eq!(push(&mut reassembler, &other[1], 3), rejected);
        let later = Outcome::Rejected {
            why: Rejection::RejectedBefore,
            tags: vec![4],
        };
        assert_eq!(push(&mut reassembler, &one[1], 4), later);
        assert!(
            reassembler.drain().is_empty(),
            "rejected fragments are not counted again"
        );
    }
}

#[test]
fn the_same_place_with_other_bytes_is_an_overlap() {
    let fragments = fragments(&datagram(true, 100), &[40]);
    let mut changed = fragments[0].clone();
    *changed.last_mut().expect("it has bytes") ^= 1;
    let mut reassembler = Reassembler::default();
    push(&mut reassembler, &fragments[0], 1);
    assert!(matches!(
        push(&mut reassembler, &changed, 2),
        Outcome::Rejected {
            why: Rejection::Overlap,
            ..
        }
    ));
}

#[test]
fn fragments_that_cannot_be_are_rejected_with_their_reason() {
    let reason = |fragment: &[u8]| match push(&mut Reassembler::default(), fragment, ()) {
        Outcome::Rejected { why, .. } => why.reason(),
        other => panic!("{other:?}"),
    };
    let [first, last]: [Vec<u8>; 2] = fragments(&datagram(false, 100), &[40])
        .try_into()
        .expect("two fragments");
    let mut odd = first.clone();
    odd.truncate(first.len() - 3);
    odd[2..4].copy_from_slice(&57u16.to_be_bytes());
    assert_eq!(reason(&odd), "fragment_length");
    let mut empty = first[..20].to_vec();
    empty[2..4].copy_from_slice(&20u16.to_be_bytes());
    assert_eq!(reason(&empty), "fragment_empty");
    let mut beyond = last.clone();
    beyond[6..8].copy_from_slice(&0x1fffu16.to_be_bytes());
    assert_eq!(reason(&beyond), "fragment_too_long");
}

#[test]
fn a_fragment_beyond_the_end_is_rejected_in_either_order() {
    let whole = datagram(true, 200);
    let long = fragments(&whole, &[40, 80, 120]);
    let mut short_end = long[1].clone();
    short_end[43] &= !1;
    for pair in [[&short_end, &long[2]], [&long[2], &short_end]] {
        let mut reassembler = Reassembler::default();
        assert_eq!(push(&mut reassembler, pair[0], 1), Outcome::Held);
        let rejected = Outcome::Rejected {
            why: Rejection::End,
            tags: vec![1, 2],
        };
        assert_eq!(push(&mut reassembler, pair[1], 2), rejected);
    }
}

#[test]
fn a_datagram_that_never_completes_lapses_after_sixty_seconds_of_capture_time() {
    let fragments = fragments(&datagram(false, 100), &[40]);
    let mut reassembler = Reassembler::default();
    push(&mut reassembler, &fragments[0], 1);
    assert!(
        reassembler
            .expire(NOW.saturating_add(Duration::from_secs(60)))
            .is_empty()
    );
    let lapsed = reassembler.expire(NOW.saturating_add(Duration::from_secs(61)));
    assert_eq!(lapsed.len(), 1);
    assert_eq!(
        (lapsed[0].tags.as_slice(), lapsed[0].reason),
        (&[1][..], "reassembly_timeout")
    );
}

#[test]
fn an_identification_that_is_used_again_after_the_timeout_starts_anew() {
    let fragments = fragments(&datagram(false, 100), &[40]);
    let mut reassembler = Reassembler::default();
    push(&mut reassembler, &fragments[0], 1);
    let later = NOW.saturating_add(Duration::from_secs(61));
    let last = IpPacket::parse(&fragments[1]).expect("a sound fragment");
    assert_eq!(reassembler.push(&last, 2, later), Outcome::Held);
    let reasons: Vec<_> = reassembler
        .drain()
        .into_iter()
        .map(|lapsed| (lapsed.tags, lapsed.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            (vec![1], "reassembly_timeout"),
            (vec![2], "reassembly_incomplete")
        ]
    );
}

#[test]
fn the_oldest_datagrams_give_way_when_memory_is_full() {
    let limits = Limits {
        datagrams: 2,
        ..Limits::default()
    };
    let mut reassembler = Reassembler::new(limits);
    let whole = datagram(true, 100);
    for id in 0..3u32 {
        let layout = Layout::cut(&whole, &[40], id).expect("a datagram");
        let first = refragment(&whole, &layout).expect("a datagram").remove(0);
        let packet = IpPacket::parse(&first).expect("a sound fragment");
        reassembler.push(
            &packet,
            id,
            NOW.saturating_add(Duration::from_secs(id.into())),
        );
    }
    let lapsed = reassembler.expire(NOW);
    assert_eq!(lapsed.len(), 1);
    assert_eq!(
        (lapsed[0].tags.as_slice(), lapsed[0].reason),
        (&[0][..], "reassembly_limit")
    );
    let mut small = Reassembler::new(Limits {
        bytes: 50,
        ..Limits::default()
    });
    assert_eq!(
        push(&mut small, &fragments(&whole, &[40])[0], 9),
        Outcome::Held
    );
    assert_eq!(small.drain()[0].tags, [9]);
}

#[test]
fn headers_before_the_fragment_header_are_in_every_fragment_and_the_whole() {
    let hop_by_hop = [0, 0, 1, 4, 0, 0, 0, 0];
    let destination = [0, 0, 1, 4, 9, 9, 9, 9];
    let whole = build::with_extensions(
        &datagram(true, 100),
        &[
            (protocol::HOP_BY_HOP, &hop_by_hop),
            (protocol::DESTINATION_OPTIONS, &destination),
        ],
    );
    let fragments = fragments(&whole, &[40, 80]);
    for fragment in &fragments {
        let packet = IpPacket::parse(fragment).expect("a sound fragment");
        let info = packet.fragment().expect("a fragment");
        assert_eq!(info.header_offset, 48);
        assert_eq!(info.protocol, protocol::DESTINATION_OPTIONS);
    }
    let mut reassembler = Reassembler::default();
    let outcomes: Vec<_> = fragments
        .iter()
        .map(|fragment| push(&mut reassembler, fragment, ()))
        .collect();
    let Some(Outcome::Complete { packet, .. }) = outcomes.last() else {
        panic!("{outcomes:?}")
    };
    assert_eq!(packet, &whole);
}

#[test]
fn a_longer_datagram_is_cut_into_sound_fragments_that_come_together_again() {
    for is_v6 in [false, true] {
        for (old, new) in [(100, 150), (100, 1000), (100, 60), (100, 3)] {
            let layout = Layout::cut(&datagram(is_v6, old), &[40, 80], 77).expect("a datagram");
            let changed = datagram(is_v6, new);
            let fragments = refragment(&changed, &layout).expect("a datagram");
            let longest = if is_v6 { 48 + 40 } else { 20 + 40 };
            assert!(
                fragments.iter().all(|fragment| fragment.len() <= longest),
                "none is longer than any was"
            );
            let mut reassembler = Reassembler::default();
            let mut whole = None;
            for fragment in &fragments {
                let packet = IpPacket::parse(fragment).expect("a sound fragment");
                assert_ne!(packet.header_checksum(), HeaderChecksum::Bad);
                match reassembler.push(&packet, (), NOW) {
                    Outcome::Complete { packet, .. } => whole = Some(packet),
                    Outcome::NotAFragment(()) => whole = Some(fragment.clone()),
                    outcome => assert_eq!(outcome, Outcome::Held),
                }
            }
            let whole = whole.expect("the fragments are all");
            assert_eq!(
                whole[if is_v6 { 40 } else { 20 }..],
                changed[if is_v6 { 40 } else { 20 }..]
            );
        }
    }
}

#[test]
fn what_cannot_be_fragmented_is_refused() {
    let v4 = datagram(false, 100);
    let layout = Layout::cut(&v4, &[40], 1).expect("a datagram");
    let refused = refragment(&datagram(true, 100), &layout);
    assert_eq!(
        refused,
        Err(RefragmentError::Version {
            recorded: 4,
            found: 6
        })
    );
    let fragment = refragment(&v4, &layout).expect("a datagram").remove(0);
    assert_eq!(
        Layout::cut(&fragment, &[8], 1),
        Err(RefragmentError::Fragment)
    );
}

proptest! {
    #[test]
    fn any_cut_in_any_order_comes_together_to_the_same(
        is_v6 in any::<bool>(), len in 1..3000usize,
        cuts in proptest::collection::vec(0..3000usize, 1..12), id in 0..0x1_0000u32, seed in any::<u64>(),
    ) {
        let whole = datagram(is_v6, len);
        let layout = Layout::cut(&whole, &cuts, id).expect("a datagram");
        let mut order: Vec<usize> = (0..layout.pieces().len()).collect();
        order.sort_by_key(|index| (*index as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
        let layout = layout.reordered(&order);
        let fragments = refragment(&whole, &layout).expect("a datagram");
        prop_assert_eq!(fragments.len(), order.len());
        let mut reassembler = Reassembler::default();
        for (place, fragment) in fragments.iter().enumerate() {
            match push(&mut reassembler, fragment, place) {
                Outcome::Held => prop_assert!(place + 1 < fragments.len()),
                Outcome::NotAFragment(_) => prop_assert!(!is_v6 && fragments.len() == 1),
                Outcome::Complete { packet, pieces, layout: recorded } => {
                    prop_assert_eq!(place + 1, fragments.len());
                    let mut expected = but_checksum(&whole);
                    if !is_v6 {
                        expected[4..6].copy_from_slice(&(id as u16).to_be_bytes());
                    }
                    prop_assert_eq!(but_checksum(&packet), expected);
                    prop_assert!(pieces.iter().map(|piece| piece.tag).eq(0..fragments.len()));
                    prop_assert_eq!(&refragment(&packet, &recorded).expect("a datagram"), &fragments);
                }
                outcome => prop_assert!(false, "{:?}", outcome),
            }
        }
        prop_assert!(reassembler.drain().is_empty());
    }

    /// Whatever comes, nothing panics, memory stays bounded, and every tag comes back exactly once.
    #[test]
    fn every_tag_comes_back_once(
        steps in proptest::collection::vec(
            (0..4u32, 0..12usize, 1..5usize, any::<bool>(), any::<u8>(), 0..30u64), 1..60),
    ) {
        let limits = Limits { bytes: 300, datagrams: 3, ..Limits::default() };
        let mut reassembler = Reassembler::new(limits);
        let mut back = Vec::new();
        let mut now = NOW;
        let count = steps.len();
        let address: IpAddr = "fd00::1".parse().expect("an address");
        for (tag, (id, at, len, more, fill, wait)) in steps.into_iter().enumerate() {
            now = now.saturating_add(Duration::from_secs(wait));
            let place = (at * 8) as u16 | u16::from(more);
            let mut payload = [&[17, 0][..], &place.to_be_bytes(), &id.to_be_bytes()].concat();
            payload.resize(8 + len * 8 - usize::from(fill & 1), fill & 2);
            let bytes = build::ip(address, address, protocol::FRAGMENT, &payload);
            let packet = IpPacket::parse(&bytes).expect("a sound fragment");
            match reassembler.push(&packet, tag, now) {
                Outcome::NotAFragment(tag) | Outcome::Duplicate(tag) => back.push(tag),
                Outcome::Held => {}
                Outcome::Complete { pieces, packet, .. } => {
                    prop_assert!(IpPacket::parse(&packet).is_ok());
                    back.extend(pieces.iter().map(|piece| piece.tag));
                }
                Outcome::Rejected { tags, .. } => back.extend(tags),
            }
            prop_assert!(reassembler.pending() <= 3);
            back.extend(reassembler.expire(now).into_iter().flat_map(|lapsed| lapsed.tags));
        }
        back.extend(reassembler.drain().into_iter().flat_map(|lapsed| lapsed.tags));
        back.sort_unstable();
        prop_assert!(back.into_iter().eq(0..count));
    }
}
