//! Every capture under tests/captures goes through Tollgate and comes out whole: what `make.py` counted while it built them is
//! what must be delivered, sent and dropped, byte for byte.

mod story;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use toml::Table;
use wfpsim::Config;
use wfpsim::replay::Block;
use wfpsim::stack::Side;
use wfpsim_packet::CaptureReader;
use wfpsim_packet::IpPacket;
use wfpsim_packet::checksum;

/// How many seeds each capture is replayed with, besides the machine without any freedom.
const SEEDS: u64 = 12;

fn expectations(kind: &str) -> Vec<Table> {
    let text = std::fs::read_to_string(story::captures().join("expected.toml"))
        .expect("expected.toml is there");
    let table: Table = text.parse().expect("expected.toml is sound");
    let entries = table[kind].as_array().expect("an array of tables");
    entries
        .iter()
        .map(|entry| entry.as_table().expect("a table").clone())
        .collect()
}

fn number(entry: &Table, key: &str) -> u64 {
    entry[key]
        .as_integer()
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or_else(|| panic!("{key} is a count"))
}

fn text<'a>(entry: &'a Table, key: &str) -> Option<&'a str> {
    entry.get(key).and_then(toml::Value::as_str)
}

fn path(name: &str) -> PathBuf {
    story::captures().join(name)
}

fn plan(entry: &Table) -> story::Story {
    let hosts: Vec<IpAddr> = entry["host"]
        .as_array()
        .expect("host is a list")
        .iter()
        .map(|host| {
            host.as_str()
                .expect("an address")
                .parse()
                .expect("an address")
        })
        .collect();
    story::plan(
        &path(text(entry, "file").expect("a file")),
        Some(&hosts),
        text(entry, "sa").map(path).as_deref(),
    )
}

fn dropped(entry: &Table) -> BTreeMap<&str, u64> {
    let table = entry["dropped"].as_table().expect("a table");
    table
        .iter()
        .map(|(reason, count)| (reason.as_str(), count.as_integer().expect("a count") as u64))
        .collect()
}

#[test]
fn every_capture_comes_out_as_it_was_built_under_every_seed() {
    for entry in expectations("capture") {
        let name = text(&entry, "file").expect("a file");
        let story = plan(&entry);
        assert!(story.error.is_none(), "{name}: {:?}", story.error);
        assert_eq!(
            story.counts.records,
            number(&entry, "records"),
            "{name}: records"
        );
        assert_eq!(
            story.counts.inbound,
            number(&entry, "packets_in"),
            "{name}: packets in"
        );
        assert_eq!(
            story.counts.loopback,
            number(&entry, "loopback"),
            "{name}: loopback"
        );
        assert_eq!(
            story.counts.fragments,
            number(&entry, "fragments_in") + number(&entry, "fragments_out"),
            "{name}: fragments"
        );
        assert_eq!(
            story.counts.fragment_duplicates,
            number(&entry, "fragments_duplicate"),
            "{name}: duplicate fragments"
        );
        assert_eq!(
            story.counts.ipsec_transport,
            number(&entry, "ipsec_transport"),
            "{name}: transport mode"
        );
        assert_eq!(
            story.counts.ipsec_tunnel,
            number(&entry, "ipsec_tunnel"),
            "{name}: tunnel mode"
        );
        for config in std::iter::once(Config::plain()).chain((1..=SEEDS).map(Config::new)) {
            let summary = story.tollgate(config, Block::default());
            assert!(summary.is_clean(), "{name}\n{summary}");
            assert_eq!(
                summary.delivered,
                number(&entry, "delivered"),
                "{name}: delivered\n{summary}"
            );
            assert_eq!(
                summary.sent,
                number(&entry, "sent"),
                "{name}: sent\n{summary}"
            );
            assert_eq!(
                summary.dropped,
                dropped(&entry),
                "{name}: dropped\n{summary}"
            );
            assert_eq!(
                summary.stack.skipped_tunnel,
                number(&entry, "ipsec_tunnel"),
                "{name}: tunnels left alone"
            );
            assert_eq!(summary.blocked, 0, "{name}");
        }
    }
}

