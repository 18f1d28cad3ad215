//! Something changes, and every connection is authorized again by its next packet, whichever way that goes.

use wfp_sys::consts;
use wfpsim_packet::transport::TcpFlags;

use super::traffic::accept;
use super::traffic::connect;
use super::traffic::dialogue;
use super::traffic::storm;
use crate::check::bench::Bench;
use crate::check::packets::tcp;
use crate::check::packets::udp;
use crate::check::scenario::Cases;
use crate::check::scenario::Scenario;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "policy-change",
        what: "policy changes: TCP, UDP, whoever began, whichever way the next packet",
        seeds: 10,
        cases: Cases::Families(8),
        config: |config, _| config.freedom.reauthorize = 0,
        story: |bench| {
            bench.load();
            again(
                bench,
                consts::FWP_CONDITION_REAUTHORIZE_REASON_POLICY_CHANGE,
            );
        },
    },
    Scenario {
        name: "policy-change-no-right",
        what: "the same where another driver took the write right away",
        seeds: 8,
        cases: Cases::Families(8),
        config: |config, _| {
            config.freedom.reauthorize = 0;
            config.hard_permit = true;
        },
        story: |bench| {
            bench.load();
            again(
                bench,
                consts::FWP_CONDITION_REAUTHORIZE_REASON_POLICY_CHANGE,
            );
        },
    },
    Scenario {
        name: "new-interface",
        what: "flows move to another interface, and are authorized again",
        seeds: 8,
        cases: Cases::Families(8),
        config: |config, _| config.freedom.reauthorize = 0,
        story: |bench| {
            bench.load();
            again(
                bench,
                consts::FWP_CONDITION_REAUTHORIZE_REASON_NEW_ARRIVAL_INTERFACE,
            );
        },
    },
    Scenario {
        name: "policy-change-held",
        what: "policy changes while packets are held",
        seeds: 8,
        cases: Cases::Count(16),
        config: |config, _| config.freedom.reauthorize = 0,
        story: |bench| {
            bench.load();
            storm(bench, 0);
            bench.run();
            for _ in 0..3 {
                storm(bench, 0);
                bench.steps(bench.case.number as usize * 5);
                bench.machine().change_policy();
            }
        },
    },
    Scenario {
        name: "policy-keeps-changing",
        what: "policy changes before every packet",
        seeds: 30,
        cases: Cases::Families(1),
        config: |config, _| config.freedom.reauthorize = 100,
        story: |bench| {
            bench.load();
            dialogue(bench);
        },
    },
];

/// A connection, begun by the peer or by this host, and packets of it each way after the change.
fn again(bench: &mut Bench<'_>, reason: u32) {
    let bit = |bit: u64| bench.case.number & bit != 0;
    let (is_tcp, from_peer, inbound_first) = (bit(1), bit(2), bit(4));
    let (host, peer) = if from_peer {
        bench.ends(443, 50_000)
    } else {
        bench.ends(50_000, 443)
    };
    match (is_tcp, from_peer) {
        (true, true) => accept(bench, peer.port(), host.port()),
        (true, false) => connect(bench, host.port(), peer.port()),
        (false, true) => drop(bench.receive(udp(peer, host, 1))),
        (false, false) => drop(bench.send(udp(host, peer, 1))),
    }
    bench.run();
    for round in 1..3 {
        bench.machine().reauthorize(reason);
        for (inbound, number) in [(inbound_first, 0), (!inbound_first, 1), (inbound_first, 2)] {
            let (from, to) = if inbound { (peer, host) } else { (host, peer) };
            let packet = if is_tcp {
                tcp(from, to, TcpFlags::ACK, round * 100 + number)
            } else {
                udp(from, to, round * 100 + number)
            };
            if inbound {
                bench.receive(packet);
            } else {
                bench.send(packet);
            }
            bench.turn();
        }
        bench.run();
    }
}
