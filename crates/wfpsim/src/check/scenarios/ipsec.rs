//! Packets that IPsec protected: verified and decrypted before any callout sees them, and not looking like it.

use wfpsim_packet::transport::TcpFlags;

use super::traffic::exchange;
use super::traffic::scenario;
use crate::check::bench::Bench;
use crate::check::packets::Protection;
use crate::check::packets::protected;
use crate::check::packets::tcp;
use crate::check::packets::tunnelled;
use crate::check::packets::udp;
use crate::check::scenario::Cases;
use crate::check::scenario::Scenario;
use crate::stack::Received;
use wfp_sys::consts;

pub(super) static SCENARIOS: &[Scenario] = &[
    scenario("ipsec-ah", "AH in transport mode", |bench| {
        bench.load();
        conversation(bench, |_, clean| protected(clean, Protection::Ah));
    }),
    scenario("ipsec-esp", "ESP in transport mode", |bench| {
        bench.load();
        conversation(bench, |_, clean| protected(clean, Protection::Esp));
    }),
    scenario("ipsec-tunnel", "ESP in tunnel mode", |bench| {
        bench.load();
        conversation(bench, |bench, clean| {
            in_tunnel(bench, Received::plain(clean))
        });
    }),
    scenario(
        "ipsec-both",
        "ESP in transport mode inside a tunnel",
        |bench| {
            bench.load();
            conversation(bench, |bench, clean| {
                in_tunnel(bench, protected(clean, Protection::Esp))
            });
        },
    ),
    scenario(
        "ipsec-rekey",
        "new keys: every flow is authorized again",
        |bench| {
            bench.load();
            for _ in 0..3 {
                conversation(bench, |_, clean| protected(clean, Protection::Esp));
                let reason = consts::FWP_CONDITION_REAUTHORIZE_REASON_IPSEC_PROPERTIES_CHANGED;
                bench.machine().reauthorize(reason);
            }
        },
    ),
    Scenario {
        name: "ipsec-split-mdls",
        what: "ESP, cut into two MDLs at every byte",
        seeds: 2,
        // The link header, the longest IP header, ESP's header and the segment.
        cases: Cases::Families(14 + 40 + 24 + 40),
        config: |config, case| config.cut_at = Some(case.number as usize + 1),
        story: |bench| {
            bench.load();
            let (host, peer) = bench.ends(53, 5353);
            for number in 0..2 {
                bench.receive_with(protected(udp(peer, host, number), Protection::Esp));
                bench.run();
            }
        },
    },
];

/// Everything that arrives was protected; what is sent is protected below every layer, where no callout sees it.
fn conversation(bench: &mut Bench<'_>, protect: fn(&Bench<'_>, Vec<u8>) -> Received) {
    let (host, peer) = bench.ends(443, 50_000);
    bench.receive_with(protect(bench, tcp(peer, host, TcpFlags::SYN, 1)));
    bench.run();
    for sequence in 10..14 {
        bench.receive_with(protect(bench, tcp(peer, host, TcpFlags::ACK, sequence)));
        bench.turn();
        exchange(bench, sequence + 100);
    }
    let (host, peer) = bench.ends(53, 5353);
    for number in 0..3 {
        bench.receive_with(protect(bench, udp(peer, host, number)));
        bench.turn();
        bench.send(udp(host, peer, number));
    }
}

/// In a tunnel between two gateways.
fn in_tunnel(bench: &Bench<'_>, inside: Received) -> Received {
    tunnelled(inside, (bench.other(0).ip(), bench.host(0).ip()))
}
