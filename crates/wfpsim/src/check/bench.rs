//! A machine and a driver under test, and an account of what must come out.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use super::counted;
use super::packets;
use super::scenario::Case;
use super::scenario::Family;
use crate::Machine;
use crate::driver::Driver;
use crate::driver::LoadError;
use crate::driver::Parameters;
use crate::replay::compare;
use crate::stack::Fate;
use crate::stack::Received;
use crate::stack::Side;
use crate::stack::Transmitted;
use crate::verifier::Violation;

/// Longer than any deadline of the stack's or a driver's that a scenario waits for: a minute, in units of 100 ns.
const A_MINUTE: u64 = 600_000_000;

/// How many packets a run may lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// None.
    Nothing,
    /// Not more than so many.
    AtMost(u64),
    /// Any: the story injects failures without end.
    Any,
}

/// What was wrong in a run.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The verifier saw it.
    Violation(Box<Violation>),
    /// The driver did not load where it must.
    Load(String),
    /// A packet was lost, altered, or came out where it must not.
    Packet(String),
    /// The driver's own counters contradict themselves, or what became of the packets.
    Counters(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::Load(what) | Self::Packet(what) | Self::Counters(what) => writeln!(f, "{what}"),
        }
    }
}

/// What came of one run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Packets that were given to the stack.
    pub packets: u64,
    /// Packets that did not come out.
    pub lost: u64,
    /// How often a callout took a packet or pended an operation: what the driver had to do at all.
    pub taken: u64,
    /// How many calls were made that could have been made to fail.
    pub fallible_calls: u64,
    /// Everything that was wrong, the first cause first; empty if the driver did all that it owes.
    pub failures: Vec<Failure>,
    /// Why the scenario says nothing of this driver, if it does not.
    pub not_applicable: Option<&'static str>,
}

/// What is expected of a packet.
struct Given {
    bytes: Vec<u8>,
    /// Where it is to come out.
    side: Side,
    /// Whether it must not come out at all.
    forbidden: bool,
    /// Whether it may be lost.
    losable: bool,
}

/// A machine with a driver, and every packet it was given.
pub struct Bench<'a> {
    machine: &'a Machine,
    driver: &'a Driver,
    /// The case of the scenario.
    pub case: Case,
    given: BTreeMap<u64, Given>,
    /// How many packets the story says may be lost, if it speaks of that.
    loss: Option<Loss>,
    /// Calls fail that the story need not know of: a load may be refused, and what a failing call was made for may be lost.
    calls_fail: bool,
    /// The most packets that were sent in one list.
    longest_list: u64,
    /// The load was refused because of that: the story says nothing more.
    refused: bool,
    /// Set where the numbers of the driver and of the bench can be compared: lost packets, each in a list of its own.
    compare_counters: bool,
    /// Packets were given that the policy forbids: the driver counts these as it does what is lost.
    forbids: bool,
    loaded: bool,
    outcome: Outcome,
}

impl<'a> Bench<'a> {
    pub(super) fn new(machine: &'a Machine, driver: &'a Driver, case: Case) -> Self {
        Self {
            machine,
            driver,
            case,
            given: BTreeMap::new(),
            loss: None,
            calls_fail: machine.kernel().config.faults.fail_call.is_some(),
            longest_list: 1,
            refused: false,
            compare_counters: false,
            forbids: false,
            loaded: false,
            outcome: Outcome::default(),
        }
    }

