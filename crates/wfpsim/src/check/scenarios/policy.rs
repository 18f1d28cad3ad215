//! What the policy blocks never comes out, whatever else goes wrong. The policy is Tollgate's.

use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use super::traffic::dialogue;
use crate::check::bench::Bench;
use crate::check::bench::Loss;
use crate::check::packets::tcp;
use crate::check::packets::udp;
use crate::check::scenario::Cases;
use crate::check::scenario::Scenario;
use crate::check::scenario::ordinary;
use crate::driver::Parameters;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "blocked-address",
        what: "a blocked address gets nothing through, others all",
        seeds: 20,
        cases: Cases::Families(1),
        config: ordinary,
        story: |bench| {
            if load_blocking(bench) {
                forbidden(bench);
                dialogue(bench);
                forbidden(bench);
            }
        },
    },
    Scenario {
        name: "blocked-and-calls-fail",
        what: "no failing call lets through what the policy blocks",
        seeds: 1,
        cases: Cases::EveryCall,
        config: |config, case| {
            config.faults.fail_call = Some(case.index + 1);
            config.faults.count = 1 + case.index % 3 * 1000;
        },
        story: |bench| {
            bench.may_lose(Loss::Any);
            if bench.load_with_or_refuse(&blocking(bench)) {
                bench.must_be_tollgate();
                if !bench.is_over() {
                    forbidden(bench);
                }
            }
        },
    },
    Scenario {
        name: "blocked-and-policy-changes",
        what: "nor does a change of policy, in either direction",
        seeds: 20,
        cases: Cases::Families(1),
        config: |config, _| config.freedom.reauthorize = 100,
        story: |bench| {
            if load_blocking(bench) {
                forbidden(bench);
                forbidden(bench);
            }
        },
    },
];

/// The parameters that block [`Bench::other`].
fn blocking(bench: &Bench<'_>) -> Parameters {
    let mut parameters = Parameters::default();
    parameters.set_string("BlockRemoteAddress", &bench.other(0).ip().to_string());
    parameters
}

/// Loads the driver with these. Whether there is anything to see.
fn load_blocking(bench: &mut Bench<'_>) -> bool {
    bench.load_with(&blocking(bench));
    bench.must_be_tollgate();
    !bench.is_over()
}

/// Packets of every kind to and from the blocked address.
fn forbidden(bench: &mut Bench<'_>) {
    let (host, other) = (bench.host(53), bench.other(5353));
    for number in 0..2 {
        let packets = [
            bench.receive(udp(other, host, number)),
            bench.send(udp(host, other, number)),
            bench.receive(tcp(other, host, TcpFlags::SYN, number)),
            bench.send(tcp(host, other, TcpFlags::SYN, number)),
            bench.receive(tcp(other, bench.host(22), TcpFlags::ACK, number)),
            bench.receive(build::echo_request(other.ip(), host.ip(), 7, 1, b"echo")),
        ];
        for packet in packets {
            bench.must_not_come_out(packet);
        }
        bench.turn();
    }
    bench.run();
}
