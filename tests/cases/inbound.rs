//! INBOUND_TRANSPORT: where the packet's headers are when the worker gets to it, and whose packet it is.

use tollgate_abi::Counter;
use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::stack::Fate;
use wfpsim::stack::Received;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use crate::packets::*;
use crate::rig::*;

const SEEDS: u64 = 60;

/// A connection and datagrams, in both families, each packet once the one before is through.
fn traffic(rig: &mut Rig) {
    for family in 0..2 {
        let (peer, host) = (at(PEER[family], 50_000), at(HOST[family], 443));
        rig.accept(peer, host);
        for sequence in 10..14 {
            rig.receive(tcp(peer, host, TcpFlags::ACK, sequence));
            rig.run();
        }
        for number in 0..4 {
            rig.receive(udp(at(PEER[family], 5353), at(HOST[family], 53), number));
            rig.run();
        }
        let (peer, host) = (peer.ip(), host.ip());
        rig.receive(build::echo_request(peer, host, 7, 1, b"are you there"));
        rig.run();
        // A protocol with no header that Windows looks into.
        rig.receive(build::ip(peer, host, 47, b"generic routing encapsulation"));
        rig.run();
    }
}

#[test]
fn the_stacks_own_retreat_is_noticed_and_nothing_is_lost() {
    let mut noticed = 0;
    for seed in 0..SEEDS {
        let mut config = Config::new(seed);
        config.freedom.audit_retreat = 100;
        let mut rig = Rig::new(config);
        traffic(&mut rig);
        let counters = rig.end();
        assert_eq!(counters.sum(Group::Dropped), 0, "seed {seed}: A-24");
        noticed += counters.get(Counter::StackRetreated);
    }
    assert!(noticed > SEEDS, "{noticed} retreats of the stack's");
}

#[test]
fn an_offset_that_means_nothing_is_dropped_and_counted_and_never_guessed_at() {
    let mut dropped = 0;
    for seed in 0..SEEDS {
        let mut config = Config::new(seed);
        config.freedom.odd_retreat = 100;
        let mut rig = Rig::new(config);
        traffic(&mut rig);
        let (counters, gone) = rig.end_and_tell();
        assert_eq!(
            counters.get(Counter::DroppedOffset),
            gone.len() as u64,
            "seed {seed}: each lost packet is counted, none is guessed at (A-24)"
        );
        assert_eq!(counters.sum(Group::Dropped), gone.len() as u64);
        dropped += gone.len();
    }
    assert!(dropped > SEEDS as usize, "{dropped} packets were moved");
}

#[test]
fn no_room_before_the_ip_header_needs_no_mdl_of_ndiss_own() {
    for seed in 0..SEEDS {
        let mut config = Config::new(seed);
        config.freedom.no_headroom = 100;
        config.freedom.audit_retreat = (seed % 2 * 100) as u8;
        let mut rig = Rig::new(config);
        traffic(&mut rig);
        let counters = rig.end();
        assert_eq!(counters.sum(Group::Dropped), 0, "seed {seed}: B-04");
        assert_eq!(counters.get(Counter::InlineHeadersOutOfReach), 0);
    }
}

/// The packet with a wrong checksum in its IP header.
fn with_bad_ip_checksum(mut packet: Vec<u8>) -> Vec<u8> {
    packet[10] ^= 0x5A;
    packet
}

#[test]
fn a_reassembled_packet_gets_a_checksum_of_its_own() {
    for seed in 0..SEEDS {
        let mut rig = Rig::new(Config::new(seed));
        let (peer, host) = (at(PEER[0], 5353), at(HOST[0], 53));
        for number in 0..3 {
            rig.receive_with(Received {
                reassembled: true,
                ..Received::plain(with_bad_ip_checksum(udp(peer, host, number)))
            });
            rig.run();
        }
        let counters = rig.end();
        assert_eq!(
            counters.get(Counter::RebuiltReassembled),
            3,
            "seed {seed}: A-60"
        );
    }
}

#[test]
fn a_wrong_ip_checksum_that_nobody_told_of_is_mended_too() {
    for seed in 0..SEEDS {
        let mut rig = Rig::new(Config::new(seed));
        let (peer, host) = (at(PEER[0], 5353), at(HOST[0], 53));
        rig.receive(with_bad_ip_checksum(udp(peer, host, 0)));
        rig.run();
        rig.receive(with_bad_ip_checksum(udp(peer, host, 1)));
        let counters = rig.end();
        assert_eq!(
            counters.get(Counter::RebuiltChecksum),
            2,
            "seed {seed}: A-60"
        );
    }
}

#[test]
fn a_reassembled_v6_packet_has_no_checksum_to_mend_and_comes_out_whole() {
    for seed in 0..SEEDS {
        let mut rig = Rig::new(Config::new(seed));
        rig.receive_with(Received {
            reassembled: true,
            ..Received::plain(udp(at(PEER[1], 5353), at(HOST[1], 53), 0))
        });
        let counters = rig.end();
        assert_eq!(counters.get(Counter::RebuiltReassembled), 1, "seed {seed}");
    }
}

#[test]
fn what_another_driver_injected_is_a_packet_like_any_other() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let mut rig = Rig::new(Config::new(seed));
            let (peer, host) = (at(PEER[family], 5353), at(HOST[family], 53));
            for number in 0..3 {
                let packet = rig.receive_with(Received {
                    injected_by_other: true,
                    ..Received::plain(udp(peer, host, number))
                });
                rig.run();
                assert_eq!(rig.fate(packet), Fate::Delivered);
                assert_eq!(rig.taken(packet), (1, 1), "A-51: held as any");
            }
            let counters = rig.end();
            assert_eq!(counters.get(Counter::HeldRecvAccept), 1, "seed {seed}");
        }
    }
}

#[test]
fn what_the_driver_injected_itself_it_never_takes_again() {
    for seed in 0..SEEDS {
        let mut rig = Rig::new(Config::new(seed));
        traffic(&mut rig);
        let counts = rig.machine.counts();
        let counters = rig.end();
        assert!(
            counters.get(Counter::LeftSelfInjected) >= counts.reinjected,
            "A-51"
        );
        assert_eq!(
            counts.reinjected,
            counters.get(Counter::ReinjectedReceive) + counters.get(Counter::ReinjectedSend)
        );
    }
}

#[test]
fn a_fragment_nobody_put_together_is_no_packet_of_the_transport_layer() {
    // The stack puts fragments together before the transport layer; the captures have them, and none is counted as one here.
    for name in ["fragments-v4", "fragments-v6"] {
        let captures = crate::story::captures();
        let story = crate::story::plan(
            &captures.join(format!("{name}.pcap")),
            None,
            Some(&captures.join(format!("{name}.sa.toml"))),
        );
        for seed in 0..8 {
            let (summary, counters) = replay(&story, Config::new(seed), Default::default());
            assert!(summary.is_clean(), "{summary}");
            assert_eq!(counters.get(Counter::InlineFragment), 0);
            assert!(
                counters.get(Counter::RebuiltReassembled) + counters.get(Counter::RebuiltIpsec) > 0
            );
        }
    }
}
