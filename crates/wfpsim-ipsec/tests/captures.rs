//! Real captures: two IPsec gateways of the 2000s, with the keys that they had.
//!
//! The captures are not part of the repository. They are looked for in the directory that
//! `TOLLGATE_SHARED_CAPTURES` names, or beside the workspace in `shared/captures`; without them
//! these tests say so and pass.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use pcap_file::pcap::PcapReader;
use wfpsim_ipsec::{Inbound, Kind, Outbound, Refused, Sadb};

const ETHERNET_HEADER_LEN: usize = 14;
const ICMP: u8 = 1;
const ECHO_REQUEST: u8 = 8;

fn captures() -> Option<PathBuf> {
    let directory = match std::env::var_os("TOLLGATE_SHARED_CAPTURES") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures"),
    };
    let there = directory.join("freeswan.sa.toml").is_file();
    if !there {
        println!("skipped: no captures in {}", directory.display());
    }
    there.then_some(directory)
}

/// The IP packets of an Ethernet capture.
fn packets(file: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(File::open(file).expect("the capture")).expect("a pcap file");
    let mut packets = Vec::new();
    while let Some(frame) = reader.next_packet() {
        let frame = frame.expect("a frame");
        packets.push(frame.data[ETHERNET_HEADER_LEN..].to_vec());
    }
    packets
}

/// Opens every packet of a capture as the receiver and as the sender would.
fn every_packet_is_an_echo_request(file: &Path, mut sadb: Sadb, kind: Kind) {
    let packets = packets(file);
    assert_eq!(packets.len(), 8, "the captures have eight packets each");
    for packet in &packets {
        let opened = sadb.open(packet).expect("integrity verifies");
        let Inbound::Tunnel(tunnel) = opened else {
            panic!("expected a tunnel, got {opened:?}")
        };
        assert_eq!(tunnel.kinds, [kind]);
        assert_eq!(tunnel.protocol, 4);
        assert_eq!(tunnel.outer_header_len, 20);
        assert_eq!(tunnel.inner[9], ICMP);
        assert_eq!(tunnel.inner[20], ECHO_REQUEST);
        assert_eq!(
            tunnel.laid_out[tunnel.inner_offset..tunnel.data_end],
            tunnel.inner
        );

        let Outbound::Protected { clean, recipe } = sadb.peel(packet).expect("it peels") else {
            panic!("the sender sees no protection where the receiver does")
        };
        assert_eq!(clean, tunnel.inner);
        assert_eq!(
            sadb.protect(&clean, &recipe).as_ref(),
            Ok(packet),
            "the very bytes again"
        );
    }
    let again = sadb.open(&packets[0]).expect_err("seen before");
    assert_eq!(again.reason(), "ipsec_replayed");
}

#[test]
fn triple_des_and_hmac_md5_of_freeswan_verify_and_carry_ping() {
    let Some(directory) = captures() else { return };
    let sadb = Sadb::load(&directory.join("freeswan.sa.toml")).expect("the SA file");
    every_packet_is_an_echo_request(
        &directory.join("02-sunrise-sunset-esp.pcap"),
        sadb,
        Kind::Esp,
    );
}

#[test]
fn aes_256_and_hmac_sha1_of_freeswan_verify_and_carry_ping() {
    let Some(directory) = captures() else { return };
    let sadb = Sadb::load(&directory.join("freeswan.sa.toml")).expect("the SA file");
    every_packet_is_an_echo_request(
        &directory.join("08-sunrise-sunset-aes.pcap"),
        sadb,
        Kind::Esp,
    );
}

#[test]
fn esp_in_udp_of_freeswan_verifies_and_carries_ping() {
    let Some(directory) = captures() else { return };
    let text = fs::read_to_string(directory.join("freeswan.sa.toml")).expect("the SA file");
    // The file has the association without NAT traversal; the capture has the same keys with it.
    let text = text.replacen("proto = \"esp\"", "proto = \"esp\"\nudp_encap = true", 1);
    let sadb = Sadb::from_toml("freeswan.sa.toml", &text).expect("the SA file with udp_encap");
    every_packet_is_an_echo_request(&directory.join("espudp1.pcap"), sadb, Kind::EspInUdp);
}

#[test]
fn with_another_key_nothing_of_freeswan_verifies() {
    let Some(directory) = captures() else { return };
    let text = fs::read_to_string(directory.join("freeswan.sa.toml")).expect("the SA file");
    let text = text.replace("auth_key = \"8765", "auth_key = \"8764");
    let mut sadb = Sadb::from_toml("freeswan.sa.toml", &text).expect("the SA file, key changed");
    for packet in packets(&directory.join("08-sunrise-sunset-aes.pcap")) {
        let refused = sadb.open(&packet).expect_err("the key is another one");
        assert!(matches!(refused, Refused::BadIntegrity(_)), "{refused}");
    }
}

#[test]
fn esp_over_ipv6_without_keys_is_refused_for_want_of_an_association() {
    let Some(directory) = captures() else { return };
    let mut sadb = Sadb::load(&directory.join("freeswan.sa.toml")).expect("the SA file");
    let refused: Vec<_> = packets(&directory.join("ip6_esp.pcap"))
        .iter()
        .filter_map(|packet| sadb.open(packet).err())
        .collect();
    assert!(!refused.is_empty(), "the capture has ESP");
    assert!(
        refused
            .iter()
            .all(|refused| refused.reason() == "ipsec_no_association"),
        "{refused:?}"
    );
}
