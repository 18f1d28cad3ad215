//! What the stack may do to a packet, and what it need not tell: offsets, MDLs, room, metadata, rights.

use wfpsim_packet::build;

use super::traffic::accept;
use super::traffic::dialogue;
use super::traffic::raw;
use crate::check::bench::Loss;
use crate::check::packets::Protection;
use crate::check::packets::protected;
use crate::check::packets::udp;
use crate::check::scenario::Cases;
use crate::check::scenario::Scenario;
use crate::check::scenario::ordinary;
use crate::stack::Received;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "audit-retreat",
        what: "the stack retreats what was absorbed, to audit the drop",
        seeds: 30,
        cases: Cases::Families(1),
        config: |config, _| config.freedom.audit_retreat = 100,
        story: |bench| {
            bench.load();
            dialogue(bench);
        },
    },
    Scenario {
        name: "odd-retreat",
        what: "the same by a number of bytes that means nothing",
        seeds: 30,
        cases: Cases::Families(1),
        config: |config, _| config.freedom.odd_retreat = 100,
        story: |bench| {
            // Where the packet begins can no longer be known; to guess would be to alter it.
            bench.may_lose(Loss::Any);
            bench.load();
            dialogue(bench);
        },
    },
    Scenario {
        name: "split-mdls",
        what: "packets cut into two MDLs at every byte",
        seeds: 2,
        // The link header and the longest packet of the story.
        cases: Cases::Families(14 + 90),
        config: |config, case| config.cut_at = Some(case.number as usize + 1),
        story: |bench| {
            bench.load();
            accept(bench, 50_000, 443);
            let (host, peer) = bench.ends(53, 5353);
            for number in 0..2 {
                bench.receive(udp(peer, host, number));
                bench.run();
                bench.send(udp(host, peer, number));
                bench.run();
            }
        },
    },
    Scenario {
        name: "many-mdls",
        what: "packets cut into up to four MDLs",
        seeds: 40,
        cases: Cases::Families(1),
        config: |config, _| config.freedom.split_mdls = 100,
        story: |bench| {
            bench.load();
            dialogue(bench);
        },
    },
    Scenario {
        name: "no-headroom",
        what: "no room before the data, so that a retreat adds an MDL",
        seeds: 30,
        cases: Cases::Families(1),
        config: |config, _| config.freedom.no_headroom = 100,
        story: |bench| {
            bench.load();
            dialogue(bench);
        },
    },
    Scenario {
        name: "absent-metadata",
        what: "each metadata field absent in turn, and all",
        seeds: 2,
        cases: Cases::Families(33),
        config: |config, case| {
            config.hidden_metadata = 1_u32.checked_shl(case.number as u32).unwrap_or(u32::MAX);
            config.freedom.reauthorize = 30;
        },
        story: |bench| {
            bench.load();
            dialogue(bench);
            let (host, peer) = bench.ends(53, 5353);
            for number in 0..2 {
                bench.receive_with(protected(udp(peer, host, number), Protection::Esp));
                bench.turn();
                bench.send_with(vec![raw(bench, number)]);
                bench.turn();
            }
        },
    },
    Scenario {
        name: "no-write-right",
        what: "another driver has permitted all and took the right away",
        seeds: 30,
        cases: Cases::Families(1),
        config: |config, _| config.hard_permit = true,
        story: |bench| {
            bench.load();
            dialogue(bench);
        },
    },
    Scenario {
        name: "reassembled",
        what: "packets put together from fragments",
        seeds: 40,
        cases: Cases::Families(1),
        config: ordinary,
        story: |bench| {
            bench.load();
            let (host, peer) = bench.ends(53, 5353);
            for number in 0..4 {
                let mut packet = udp(peer, host, number);
                if packet[0] >> 4 == 4 {
                    // The checksum is that of a fragment's header.
                    packet[10] ^= 0x5A;
                }
                bench.receive_with(Received {
                    reassembled: true,
                    ..Received::plain(packet)
                });
                bench.turn();
            }
        },
    },
    Scenario {
        name: "header-options",
        what: "IPv4 options and IPv6 extension headers",
        seeds: 40,
        cases: Cases::Families(1),
        config: ordinary,
        story: |bench| {
            bench.load();
            let (host, peer) = bench.ends(53, 5353);
            // Router alert of IPv4; a destination options header of IPv6, padded.
            let options: (u8, &[u8]) = match host.is_ipv4() {
                true => (0, &[0x94, 4, 0, 0]),
                false => (60, &[0, 0, 1, 4, 0, 0, 0, 0]),
            };
            for number in 0..3 {
                bench.receive(build::with_extensions(&udp(peer, host, number), &[options]));
                bench.turn();
                bench.send(build::with_extensions(&udp(host, peer, number), &[options]));
                bench.turn();
            }
        },
    },
    Scenario {
        name: "injected-by-another",
        what: "packets that another driver injected",
        seeds: 40,
        cases: Cases::Families(1),
        config: ordinary,
        story: |bench| {
            bench.load();
            let (host, peer) = bench.ends(53, 5353);
            for number in 0..4 {
                bench.receive_with(Received {
                    injected_by_other: true,
                    ..Received::plain(udp(peer, host, number))
                });
                bench.turn();
            }
        },
    },
];
