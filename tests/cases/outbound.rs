//! OUTBOUND_TRANSPORT: what this host sends.

use tollgate_abi::Counter;
use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::stack::Fate;
use wfpsim::stack::LINK_LOCAL_SCOPE;
use wfpsim::stack::SentWith;
use wfpsim::stack::Transmitted;
use wfpsim_packet::build;
use wfpsim_packet::checksum;
use wfpsim_packet::transport::TcpFlags;

use crate::packets::*;
use crate::rig::*;

const SEEDS: u64 = 40;

fn plain(packet: Vec<u8>) -> Transmitted {
    Transmitted::plain(packet, false)
}

fn raw(packet: Vec<u8>) -> Transmitted {
    Transmitted {
        raw: true,
        ..plain(packet)
    }
}

/// A UDP packet whose IP header only its own socket would make.
fn with_header_of_its_own(family: usize, number: u32) -> Vec<u8> {
    let packet = udp(at(HOST[family], 5000), at(PEER[family], 6000), number);
    let mut packet = if family == 0 {
        // Router alert, type of service, an identification, do not fragment.
        let mut packet = build::with_extensions(&packet, &[(0, &[0x94, 4, 0, 0])]);
        packet[1] = 0x10;
        packet[4..8].copy_from_slice(&[0xBE, 0xEF, 0x40, 0]);
        packet[8] = 7;
        packet
    } else {
        let mut packet = build::with_extensions(&packet, &[(60, &[0, 0, 1, 4, 0, 0, 0, 0])]);
        packet[1..4].copy_from_slice(&[0x0A, 0xBC, 0xDE]);
        packet[7] = 7;
        packet
    };
    checksum::fill_all(&mut packet).expect("a sound packet");
    packet
}

#[test]
fn a_packet_is_held_once_and_sent_once() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let mut rig = Rig::new(Config::new(seed));
            rig.connect(at(HOST[family], 50_000), at(PEER[family], 443));
            let data = tcp(
                at(HOST[family], 50_000),
                at(PEER[family], 443),
                TcpFlags::ACK,
                10,
            );
            let data = rig.send(data);
            rig.run();
            assert_eq!(rig.fate(data), Fate::Sent, "seed {seed}");
            assert_eq!(rig.taken(data), (1, 1), "held once, injected once");
            rig.end();
        }
    }
}

#[test]
fn many_packets_in_one_nbl_are_all_sent_after_one_classify() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let (from, to) = (at(HOST[family], 5000), at(PEER[family], 6000));
            let mut rig = Rig::new(Config::new(seed));
            // The first datagram authorizes the flow.
            rig.send(udp(from, to, 0));
            rig.run();
            let before = rig.counters();
            let numbers = rig.send_with(
                (1..=17)
                    .map(|number| plain(udp(from, to, number)))
                    .collect(),
            );
            rig.run();
            for number in numbers {
                assert_eq!(rig.taken(number), (1, 1), "seed {seed}");
            }
            let after = rig.counters();
            let held =
                |counters: &tollgate_abi::Counters| counters.get(Counter::HeldOutboundTransport);
            assert!(held(&after) - held(&before) <= 1, "one NBL is held as one");
            rig.end();
        }
    }
}

#[test]
fn a_first_send_of_many_datagrams_is_pended_and_sent_whole() {
    for seed in 0..SEEDS {
        let (from, to) = (at(HOST[0], 5000), at(PEER[0], 6000));
        let mut rig = Rig::new(Config::new(seed));
        rig.send_with((0..9).map(|number| plain(udp(from, to, number))).collect());
        let counters = rig.end();
        assert_eq!(counters.get(Counter::HeldConnectDatagram), 1, "A-77");
    }
}

#[test]
fn control_data_and_scope_are_given_back_as_the_socket_gave_them() {
    let control_data: Vec<u8> = (0..61).collect();
    for seed in 0..SEEDS {
        let (from, to) = (at(HOST[1], 5000), at("fe80::7", 6000));
        let mut rig = Rig::new(Config::new(seed));
        let mut sent = Vec::new();
        // At CONNECT with the first, at OUTBOUND_TRANSPORT with the second, and none with the third.
        for (number, control_data) in [Some(&control_data), Some(&control_data), None]
            .into_iter()
            .enumerate()
        {
            let one = Transmitted {
                control_data: control_data.cloned(),
                ..plain(udp(from, to, number as u32))
            };
            sent.push((rig.send_with(vec![one])[0], control_data));
            rig.run();
        }
        for (number, control_data) in sent {
            let packet = rig.machine.packet(number).expect("its account");
            assert_eq!(
                packet.sent_with,
                Some(SentWith {
                    remote_scope_id: LINK_LOCAL_SCOPE,
                    control_data: control_data.cloned().unwrap_or_default(),
                }),
                "seed {seed}: A-52"
            );
        }
        rig.end();
    }
}

