//! ALE: the first packet of a connection, with and without a packet to hold.

use tollgate_abi::Counter;
use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::stack::Fate;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use crate::packets::*;
use crate::rig::*;

const SEEDS: u64 = 60;

#[test]
fn a_tcp_connect_is_pended_without_a_packet_and_its_syn_follows_the_decision() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let mut rig = Rig::new(Config::new(seed));
            rig.connect(at(HOST[family], 50_000), at(PEER[family], 443));
            let counters = rig.end();
            assert_counted(
                &counters,
                &[
                    (Counter::HeldConnect, 1),
                    (Counter::HeldConnectDatagram, 0),
                    (Counter::AnsweredPermitted, 1),
                    (Counter::ReinjectedNothing, 1),
                    (Counter::ReauthorizeMissing, 0),
                ],
            );
        }
    }
}

#[test]
fn a_datagram_is_pended_with_its_connect_and_sent_by_the_driver() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let mut rig = Rig::new(Config::new(seed));
            let (host, peer) = (at(HOST[family], 5000), at(PEER[family], 53));
            let datagram = rig.send(udp(host, peer, 1));
            let echo = rig.send(build::echo_request(host.ip(), peer.ip(), 7, 1, b"echo"));
            rig.run();
            for packet in [datagram, echo] {
                assert_eq!(rig.taken(packet), (1, 1), "A-77: nobody else keeps it");
            }
            rig.receive(udp(peer, host, 2));
            rig.receive(build::echo_reply(peer.ip(), host.ip(), 7, 1, b"echo"));
            let counters = rig.end();
            assert_counted(
                &counters,
                &[
                    (Counter::HeldConnectDatagram, 2),
                    (Counter::AnsweredPermitted, 2),
                    (Counter::ReauthorizeMissing, 0),
                ],
            );
        }
    }
}

#[test]
fn an_accept_is_completed_with_its_own_clone_and_then_delivered() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let mut rig = Rig::new(Config::new(seed));
            let peer = at(PEER[family], 50_000);
            rig.accept(peer, at(HOST[family], 3389));
            let datagram = rig.receive(udp(peer, at(HOST[family], 5666), 1));
            rig.run();
            assert_eq!(rig.taken(datagram), (1, 1));
            let counters = rig.end();
            assert_eq!(counters.get(Counter::HeldRecvAccept), 2, "A-74");
        }
    }
}

#[test]
fn a_retransmitted_syn_has_a_pended_operation_of_its_own() {
    let mut together = 0;
    for seed in 0..SEEDS * 4 {
        let (peer, host) = (at(PEER[0], 50_000), at(HOST[0], 443));
        let mut rig = Rig::new(Config::new(seed));
        let numbers: Vec<u64> = (0..3)
            .map(|_| rig.receive(tcp(peer, host, TcpFlags::SYN, 1)))
            .collect();
        rig.run();
        for &number in &numbers {
            assert_eq!(rig.taken(number), (1, 1), "A-77: each by itself");
        }
        let counters = rig.end();
        together += u64::from(counters.get(Counter::HeldRecvAccept) > 1);
    }
    assert!(together > 0, "some came while the first was pended");
}

#[test]
fn an_accept_that_the_policy_blocks_is_completed_with_nothing() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let (peer, host) = (at(PEER[family], 50_000), at(HOST[family], 443));
            let mut rig = Rig::with(Config::new(seed), &blocking(Some(PEER[family]), None));
            let mut lost = Vec::new();
            // Again and again, as a peer without an answer does.
            for _ in 0..3 {
                lost.push(rig.receive(tcp(peer, host, TcpFlags::SYN, 1)));
                rig.run();
            }
            lost.push(rig.receive(udp(peer, host, 1)));
            rig.run();
            let other = rig.receive(tcp(at(OTHER[family], 50_000), host, TcpFlags::SYN, 1));
            rig.run();
            assert_eq!(rig.fate(other), Fate::Delivered);
            let counters = rig.end_without(&lost);
            assert_eq!(counters.get(Counter::BlockedRecvAccept), 4, "seed {seed}");
        }
    }
}

#[test]
fn a_connect_that_the_policy_blocks_is_answered_so_when_it_is_completed() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let (host, peer) = (at(HOST[family], 50_000), at(PEER[family], 443));
            let mut rig = Rig::with(Config::new(seed), &blocking(None, Some(443)));
            let syn = rig.send(tcp(host, peer, TcpFlags::SYN, 1));
            rig.run();
            let datagram = rig.send(udp(host, peer, 1));
            rig.run();
            rig.send(tcp(host, at(PEER[family], 444), TcpFlags::SYN, 1));
            let counters = rig.end_without(&[syn, datagram]);
            assert_counted(
                &counters,
                &[
                    (Counter::BlockedConnect, 2),
                    (Counter::AnsweredBlocked, 2),
                    (Counter::AnsweredPermitted, 1),
                    (Counter::ReauthorizeMissing, 0),
                ],
            );
        }
    }
}

#[test]
fn connections_pended_at_unload_are_decided_before_the_driver_is_gone() {
    let mut pended = 0;
    for seed in 0..SEEDS {
        for steps in [10, 20, 40, 80] {
            for (parameters, permitted) in [
                (Default::default(), true),
                (blocking(Some(PEER[0]), None), false),
            ] {
                let mut rig = Rig::with(Config::new(seed), &parameters);
                for port in 0..4 {
                    let (peer, host) = (at(PEER[0], 50_000 + port), at(HOST[0], 443));
                    rig.receive(tcp(peer, host, TcpFlags::SYN, 1));
                    rig.send(tcp(
                        at(HOST[0], 40_000 + port),
                        at(PEER[0], 80),
                        TcpFlags::SYN,
                        1,
                    ));
                    rig.send(udp(at(HOST[0], 40_000 + port), at(PEER[0], 53), 1));
                }
                rig.machine.run_steps(steps);
                pended += rig.machine.counts().pended;
                rig.unload();
                let gone = rig.compare();
                if permitted {
                    assert!(gone.is_empty(), "seed {seed}, {steps} steps: {gone:?}");
                }
            }
        }
    }
    assert!(pended > SEEDS, "{pended} were pended when unload began");
}

#[test]
fn an_icmp_error_belongs_to_no_connection_and_is_held_as_a_packet() {
    for seed in 0..SEEDS {
        for (family, kind) in [(0, 3), (1, 1)] {
            let (host, peer) = (at(HOST[family], 5000), at(PEER[family], 53));
            let mut rig = Rig::new(Config::new(seed));
            let quoted = udp(host, peer, 1);
            rig.send(quoted.clone());
            rig.run();
            let message = [&[0, 0, 0, 0][..], &quoted].concat();
            let error = build::icmp(peer.ip(), host.ip(), kind, 3, &message);
            let error = rig.receive(error);
            rig.run();
            assert_eq!(rig.taken(error), (1, 1));
            let counters = rig.end();
            assert_eq!(counters.get(Counter::HeldInboundTransport), 1);
            assert_eq!(counters.sum(Group::Dropped), 0);
        }
    }
}