/// What must be equal of two packets: ends, protocol, and everything from the transport header on, with checksums completed
/// where the capture had only begun them.
fn essence(packet: &[u8]) -> (IpAddr, IpAddr, u8, Vec<u8>) {
    let mut completed = packet.to_vec();
    let _ = checksum::fill(&mut completed);
    let ip = IpPacket::parse(&completed).expect("an IP packet");
    (
        ip.source(),
        ip.destination(),
        ip.protocol(),
        ip.payload().to_vec(),
    )
}

#[test]
fn what_is_delivered_is_what_the_captures_were_made_from() {
    for entry in expectations("capture") {
        let name = text(&entry, "file").expect("a file");
        let wanted: Vec<_> =
            CaptureReader::open(path(text(&entry, "plain").expect("a plain file")))
                .expect("the plain capture opens")
                .map(|packet| packet.expect("the plain capture is sound"))
                .collect();
        let inbound = number(&entry, "delivered") as usize;
        let mut delivered = Vec::new();
        let summary = plan(&entry).tollgate_with(Config::new(3), Block::default(), &mut |output| {
            if output.side == Side::Inbound {
                delivered.push(essence(output.packet));
            }
        });
        assert!(summary.is_clean(), "{name}\n{summary}");
        assert_eq!(delivered.len(), inbound, "{name}");
        let mut plain: Vec<_> = wanted
            .iter()
            .map(|packet| essence(packet.ip().expect("raw IP")))
            .collect();
        for packet in &delivered {
            let index = plain.iter().position(|other| other == packet);
            let index = index.unwrap_or_else(|| {
                panic!("{name}: delivered what was not to be delivered: {packet:?}")
            });
            plain.remove(index);
        }
    }
}

#[test]
fn what_is_sent_is_on_the_wire_byte_for_byte_as_captured() {
    for entry in expectations("capture") {
        let name = text(&entry, "file").expect("a file");
        let captured: Vec<Vec<u8>> = CaptureReader::open(path(name))
            .expect("the capture opens")
            .filter_map(|packet| {
                packet
                    .expect("the capture is sound")
                    .ip()
                    .ok()
                    .map(<[u8]>::to_vec)
            })
            .collect();
        let mut sent = Vec::new();
        let summary = plan(&entry).tollgate_with(Config::new(5), Block::default(), &mut |output| {
            if output.side == Side::Outbound {
                sent.push(output.packet.to_vec());
            }
        });
        assert!(summary.is_clean(), "{name}\n{summary}");
        for packet in &sent {
            assert!(
                captured.contains(packet),
                "{name}: sent what was never captured: {packet:02x?}"
            );
        }
    }
}

#[test]
fn a_broken_capture_is_read_up_to_its_fault_and_says_where_that_is() {
    for entry in expectations("broken") {
        let name = text(&entry, "file").expect("a file");
        let (exit, good) = (number(&entry, "exit"), number(&entry, "good"));
        let mut packets = 0;
        let fault = match CaptureReader::open(path(name)) {
            Err(error) => Some(error),
            Ok(reader) => {
                let mut fault = None;
                for packet in reader {
                    match packet {
                        Ok(_) => packets += 1,
                        Err(error) => fault = Some(error),
                    }
                }
                fault
            }
        };
        assert_eq!(packets, good, "{name}: good packets");
        assert_eq!(u64::from(fault.is_some()), exit, "{name}: {fault:?}");
        if let Some(place) = fault.and_then(|fault| fault.place) {
            assert_eq!(
                place.packet,
                number(&entry, "fault_packet"),
                "{name}: packet"
            );
            assert_eq!(
                place.offset,
                number(&entry, "fault_offset"),
                "{name}: offset"
            );
        }
    }
}
