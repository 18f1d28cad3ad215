//! Real captures: whose they are is guessed right, and their fragments come together and apart.

use std::net::IpAddr;
use std::path::PathBuf;

use wfpsim_packet::checksum::{self, Checksum};
use wfpsim_packet::fragment::{Outcome, Reassembler, refragment};
use wfpsim_packet::host::{Evidence, HostGuess, HostGuesser};
use wfpsim_packet::{CaptureReader, IpPacket};

/// The directory of captures: `WFPSIM_CAPTURES`, or one that lies beside the workspace.
fn captures() -> Option<PathBuf> {
    let directory = std::env::var_os("WFPSIM_CAPTURES").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../../shared/captures"
            ))
        },
        PathBuf::from,
    );
    directory.is_dir().then_some(directory)
}

fn guess(path: PathBuf) -> Option<HostGuess> {
    let mut guesser = HostGuesser::new();
    for packet in CaptureReader::open(&path).expect("the capture opens") {
        guesser.observe(&packet.expect("the capture is sound"));
    }
    guesser.guess()
}

/// Captures and the host's addresses; where several are given, all of them are the host's.
const KNOWN: &[(&str, &[&str])] = &[
    ("lan.pcap", &["10.9.0.2", "fd09::2"]),
    ("rdp-to-ssl.pcap", &["192.168.1.150"]),
    ("smb2readwrite.pcap", &["169.254.128.15"]),
    ("reassembly.pcap", &["128.3.97.175"]),
    ("handshake-reorder.pcap", &["141.142.228.5"]),
    ("ipv6.pcap", &["2001:470:1f11:81f:c999:d94:aa7c:2e3e"]),
    ("ipv6-http-atomic-frag.pcap", &["2001:db8:1::2"]),
    (
        "ipv6-fragmented-dns.pcap",
        &["2001:470:1f11:81f:d138:5f55:6d4:1fe2"],
    ),
    ("Teredo.pcap", &["192.168.2.16"]),
    ("sctp.pcap", &["192.168.170.56"]),
    ("02-sunrise-sunset-esp.pcap", &["192.1.2.45"]),
    ("08-sunrise-sunset-aes.pcap", &["192.1.2.45"]),
    ("espudp1.pcap", &["192.1.2.45"]),
];

#[test]
fn the_host_of_every_known_capture_is_found() {
    let Some(directory) = captures() else {
        println!("skipped: no captures (set WFPSIM_CAPTURES to their directory)");
        return;
    };
    for (name, host) in KNOWN {
        let path = directory.join(name);
        if !path.exists() {
            println!("skipped: {name} is not there");
            continue;
        }
        let guess = guess(path).unwrap_or_else(|| panic!("{name}: no guess"));
        println!("{name}: {:?} because {}", guess.addresses, guess.evidence);
        for address in *host {
            let address: IpAddr = address.parse().expect("an address");
            assert!(
                guess.is_host(address),
                "{name}: {address} is not in {guess:?}"
            );
        }
        // Besides the known ones there may be link-local and other addresses of the same machine, but no peers.
        let others = guess
            .addresses
            .iter()
            .filter(|address| !host.contains(&address.to_string().as_str()));
        for other in others {
            assert!(
                matches!(other, IpAddr::V6(v6) if v6.is_unicast_link_local()),
                "{name}: {other} is said to be the host's too: {guess:?}"
            );
        }
        assert_ne!(
            guess.evidence,
            Evidence::Direction,
            "{name} does not say directions"
        );
    }
}

/// How many fragmented datagrams captures have that are complete, and how many that are not.
const FRAGMENTED: &[(&str, usize, usize)] = &[
    ("lan.pcap", 8, 0),
    // Of the first answer, only the last fragment was captured.
    ("ipv6-fragmented-dns.pcap", 1, 1),
    ("ipv6-http-atomic-frag.pcap", 5, 0),
];

#[test]
fn real_fragments_come_together_with_good_checksums_and_apart_byte_for_byte() {
    let Some(directory) = captures() else {
        println!("skipped: no captures (set WFPSIM_CAPTURES to their directory)");
        return;
    };
    for (name, complete_datagrams, incomplete) in FRAGMENTED {
        let path = directory.join(name);
        if !path.exists() {
            println!("skipped: {name} is not there");
            continue;
        }
        let mut reassembler = Reassembler::default();
        let mut complete = 0;
        for captured in CaptureReader::open(&path).expect("the capture opens") {
            let captured = captured.expect("the capture is sound");
            let Ok(bytes) = captured.ip() else { continue };
            let packet = IpPacket::parse(bytes).expect("what is given out is sound");
            let outcome = reassembler.push(&packet, bytes.to_vec(), captured.time);
            if let Outcome::Complete {
                packet,
                pieces,
                layout,
            } = outcome
            {
                complete += 1;
                let original: Vec<_> = pieces.into_iter().map(|piece| piece.tag).collect();
                assert_eq!(
                    refragment(&packet, &layout).as_ref(),
                    Ok(&original),
                    "{name}"
                );
                let whole = IpPacket::parse(&packet).expect("a whole packet");
                let checksum = checksum::verify(&whole);
                assert!(
                    matches!(checksum, Checksum::Good | Checksum::Partial),
                    "{name}: {checksum:?}"
                );
            }
        }
        assert_eq!(reassembler.drain().len(), *incomplete, "{name}");
        assert_eq!(complete, *complete_datagrams, "{name}");
    }
}
