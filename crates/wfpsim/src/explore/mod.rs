//! Every interleaving, or as many as there is time for: a [`Subject`] is run over and over, each time under another schedule,
//! and what is found is shrunk, told and given as a [`Token`] that shows it again.

mod exhaustive;
mod faults;
mod findings;
mod pct;
mod report;
mod run;
mod search;
mod shrink;
mod subject;
mod subjects;
mod threads;
mod timeline;
mod token;

use std::time::Duration;

pub(crate) use exhaustive::EVERYTHING;
pub use exhaustive::Exhaustive;
pub use faults::Failing;
pub use faults::Faulted;
pub use faults::fail_every_call;
pub use findings::Finding;
pub use findings::replay;
pub use pct::Pct;
pub use pct::bound;
pub use report::finding as finding_json;
pub use report::json;
pub use shrink::Symptom;
pub use subject::Subject;
pub use subjects::Checked;
pub use subjects::Ends;
pub use subjects::Packets;
pub use subjects::all as subjects;
pub use subjects::subject;
pub use timeline::Row;
pub use timeline::Timeline;
pub use token::Token;
pub use token::TokenError;

use crate::Config;
use crate::machine::Faults;
use crate::machine::Freedom;

/// How long something may be held before it counts as held too long, in 100 ns units: ten seconds.
const HELD_TOO_LONG: u64 = 100_000_000;

/// The machine of a run, besides what the subject says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The seed: of the numbers where they decide, and of what each machine has of its own.
    pub seed: u64,
    /// How many processors; as the subject says if `None`.
    pub processors: Option<u8>,
    /// Whether the environment does what it may ([`Freedom`]), or only the plainest.
    pub free: bool,
    /// Which calls fail; as the subject says if none.
    pub faults: Faults,
}

impl Setup {
    /// The machine that the subject asks for.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            processors: None,
            free: true,
            faults: Faults::default(),
        }
    }

    fn config(&self, subject: &dyn Subject) -> Config {
        let mut config = subject.config(self.seed);
        config.behind = true;
        config.held_too_long = Some(HELD_TOO_LONG);
        if config.preempt == 0 {
            config.preempt = Config::new(0).preempt;
        }
        if !self.free {
            config.freedom = Freedom::none();
        }
        if let Some(processors) = self.processors {
            config.processors = processors;
        }
        if self.faults.fail_call.is_some() {
            config.faults = self.faults.clone();
        }
        config
    }
}

/// How schedules are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By chance at every point.
    Random,
    /// Probabilistic concurrency testing, for bugs of this depth.
    Pct {
        /// How many events must come in one order for the bug to show.
        depth: u32,
    },
    /// All of them, less those that differ only in the order of steps that do not concern each other.
    Exhaustive,
    /// All of them.
    Brute,
}

/// What to explore, and how far.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The machine; the seed is the first schedule's, and the next have those behind it.
    pub setup: Setup,
    /// How schedules are chosen.
    pub method: Method,
    /// How many at most.
    pub schedules: u64,
    /// How long at most.
    pub time: Option<Duration>,
    /// Whether to go on when something was found, and look for other symptoms.
    pub all: bool,
    /// On how many host threads. The same schedules are tried on one as on many, and of what they find the first is told; only where
    /// PCT's priorities fall depends on how long the longest run before was. An exhaustive exploration takes one.
    pub jobs: usize,
}

/// How far an exploration has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Schedules run.
    pub schedules: u64,
    /// How many of them were different, as the order of the events of each object tells.
    pub distinct: u64,
    /// Runs in which something was violated.
    pub violations: u64,
    /// Runs that were made again with every guard, because they were odd.
    pub again: u64,
}

/// Why an exploration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every schedule was covered.
    Covered,
    /// The number of schedules was reached.
    Schedules,
    /// The time was up.
    Time,
    /// Something was found.
    Found,
    /// Somebody stopped it.
    Interrupted,
}

/// What an exploration came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// How far it came.
    pub progress: Progress,
    /// How long it took, without shrinking.
    pub elapsed: Duration,
    /// How long processors were busy with that, all together, whatever else the host did meanwhile.
    pub busy: Duration,
    /// Why it ended.
    pub ended: Ended,
    /// What was found, one for each symptom.
    pub findings: Vec<Finding>,
    /// Kernel calls of the longest run, and threads of the one with the most.
    pub longest: (u64, u32),
    /// The least probability of each run to show a bug of the depth asked for (PCT only).
    pub bound: Option<f64>,
    /// Exhaustive only: runs that would have shown nothing new, and runs that were cut off for their length.
    pub redundant_and_cut: Option<(u64, u64)>,
}

/// Runs the subject under schedule after schedule. `tell` hears of the progress now and then; false from it ends it.
pub fn explore(
    subject: &dyn Subject,
    plan: &Plan,
    tell: &mut dyn FnMut(&Progress) -> bool,
) -> Report {
    search::Search::new(subject, plan).run(tell)
}
