//! The project's own captures with IPsec, against what their script says they must come to.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use toml::de::{DeTable, DeValue};
use wfpsim_ipsec::{Inbound, Outbound, Sadb, is_nat_keepalive};

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures")
}

/// The IP packets of a capture.
fn packets(file: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(File::open(file).expect("the capture")).expect("a pcap file");
    let header = match reader.header().datalink {
        DataLink::ETHERNET => 14,
        DataLink::RAW => 0,
        other => panic!("no capture with IPsec is of {other:?}"),
    };
    let mut packets = Vec::new();
    while let Some(frame) = reader.next_packet() {
        packets.push(frame.expect("a frame").data[header..].to_vec());
    }
    packets
}

fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => packet
            .get(16..)?
            .first_chunk::<4>()
            .map(|address| IpAddr::from(*address)),
        6 => packet
            .get(24..)?
            .first_chunk::<16>()
            .map(|address| IpAddr::from(*address)),
        _ => None,
    }
}

#[test]
fn each_capture_comes_to_what_its_script_says() {
    let text = fs::read_to_string(captures().join("expected.toml")).expect("expected.toml");
    let expected = DeTable::parse(&text).expect("TOML").into_inner();
    let mut checked = 0;
    for capture in expected["capture"].get_ref().as_array().expect("a list") {
        let capture = capture.get_ref().as_table().expect("a table");
        let name = capture["file"].get_ref().as_str().expect("a name");
        // Fragments are put together before IPsec sees them, which is not for this crate.
        if !capture.contains_key("sa") || name.starts_with("fragments") {
            continue;
        }
        let number = |value: &DeValue<'_>| -> usize {
            value
                .as_integer()
                .expect("a number")
                .as_str()
                .parse()
                .expect("a number")
        };
        let hosts: Vec<IpAddr> = capture["host"]
            .get_ref()
            .as_array()
            .expect("a list")
            .iter()
            .map(|host| {
                host.get_ref()
                    .as_str()
                    .expect("an address")
                    .parse()
                    .expect("an address")
            })
            .collect();
        let sa = capture["sa"].get_ref().as_str().expect("a name");
        let mut sadb = Sadb::load(&captures().join(sa)).expect("the SA file");

        let (mut transport, mut tunnel) = (0, 0);
        let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
        for packet in packets(&captures().join(name)) {
            let Some(destination) = destination(&packet) else {
                continue;
            };
            if hosts.contains(&destination) {
                match sadb.open(&packet) {
                    Ok(Inbound::Clear) if is_nat_keepalive(&packet) => {
                        *refused.entry("ipsec_natt_keepalive").or_default() += 1;
                    }
                    Ok(Inbound::Clear) => {}
                    Ok(Inbound::Transport(_)) => transport += 1,
                    Ok(Inbound::Tunnel(_)) => tunnel += 1,
                    Err(error) => *refused.entry(error.reason()).or_default() += 1,
                }
            } else {
                match sadb
                    .peel(&packet)
                    .expect("what the host sent can be peeled")
                {
                    Outbound::Clear => {}
                    Outbound::Protected { clean, recipe } => {
                        assert_eq!(sadb.protect(&clean, &recipe), Ok(packet), "{name}");
                    }
                }
            }
        }
        let dropped: BTreeMap<&str, usize> = capture["dropped"]
            .get_ref()
            .as_table()
            .expect("a table")
            .iter()
            .map(|(reason, count)| (&**reason.get_ref(), number(count.get_ref())))
            .filter(|(reason, _)| reason.starts_with("ipsec_"))
            .collect();
        assert_eq!(refused, dropped, "{name}");
        assert_eq!(
            transport,
            number(capture["ipsec_transport"].get_ref()),
            "{name}"
        );
        assert_eq!(tunnel, number(capture["ipsec_tunnel"].get_ref()), "{name}");
        checked += 1;
    }
    assert!(checked >= 6, "{checked} captures with IPsec");
}
