//! A replay in progress: steps go in, arrivals are compared, everything is accounted for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use wfpsim_ipsec::Recipe;
use wfpsim_ipsec::Sadb;
use wfpsim_packet::IpPacket;
use wfpsim_packet::Timestamp;
use wfpsim_packet::Transport;
use wfpsim_packet::fragment::Layout;
use wfpsim_packet::fragment::refragment;

use super::compare;
use super::followed::Followed;
use super::plan::Action;
use super::plan::Step;
use super::summary::Lost;
use super::summary::Summary;
use crate::Config;
use crate::Machine;
use crate::Stop;
use crate::driver::Driver;
use crate::driver::Parameters;
use crate::stack::Arrival;
use crate::stack::Fate;
use crate::stack::Side;
use crate::stack::Transmitted;
use crate::verifier::Violation;

/// Packets further apart than this see each other's work finished: 1 ms, in nanoseconds.
const APART: u64 = 1_000_000;

/// A packet with so many behind it is no longer held: the driver's queue is shorter.
const OLD: u64 = 8192;

/// The built-in policy of the driver, so that the replay knows what must not come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The remote address that is blocked.
    pub address: Option<IpAddr>,
    /// The remote port that is blocked.
    pub port: Option<u16>,
}

impl Block {
    /// Whether the policy blocks a packet, from the packet alone.
    fn matches(&self, packet: &[u8], inbound: bool) -> bool {
        if *self == Self::default() {
            return false;
        }
        let Ok(ip) = IpPacket::parse(packet) else {
            return false;
        };
        let remote = if inbound {
            ip.source()
        } else {
            ip.destination()
        };
        let ports = Transport::parse(&ip)
            .ok()
            .and_then(|transport| transport.ports());
        let port = ports.map(|(source, destination)| if inbound { source } else { destination });
        self.address.is_none_or(|address| address == remote)
            && self.port.is_none_or(|blocked| port == Some(blocked))
    }
}

/// A counter of the driver's own: group, name, value.
pub type DriverCounter = (&'static str, &'static str, u64);

/// What a replay is run with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The machine.
    pub config: Config,
    /// The policy, which the driver reads from its Parameters key.
    pub block: Block,
    /// Reads the driver's own counters at the end.
    pub counters: Option<fn(&Machine) -> Vec<DriverCounter>>,
}

/// What came out, for whoever writes it down.
pub struct Output<'a> {
    /// Where it came out.
    pub side: Side,
    /// The capture's time of the packet.
    pub time: Timestamp,
    /// The packet as it is on that side: on the wire protected and cut again.
    pub packet: &'a [u8],
}

/// A packet that is expected to come out.
struct Expected {
    number: u64,
    time: Timestamp,
    side: Side,
    clean: Vec<u8>,
    blocked: bool,
    /// Whether somebody wants to see what happens to it.
    followed: bool,
    recipe: Option<Recipe>,
    layout: Option<Layout>,
}

/// A machine with a driver, and the packets on their way through it.
pub struct Runner {
    machine: Machine,
    sadb: Sadb,
    settings: Settings,
    expected: BTreeMap<u64, Expected>,
    /// With so many expected, those whose end is known are settled.
    settle_at: usize,
    /// Packets of one flow that may share a net buffer list.
    batch: Vec<(Expected, Transmitted)>,
    /// The capture's time of the first packet, and the machine's time then.
    origin: Option<(Timestamp, u64)>,
    last: Timestamp,
    summary: Summary,
    crashed: bool,
}

impl Runner {
    /// Switches a machine on and loads the driver.
    pub fn new(settings: Settings, sadb: Sadb, driver: impl Into<Driver>) -> Self {
        let machine = Machine::new(settings.config.clone());
        let mut parameters = Parameters::default();
        if let Some(address) = settings.block.address {
            parameters.set_string("BlockRemoteAddress", &address.to_string());
        }
        if let Some(port) = settings.block.port {
            parameters.set_u32("BlockRemotePort", u32::from(port));
        }
        let summary = Summary {
            seed: settings.config.seed,
            block: settings.block,
            ..Summary::default()
        };
        let mut runner = Self {
            machine,
            sadb,
            settings,
            expected: BTreeMap::new(),
            settle_at: OLD as usize,
            batch: Vec::new(),
            origin: None,
            last: Timestamp(0),
            summary,
            crashed: false,
        };
        if let Err(error) = runner.machine.load(&driver.into(), &parameters) {
            runner.summary.input_error = Some(format!("the driver did not load: {error}"));
            runner.crashed = true;
        }
        runner
    }

    /// Whether the machine has stopped and takes nothing more.
    pub fn has_stopped(&self) -> bool {
        self.crashed
    }

    /// The machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Follows a packet of the capture that is still to come: what happens to it is in the summary.
    pub fn follow(&mut self, number: u64) {
        self.summary.followed = Some(Followed {
            number,
            ..Followed::default()
        });
    }

