//! `wfpsim replay --packet N`: one packet of a capture, from its arrival to its end.

use std::path::Path;
use std::process::Command;
use std::process::Output;

use serde_json::Value;

/// `wfpsim replay` of one of the project's captures.
fn replay(capture: &str, options: &[&str]) -> Output {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/captures")
        .join(capture);
    Command::new(env!("CARGO_BIN_EXE_wfpsim"))
        .arg("replay")
        .arg(capture)
        .args(options)
        .output()
        .expect("wfpsim starts")
}

/// What is told of a packet as data.
fn followed(capture: &str, host: &str, packet: u32) -> Value {
    let output = replay(
        capture,
        &["--json", "--host", host, "--packet", &packet.to_string()],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    summary["followed"].clone()
}

/// What happened, as "of: what".
fn happened(followed: &Value) -> Vec<String> {
    let events = followed["events"].as_array().expect("events").iter();
    events
        .map(|event| {
            let word = |key: &str| event[key].as_str().expect("a word").to_owned();
            format!("{}: {}", word("of"), word("what"))
        })
        .collect()
}

/// These things happened, in this order, among others.
fn in_order(happened: &[String], wanted: &[&str]) {
    let mut rest = happened.iter();
    for wanted in wanted {
        assert!(
            rest.any(|told| told.starts_with(wanted)),
            "no {wanted:?} in its place: {happened:#?}"
        );
    }
}

#[test]
fn a_packet_that_is_held_is_told_from_its_classify_to_its_delivery() {
    // The SYN of a connection to the host.
    let followed = followed("tcp-v4.pcap", "192.0.2.10", 1);
    assert_eq!(followed["from"], "from the network");
    assert!(
        followed["what"].as_str().expect("ends").contains("3389"),
        "{followed}"
    );
    in_order(
        &happened(&followed),
        &[
            "original: allocated by the stack",
            "packet: shown to callout",
            "original: referenced",
            "pended: pended",
            "packet: held by a callout",
            "original: cloned as",
            "pended: completed with clone",
            "clone: injected into the receive path",
            "packet: delivered to the transport layer",
            "clone: completed with status 0x00000000",
            "clone: freed",
            "original: dereferenced",
        ],
    );
}

#[test]
fn a_packet_that_begins_a_connection_waits_for_it() {
    let happened = (1..=30)
        .map(|packet| followed("tcp-v4.pcap", "192.0.2.10", packet))
        .map(|followed| happened(&followed))
        .find(|told| told.iter().any(|told| told.contains("connect is shown")))
        .expect("one of them begins a connection");
    in_order(
        &happened,
        &[
            "original: allocated by the stack",
            "packet: its connect is shown to the callouts",
            "packet: shown to callout",
            "packet: sent",
        ],
    );
}

#[test]
fn a_packet_that_gets_nowhere_near_a_callout_is_told_with_the_reason() {
    let reasons: Vec<_> = (1..=31)
        .filter_map(|packet| {
            let followed = followed("mixed-host.pcap", "192.0.2.10", packet);
            let reason = followed["dropped"].as_str()?;
            assert_eq!(happened(&followed), [""; 0], "{reason}");
            Some(reason.to_owned())
        })
        .collect();
    assert!(reasons.contains(&"not_ip".to_owned()), "{reasons:?}");
    assert!(reasons.contains(&"not_for_host".to_owned()), "{reasons:?}");
}

#[test]
fn each_fragment_stands_for_the_packet_that_it_is_part_of() {
    let told: Vec<_> = (1..=38)
        .map(|packet| followed("fragments-v4.pcap", "192.0.2.10", packet))
        .collect();
    let mut together = 0;
    for (packet, followed) in (1..).zip(&told) {
        let pieces = followed["fragments"].as_array().expect("numbers");
        assert!(
            pieces.is_empty() || pieces.contains(&packet.into()),
            "{packet}: {followed}"
        );
        for other in pieces {
            let other = other.as_u64().expect("a number") as usize;
            assert_eq!(&told[other - 1]["fragments"], &followed["fragments"]);
            assert_eq!(&told[other - 1]["what"], &followed["what"]);
            together += 1;
        }
    }
    assert!(together > 10, "{together}");
}

#[test]
fn the_words_have_the_same_and_fit_their_columns() {
    let output = replay("tcp-v4.pcap", &["--host", "192.0.2.10", "--packet", "1"]);
    let text = String::from_utf8(output.stdout).expect("text in UTF-8");
    let (_, told) = text.split_once("\npacket 1: ").expect("the packet");
    for wanted in ["original    referenced", "clone       injected", "clean:"] {
        assert!(told.contains(wanted), "{told}");
    }
    for line in told.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_number_beyond_the_capture_is_a_wrong_argument() {
    let output = replay("tcp-v4.pcap", &["--host", "192.0.2.10", "--packet", "31"]);
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8(output.stderr).expect("text in UTF-8");
    assert!(told.contains("packets 1 to 30"), "{told}");
    let output = replay("tcp-v4.pcap", &["--packet", "0"]);
    assert_eq!(output.status.code(), Some(64));
}
