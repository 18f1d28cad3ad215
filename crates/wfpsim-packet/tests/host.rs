//! The guess whose capture it is, on made-up captures.

use std::net::IpAddr;

use wfpsim_packet::host::{Evidence, HostGuess, HostGuesser};
use wfpsim_packet::link::MacAddress;
use wfpsim_packet::{CapturedPacket, Direction, LinkType, Timestamp, build};

const HOST: MacAddress = [2, 0, 0, 0, 0, 1];
const ROUTER: MacAddress = [2, 0, 0, 0, 0, 2];
const PEER: MacAddress = [2, 0, 0, 0, 0, 3];

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn captured(link: LinkType, data: Vec<u8>) -> CapturedPacket {
    let original_len = u32::try_from(data.len()).expect("short");
    CapturedPacket {
        number: 1,
        offset: 0,
        time: Timestamp(0),
        link,
        data,
        original_len,
        direction: None,
    }
}

fn packet(from: &str, to: &str, hops: u8) -> Vec<u8> {
    let mut packet = build::echo_request(address(from), address(to), 1, 1, b"ping");
    let at = if address(from).is_ipv4() { 8 } else { 7 };
    packet[at] = hops;
    packet
}

fn frame(from: MacAddress, to: MacAddress, packet: &[u8]) -> CapturedPacket {
    captured(LinkType::ETHERNET, build::ethernet(from, to, &[], packet))
}

fn guess(packets: &[CapturedPacket]) -> Option<HostGuess> {
    let mut guesser = HostGuesser::new();
    packets.iter().for_each(|packet| guesser.observe(packet));
    guesser.guess()
}

fn addresses(guess: &HostGuess) -> Vec<String> {
    guess.addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn a_host_with_several_peers_is_the_one_in_every_packet_with_all_its_addresses() {
    let guess = guess(&[
        frame(HOST, ROUTER, &packet("10.0.0.9", "192.0.2.1", 64)),
        frame(ROUTER, HOST, &packet("192.0.2.1", "10.0.0.9", 57)),
        frame(HOST, ROUTER, &packet("10.0.0.9", "192.0.2.2", 64)),
        frame(PEER, HOST, &packet("10.0.0.7", "10.0.0.9", 64)),
        frame(HOST, ROUTER, &packet("fd00::9", "2001:db8::1", 64)),
        frame(ROUTER, HOST, &packet("2001:db8::1", "fd00::9", 50)),
        frame(HOST, PEER, &packet("fe80::9", "fe80::7", 255)),
    ]);
    let guess = guess.expect("there are packets");
    assert_eq!(addresses(&guess), ["10.0.0.9", "fd00::9", "fe80::9"]);
    assert_eq!((guess.mac, guess.evidence), (Some(HOST), Evidence::Busiest));
    assert!(guess.is_host(address("127.8.0.1")) && guess.is_host(address("::1")));
    assert!(!guess.is_host(address("10.0.0.7")));
}

#[test]
fn of_two_ends_the_one_that_no_router_is_before_is_the_host() {
    let guess = guess(&[
        frame(HOST, ROUTER, &packet("10.0.0.9", "192.0.2.1", 128)),
        frame(ROUTER, HOST, &packet("192.0.2.1", "10.0.0.9", 57)),
    ]);
    let guess = guess.expect("there are packets");
    assert_eq!(
        (addresses(&guess), guess.evidence),
        (vec!["10.0.0.9".to_string()], Evidence::Hops)
    );
    assert!(!guess.evidence.is_weak());
}

#[test]
fn of_two_ends_that_nothing_tells_apart_it_is_the_one_spoken_to_first() {
    let guess = guess(&[
        captured(LinkType::RAW, packet("10.0.0.1", "10.0.0.2", 64)),
        captured(LinkType::RAW, packet("10.0.0.2", "10.0.0.1", 64)),
    ]);
    let guess = guess.expect("there are packets");
    assert_eq!(
        (addresses(&guess), guess.mac),
        (vec!["10.0.0.2".to_string()], None)
    );
    assert!(guess.evidence.is_weak());
}

/// A router's Ethernet address is before all that it forwards, which is not its own for that.
#[test]
fn what_a_router_forwards_is_not_its_own() {
    let guess = guess(&[
        frame(ROUTER, HOST, &packet("10.0.0.254", "10.0.0.9", 64)),
        frame(ROUTER, PEER, &packet("10.0.0.254", "10.0.0.7", 64)),
        frame(ROUTER, PEER, &packet("192.0.2.1", "10.0.0.254", 57)),
    ]);
    let guess = guess.expect("there are packets");
    assert_eq!(
        (addresses(&guess), guess.mac),
        (vec!["10.0.0.254".to_string()], Some(ROUTER))
    );
}

#[test]
fn what_the_capture_says_counts_most() {
    let mut sent = captured(LinkType::RAW, packet("10.0.0.1", "10.0.0.2", 64));
    sent.direction = Some(Direction::Outbound);
    let mut received = captured(LinkType::RAW, packet("10.0.0.2", "10.0.0.1", 64));
    received.direction = Some(Direction::Inbound);
    for packets in [
        vec![sent.clone()],
        vec![received.clone()],
        vec![sent, received],
    ] {
        let guess = guess(&packets).expect("there are packets");
        assert_eq!(
            (addresses(&guess), guess.evidence),
            (vec!["10.0.0.1".to_string()], Evidence::Direction)
        );
    }
}

#[test]
fn cooked_captures_say_the_direction_themselves() {
    let cooked = |kind: u8, packet: Vec<u8>| {
        captured(
            LinkType::LINUX_SLL,
            [
                &[0, kind, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0],
                packet.as_slice(),
            ]
            .concat(),
        )
    };
    let guess = guess(&[
        cooked(0, packet("10.0.0.2", "10.0.0.1", 64)),
        cooked(4, packet("10.0.0.1", "10.0.0.2", 64)),
    ]);
    let guess = guess.expect("there are packets");
    assert_eq!(
        (addresses(&guess), guess.evidence),
        (vec!["10.0.0.1".to_string()], Evidence::Direction)
    );
}

#[test]
fn a_directed_broadcast_is_no_host() {
    let guess = guess(&[
        frame(HOST, [0xff; 6], &packet("10.0.0.1", "10.0.0.255", 64)),
        frame(HOST, [0xff; 6], &packet("10.0.0.1", "10.0.0.255", 64)),
    ]);
    assert_eq!(addresses(&guess.expect("there are packets")), ["10.0.0.1"]);
}

#[test]
fn loopback_alone_needs_no_addresses_and_nothing_gives_no_guess() {
    let inside = guess(&[captured(
        LinkType::RAW,
        packet("127.0.0.1", "127.0.0.1", 64),
    )]);
    let inside = inside.expect("there are packets");
    assert_eq!(
        (addresses(&inside), inside.evidence),
        (vec![], Evidence::Loopback)
    );
    assert_eq!(guess(&[captured(LinkType::RAW, vec![])]), None);
}
