//! Every metadata field absent in turn: nothing that a classify tells is to be counted on.

use tollgate_abi::Counter;
use tollgate_abi::Counters;
use tollgate_abi::Group;
use wfp_sys::consts;
use wfpsim::Config;
use wfpsim::replay::Block;
use wfpsim::stack::Transmitted;
use wfpsim_packet::build;
use wfpsim_packet::checksum;

use crate::packets::*;
use crate::rig::*;
use crate::story;

/// Captures with everything that a field matters to.
const CAPTURES: [(&str, bool); 8] = [
    ("tcp-v4", false),
    ("tcp-v6", false),
    ("udp-icmp-v4", false),
    ("udp-icmp-v6", false),
    ("mid-connection", false),
    ("ipsec-transport-v4", true),
    ("fragments-v4", true),
    ("seed-story", true),
];

fn stories() -> Vec<story::Story> {
    let captures = story::captures();
    CAPTURES
        .iter()
        .map(|(name, keys)| {
            let keys = keys.then(|| captures.join(format!("{name}.sa.toml")));
            story::plan(
                &captures.join(format!("{name}.pcap")),
                None,
                keys.as_deref(),
            )
        })
        .collect()
}

fn without(fields: u32, seed: u64) -> Config {
    let mut config = Config::new(seed);
    config.freedom.reauthorize = 30;
    Config {
        hidden_metadata: fields,
        ..config
    }
}

fn total(stories: &[story::Story], fields: u32, seed: u64) -> Counters {
    let mut total = Counters::default();
    for story in stories {
        let (summary, counters) = replay(story, without(fields, seed), Block::default());
        assert!(summary.is_clean(), "without {fields:#x}: {summary}");
        for (counter, value) in counters.iter() {
            total.set(counter, total.get(counter) + value);
        }
    }
    total
}

#[test]
fn each_field_absent_in_turn_loses_nothing() {
    let stories = stories();
    for bit in 0..32 {
        for seed in 0..4 {
            total(&stories, 1 << bit, seed);
        }
    }
}

#[test]
fn every_pair_of_fields_that_the_driver_reads_absent_loses_nothing() {
    let read = [
        consts::FWPS_METADATA_FIELD_IP_HEADER_SIZE,
        consts::FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE,
        consts::FWPS_METADATA_FIELD_COMPARTMENT_ID,
        consts::FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE,
        consts::FWPS_METADATA_FIELD_ALE_CLASSIFY_REQUIRED,
        consts::FWPS_METADATA_FIELD_PACKET_DIRECTION,
        consts::FWPS_METADATA_FIELD_COMPLETION_HANDLE,
        consts::FWPS_METADATA_FIELD_REMOTE_SCOPE_ID,
    ];
    let stories = stories();
    for (index, one) in read.iter().enumerate() {
        for other in &read[..index] {
            total(&stories, one | other, index as u64);
        }
    }
}

#[test]
fn with_no_field_at_all_nothing_is_lost_and_little_is_held() {
    let stories = stories();
    for seed in 0..10 {
        let counters = total(&stories, u32::MAX, seed);
        assert_eq!(counters.sum(Group::Held), 0, "{counters:?}");
        assert!(counters.get(Counter::InlinePermitted) > 0);
    }
}

#[test]
fn each_absent_field_has_a_reason_of_its_own() {
    let reasons = [
        (
            consts::FWPS_METADATA_FIELD_IP_HEADER_SIZE,
            Counter::InlineIpHeaderSize,
        ),
        (
            consts::FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE,
            Counter::InlineTransportHeaderSize,
        ),
        (
            consts::FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE,
            Counter::InlineEndpoint,
        ),
        (
            consts::FWPS_METADATA_FIELD_COMPLETION_HANDLE,
            Counter::InlineCompletionHandle,
        ),
    ];
    let stories = stories();
    for (field, counter) in reasons {
        let (with, without) = (total(&stories, 0, 1), total(&stories, field, 1));
        assert!(
            without.get(counter) > with.get(counter),
            "{}: {with:?}\n{without:?}",
            counter.name()
        );
    }
}

#[test]
fn what_the_policy_blocks_stays_blocked_whatever_is_absent() {
    let captures = story::captures();
    let story = story::plan(&captures.join("tcp-v4.pcap"), None, None);
    for bit in 0..32 {
        for port in [443, 3389] {
            let block = Block {
                address: None,
                port: Some(port),
            };
            let (summary, _) = replay(&story, without(1 << bit, bit), block);
            assert!(summary.is_clean(), "without {:#x}: {summary}", 1_u32 << bit);
        }
    }
}

#[test]
fn a_raw_header_that_is_not_told_is_not_lost() {
    for bit in 0..32 {
        let mut rig = Rig::new(without(1 << bit, bit));
        for number in 0..3 {
            let packet = udp(at(HOST[0], 5000), at(PEER[0], 6000), number);
            let mut packet = build::with_extensions(&packet, &[(0, &[0x94, 4, 0, 0])]);
            packet[8] = 7;
            checksum::fill_all(&mut packet).expect("a sound packet");
            rig.send_with(vec![Transmitted {
                raw: true,
                ..Transmitted::plain(packet, false)
            }]);
            rig.run();
        }
        rig.end();
    }
}
