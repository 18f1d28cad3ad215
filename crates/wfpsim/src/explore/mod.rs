//! Every interleaving, or as many as there is time for: a [`Subject`] is run over and over, each time under another schedule,
//! and what is found is shrunk, told and given as a [`Token`] that shows it again.

mod exhaustive;
mod faults;
mod findings;
mod pct;
mod report;
mod run;
mod shrink;
mod subject;
mod subjects;
mod timeline;
mod token;

use std::collections::HashSet;
use std::time::Duration;
use std::time::Instant;

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
use run::How;

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
    /// How long one processor was busy with that, whatever else the host did meanwhile.
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

/// The most choices of a run that is explored exhaustively.
const LONGEST_PATH: usize = 20_000;

/// How many runs are made without every guard for each one that is made with them from the beginning.
const LIGHT_RUNS: u64 = 63;

/// How often progress is told: every so many schedules.
const TELL_EVERY: u64 = 16;

/// How long this host thread has kept a processor busy.
fn busy() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists on every Linux, and the structure is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Runs the subject under schedule after schedule. `tell` hears of the progress now and then; false from it ends it.
pub fn explore(
    subject: &dyn Subject,
    plan: &Plan,
    tell: &mut dyn FnMut(&Progress) -> bool,
) -> Report {
    let (begun, busy_before) = (Instant::now(), busy());
    let (mut shrinking, mut busy_shrinking) = (Duration::ZERO, Duration::ZERO);
    let mut exhaustive = match plan.method {
        Method::Exhaustive => Some(Exhaustive::new(LONGEST_PATH)),
        Method::Brute => Some(Exhaustive::brute(LONGEST_PATH)),
        Method::Random | Method::Pct { .. } => None,
    };
    let mut steps = match plan.method {
        Method::Pct { .. } => run::once(subject, &plan.setup, How::plain()).calls,
        _ => 0,
    };
    let (mut progress, mut longest) = (Progress::default(), (0, 0));
    let (mut orders, mut symptoms) = (HashSet::new(), HashSet::new());
    let mut findings = Vec::new();
    let ended = loop {
        let elapsed = begun.elapsed() - shrinking;
        if progress.schedules >= plan.schedules {
            break Ended::Schedules;
        }
        if plan.time.is_some_and(|time| elapsed >= time) {
            break Ended::Time;
        }
        let mut setup = plan.setup.clone();
        if exhaustive.is_none() {
            setup.seed = plan.setup.seed.wrapping_add(progress.schedules);
        }
        // Reads of what is gone are seen with every guard only, so some runs have them from the beginning; and so has each that
        // stands for all those like it.
        let light = exhaustive.is_none() && progress.schedules % (LIGHT_RUNS + 1) != LIGHT_RUNS;
        let how = |exhaustive: Option<Exhaustive>| match (plan.method, exhaustive) {
            (_, Some(strategy)) => How::traced(Box::new(strategy)).silent(),
            (Method::Pct { depth }, None) => {
                How::steered(Box::new(Pct::new(setup.seed, depth, steps)))
            }
            _ => How::plain(),
        };
        let first = how(exhaustive.take());
        let mut run = if light {
            run::once(subject, &setup, first.light())
        } else {
            run::once(subject, &setup, first)
        };
        if light && run.odd {
            progress.again += 1;
            let guarded = run::once(subject, &setup, how(None));
            // What only the light run shows is shown all the same: zones that were written to, for one.
            if !guarded.violations.is_empty() {
                run.violations = guarded.violations;
            }
        }
        progress.schedules += 1;
        longest = (longest.0.max(run.calls), longest.1.max(run.threads));
        let mut covered = false;
        let mut given_up = false;
        if matches!(plan.method, Method::Exhaustive | Method::Brute) {
            let strategy: Option<Box<dyn std::any::Any>> =
                run.strategy.take().map(|strategy| strategy as _);
            let back = strategy.and_then(|strategy| strategy.downcast::<Exhaustive>().ok());
            let mut strategy = *back.expect("the strategy comes back as it was given");
            given_up = strategy.gave_up();
            covered = !strategy.advance();
            exhaustive = Some(strategy);
        }
        if !given_up {
            orders.insert(run.order);
            progress.distinct = orders.len() as u64;
        }
        if let Some(symptom) = Symptom::of(&run.violations).filter(|_| !given_up) {
            progress.violations += 1;
            if symptoms.insert(symptom) {
                let (since, busy_since) = (Instant::now(), busy());
                let trace = match (plan.method, run.trace) {
                    (_, Some(trace)) => trace,
                    (Method::Pct { depth }, None) => {
                        let again = Box::new(Pct::new(setup.seed, depth, steps));
                        findings::trace_of(subject, &setup, How::traced(again))
                    }
                    (_, None) => findings::trace_of(subject, &setup, How::noted()),
                };
                findings.push(findings::find(
                    subject,
                    &setup,
                    &trace,
                    symptom,
                    progress.schedules,
                ));
                shrinking += since.elapsed();
                busy_shrinking += busy() - busy_since;
            }
        }
        // Later runs may be longer than the first was; a fall must be able to come anywhere.
        if let Method::Pct { .. } = plan.method {
            steps = steps.max(longest.0);
        }
        if covered {
            let cut = exhaustive.as_ref().map_or(0, Exhaustive::cut);
            break if cut == 0 {
                Ended::Covered
            } else {
                Ended::Schedules
            };
        }
        if !findings.is_empty() && !plan.all {
            break Ended::Found;
        }
        if progress.schedules.is_multiple_of(TELL_EVERY) && !tell(&progress) {
            break Ended::Interrupted;
        }
    };
    tell(&progress);
    let bound = match plan.method {
        Method::Pct { depth } => Some(bound(longest.1, longest.0, depth)),
        _ => None,
    };
    Report {
        progress,
        elapsed: begun.elapsed() - shrinking,
        busy: busy() - busy_before - busy_shrinking,
        ended,
        findings,
        longest,
        bound,
        redundant_and_cut: exhaustive
            .as_ref()
            .map(|strategy| (strategy.redundant(), strategy.cut())),
    }
}
