//! The built-in policy: what it names is blocked, exactly, and the rest comes out whole.

use std::net::IpAddr;
use std::net::SocketAddr;

use tollgate_abi::Counter;
use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::replay::Block;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use crate::packets::*;
use crate::rig::*;
use crate::story;

const SEEDS: u64 = 25;

/// What the policy names, and what it must block.
struct Rule {
    address: Option<&'static str>,
    port: Option<u16>,
}

impl Rule {
    fn blocks(&self, peer: IpAddr, port: Option<u16>) -> bool {
        self.address.is_none_or(|blocked| address(blocked) == peer)
            && self.port.is_none_or(|blocked| port == Some(blocked))
    }
}

/// Every protocol, in and out, with two peers and two of their ports. Gives the packets that the rule names.
fn traffic(rig: &mut Rig, family: usize, rule: &Rule) -> Vec<u64> {
    let mut named = Vec::new();
    let mut note = |number: u64, peer: IpAddr, port: Option<u16>| {
        if rule.blocks(peer, port) {
            named.push(number);
        }
    };
    let mut local = 40_000;
    for peer in [PEER[family], OTHER[family]] {
        for port in [443, 8080] {
            local += 1;
            let (host, peer) = (at(HOST[family], local), at(peer, port));
            // A connection of this host's; what is blocked never gets an answer.
            let syn = rig.send(tcp(host, peer, TcpFlags::SYN, 1));
            note(syn, peer.ip(), Some(port));
            rig.run();
            if !rule.blocks(peer.ip(), Some(port)) {
                rig.receive(tcp(peer, host, SYN_ACK, 1));
                rig.run();
                rig.send(tcp(host, peer, TcpFlags::ACK, 2));
                rig.run();
            }
            // A connection of the peer's.
            let served = at(HOST[family], 22);
            let syn = rig.receive(tcp(peer, served, TcpFlags::SYN, 1));
            note(syn, peer.ip(), Some(port));
            rig.run();
            for (number, way) in [(1, true), (2, false), (3, true)] {
                let datagram = if way {
                    rig.receive(udp(peer, host, number))
                } else {
                    rig.send(udp(host, peer, number))
                };
                note(datagram, peer.ip(), Some(port));
                rig.run();
            }
        }
        let (host, peer) = (address(HOST[family]), address(peer));
        // Type 8, code 0 of V4; type 128 of V6: not ports, though they come in their place (F.2).
        let request = rig.send(build::echo_request(host, peer, 443, 1, b"echo"));
        note(request, peer, None);
        rig.run();
        let reply = rig.receive(build::echo_reply(peer, host, 443, 1, b"echo"));
        note(reply, peer, None);
        rig.run();
        let other = rig.receive(build::ip(peer, host, 47, b"another protocol"));
        note(other, peer, None);
        rig.run();
    }
    named
}

fn everywhere(rule: impl Fn(usize) -> Rule) {
    for seed in 0..SEEDS {
        for family in 0..2 {
            let rule = rule(family);
            let mut rig = Rig::with(Config::new(seed), &blocking(rule.address, rule.port));
            let named = traffic(&mut rig, family, &rule);
            assert!(!named.is_empty());
            let counters = rig.end_without(&named);
            let blocked = counters.sum(Group::Blocked) + counters.get(Counter::InlineBlocked);
            assert_eq!(
                blocked,
                named.len() as u64,
                "seed {seed}: each counted once"
            );
            assert_eq!(counters.sum(Group::Dropped), 0);
        }
    }
}

#[test]
fn an_address_is_blocked_in_every_protocol_and_both_directions() {
    everywhere(|family| Rule {
        address: Some(PEER[family]),
        port: None,
    });
}

#[test]
fn a_port_is_blocked_with_every_peer_and_means_nothing_to_icmp() {
    everywhere(|_| Rule {
        address: None,
        port: Some(443),
    });
}

#[test]
fn address_and_port_together_block_only_what_has_both() {
    everywhere(|family| Rule {
        address: Some(PEER[family]),
        port: Some(8080),
    });
}

