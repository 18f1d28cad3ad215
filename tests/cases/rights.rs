//! Another driver has decided before and taken the right to write away: nothing is held, and only a veto is left.

use tollgate_abi::Counter;
use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::replay::Block;

use crate::packets::*;
use crate::rig::*;
use crate::story;

fn decided_before(seed: u64) -> Config {
    Config {
        hard_permit: true,
        ..Config::new(seed)
    }
}

#[test]
fn without_the_right_to_write_nothing_is_held_and_everything_passes() {
    for name in [
        "tcp-v4",
        "udp-icmp-v4",
        "udp-icmp-v6",
        "mid-connection",
        "loopback",
        "mixed-host",
    ] {
        let story = story::plan(&story::captures().join(format!("{name}.pcap")), None, None);
        for seed in 0..20 {
            let (summary, counters) = replay(&story, decided_before(seed), Block::default());
            assert!(summary.is_clean(), "{summary}");
            assert_eq!(counters.sum(Group::Held), 0, "{name}: {summary}");
            assert!(counters.get(Counter::InlineNoWriteRight) > 0);
            assert_eq!(counters.get(Counter::InlineBlocked), 0);
        }
    }
}

#[test]
fn ipsec_in_transport_mode_passes_without_the_right_too() {
    let captures = story::captures();
    let story = story::plan(
        &captures.join("ipsec-transport-v4.pcap"),
        None,
        Some(&captures.join("ipsec-transport-v4.sa.toml")),
    );
    for seed in 0..20 {
        let (summary, counters) = replay(&story, decided_before(seed), Block::default());
        assert!(summary.is_clean(), "{summary}");
        assert_eq!(
            counters.sum(Group::Rebuilt),
            0,
            "what is not held is not rebuilt"
        );
    }
}

#[test]
fn what_the_policy_blocks_is_vetoed_and_the_rest_passes() {
    for seed in 0..40 {
        for family in 0..2 {
            let blocked = blocking(Some(PEER[family]), None);
            let mut rig = Rig::with(decided_before(seed), &blocked);
            let host = at(HOST[family], 53);
            let lost = [
                rig.receive(udp(at(PEER[family], 5353), host, 1)),
                rig.send(udp(host, at(PEER[family], 53), 2)),
            ];
            rig.run();
            rig.receive(udp(at(OTHER[family], 5353), host, 3));
            rig.send(udp(host, at(OTHER[family], 53), 4));
            let counters = rig.end_without(&lost);
            assert_eq!(counters.get(Counter::InlineBlocked), 2, "the veto of A-15");
            assert_eq!(counters.sum(Group::Held), 0);
        }
    }
}
