//! Subjects of our own: a handful of packets through a driver, with nothing or with an unload beside them.

use std::net::SocketAddr;

use wfpsim_packet::IpPacket;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use super::Subject;
use crate::Config;
use crate::Machine;
use crate::check;
use crate::check::Failure;
use crate::check::Scenario;
use crate::driver::Driver;
use crate::driver::Parameters;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::stack;
use crate::stack::Received;
use crate::stack::Side;
use crate::stack::Transmitted;
use crate::verifier::Violation;

/// Half a minute, in units of 100 ns: whatever has a deadline is over by then.
const HALF_A_MINUTE: u64 = 300_000_000;

/// When the driver is unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// When every packet is through.
    AfterAll,
    /// At any time: a thread of the system begins it while packets are under way.
    UnderLoad,
}

/// Packets through a driver, in both directions, from threads of their own.
#[derive(Clone)]
pub struct Packets {
    name: &'static str,
    driver: Driver,
    ends: Ends,
    inbound: Vec<Vec<u8>>,
    outbound: Vec<Vec<u8>>,
}

/// A scenario of the conformance suite, or all of them in turn. The seed says which case of which.
pub struct Checked {
    name: String,
    driver: Driver,
    scenarios: Vec<&'static Scenario>,
}

/// Cases of scenarios that have one for every call: more than any has calls.
const MANY_CASES: u64 = 512;

impl Checked {
    /// The scenario and the case of a seed.
    fn of(&self, seed: u64) -> (&'static Scenario, u64) {
        let count = self.scenarios.len() as u64;
        let scenario = self.scenarios[(seed % count) as usize];
        let cases = scenario.cases.count().unwrap_or(MANY_CASES);
        (scenario, seed / count % cases.max(1))
    }
}

impl Subject for Checked {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn config(&self, seed: u64) -> Config {
        let (scenario, case) = self.of(seed);
        scenario.config(seed, case)
    }

    fn stories(&self, first: u64) -> Vec<u64> {
        let count = self.scenarios.len() as u64;
        // Seeds of one scenario are so far apart, and its cases follow each other in them.
        let round = first / count * count;
        let of = |(scenario, index): (&&Scenario, u64)| {
            // Where the cases are calls that fail, whoever fails calls makes them all of one.
            let cases = scenario.cases.count().unwrap_or(1);
            let begin = round + index + if index < first % count { count } else { 0 };
            (0..cases).map(move |case| begin + case * count)
        };
        self.scenarios.iter().zip(0..).flat_map(of).collect()
    }

    fn run(&self, machine: &Machine) {
        let kernel = machine.kernel();
        let (scenario, case) = self.of(kernel.config.seed);
        let outcome = scenario.run_on(machine, &self.driver, case);
        for failure in outcome.failures {
            if !matches!(failure, Failure::Violation(_)) {
                let summary = format!("{}, case {case}: {failure}", scenario.name);
                kernel.record(Violation::packet(kernel, 0, summary));
            }
        }
    }
}

/// Every subject, for a driver: name and what it is.
pub fn all(driver: &Driver) -> Vec<(String, &'static str)> {
    let packets = packets(driver).into_iter().map(|subject| {
        let what = match subject.ends {
            Ends::AfterAll => "packets both ways, then unload",
            Ends::UnderLoad => "packets both ways, and unload at any time",
        };
        (subject.name.to_owned(), what)
    });
    let checked = check::all().map(|scenario| (scenario.name.to_owned(), scenario.what));
    packets
        .chain(checked)
        .chain([(EVERY.to_owned(), "every scenario of wfpsim check, in turn")])
        .collect()
}

/// The name of all scenarios of the conformance suite together.
const EVERY: &str = "check";

fn packets(driver: &Driver) -> Vec<Packets> {
    let of = |name, ends, packets: (Vec<Vec<u8>>, Vec<Vec<u8>>)| Packets {
        name,
        driver: driver.clone(),
        ends,
        inbound: packets.0,
        outbound: packets.1,
    };
    vec![
        of("ten-packets", Ends::AfterAll, ten()),
        of("ten-packets-unload", Ends::UnderLoad, ten()),
        of("one-packet", Ends::AfterAll, one()),
        of("one-packet-unload", Ends::UnderLoad, one()),
        of("two-packets", Ends::AfterAll, two()),
        of("two-packets-unload", Ends::UnderLoad, two()),
    ]
}

