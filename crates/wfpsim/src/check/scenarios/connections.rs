//! Connections at awkward moments: asked for again, closed meanwhile.

use wfpsim_packet::transport::TcpFlags;

use super::traffic::connect;
use crate::check::packets::tcp;
use crate::check::packets::udp;
use crate::check::scenario::Cases;
use crate::check::scenario::Scenario;
use crate::check::scenario::ordinary;
use crate::stack::Fate;
use crate::stack::Side;

/// In how many turns of threads a packet is through or held.
const SOON: usize = 2000;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "syn-retransmitted",
        what: "a SYN and a first datagram again while the accept is pended",
        seeds: 40,
        cases: Cases::Families(1),
        config: ordinary,
        story: |bench| {
            bench.load();
            let (host, peer) = bench.ends(443, 50_000);
            for _ in 0..3 {
                bench.receive(tcp(peer, host, TcpFlags::SYN, 1));
                bench.receive(udp(peer, host, 1));
                bench.steps(bench.machine().kernel().random.below(12));
            }
            bench.run();
            bench.receive(tcp(peer, host, TcpFlags::SYN, 1));
        },
    },
    Scenario {
        name: "endpoint-closed",
        what: "the endpoint is closed while its packet is held",
        seeds: 40,
        cases: Cases::Families(1),
        config: ordinary,
        story: |bench| {
            bench.load();
            connect(bench, 50_000, 443);
            let (host, peer) = bench.ends(50_000, 443);
            for number in 10..20 {
                let sent = if number % 2 == 0 {
                    tcp(host, peer, TcpFlags::ACK, number)
                } else {
                    udp(host, peer, number)
                };
                let packet = bench.send(sent.clone());
                for _ in 0..SOON {
                    if bench.fate(packet) != Fate::OnTheWay {
                        break;
                    }
                    bench.steps(1);
                }
                if bench.fate(packet) == Fate::Held {
                    bench.may_be_lost(packet);
                    bench.machine().close_endpoint(&sent, Side::Outbound);
                }
                bench.run();
            }
        },
    },
];