    /// Follows a packet that the machine has just been given.
    fn follow_given(&self, packet: u64) {
        let kernel = self.machine.kernel();
        kernel.follow(packet);
        let fate = self.machine.packet(packet).map(|account| account.fate);
        if let Some(ended @ Fate::Dropped(_)) = fate {
            kernel.tell(ended.to_string());
        }
    }

    /// Gives one step to the machine, and what came out since to `output`.
    pub fn step(&mut self, step: Step, output: &mut dyn FnMut(Output<'_>)) {
        if self.crashed {
            return;
        }
        self.pass_time(step.time);
        let followed = self
            .summary
            .followed
            .as_mut()
            .is_some_and(|followed| followed.see(&step));
        match step.action {
            Action::Drop { packets, reason } => {
                *self.summary.dropped.entry(reason).or_default() += packets
            }
            Action::Receive(received) => {
                self.flush();
                let blocked = self.settings.block.matches(&received.clean, true);
                let clean = received.clean.clone();
                let packet = self.machine.receive(received);
                if followed {
                    self.follow_given(packet);
                }
                let expected = Expected {
                    number: step.number,
                    time: step.time,
                    side: Side::Inbound,
                    clean,
                    blocked,
                    followed,
                    recipe: None,
                    layout: None,
                };
                self.expected.insert(packet, expected);
            }
            Action::Transmit {
                packet,
                recipe,
                layout,
            } => {
                let blocked = self.settings.block.matches(&packet.packet, false)
                    || packet.loopback && self.settings.block.matches(&packet.packet, true);
                let side = if packet.loopback {
                    Side::Inbound
                } else {
                    Side::Outbound
                };
                let clean = packet.packet.clone();
                let alone = recipe.is_some() || layout.is_some();
                let expected = Expected {
                    number: step.number,
                    time: step.time,
                    side,
                    clean,
                    blocked,
                    followed,
                    recipe,
                    layout,
                };
                self.transmit(expected, packet, alone);
            }
        }
        self.turn();
        self.collect(output);
        self.settle_old();
    }

    /// Puts an outbound packet with those before it, or sends them first.
    fn transmit(&mut self, expected: Expected, packet: Transmitted, alone: bool) {
        let kernel = self.machine.kernel();
        let together = !alone
            && !packet.loopback
            && kernel.random.percent(kernel.config.freedom.batch_sends)
            && self
                .batch
                .last()
                .is_some_and(|(last, _)| same_flow(&last.clean, &expected.clean));
        if !together {
            self.flush();
        }
        self.batch.push((expected, packet));
        if alone {
            self.flush();
        }
    }

    /// Sends what was put together.
    fn flush(&mut self) {
        let (expected, packets): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.batch).into_iter().unzip();
        if !packets.is_empty() {
            let numbers = self.machine.transmit(packets);
            for (&packet, _) in numbers
                .iter()
                .zip(&expected)
                .filter(|(_, expected)| expected.followed)
            {
                self.follow_given(packet);
            }
            self.expected.extend(numbers.into_iter().zip(expected));
        }
    }

    /// Lets the machine's clock follow the capture's; a pause lets everything under way finish first.
    fn pass_time(&mut self, time: Timestamp) {
        // Times that go backwards, and the steps without one at the end, do not move the clock.
        let time = time.max(self.last);
        let (first, start) = *self
            .origin
            .get_or_insert((time, self.machine.kernel().now()));
        if time.0.saturating_sub(self.last.0) > APART {
            self.flush();
            let target = start + (time.0 - first.0) / 100;
            self.note(self.machine.run_until(target));
        }
        self.last = time;
    }

    /// Lets the machine do as much as the seed says before the next packet comes.
    fn turn(&mut self) {
        let kernel = self.machine.kernel();
        let steps = kernel.random.below(64);
        let stop = if self.settings.config.preempt == 0 {
            self.machine.run()
        } else {
            self.machine.run_steps(steps)
        };
        self.note(stop);
    }

    fn note(&mut self, stop: Stop) {
        self.crashed |= stop == Stop::Crashed;
    }

