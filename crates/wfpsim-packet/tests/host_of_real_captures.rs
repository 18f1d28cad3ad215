//! The guess whose capture it is, against captures of which it is known.

use std::net::IpAddr;
use std::path::PathBuf;

use wfpsim_packet::CaptureReader;
use wfpsim_packet::host::{Evidence, HostGuess, HostGuesser};

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
