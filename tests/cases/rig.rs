//! A machine with Tollgate on it, and an account of what must come out. It is two machines, for the driver's two forms.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tollgate_abi::Counter;
use tollgate_abi::Counters;
use tollgate_abi::Group;
use tollgate_abi::IOCTL_TOLLGATE_COUNTERS;
use wfpsim::Config;
use wfpsim::Stop;
use wfpsim::driver::Parameters;
use wfpsim::replay::Block;
use wfpsim::replay::Step;
use wfpsim::replay::plan::Action;
use wfpsim::stack::Fate;
use wfpsim::stack::Received;
use wfpsim::stack::Transmitted;
use wfpsim_packet::transport::TcpFlags;

use crate::machines::Machines;
use crate::packets::SYN_ACK;
use crate::packets::tcp;

/// Half a minute, in units of 100 ns: whatever has a deadline is over by then.
const HALF_A_MINUTE: u64 = 300_000_000;

/// The driver's counters, as a program gets them.
pub fn counters(machine: &Machines) -> Counters {
    let (status, bytes) = machine.ioctl(IOCTL_TOLLGATE_COUNTERS, &[], Counters::SIZE);
    assert_eq!(status, 0, "IOCTL_TOLLGATE_COUNTERS: {:?}", told(machine));
    Counters::read_from(&bytes).expect("the driver writes its own version")
}