    /// Compares what came out.
    fn collect(&mut self, output: &mut dyn FnMut(Output<'_>)) {
        for arrival in self.machine.take_arrivals() {
            let Some(expected) = self.expected.remove(&arrival.packet) else {
                self.violate(
                    &arrival,
                    "came out although nothing of its kind was to come",
                );
                continue;
            };
            if expected.blocked {
                self.violate(
                    &arrival,
                    &format!(
                        "(capture: {}) came out although the policy blocks it",
                        expected.number
                    ),
                );
            } else if let Some(difference) =
                compare::difference(expected.side, &expected.clean, &arrival)
            {
                self.violate(
                    &arrival,
                    &format!(
                        "(capture: {}) came out altered: {difference}",
                        expected.number
                    ),
                );
            }
            self.write(&expected, &arrival, output);
            self.machine.forget_packet(arrival.packet);
        }
    }

    /// Hands out a packet as it is on its side.
    fn write(
        &mut self,
        expected: &Expected,
        arrival: &Arrival,
        output: &mut dyn FnMut(Output<'_>),
    ) {
        let side = arrival.side;
        if side == Side::Inbound {
            self.summary.delivered += 1;
            output(Output {
                side,
                time: expected.time,
                packet: &arrival.bytes,
            });
            return;
        }
        let protected = match &expected.recipe {
            Some(recipe) => self
                .sadb
                .protect(&arrival.bytes, recipe)
                .unwrap_or_else(|_| arrival.bytes.clone()),
            None => arrival.bytes.clone(),
        };
        let pieces = expected
            .layout
            .as_ref()
            .and_then(|layout| refragment(&protected, layout).ok());
        for piece in pieces.unwrap_or_else(|| vec![protected]) {
            self.summary.sent += 1;
            output(Output {
                side,
                time: expected.time,
                packet: &piece,
            });
        }
    }

    fn violate(&mut self, arrival: &Arrival, what: &str) {
        let side = if arrival.side == Side::Inbound {
            "delivered"
        } else {
            "sent"
        };
        let kernel = self.machine.kernel();
        kernel.record(Violation::packet(
            kernel,
            arrival.packet,
            format!("packet {} {what} ({side})", arrival.packet),
        ));
    }

    /// Lets everything finish, unloads the driver and sums up.
    pub fn finish(mut self, output: &mut dyn FnMut(Output<'_>)) -> Summary {
        if !self.crashed {
            self.flush();
            // Half a minute for whatever has a deadline.
            let end = self.machine.kernel().now() + 300_000_000;
            self.note(self.machine.run_until(end));
            self.collect(output);
        }
        if !self.crashed && self.summary.input_error.is_none() {
            if let Some(counters) = self.settings.counters {
                self.summary.driver = counters(&self.machine);
            }
            self.summary.leaks = self.machine.unload_driver();
            self.collect(output);
        }
        self.settle();
        if let Some(followed) = &mut self.summary.followed {
            followed.happened = self.machine.kernel().journey();
            followed.cut_short = self.crashed;
        }
        self.summary.stack = self.machine.counts();
        self.summary.violations = self.machine.violations();
        self.summary
    }

    /// What became of the packets that did not come out.
    fn settle(&mut self) {
        for (packet, expected) in std::mem::take(&mut self.expected) {
            self.settle_one(packet, expected);
        }
    }

    /// Settles packets of long ago whose end is known, so that a long capture takes no more memory than a short one. If one
    /// of them came out all the same, nobody would expect it any more, which is a violation too.
    fn settle_old(&mut self) {
        if self.expected.len() < self.settle_at {
            return;
        }
        let newest = self.expected.keys().next_back().copied().unwrap_or(0);
        let has_ended = |packet: u64, expected: &Expected| {
            let account = || self.machine.packet(packet);
            expected.blocked
                || account().is_some_and(|account| {
                    account.held == 0 && matches!(account.fate, Fate::Dropped(_))
                })
        };
        let old = self.expected.range(..newest.saturating_sub(OLD));
        let ended: Vec<u64> = old
            .filter(|&(&packet, expected)| has_ended(packet, expected))
            .map(|(&packet, _)| packet)
            .collect();
        for packet in ended {
            if let Some(expected) = self.expected.remove(&packet) {
                self.settle_one(packet, expected);
            }
        }
        self.settle_at = 2 * OLD as usize + 2 * self.expected.len();
    }

    fn settle_one(&mut self, packet: u64, expected: Expected) {
        let account = self.machine.forget_packet(packet);
        let fate = account
            .as_ref()
            .map_or(Fate::OnTheWay, |account| account.fate);
        let untouched = account.is_some_and(|account| account.held == 0);
        match fate {
            Fate::Dropped(reason) if untouched => {
                *self.summary.dropped.entry(reason).or_default() += 1
            }
            _ if expected.blocked => self.summary.blocked += 1,
            _ if self.crashed => *self.summary.dropped.entry("machine_stopped").or_default() += 1,
            _ => self.summary.lost.push(Lost {
                number: expected.number,
                what: format!(
                    "{}: {}",
                    compare::ends(&expected.clean),
                    compare::fate(fate)
                ),
            }),
        }
    }
}

/// Whether two packets can share a net buffer list: same ends, same protocol, same ports, no reset or new connection.
fn same_flow(one: &[u8], other: &[u8]) -> bool {
    let ends = |bytes: &[u8]| {
        let ip = IpPacket::parse(bytes).ok()?;
        let transport = Transport::parse(&ip).ok()?;
        let plain = transport
            .tcp()
            .is_none_or(|tcp| !tcp.flags.is_connect() && tcp.flags.0 & 4 == 0);
        let ports = transport.ports()?;
        plain.then_some((ip.source(), ip.destination(), ip.protocol(), ports))
    };
    ends(one).is_some_and(|flow| ends(other) == Some(flow))
}
