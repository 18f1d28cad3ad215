//! Traffic of every kind, and nothing that disturbs it.

use wfpsim_packet::build;
use wfpsim_packet::checksum;
use wfpsim_packet::transport::TcpFlags;

use crate::check::bench::Bench;
use crate::check::packets::SYN_ACK;
use crate::check::packets::tcp;
use crate::check::packets::udp;
use crate::check::scenario::Cases;
use crate::check::scenario::Family;
use crate::check::scenario::Scenario;
use crate::check::scenario::ordinary;
use crate::stack::Transmitted;

/// A scenario of traffic, once for each version of IP.
pub(super) const fn scenario(
    name: &'static str,
    what: &'static str,
    story: fn(&mut Bench<'_>),
) -> Scenario {
    Scenario {
        name,
        what,
        seeds: 40,
        cases: Cases::Families(1),
        config: ordinary,
        story,
    }
}

pub(super) static SCENARIOS: &[Scenario] = &[
    scenario("tcp-inbound", "a peer connects, and both send", |bench| {
        bench.load();
        accept(bench, 50_000, 443);
        for sequence in 10..16 {
            exchange(bench, sequence);
            bench.turn();
        }
    }),
    scenario(
        "tcp-outbound",
        "this host connects, and both send",
        |bench| {
            bench.load();
            connect(bench, 50_000, 443);
            let (host, peer) = (bench.host(50_000), bench.peer(443));
            for sequence in 10..16 {
                bench.send(tcp(host, peer, TcpFlags::ACK, sequence));
                bench.turn();
                bench.receive(tcp(peer, host, TcpFlags::ACK, sequence));
                bench.turn();
            }
        },
    ),
    scenario(
        "tcp-reset",
        "a reset that the stack makes for no endpoint",
        |bench| {
            bench.load();
            bench.send(tcp(bench.host(81), bench.peer(50_000), TcpFlags::RST, 1));
            bench.turn();
            bench.receive(tcp(bench.peer(50_001), bench.host(81), TcpFlags::RST, 1));
        },
    ),
    scenario(
        "udp-inbound",
        "datagrams from peers, and the answers",
        |bench| {
            bench.load();
            for number in 0..8 {
                let (host, peer) = (bench.host(53), bench.peer(5000 + number % 3));
                bench.receive(udp(peer, host, u32::from(number)));
                bench.turn();
                bench.send(udp(host, peer, u32::from(number) + 100));
                bench.turn();
            }
        },
    ),
    scenario(
        "udp-outbound",
        "datagrams to peers, and the answers",
        |bench| {
            bench.load();
            for number in 0..8 {
                let (host, peer) = (bench.host(5000 + number % 3), bench.peer(53));
                bench.send(udp(host, peer, u32::from(number)));
                bench.turn();
                bench.receive(udp(peer, host, u32::from(number) + 100));
                bench.turn();
            }
        },
    ),
    scenario("icmp-echo", "pings both ways", |bench| {
        bench.load();
        let (host, peer) = (bench.host(0).ip(), bench.peer(0).ip());
        for sequence in 0..4 {
            bench.receive(build::echo_request(
                peer,
                host,
                7,
                sequence,
                b"are you there",
            ));
            bench.turn();
            bench.send(build::echo_reply(host, peer, 7, sequence, b"are you there"));
            bench.turn();
            bench.send(build::echo_request(host, peer, 8, sequence, b"and you"));
            bench.turn();
            bench.receive(build::echo_reply(peer, host, 8, sequence, b"and you"));
            bench.turn();
        }
    }),
    scenario(
        "icmp-errors",
        "errors that quote a packet, both ways",
        |bench| {
            bench.load();
            let (host, peer) = (bench.host(5000), bench.peer(53));
            // Port unreachable.
            let (kind, code) = match bench.case.family {
                Family::V4 => (3, 3),
                Family::V6 => (1, 4),
            };
            let quoting = |packet: &[u8]| [&[0, 0, 0, 0][..], packet].concat();
            for number in 0..3 {
                let sent = udp(host, peer, number);
                bench.send(sent.clone());
                bench.turn();
                bench.receive(build::icmp(
                    peer.ip(),
                    host.ip(),
                    kind,
                    code,
                    &quoting(&sent),
                ));
                bench.turn();
                let received = udp(peer, host, number + 100);
                bench.receive(received.clone());
                bench.turn();
                bench.send(build::icmp(
                    host.ip(),
                    peer.ip(),
                    kind,
                    code,
                    &quoting(&received),
                ));
                bench.turn();
            }
        },
    ),
    scenario(
        "other-protocols",
        "a transport protocol without ports",
        |bench| {
            bench.load();
            let (host, peer) = (bench.host(0).ip(), bench.peer(0).ip());
            for _ in 0..3 {
                bench.receive(build::ip(peer, host, 47, b"generic routing encapsulation"));
                bench.turn();
                bench.send(build::ip(host, peer, 47, b"generic routing encapsulation"));
                bench.turn();
            }
        },
    ),
    scenario("loopback", "the host talks to itself", |bench| {
        bench.load();
        let local = match bench.case.family {
            Family::V4 => "127.0.0.1",
            Family::V6 => "::1",
        };
        let local = local.parse().unwrap_or(bench.host(0).ip());
        for (number, address) in [local, bench.host(0).ip()]
            .into_iter()
            .cycle()
            .take(6)
            .enumerate()
        {
            let (from, to) = ((address, 5000).into(), (address, 6000).into());
            let packet = udp(from, to, number as u32);
            bench.send_with(vec![Transmitted::plain(packet, true)]);
            bench.turn();
        }
    }),
    scenario(
        "several-packets-a-list",
        "sends of many packets in one NBL",
        |bench| {
            bench.load();
            let (host, peer) = (bench.host(5000), bench.peer(53));
            let many = |from: u32| {
                let packets = (from..from + 9).map(|number| udp(host, peer, number));
                packets
                    .map(|packet| Transmitted::plain(packet, false))
                    .collect()
            };
            for from in [0, 100, 200] {
                bench.send_with(many(from));
                bench.turn();
            }
        },
    ),
    scenario(
        "raw-sockets",
        "IP headers that an application made (IP_HDRINCL)",
        |bench| {
            bench.load();
            for number in 0..5 {
                let packet = Transmitted {
                    raw: true,
                    ..Transmitted::plain(with_header_of_its_own(bench, number), false)
                };
                bench.send_with(vec![packet]);
                bench.turn();
            }
        },
    ),
];

/// A connection from the peer, from its SYN to its first data, each packet once the one before is through.
pub(super) fn accept(bench: &mut Bench<'_>, peer: u16, host: u16) {
    let (peer, host) = (bench.peer(peer), bench.host(host));
    bench.receive(tcp(peer, host, TcpFlags::SYN, 1));
    bench.run();
    bench.send(tcp(host, peer, SYN_ACK, 1));
    bench.run();
    bench.receive(tcp(peer, host, TcpFlags::ACK, 2));
    bench.run();
}

/// A connection to the peer, in the same way.
pub(super) fn connect(bench: &mut Bench<'_>, host: u16, peer: u16) {
    let (peer, host) = (bench.peer(peer), bench.host(host));
    bench.send(tcp(host, peer, TcpFlags::SYN, 1));
    bench.run();
    bench.receive(tcp(peer, host, SYN_ACK, 1));
    bench.run();
    bench.send(tcp(host, peer, TcpFlags::ACK, 2));
    bench.run();
}

/// Data both ways on the connection that [`accept`] made.
pub(super) fn exchange(bench: &mut Bench<'_>, sequence: u32) {
    let (host, peer) = (bench.host(443), bench.peer(50_000));
    bench.receive(tcp(peer, host, TcpFlags::ACK, sequence));
    bench.turn();
    bench.send(tcp(host, peer, TcpFlags::ACK, sequence));
}

/// A packet of a raw socket (IP_HDRINCL).
pub(super) fn raw(bench: &Bench<'_>, number: u32) -> Transmitted {
    Transmitted {
        raw: true,
        ..Transmitted::plain(with_header_of_its_own(bench, number), false)
    }
}

/// A UDP packet with an IP header that no stack makes by itself.
fn with_header_of_its_own(bench: &Bench<'_>, number: u32) -> Vec<u8> {
    let packet = udp(bench.host(5000), bench.peer(6000), number);
    let mut packet = match bench.case.family {
        Family::V4 => {
            // Router alert, type of service, an identification, do not fragment.
            let mut packet = build::with_extensions(&packet, &[(0, &[0x94, 4, 0, 0])]);
            packet[1] = 0x10;
            packet[4..8].copy_from_slice(&[0xBE, 0xEF, 0x40, 0]);
            packet[8] = 7;
            packet
        }
        Family::V6 => {
            // Destination options, traffic class and flow label.
            let mut packet = build::with_extensions(&packet, &[(60, &[0, 0, 1, 4, 0, 0, 0, 0])]);
            packet[1..4].copy_from_slice(&[0x0A, 0xBC, 0xDE]);
            packet[7] = 7;
            packet
        }
    };
    // Only a packet without headers has no checksums to fill in.
    let _ = checksum::fill_all(&mut packet);
    packet
}

/// Something of every kind, one after the other: connections and datagrams both ways, pings, another protocol, loopback.
pub(super) fn dialogue(bench: &mut Bench<'_>) {
    accept(bench, 50_000, 443);
    connect(bench, 50_000, 80);
    for number in 10..13 {
        exchange(bench, number);
        bench.turn();
        let (host, peer) = bench.ends(50_000, 80);
        bench.send(tcp(host, peer, TcpFlags::ACK, number));
        bench.turn();
        let (host, peer) = bench.ends(53, 5353);
        bench.receive(udp(peer, host, number));
        bench.turn();
        bench.send(udp(host, peer, number));
        bench.turn();
        let (host, peer) = bench.ends(5000, 53);
        bench.send(udp(host, peer, number));
        bench.turn();
    }
    let (host, peer) = bench.ends(5000, 6000);
    bench.receive(build::echo_request(
        peer.ip(),
        host.ip(),
        7,
        1,
        b"are you there",
    ));
    bench.turn();
    bench.receive(build::ip(
        peer.ip(),
        host.ip(),
        47,
        b"generic routing encapsulation",
    ));
    bench.turn();
    bench.send_with(vec![Transmitted::plain(udp(host, bench.host(7), 1), true)]);
    bench.turn();
}

/// Everything at once, not waited for: accepts, connects, datagrams both ways, connections from before the driver, loopback,
/// in both versions of IP.
pub(super) fn storm(bench: &mut Bench<'_>, round: u16) {
    for family in [Family::V4, Family::V6] {
        bench.speak(family);
        let (peer, host) = (bench.peer(50_000 + round), bench.host(40_000 + round));
        bench.receive(tcp(peer, bench.host(443), TcpFlags::SYN, 1));
        for number in 1..3 {
            bench.receive(udp(peer, bench.host(53), number));
        }
        bench.receive(tcp(bench.other(50_000), bench.host(22), TcpFlags::ACK, 5));
        bench.send(tcp(host, bench.other(80), TcpFlags::SYN, 1));
        let packets = (0..3).map(|number| udp(host, bench.other(53), number));
        let packets = packets.map(|packet| Transmitted::plain(packet, false));
        bench.send_with(packets.collect());
        let own = udp(host, bench.host(7), 1);
        bench.send_with(vec![Transmitted::plain(own, true)]);
    }
}