#[test]
fn the_code_of_an_icmp_message_is_not_the_port_that_comes_in_its_place() {
    for seed in 0..SEEDS {
        // Port unreachable is code 3 of V4 and code 4 of V6 (F.2).
        for (family, kind, code) in [(0, 3, 3), (1, 1, 4)] {
            let mut rig = Rig::with(Config::new(seed), &blocking(None, Some(code.into())));
            let (host, peer) = (address(HOST[family]), address(PEER[family]));
            let quoted = udp(at(HOST[family], 5000), at(PEER[family], 53), 1);
            let message = [&[0, 0, 0, 0][..], &quoted].concat();
            rig.receive(build::icmp(peer, host, kind, code, &message));
            rig.run();
            let named = rig.receive(udp(
                SocketAddr::new(peer, code.into()),
                at(HOST[family], 53),
                2,
            ));
            rig.end_without(&[named]);
        }
    }
}

#[test]
fn a_rule_for_one_family_leaves_the_other_alone() {
    for seed in 0..SEEDS {
        let mut rig = Rig::with(Config::new(seed), &blocking(Some(PEER[0]), None));
        let rule = Rule {
            address: Some(PEER[0]),
            port: None,
        };
        let mut named = traffic(&mut rig, 1, &rule);
        assert!(named.is_empty(), "V6 is not meant");
        named.extend(traffic(&mut rig, 0, &rule));
        rig.end_without(&named);
    }
}

/// The replay finds out by itself, from the packets, which ones the policy names: none of those comes out, and every other does.
#[test]
fn captures_lose_what_is_blocked_and_nothing_else() {
    let blocks = [
        ("tcp-v4", None),
        ("tcp-v6", None),
        ("udp-icmp-v4", None),
        ("udp-icmp-v6", None),
        ("options-v4", None),
        ("exthdr-v6", None),
        ("mid-connection", None),
        ("mixed-host", None),
        ("fragments-v4", Some("fragments-v4")),
        ("ipsec-transport-v4", Some("ipsec-transport-v4")),
        ("ipsec-transport-v6", Some("ipsec-transport-v6")),
        ("ipsec-tunnel", Some("ipsec-tunnel")),
        ("seed-story", Some("seed-story")),
    ];
    for (name, keys) in blocks {
        let captures = story::captures();
        let keys = keys.map(|keys| captures.join(format!("{keys}.sa.toml")));
        let story = story::plan(
            &captures.join(format!("{name}.pcap")),
            None,
            keys.as_deref(),
        );
        let whole = replay(&story, Config::plain(), Block::default()).0;
        let total = whole.delivered + whole.sent;
        let mut stopped = 0;
        for block in every_block(&story) {
            for seed in 0..4 {
                let (summary, counters) = replay(&story, Config::new(seed), block);
                assert!(summary.is_clean(), "{block:?}\n{summary}");
                assert!(summary.delivered + summary.sent <= total);
                assert_eq!(
                    summary.blocked > 0,
                    counters.sum(Group::Blocked) + counters.get(Counter::InlineBlocked) > 0,
                    "{block:?}\n{summary}"
                );
                stopped += summary.blocked;
            }
        }
        assert!(stopped > 0, "{name}: something was blocked");
    }
}

/// Blocks of each remote address and each remote port of a capture, and of the first pair of them.
fn every_block(story: &story::Story) -> Vec<Block> {
    let mut remotes = Vec::new();
    for step in &story.steps {
        let (packet, inbound) = match &step.action {
            wfpsim::replay::plan::Action::Receive(received) => (&received.clean, true),
            wfpsim::replay::plan::Action::Transmit { packet, .. } => (&packet.packet, false),
            wfpsim::replay::plan::Action::Drop { .. } => continue,
        };
        let Ok(ip) = wfpsim_packet::IpPacket::parse(packet) else {
            continue;
        };
        let ports = wfpsim_packet::Transport::parse(&ip)
            .ok()
            .and_then(|transport| transport.ports());
        remotes.push(if inbound {
            (ip.source(), ports.map(|ports| ports.0))
        } else {
            (ip.destination(), ports.map(|ports| ports.1))
        });
    }
    let mut blocks: Vec<Block> = Vec::new();
    for (address, port) in remotes {
        let both = Block {
            address: Some(address),
            port,
        };
        let alone = [
            Block { port: None, ..both },
            Block {
                address: None,
                ..both
            },
            both,
        ];
        for block in alone {
            if block != Block::default() && !blocks.contains(&block) {
                blocks.push(block);
            }
        }
    }
    blocks.truncate(24);
    blocks
}
