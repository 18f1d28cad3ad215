//! The same machine twice: one runs the linked driver, the other the image. Whatever is done to one is done to the other, and
//! after each step both must have answered the same and be at the same time.

use std::fmt::Debug;

use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Stop;
use wfpsim::driver::Driver;
use wfpsim::driver::Leaks;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;
use wfpsim::driver::tollgate;
use wfpsim::stack::Arrival;
use wfpsim::stack::Counts;
use wfpsim::stack::Packet;
use wfpsim::stack::Received;
use wfpsim::stack::Transmitted;
use wfpsim::verifier::Violation;

use crate::story::forms;

pub struct Machines {
    linked: Machine,
    /// With the image that it runs; none if no image was built.
    image: Option<(Machine, &'static Driver)>,
}

impl Machines {
    pub fn new(config: Config) -> Self {
        Self {
            linked: Machine::new(config.clone()),
            image: forms::image().map(|image| (Machine::new(config), image)),
        }
    }

    /// Does something with each machine and gives what came of it, which must be the same, as `told` tells it.
    #[track_caller]
    fn both<R, T: PartialEq + Debug>(
        &self,
        mut act: impl FnMut(&Machine) -> R,
        told: impl Fn(&R) -> T,
    ) -> R {
        let linked = act(&self.linked);
        if let Some((machine, _)) = &self.image {
            let image = act(machine);
            self.compare(machine, told(&linked), told(&image));
        }
        linked
    }

    /// The same, for what can be compared as it is.
    #[track_caller]
    pub fn each<R: PartialEq + Debug>(&self, mut act: impl FnMut(&Machine) -> R) -> R {
        let linked = act(&self.linked);
        if let Some((machine, _)) = &self.image {
            let image = act(machine);
            self.compare(machine, &linked, &image);
        }
        linked
    }

    #[track_caller]
    fn compare<T: PartialEq + Debug>(&self, machine: &Machine, linked: T, image: T) {
        let seed = self.linked.kernel().config.seed;
        assert_eq!(
            linked, image,
            "seed {seed}: the linked driver (left) and the image (right) differ"
        );
        assert_eq!(
            self.linked.kernel().now(),
            machine.kernel().now(),
            "seed {seed}: the linked driver (left) and the image (right) are not at the same time"
        );
    }

    /// Loads Tollgate, each machine in its form.
    #[track_caller]
    pub fn load(&self, parameters: &Parameters) -> Result<(), LoadError> {
        let loaded = self.linked.load_driver(tollgate(), parameters);
        if let Some((machine, image)) = &self.image {
            self.compare(machine, &loaded, &machine.load(image, parameters));
        }
        loaded
    }

    #[track_caller]
    pub fn unload_driver(&self) -> Leaks {
        self.each(Machine::unload_driver)
    }

    #[track_caller]
    pub fn receive(&self, received: &Received) -> u64 {
        self.each(|machine| machine.receive(received.clone()))
    }

    #[track_caller]
    pub fn transmit(&self, packets: &[Transmitted]) -> Vec<u64> {
        self.each(|machine| machine.transmit(packets.to_vec()))
    }

    #[track_caller]
    pub fn run(&self) -> Stop {
        self.each(Machine::run)
    }

    #[track_caller]
    pub fn run_steps(&self, steps: usize) {
        self.each(|machine| machine.run_steps(steps));
    }

    /// Lets so much time pass, in units of 100 ns.
    #[track_caller]
    pub fn run_for(&self, time: u64) -> Stop {
        self.each(|machine| machine.run_until(machine.kernel().now() + time))
    }

    #[track_caller]
    pub fn ioctl(&self, code: u32, input: &[u8], output_length: usize) -> (i32, Vec<u8>) {
        self.each(|machine| machine.ioctl(code, input, output_length))
    }

    #[track_caller]
    pub fn stop_bfe(&self) {
        self.each(Machine::stop_bfe);
    }

    #[track_caller]
    pub fn start_bfe(&self) {
        self.each(Machine::start_bfe);
    }

    #[track_caller]
    pub fn change_policy(&self) {
        self.each(Machine::change_policy);
    }

    #[track_caller]
    pub fn close_endpoints(&self) {
        self.each(Machine::close_endpoints);
    }

    #[track_caller]
    pub fn counts(&self) -> Counts {
        self.each(Machine::counts)
    }

    #[track_caller]
    pub fn fallible_calls(&self) -> u64 {
        self.each(|machine| machine.kernel().fallible_calls())
    }

    /// The account of a packet. Addresses are each machine's own.
    #[track_caller]
    pub fn packet(&self, number: u64) -> Option<Packet> {
        self.both(
            |machine| machine.packet(number),
            |packet| {
                let packet = packet.as_ref()?;
                let ways = (packet.fate, packet.arrivals, packet.held, packet.injected);
                Some((ways, packet.sent_with.clone()))
            },
        )
    }

    #[track_caller]
    pub fn take_arrivals(&self) -> Vec<Arrival> {
        self.both(Machine::take_arrivals, |arrivals| format!("{arrivals:?}"))
    }

    #[track_caller]
    pub fn violations(&self) -> Vec<Violation> {
        self.both(Machine::violations, |violations| {
            violations.iter().map(forms::essence).collect::<Vec<_>>()
        })
    }
}
