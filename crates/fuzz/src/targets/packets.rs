//! Captures, packets with and without IPsec, and the files that keys come in.

use std::io::Cursor;
use std::net::IpAddr;
use std::sync::LazyLock;

use wfpsim::replay::Planner;
use wfpsim::replay::host::Host;
use wfpsim_ipsec::Sadb;
use wfpsim_packet::CaptureReader;
use wfpsim_packet::IpPacket;
use wfpsim_packet::LinkType;
use wfpsim_packet::Timestamp;
use wfpsim_packet::Transport;
use wfpsim_packet::checksum;
use wfpsim_packet::checksum::Checksum;
use wfpsim_packet::fragment::Limits;
use wfpsim_packet::fragment::Outcome;
use wfpsim_packet::fragment::Reassembler;
use wfpsim_packet::host::HostGuesser;
use wfpsim_packet::link;

use crate::input::Input;

/// The associations of the project's own captures, so that a corpus of their packets gets past the keys.
static SADB: LazyLock<Sadb> = LazyLock::new(|| {
    let file = include_str!("../../../../tests/captures/ipsec-transport-v4.sa.toml");
    Sadb::from_toml("ipsec-transport-v4.sa.toml", file).expect("the project's own file is sound")
});

/// A capture is read to its end or to its fault, and everything that was read can be planned.
pub fn capture(bytes: &[u8]) {
    let read = || CaptureReader::from_reader(Cursor::new(bytes.to_vec()), "fuzzed");
    let Ok(reader) = read() else { return };
    let mut guesser = HostGuesser::new();
    reader
        .map_while(Result::ok)
        .for_each(|captured| guesser.observe(&captured));
    let host = guesser
        .guess()
        .map_or_else(Host::default, |guess| Host::new(guess.addresses));
    let mut planner = Planner::new(host, SADB.clone());
    let mut records = 0;
    for captured in read().into_iter().flatten().map_while(Result::ok) {
        records += 1;
        let _ = planner.plan(&captured);
    }
    let _ = planner.finish();
    assert_eq!(planner.counts.records, records);
}

/// Packets one after another, each with its length in front: headers, checksums, fragments, IPsec both ways.
pub fn packet(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut reassembler: Reassembler<()> = Reassembler::new(Limits::default());
    let mut sadb = SADB.clone();
    let link = LinkType(input.u16());
    let mut now = 0;
    while !input.is_empty() {
        let length = input.u16();
        let packet = input.bytes(length.into());
        now += 1_000_000;
        let _ = link::ip_packet(link, packet, packet.len() as u32);
        let _ = sadb.open(packet);
        if let Ok(wfpsim_ipsec::Outbound::Protected { clean, recipe, .. }) = sadb.peel(packet) {
            // What was taken off can be put on again.
            let again = sadb.protect(&clean, &recipe);
            assert!(again.is_ok(), "{again:?}");
        }
        let Ok(ip) = IpPacket::parse(packet) else {
            continue;
        };
        assert!(ip.header_len() <= ip.total_len() && ip.total_len() <= packet.len());
        let _ = Transport::parse(&ip).map(|transport| {
            assert!(transport.data(&ip).len() <= ip.payload().len());
            transport.quoted(&ip).is_some()
        });
        let _ = checksum::verify(&ip);
        let mut filled = packet.to_vec();
        if checksum::fill(&mut filled) == Ok(true) {
            let filled = IpPacket::parse(&filled).expect("it was one before");
            assert!(!matches!(checksum::verify(&filled), Checksum::Bad { .. }));
        }
        if ip.is_fragment()
            && let Outcome::Complete { packet, .. } = reassembler.push(&ip, (), Timestamp(now))
        {
            let whole = IpPacket::parse(&packet).expect("fragments make a packet");
            assert!(!whole.is_fragment());
        }
    }
    let _ = reassembler.drain();
}

/// An SA file gives associations that a database takes, or is refused with the lines that are wrong.
pub fn sa_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Sadb::from_toml("fuzzed", text) {
        Ok(sadb) => {
            for association in sadb.associations() {
                assert!(association.problems().is_empty());
            }
            let _ = sadb.has_udp_encapsulation_to(IpAddr::from([192, 0, 2, 10]));
        }
        Err(error) => {
            let lines = text.lines().count().max(1);
            for problem in &error.problems {
                assert!(
                    problem
                        .line
                        .is_none_or(|line| (1..=lines + 1).contains(&line))
                );
            }
            assert!(!error.to_string().is_empty());
        }
    }
}
