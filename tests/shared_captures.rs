//! Real captures, kept beside the repository and not in it. Where they are absent this says so and tests nothing.

mod story;

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;

use wfpsim::Config;
use wfpsim::replay::Block;

/// Captures with the host's addresses, as the README beside them has it; none means that the guess is good enough.
const CAPTURES: [(&str, &[&str], Option<&str>); 15] = [
    ("lan.pcap", &["10.9.0.2", "fd09::2"], None),
    ("rdp-to-ssl.pcap", &["192.168.1.150"], None),
    ("smb2readwrite.pcap", &["169.254.128.15"], None),
    ("reassembly.pcap", &["128.3.97.175"], None),
    ("handshake-reorder.pcap", &["141.142.228.5"], None),
    ("ipv6.pcap", &["2001:470:1f11:81f:c999:d94:aa7c:2e3e"], None),
    ("ipv6-http-atomic-frag.pcap", &["2001:db8:1::2"], None),
    (
        "ipv6-fragmented-dns.pcap",
        &["2001:470:1f11:81f:d138:5f55:6d4:1fe2"],
        None,
    ),
    ("icmp6-nd-options.pcap", &[], None),
    ("Teredo.pcap", &["192.168.2.16"], None),
    ("sctp.pcap", &["192.168.170.56"], None),
    ("ip6_esp.pcap", &[], None),
    (
        "02-sunrise-sunset-esp.pcap",
        &["192.1.2.45"],
        Some("freeswan.sa.toml"),
    ),
    (
        "08-sunrise-sunset-aes.pcap",
        &["192.1.2.45"],
        Some("freeswan.sa.toml"),
    ),
    ("espudp1.pcap", &["192.1.2.45"], Some("espudp1")),
];

fn directory() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    let directory = std::env::var_os("WFPSIM_CAPTURES").map_or(beside, PathBuf::from);
    directory.is_dir().then_some(directory)
}

/// The keys of espudp1.pcap are the first association of the other file, in UDP.
fn udp_keys(directory: &Path) -> PathBuf {
    let text =
        std::fs::read_to_string(directory.join("freeswan.sa.toml")).expect("the SA file is there");
    let first = text
        .split("[[sa]]")
        .nth(1)
        .expect("there is a first association");
    let path =
        std::env::temp_dir().join(format!("tollgate-espudp1-{}.sa.toml", std::process::id()));
    std::fs::write(&path, format!("[[sa]]{first}\nudp_encap = true\n"))
        .expect("the temporary directory can be written");
    path
}

#[test]
fn real_captures_come_out_whole() {
    let Some(directory) = directory() else {
        println!("SKIPPED: no real captures beside the repository, and WFPSIM_CAPTURES names none");
        return;
    };
    for (name, hosts, keys) in CAPTURES {
        let hosts: Vec<IpAddr> = hosts
            .iter()
            .map(|host| host.parse().expect("an address"))
            .collect();
        let keys = keys.map(|keys| {
            if keys == "espudp1" {
                udp_keys(&directory)
            } else {
                directory.join(keys)
            }
        });
        let given = (!hosts.is_empty()).then_some(hosts.as_slice());
        let story = story::plan(&directory.join(name), given, keys.as_deref());
        assert!(story.error.is_none(), "{name}: {:?}", story.error);
        for config in [Config::plain(), Config::new(1), Config::new(2)] {
            let summary = story.tollgate(config, Block::default());
            assert!(summary.is_clean(), "{name}\n{summary}");
            assert!(
                summary.delivered + summary.sent + summary.dropped.values().sum::<u64>() > 0,
                "{name}: nothing happened"
            );
            if keys.is_some() {
                assert!(
                    summary.stack.skipped_tunnel > 0 && summary.delivered > 0,
                    "{name}: the tunnel was opened\n{summary}"
                );
            }
        }
    }
}
