//! Headers that lie in two MDLs, cut at every byte: whatever reads them must not take a header for contiguous.

use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::replay::Block;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use crate::packets::*;
use crate::rig::*;
use crate::story;

/// More than the link header and the longest packet here.
const LONGEST: usize = 14 + 180;

/// A TCP segment with 20 bytes of options: maximum segment size, SACK permitted, timestamps, window scale.
fn with_options(family: usize, flags: TcpFlags, sequence: u32) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend_from_slice(&50_000_u16.to_be_bytes());
    segment.extend_from_slice(&443_u16.to_be_bytes());
    segment.extend_from_slice(&sequence.to_be_bytes());
    segment.extend_from_slice(&1_u32.to_be_bytes());
    segment.extend_from_slice(&[0xA0, flags.0, 0xFF, 0xFF, 0, 0, 0, 0]);
    segment.extend_from_slice(&[
        2, 4, 5, 0xB4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
    ]);
    segment.extend_from_slice(b"data behind the options");
    build::ip(address(PEER[family]), address(HOST[family]), 6, &segment)
}

fn everywhere(mut story: impl FnMut(&mut Rig)) {
    for cut in 1..LONGEST {
        for seed in 0..2 {
            let mut config = Config::new(cut as u64 * 2 + seed);
            config.cut_at = Some(cut);
            let mut rig = Rig::new(config);
            story(&mut rig);
            let counters = rig.end();
            assert_eq!(counters.sum(Group::Dropped), 0, "cut at {cut}");
            assert!(counters.sum(Group::Reinjected) > 0, "cut at {cut}");
        }
    }
}

#[test]
fn a_tcp_packet_with_options_cut_at_every_byte() {
    for family in 0..2 {
        everywhere(|rig| {
            rig.receive(with_options(family, TcpFlags::SYN, 1));
            rig.run();
            rig.receive(with_options(family, TcpFlags::ACK, 2));
            rig.run();
        });
    }
}

#[test]
fn a_udp_packet_cut_at_every_byte_in_both_directions() {
    everywhere(|rig| {
        let (peer, host) = (at(PEER[0], 5353), at(HOST[0], 53));
        rig.receive(udp(peer, host, 1));
        rig.run();
        rig.receive(udp(peer, host, 2));
        rig.run();
        rig.send(udp(host, peer, 3));
        rig.run();
    });
}

#[test]
fn a_v6_packet_with_extension_headers_cut_at_every_byte() {
    let hop_by_hop: &[u8] = &[0, 0, 5, 2, 0, 0, 1, 0];
    let destination: &[u8] = &[0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    everywhere(|rig| {
        for number in 0..2 {
            let packet = udp(at(PEER[1], 5353), at(HOST[1], 53), number);
            let extensions = [(0, hop_by_hop), (60, destination)];
            rig.receive(build::with_extensions(&packet, &extensions));
            rig.run();
        }
    });
}

#[test]
fn a_v4_packet_with_options_cut_at_every_byte() {
    everywhere(|rig| {
        for number in 0..2 {
            let packet = udp(at(PEER[0], 5353), at(HOST[0], 53), number);
            // Record route with room for three addresses.
            let options: &[u8] = &[7, 15, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            rig.receive(build::with_extensions(&packet, &[(0, options)]));
            rig.run();
        }
    });
}

#[test]
fn esp_and_ah_in_transport_mode_cut_at_every_byte() {
    for name in ["ipsec-transport-v4", "ipsec-transport-v6"] {
        let captures = story::captures();
        let story = story::plan(
            &captures.join(format!("{name}.pcap")),
            None,
            Some(&captures.join(format!("{name}.sa.toml"))),
        );
        for cut in 1..LONGEST {
            let mut config = Config::new(cut as u64);
            config.cut_at = Some(cut);
            let (summary, _) = replay(&story, config, Block::default());
            assert!(summary.is_clean(), "cut at {cut}: {summary}");
            assert!(summary.stack.rebuilt > 0, "A-63");
        }
    }
}