/// What was violated, in words.
pub fn told(machine: &Machines) -> String {
    machine
        .violations()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Replays a capture with Tollgate and gives its counters besides, which must agree.
pub fn replay(
    story: &crate::story::Story,
    config: Config,
    block: Block,
) -> (wfpsim::replay::Summary, Counters) {
    let summary = story.tollgate(config, block);
    let mut counters = Counters::default();
    for (_, name, value) in &summary.driver {
        counters.set(Counter::from_name(name).expect("a counter"), *value);
    }
    assert_eq!(counters.disagreement(), None, "{summary}");
    (summary, counters)
}

/// A machine with Tollgate, and every packet it was given.
pub struct Rig {
    pub machine: Machines,
    given: BTreeMap<u64, Vec<u8>>,
}

impl Rig {
    /// Switches a machine on and loads the driver, permitting everything.
    pub fn new(config: Config) -> Self {
        Self::with(config, &Parameters::default())
    }

    /// The same with parameters.
    pub fn with(config: Config, parameters: &Parameters) -> Self {
        let rig = Self::without_driver(config);
        rig.load(parameters);
        rig
    }

    /// A machine without the driver.
    pub fn without_driver(config: Config) -> Self {
        Self {
            machine: Machines::new(config),
            given: BTreeMap::new(),
        }
    }

    /// Loads the driver.
    pub fn load(&self, parameters: &Parameters) {
        let loaded = self.machine.load(parameters);
        assert_eq!(loaded, Ok(()), "{}", told(&self.machine));
    }

    /// A packet arrives.
    pub fn receive(&mut self, packet: Vec<u8>) -> u64 {
        self.receive_with(Received::plain(packet))
    }

    /// A packet arrives that is not an ordinary one.
    pub fn receive_with(&mut self, received: Received) -> u64 {
        let number = self.machine.receive(&received);
        self.given.insert(number, received.clean);
        number
    }

    /// A packet is sent.
    pub fn send(&mut self, packet: Vec<u8>) -> u64 {
        self.send_with(vec![Transmitted::plain(packet, false)])[0]
    }

    /// Packets are sent in one NBL.
    pub fn send_with(&mut self, packets: Vec<Transmitted>) -> Vec<u64> {
        let numbers = self.machine.transmit(&packets);
        let clean = packets.into_iter().map(|one| one.packet);
        self.given.extend(numbers.iter().copied().zip(clean));
        numbers
    }

    /// Does what a step of a capture says.
    pub fn step(&mut self, step: &Step) {
        match step.action.clone() {
            Action::Receive(received) => drop(self.receive_with(received)),
            Action::Transmit { packet, .. } => drop(self.send_with(vec![packet])),
            Action::Drop { .. } => {}
        }
    }

    /// Everything under way is finished.
    pub fn run(&self) {
        assert_eq!(self.machine.run(), Stop::Idle, "{}", told(&self.machine));
    }

    /// Where a packet is.
    pub fn fate(&self, packet: u64) -> Fate {
        self.machine.packet(packet).expect("its account").fate
    }

    /// How often a callout took a packet, and how often it was injected.
    pub fn taken(&self, packet: u64) -> (u32, u32) {
        let packet = self.machine.packet(packet).expect("its account");
        (packet.held, packet.injected)
    }

    /// The driver's counters by now.
    pub fn counters(&self) -> Counters {
        counters(&self.machine)
    }

    /// A connection to this host, from its SYN to its first data: `from` is the peer.
    pub fn accept(&mut self, from: SocketAddr, to: SocketAddr) {
        self.receive(tcp(from, to, TcpFlags::SYN, 1));
        self.run();
        self.send(tcp(to, from, SYN_ACK, 1));
        self.run();
        self.receive(tcp(from, to, TcpFlags::ACK, 2));
        self.run();
    }

    /// A connection from this host: `to` is the peer.
    pub fn connect(&mut self, from: SocketAddr, to: SocketAddr) {
        self.send(tcp(from, to, TcpFlags::SYN, 1));
        self.run();
        self.receive(tcp(to, from, SYN_ACK, 1));
        self.run();
        self.send(tcp(from, to, TcpFlags::ACK, 2));
        self.run();
    }

    /// Lets everything finish, reads the counters, unloads, and compares: all came out, or else the story fails.
    pub fn end(self) -> Counters {
        self.end_without(&[])
    }

    /// The same, and exactly these packets must not have come out.
    pub fn end_without(self, lost: &[u64]) -> Counters {
        let (counters, gone) = self.end_and_tell();
        assert_eq!(gone, lost, "what did not come out");
        counters
    }

    /// The same, and the packets that did not come out are the caller's to judge.
    pub fn end_and_tell(mut self) -> (Counters, Vec<u64>) {
        self.settle();
        let counters = self.counters();
        assert_eq!(counters.disagreement(), None, "{counters:?}");
        self.unload();
        let gone = self.compare();
        (counters, gone)
    }

    /// Lets everything finish, with every deadline.
    pub fn settle(&self) {
        assert_eq!(
            self.machine.run_for(HALF_A_MINUTE),
            Stop::Idle,
            "{}",
            told(&self.machine)
        );
    }

    /// Unloads the driver, which must leave nothing behind.
    pub fn unload(&self) {
        let leaks = self.machine.unload_driver();
        assert!(leaks.is_empty(), "{leaks:?}\n{}", told(&self.machine));
        self.run();
        assert!(
            self.machine.violations().is_empty(),
            "{}",
            told(&self.machine)
        );
    }

    /// Compares all that came out since the last time with what went in, and gives what is missing.
    pub fn compare(&mut self) -> Vec<u64> {
        let mut missing = std::mem::take(&mut self.given);
        for arrival in self.machine.take_arrivals() {
            let given = missing
                .remove(&arrival.packet)
                .unwrap_or_else(|| panic!("packet {} came out of nothing", arrival.packet));
            assert_eq!(
                arrival.bytes, given,
                "packet {} came out altered",
                arrival.packet
            );
        }
        missing.into_keys().collect()
    }
}

/// Packets that the driver says are gone, each with a reason of its own: dropped, refused, blocked, or injected and not
/// accepted by the stack.
pub fn accounted(counters: &Counters) -> u64 {
    counters.sum(Group::Dropped)
        + counters.sum(Group::Refused)
        + counters.sum(Group::Blocked)
        + counters.get(Counter::InlineBlocked)
        + counters.get(Counter::CompletedNotAccepted)
        + counters.get(Counter::CompletedFailure)
}

/// Each of these counters has this value.
#[track_caller]
pub fn assert_counted(counters: &Counters, expected: &[(Counter, u64)]) {
    for &(counter, value) in expected {
        assert_eq!(
            counters.get(counter),
            value,
            "{}\n{counters:?}",
            counter.name()
        );
    }
}