#[test]
fn a_raw_sockets_own_header_goes_out_as_it_made_it() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let mut rig = Rig::new(Config::new(seed));
            for number in 0..4 {
                rig.send_with(vec![raw(with_header_of_its_own(family, number))]);
                rig.run();
            }
            let counters = rig.end();
            // CONNECT does not tell the header (F.1), so the first is decided there and held where the header is told.
            assert_eq!(counters.get(Counter::InlineRawHeader), 1, "seed {seed}");
            assert_eq!(counters.get(Counter::HeldConnectDatagram), 0, "A-54");
            assert_eq!(counters.get(Counter::HeldOutboundTransport), 4, "A-54");
        }
    }
}

#[test]
fn several_packets_with_one_raw_header_are_not_held() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let mut rig = Rig::new(Config::new(seed));
            let packet = with_header_of_its_own(family, 0);
            rig.send_with((0..3).map(|_| raw(packet.clone())).collect());
            let counters = rig.end();
            assert_eq!(counters.sum(Group::Held), 0, "A-54");
            assert_eq!(
                counters.get(Counter::InlineRawHeader),
                2,
                "CONNECT and OUTBOUND_TRANSPORT"
            );
        }
    }
}

#[test]
fn a_packet_whose_endpoint_closed_while_it_was_held_is_dropped_and_counted() {
    for seed in 0..SEEDS {
        let (from, to) = (at(HOST[0], 50_000), at(PEER[0], 443));
        let mut rig = Rig::new(Config::new(seed));
        rig.connect(from, to);
        let mut data = rig.send(tcp(from, to, TcpFlags::ACK, 10));
        // The worker may be faster than this look; then it is the next one's turn.
        for sequence in 11.. {
            for _ in 0..2000 {
                if rig.fate(data) != Fate::OnTheWay {
                    break;
                }
                rig.machine.run_steps(1);
            }
            if rig.fate(data) == Fate::Held && rig.taken(data).1 == 0 {
                break;
            }
            rig.run();
            data = rig.send(tcp(from, to, TcpFlags::ACK, sequence));
        }
        rig.machine.close_endpoints();
        rig.run();
        assert_eq!(rig.fate(data), Fate::Dropped("endpoint_closed"), "A-53");
        let counters = rig.end_without(&[data]);
        assert_eq!(counters.get(Counter::CompletedFailure), 1, "seed {seed}");
    }
}

#[test]
fn a_reset_that_the_stack_makes_without_an_endpoint_goes_out_at_once() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let (from, to) = (at(HOST[family], 81), at(PEER[family], 50_000));
            let mut rig = Rig::new(Config::new(seed));
            let reset = rig.send(tcp(from, to, TcpFlags::RST, 1));
            rig.run();
            assert_eq!(rig.fate(reset), Fate::Sent, "OSR 59954");
            assert_eq!(rig.taken(reset), (0, 0), "it cannot be injected (A-13)");
            let counters = rig.end();
            assert_eq!(counters.get(Counter::InlineEndpoint), 1, "seed {seed}");
        }
    }
}

#[test]
fn a_host_that_talks_to_itself_hears_every_packet_once() {
    for seed in 0..SEEDS {
        for text in ["127.0.0.1", "::1", HOST[0], HOST[1]] {
            let (from, to) = (at(text, 5000), at(text, 6000));
            let mut rig = Rig::new(Config::new(seed));
            for number in 0..3 {
                rig.send_with(vec![Transmitted::plain(udp(from, to, number), true)]);
                rig.run();
            }
            let counters = rig.end();
            assert!(counters.get(Counter::InlineLoopback) > 0, "A-68");
            assert_eq!(counters.get(Counter::CompletedNotAccepted), 0, "A-59");
        }
    }
}
