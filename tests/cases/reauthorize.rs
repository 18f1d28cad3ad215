//! Policy changes, and every connection is authorized again by its next packet, whichever way that goes.

use tollgate_abi::Counter;
use tollgate_abi::Counters;
use wfpsim::Config;
use wfpsim_packet::transport::TcpFlags;

use crate::packets::*;
use crate::rig::*;

const SEEDS: u64 = 40;

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Inbound,
    Outbound,
}

/// A connection of the protocol, begun by the peer or by this host, and a packet of it each way once more after a change of
/// policy. Gives what was counted since the change.
fn after_change(seed: u64, family: usize, protocol: Protocol, begun: Way, first: Way) -> Counters {
    // Nothing but this test changes policy.
    let mut config = Config::new(seed);
    config.freedom.reauthorize = 0;
    let mut rig = Rig::new(config);
    let (host_port, peer_port) = match begun {
        Way::Inbound => (443, 50_000),
        Way::Outbound => (50_000, 443),
    };
    let (host, peer) = (at(HOST[family], host_port), at(PEER[family], peer_port));
    let packet = |way: Way, number: u32| {
        let (from, to) = match way {
            Way::Inbound => (peer, host),
            Way::Outbound => (host, peer),
        };
        match protocol {
            Protocol::Tcp => tcp(from, to, TcpFlags::ACK, number),
            Protocol::Udp => udp(from, to, number),
        }
    };
    match (protocol, begun) {
        (Protocol::Tcp, Way::Inbound) => rig.accept(peer, host),
        (Protocol::Tcp, Way::Outbound) => rig.connect(host, peer),
        (Protocol::Udp, Way::Inbound) => drop(rig.receive(packet(Way::Inbound, 1))),
        (Protocol::Udp, Way::Outbound) => drop(rig.send(packet(Way::Outbound, 1))),
    }
    rig.run();
    let before = rig.counters();
    rig.machine.change_policy();
    let second = if first == Way::Inbound {
        Way::Outbound
    } else {
        Way::Inbound
    };
    for (way, number) in [(first, 100), (second, 101), (first, 102)] {
        match way {
            Way::Inbound => rig.receive(packet(way, number)),
            Way::Outbound => rig.send(packet(way, number)),
        };
        rig.run();
    }
    assert!(rig.machine.counts().reauthorized > 0);
    let mut since = rig.end();
    for &counter in Counter::ALL {
        since.set(counter, since.get(counter) - before.get(counter));
    }
    since
}

fn everywhere(begun: Way, first: Way, judge: impl Fn(Protocol, &Counters)) {
    for seed in 0..SEEDS {
        for family in 0..2 {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                judge(
                    protocol,
                    &after_change(seed, family, protocol, begun, first),
                );
            }
        }
    }
}

#[test]
fn an_accepted_connection_authorized_again_by_an_inbound_packet_holds_that_packet() {
    everywhere(Way::Inbound, Way::Inbound, |_, counters| {
        assert_counted(
            counters,
            &[
                (Counter::HeldRecvAcceptReauthorizeInbound, 1),
                (Counter::HeldRecvAccept, 0),
            ],
        );
    });
}

#[test]
fn an_accepted_connection_authorized_again_by_an_outbound_packet_holds_that_packet() {
    everywhere(Way::Inbound, Way::Outbound, |_, counters| {
        // The connection stays to be authorized until a packet that nobody absorbs comes by: the one coming in next.
        assert!(
            counters.get(Counter::HeldRecvAcceptReauthorizeOutbound) >= 1,
            "A-76b"
        );
        assert_eq!(counters.get(Counter::HeldRecvAccept), 0, "A-69");
    });
}

#[test]
fn a_connection_of_this_host_authorized_again_by_an_inbound_packet_is_decided_at_once() {
    everywhere(Way::Outbound, Way::Inbound, |_, counters| {
        assert_counted(
            counters,
            &[
                (Counter::InlineReauthorize, 1),
                (Counter::HeldConnect, 0),
                (Counter::HeldConnectDatagram, 0),
            ],
        );
    });
}

#[test]
fn a_connection_of_this_host_authorized_again_by_an_outbound_packet_is_decided_at_once() {
    everywhere(Way::Outbound, Way::Outbound, |_, counters| {
        assert_counted(
            counters,
            &[
                (Counter::InlineReauthorize, 1),
                (Counter::HeldConnect, 0),
                (Counter::HeldConnectDatagram, 0),
                // The packet itself is held where packets are.
                (Counter::HeldOutboundTransport, 2),
            ],
        );
    });
}

#[test]
fn a_policy_that_blocks_meets_connections_from_before_the_driver_when_they_are_authorized_again() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let mut rig = Rig::without_driver(Config::new(seed));
            let (host, peer) = (at(HOST[family], 443), at(PEER[family], 50_000));
            rig.accept(peer, host);
            let there = rig.compare();
            assert!(there.is_empty(), "without a driver all comes out");
            rig.load(&blocking(Some(PEER[family]), None));
            rig.machine.change_policy();
            let inbound = rig.receive(tcp(peer, host, TcpFlags::ACK, 100));
            rig.run();
            let outbound = rig.send(tcp(host, peer, TcpFlags::ACK, 101));
            let counters = rig.end_without(&[inbound, outbound]);
            assert_counted(
                &counters,
                &[(Counter::BlockedInbound, 1), (Counter::BlockedOutbound, 1)],
            );
        }
    }
}

#[test]
fn policy_that_changes_before_every_packet_loses_none() {
    for name in [
        "tcp-v4",
        "tcp-v6",
        "udp-icmp-v4",
        "udp-icmp-v6",
        "mid-connection",
        "mixed-host",
    ] {
        let path = crate::story::captures().join(format!("{name}.pcap"));
        let story = crate::story::plan(&path, None, None);
        for seed in 0..20 {
            let mut config = Config::new(seed);
            config.freedom.reauthorize = 100;
            let (summary, _) = replay(&story, config, Default::default());
            assert!(summary.is_clean(), "{summary}");
        }
    }
}

#[test]
fn a_reauthorization_with_empty_fields_is_answered_at_once_and_loses_nothing() {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let mut config = Config::new(seed);
            (
                config.freedom.reauthorize,
                config.freedom.empty_when_reauthorized,
            ) = (0, 100);
            let mut rig = Rig::new(config);
            let (peer, host) = (at(PEER[family], 50_000), at(HOST[family], 443));
            rig.accept(peer, host);
            rig.machine.change_policy();
            rig.receive(tcp(peer, host, TcpFlags::ACK, 100));
            rig.run();
            assert!(rig.machine.counts().reauthorized > 0);
            // without the host's address there is nothing to inject the packet with.
            let counters = rig.end();
            assert_counted(&counters, &[(Counter::HeldRecvAcceptReauthorizeInbound, 0)]);
        }
    }
}