/// The subject of a name, for a driver.
pub fn subject(driver: &Driver, name: &str) -> Option<Box<dyn Subject>> {
    if let Some(found) = packets(driver)
        .into_iter()
        .find(|subject| subject.name == name)
    {
        return Some(Box::new(found));
    }
    let scenarios: Vec<&'static Scenario> = check::all()
        .filter(|scenario| name == EVERY || scenario.name == name)
        .collect();
    (!scenarios.is_empty()).then(|| {
        let checked = Checked {
            name: name.to_owned(),
            driver: driver.clone(),
            scenarios,
        };
        Box::new(checked) as Box<dyn Subject>
    })
}

fn host(port: u16) -> SocketAddr {
    ([192, 0, 2, 10], port).into()
}

fn peer(port: u16) -> SocketAddr {
    ([198, 51, 100, 7], port).into()
}

/// A connection that comes in, one that goes out, and datagrams both ways.
fn ten() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (client, server) = (peer(40_000), host(80));
    let inbound = vec![
        build::tcp(client, server, TcpFlags::SYN, 1, 0, &[]),
        build::tcp(client, server, TcpFlags::ACK, 2, 1, &[]),
        build::tcp(
            client,
            server,
            TcpFlags::ACK,
            2,
            1,
            b"GET / HTTP/1.1\r\n\r\n",
        ),
        build::udp(peer(53), host(5000), b"an answer"),
        build::udp(peer(53), host(5000), b"another answer"),
    ];
    let outbound = vec![
        build::tcp(host(50_000), peer(443), TcpFlags::SYN, 9, 0, &[]),
        build::udp(host(5001), peer(53), b"a question"),
        build::udp(host(5001), peer(53), b"the next question"),
        build::udp(host(5002), peer(123), &[0x23; 48]),
        build::udp(host(5001), peer(53), b"the last question"),
    ];
    (inbound, outbound)
}

/// One datagram.
fn one() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    (two().0, Vec::new())
}

/// One datagram each way.
fn two() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    (
        vec![build::udp(peer(53), host(5000), b"in")],
        vec![build::udp(host(5001), peer(53), b"out")],
    )
}

impl Packets {
    fn start(&self, machine: &Machine) {
        let inbound = self.inbound.clone();
        machine.spawn("network", irql::PASSIVE, move |kernel| {
            for packet in inbound {
                kernel.point_before("a packet arrives");
                stack::arrive(kernel, Received::plain(packet));
            }
        });
        let outbound = self.outbound.clone();
        machine.spawn("application", irql::PASSIVE, move |kernel| {
            for packet in outbound {
                kernel.point_before("a packet is sent");
                stack::transmit(kernel, vec![Transmitted::plain(packet, false)]);
            }
        });
    }

    /// Compares what came out with what went in, after the IP header.
    fn judge(&self, machine: &Machine) {
        let kernel = machine.kernel();
        let fails = kernel.config.faults.fail_call.is_some();
        let mut missing: Vec<(Side, &Vec<u8>)> = self
            .inbound
            .iter()
            .map(|packet| (Side::Inbound, packet))
            .chain(self.outbound.iter().map(|packet| (Side::Outbound, packet)))
            .collect();
        for arrival in machine.take_arrivals() {
            let found = missing.iter().position(|(side, packet)| {
                *side == arrival.side && payload(packet) == payload(&arrival.bytes)
            });
            match found {
                Some(index) => {
                    missing.swap_remove(index);
                }
                None => violate(kernel, arrival.packet, "came out altered or unasked for"),
            }
        }
        if !fails && !missing.is_empty() {
            let summary = format!("{} packets did not come out", missing.len());
            kernel.record(Violation::packet(kernel, 0, summary));
        }
    }
}

fn violate(kernel: &Kernel, packet: u64, what: &str) {
    kernel.record(Violation::packet(
        kernel,
        packet,
        format!("packet {packet} {what}"),
    ));
}

fn payload(packet: &[u8]) -> Option<&[u8]> {
    IpPacket::parse(packet).ok().map(|ip| ip.payload())
}

impl Subject for Packets {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn config(&self, seed: u64) -> Config {
        Config::new(seed)
    }

    fn run(&self, machine: &Machine) {
        if machine.load(&self.driver, &Parameters::default()).is_err() {
            // That it may fail where calls are made to fail, and what it must not leave behind then, the machine knows.
            if machine.kernel().config.faults.fail_call.is_none() {
                violate(
                    machine.kernel(),
                    0,
                    "has no driver to go through: it did not load",
                );
            }
            return;
        }
        self.start(machine);
        if self.ends == Ends::UnderLoad {
            machine.unload_driver();
        }
        machine.run_until(machine.kernel().now() + HALF_A_MINUTE);
        if self.ends == Ends::AfterAll {
            machine.unload_driver();
        }
        if !machine.kernel().has_crashed() {
            self.judge(machine);
        }
    }
}