    /// The machine.
    pub fn machine(&self) -> &'a Machine {
        self.machine
    }

    /// An endpoint of this host.
    pub fn host(&self, port: u16) -> SocketAddr {
        packets::host(self.case.family, port)
    }

    /// An endpoint of a peer.
    pub fn peer(&self, port: u16) -> SocketAddr {
        packets::peer(self.case.family, port)
    }

    /// An endpoint of another peer.
    pub fn other(&self, port: u16) -> SocketAddr {
        packets::other(self.case.family, port)
    }

    /// Both ends of a conversation: an endpoint of this host, and one of the peer.
    pub fn ends(&self, host: u16, peer: u16) -> (SocketAddr, SocketAddr) {
        (self.host(host), self.peer(peer))
    }

    /// The same story in the other version of IP from here on.
    pub fn speak(&mut self, family: Family) {
        self.case.family = family;
    }

    /// The story injects a failure that packets may be lost by. Every one lost must be counted, if the driver counts.
    pub fn may_lose(&mut self, loss: Loss) {
        self.loss = Some(loss);
        self.compare_counters = true;
    }

    /// Whether the story is over, because the machine stopped or the driver is not one that it is about.
    pub fn is_over(&self) -> bool {
        self.machine.kernel().has_crashed() || self.outcome.not_applicable.is_some() || self.refused
    }

    /// Loads the driver, which must succeed unless a call fails that the story need not know of.
    pub fn load(&mut self) {
        self.load_with(&Parameters::default());
    }

    /// The same with parameters, which mean nothing to a driver that does not know them.
    pub fn load_with(&mut self, parameters: &Parameters) {
        let kernel = self.machine.kernel();
        let before = kernel.failed_calls();
        let result = self.try_load(parameters);
        let failed = kernel.failed_calls() > before;
        match result {
            Ok(()) => {}
            Err(LoadError::Refused(..)) if failed => self.refused = true,
            Err(error) => self.fail(Failure::Load(format!("the driver did not load: {error}"))),
        }
    }

    /// Loads the driver, which may refuse if it leaves nothing behind. Whether it is loaded.
    pub fn load_or_refuse(&mut self) -> bool {
        self.load_with_or_refuse(&Parameters::default())
    }

    /// The same with parameters.
    pub fn load_with_or_refuse(&mut self, parameters: &Parameters) -> bool {
        match self.try_load(parameters) {
            Ok(()) => true,
            // What it left behind is a violation already.
            Err(LoadError::Refused(..)) => false,
            Err(error) => {
                self.fail(Failure::Load(format!("the driver did not load: {error}")));
                false
            }
        }
    }

    /// The story is about Tollgate's parameters: it says nothing of a driver that is not Tollgate, and ends here for it.
    pub fn must_be_tollgate(&mut self) {
        if self.loaded && !self.is_over() && counted::counters(self.machine).is_none() {
            self.outcome.not_applicable = Some("it is about Tollgate's policy");
        }
    }

    fn try_load(&mut self, parameters: &Parameters) -> Result<(), LoadError> {
        let result = self.machine.load(self.driver, parameters);
        self.loaded = result.is_ok();
        result
    }

    /// Unloads the driver. What it leaves behind is a violation.
    pub fn unload(&mut self) {
        if std::mem::take(&mut self.loaded) && !self.machine.kernel().has_crashed() {
            self.machine.unload_driver();
        }
    }

    /// A packet arrives.
    pub fn receive(&mut self, packet: Vec<u8>) -> u64 {
        self.receive_with(Received::plain(packet))
    }

    /// A packet arrives that is not an ordinary one.
    pub fn receive_with(&mut self, received: Received) -> u64 {
        let bytes = received.clean.clone();
        let number = self.machine.receive(received);
        self.give(number, bytes, Side::Inbound);
        number
    }

    /// A packet is sent.
    pub fn send(&mut self, packet: Vec<u8>) -> u64 {
        self.send_with(vec![Transmitted::plain(packet, false)])[0]
    }

    /// Packets are sent in one list.
    pub fn send_with(&mut self, packets: Vec<Transmitted>) -> Vec<u64> {
        let given: Vec<_> = packets
            .iter()
            .map(|one| {
                let side = if one.loopback {
                    Side::Inbound
                } else {
                    Side::Outbound
                };
                (one.packet.clone(), side)
            })
            .collect();
        self.longest_list = self.longest_list.max(packets.len() as u64);
        let numbers = self.machine.transmit(packets);
        for (&number, (bytes, side)) in numbers.iter().zip(given) {
            self.give(number, bytes, side);
        }
        numbers
    }

    fn give(&mut self, packet: u64, bytes: Vec<u8>, side: Side) {
        self.outcome.packets += 1;
        let given = Given {
            bytes,
            side,
            forbidden: false,
            losable: false,
        };
        self.given.insert(packet, given);
    }

    /// The driver's policy blocks this packet: it must not come out.
    pub fn must_not_come_out(&mut self, packet: u64) {
        if let Some(given) = self.given.get_mut(&packet) {
            given.forbidden = true;
        }
    }

    /// Something happens that this packet may be lost by. If it is, that must be counted, if the driver counts.
    pub fn may_be_lost(&mut self, packet: u64) {
        self.compare_counters = true;
        if let Some(given) = self.given.get_mut(&packet) {
            given.losable = true;
        }
    }

    /// The same of every packet that has not come out yet.
    pub fn all_on_the_way_may_be_lost(&mut self) {
        let on_the_way: Vec<u64> = self
            .given
            .keys()
            .copied()
            .filter(|&packet| !matches!(self.fate(packet), Fate::Delivered | Fate::Sent))
            .collect();
        for packet in on_the_way {
            self.may_be_lost(packet);
        }
    }

    /// Where a packet is.
    pub fn fate(&self, packet: u64) -> Fate {
        self.machine
            .packet(packet)
            .map_or(Fate::OnTheWay, |account| account.fate)
    }

    /// Lets the machine do as much as the seed says.
    pub fn turn(&mut self) {
        let steps = self.machine.kernel().random.below(64);
        self.steps(steps);
    }

    /// Lets the machine take so many turns of threads.
    pub fn steps(&mut self, steps: usize) {
        if !self.is_over() {
            self.machine.run_steps(steps);
        }
    }

    /// Everything under way is finished.
    pub fn run(&mut self) {
        if !self.is_over() {
            self.machine.run();
        }
    }

    /// Everything under way is finished, with every deadline.
    pub fn settle(&mut self) {
        if !self.is_over() {
            let end = self.machine.kernel().now() + A_MINUTE;
            self.machine.run_until(end);
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.outcome.failures.push(failure);
    }

    /// Lets everything finish, unloads the driver, and judges.
    pub(super) fn end(mut self) -> Outcome {
        self.settle();
        let mut counters = None;
        // While completions are outstanding the driver has still something to count.
        let quiet = self.machine.kernel().fwp.pending_injections() == 0;
        if self.loaded && quiet && !self.is_over() {
            counters = counted::counters(self.machine);
        }
        self.unload();
        if !self.is_over() {
            self.machine.run();
        }
        let counts = self.machine.counts();
        self.outcome.taken = counts.held + counts.pended;
        self.outcome.fallible_calls = self.machine.kernel().fallible_calls();
        let violations = self.machine.violations();
        // A machine that came down delivers nothing more, and that is not another fault.
        if !self.is_over() {
            self.compare();
            self.judge_counters(counters.as_ref());
        }
        let others = std::mem::take(&mut self.outcome.failures);
        self.outcome.failures = violations
            .into_iter()
            .map(|violation| Failure::Violation(Box::new(violation)))
            .chain(others)
            .collect();
        self.outcome
    }

    /// Compares all that came out with what went in.
    fn compare(&mut self) {
        let mut missing = std::mem::take(&mut self.given);
        self.forbids = missing.values().any(|given| given.forbidden);
        for arrival in self.machine.take_arrivals() {
            let number = arrival.packet;
            let Some(given) = missing.remove(&number) else {
                self.fail(Failure::Packet(format!(
                    "packet {number} came out of nothing"
                )));
                continue;
            };
            let ends = compare::ends(&given.bytes);
            if given.forbidden {
                self.fail(Failure::Packet(format!(
                    "packet {number} ({ends}) came out although the policy blocks it"
                )));
            } else if let Some(how) = altered(&given, &arrival) {
                self.fail(Failure::Packet(format!(
                    "packet {number} ({ends}) came out altered: {how}"
                )));
            }
        }
        let lost = missing.iter().filter(|(_, given)| !given.forbidden);
        self.outcome.lost = lost.clone().count() as u64;
        let lost: Vec<_> = lost.filter(|(_, given)| !given.losable).collect();
        let allowed = self.allowed_to_lose();
        if lost.len() as u64 > allowed {
            let told: Vec<String> = lost
                .iter()
                .map(|(number, given)| {
                    format!(
                        "packet {number} was lost: {}: {}",
                        compare::ends(&given.bytes),
                        compare::fate(self.fate(**number))
                    )
                })
                .collect();
            self.outcome
                .failures
                .extend(told.into_iter().map(Failure::Packet));
        }
    }

    /// How many packets may be lost: what the story says, or else the list that a failing call was made for.
    fn allowed_to_lose(&self) -> u64 {
        match self.loss {
            Some(Loss::Nothing) => 0,
            Some(Loss::AtMost(count)) => count,
            Some(Loss::Any) => u64::MAX,
            None if self.calls_fail => {
                let faults = &self.machine.kernel().config.faults;
                let calls = faults.count.max(1) + u64::from(faults.second.is_some());
                calls.saturating_mul(self.longest_list)
            }
            None => 0,
        }
    }

    /// Whether the driver's own counters agree with each other and with what became of the packets.
    fn judge_counters(&mut self, counters: Option<&tollgate_abi::Counters>) {
        let Some(counters) = counters else {
            return;
        };
        if let Some(disagreement) = counters.disagreement() {
            self.fail(Failure::Counters(format!(
                "the driver's counters disagree: {disagreement:?}"
            )));
        }
        let counted = counted::accounted(counters);
        // What a failing call was made for must be counted too, if it was one packet.
        let by_failure = self.calls_fail && self.loss.is_none() && self.longest_list == 1;
        let comparable = (self.compare_counters || by_failure) && !self.forbids;
        if comparable && counted != self.outcome.lost {
            let lost = self.outcome.lost;
            self.fail(Failure::Counters(format!(
                "{lost} packets did not come out, and the driver has counted a reason for {counted}"
            )));
        }
    }
}

/// How a packet differs from what was given, if it does.
fn altered(given: &Given, arrival: &crate::stack::Arrival) -> Option<String> {
    if given.bytes == arrival.bytes && given.side == arrival.side {
        return None;
    }
    compare::difference(given.side, &given.bytes, arrival)
        .or_else(|| Some("its IP header is another one".to_owned()))
}
