//! Run after run, on one host thread or on several, and what they come to.

use std::any::Any;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::Ended;
use super::Exhaustive;
use super::Finding;
use super::Method;
use super::Pct;
use super::Plan;
use super::Progress;
use super::Report;
use super::Setup;
use super::Subject;
use super::Symptom;
use super::bound;
use super::findings;
use super::run;
use super::run::How;
use super::run::Run;
use super::threads::on_threads;
use crate::machine::choice::Trace;

/// The most choices of a run that is explored exhaustively.
const LONGEST_PATH: usize = 20_000;

/// How many runs are made without every guard for each one that is made with them from the beginning.
const LIGHT_RUNS: u64 = 63;

/// How often progress is told: every so many schedules.
const TELL_EVERY: u64 = 16;

/// How long this host thread has kept a processor busy.
pub(super) fn busy() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists on every Linux, and the structure is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What one schedule came to.
struct Tried {
    /// Which: 0 is the first.
    index: u64,
    /// Among how many steps it chose those at which priorities fall (PCT).
    steps: u64,
    /// Whether it was made again with every guard.
    again: bool,
    /// The order of its events; nothing if it was given up.
    order: Option<u64>,
    /// Kernel calls and threads.
    length: (u64, u32),
    symptom: Option<Symptom>,
    /// Its choices, where they were noted.
    trace: Option<Trace>,
}

impl Tried {
    /// A run that was made to its end.
    fn whole(index: u64, steps: u64, again: bool, run: Run) -> Self {
        Self {
            index,
            steps,
            again,
            order: Some(run.order),
            length: (run.calls, run.threads),
            symptom: Symptom::of(&run.violations),
            trace: run.trace,
        }
    }
}

/// What the runs came to so far.
#[derive(Default)]
struct Sum {
    progress: Progress,
    longest: (u64, u32),
    orders: HashSet<u64>,
    /// Of each symptom, the first run that showed it: the first of all, and not just the first to be through.
    found: Vec<(Symptom, Tried)>,
    interrupted: bool,
    busy: Duration,
}

impl Sum {
    fn add(&mut self, tried: Tried) {
        let progress = &mut self.progress;
        progress.schedules += 1;
        progress.again += u64::from(tried.again);
        self.longest = (
            self.longest.0.max(tried.length.0),
            self.longest.1.max(tried.length.1),
        );
        self.orders.extend(tried.order);
        progress.distinct = self.orders.len() as u64;
        let Some(symptom) = tried.symptom else {
            return;
        };
        progress.violations += 1;
        match self.found.iter_mut().find(|(known, _)| *known == symptom) {
            Some((_, first)) if first.index <= tried.index => {}
            Some((_, first)) => *first = tried,
            None => self.found.push((symptom, tried)),
        }
    }
}

/// An exploration under way.
pub(super) struct Search<'a> {
    subject: &'a dyn Subject,
    plan: &'a Plan,
    begun: Instant,
    /// The schedule to be tried next.
    next: AtomicU64,
    /// The kernel calls of the longest run yet. Later runs may be longer than the first was, and priorities must be able to fall
    /// anywhere (PCT).
    steps: AtomicU64,
    /// Set when no more are to be tried.
    stops: AtomicBool,
    time_is_up: AtomicBool,
}

impl<'a> Search<'a> {
    pub fn new(subject: &'a dyn Subject, plan: &'a Plan) -> Self {
        let begun = Instant::now();
        let steps = match plan.method {
            Method::Pct { .. } => run::once(subject, &plan.setup, How::plain()).calls,
            _ => 0,
        };
        Self {
            subject,
            plan,
            begun,
            next: AtomicU64::new(0),
            steps: AtomicU64::new(steps),
            stops: AtomicBool::new(false),
            time_is_up: AtomicBool::new(false),
        }
    }

    /// Tries schedules until the plan is fulfilled, and shrinks what was found. `tell` hears of the progress now and then; false from
    /// it ends it.
    pub fn run(self, tell: &mut dyn FnMut(&Progress) -> bool) -> Report {
        let mut sum = Sum::default();
        let exhausted = match self.plan.method {
            Method::Random | Method::Pct { .. } if self.plan.jobs > 1 => {
                self.try_on_threads(&mut sum, tell);
                None
            }
            Method::Random | Method::Pct { .. } => {
                let before = busy();
                self.try_each(&mut |tried| self.count(&mut sum, tried, tell));
                sum.busy = busy() - before;
                None
            }
            Method::Exhaustive => Some(Exhaustive::new(LONGEST_PATH)),
            Method::Brute => Some(Exhaustive::brute(LONGEST_PATH)),
        }
        .map(|strategy| self.exhaust(strategy, &mut sum, tell));
        tell(&sum.progress);
        self.report(sum, exhausted)
    }

    /// Counts a run in, and looks whether it is enough.
    fn count(&self, sum: &mut Sum, tried: Tried, tell: &mut dyn FnMut(&Progress) -> bool) {
        sum.add(tried);
        let progress = &sum.progress;
        if progress.schedules.is_multiple_of(TELL_EVERY) && !tell(progress) {
            sum.interrupted = true;
        }
        if sum.interrupted || (!sum.found.is_empty() && !self.plan.all) {
            self.stops.store(true, Ordering::Relaxed);
        }
    }

    /// The number of the next schedule, if there is to be one.
    fn next(&self) -> Option<u64> {
        if self.stops.load(Ordering::Relaxed) {
            return None;
        }
        if self.next.load(Ordering::Relaxed) >= self.plan.schedules {
            return None;
        }
        let time = self.plan.time;
        if time.is_some_and(|time| self.begun.elapsed() >= time) {
            self.time_is_up.store(true, Ordering::Relaxed);
            return None;
        }
        // Last: whoever has a number tries it.
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.plan.schedules).then_some(index)
    }

    /// Tries one schedule after the other on this host thread.
    fn try_each(&self, give: &mut dyn FnMut(Tried)) {
        while let Some(index) = self.next() {
            give(self.attempt(index));
        }
    }

    /// The same on several host threads. A schedule that is tried has all before it tried, too, so that the first that shows
    /// something is found whoever is faster.
    fn try_on_threads(&self, sum: &mut Sum, tell: &mut dyn FnMut(&Progress) -> bool) {
        let work = |give: &dyn Fn(Tried)| {
            self.try_each(&mut |tried| give(tried));
            busy()
        };
        let take = |tried| self.count(sum, tried, tell);
        let busy = on_threads(self.plan.jobs, &self.stops, work, take);
        sum.busy = busy.into_iter().sum();
    }

    /// The machine of a schedule.
    fn setup(&self, index: u64) -> Setup {
        let setup = self.plan.setup.clone();
        match self.plan.method {
            Method::Random | Method::Pct { .. } => Setup {
                seed: setup.seed.wrapping_add(index),
                ..setup
            },
            Method::Exhaustive | Method::Brute => setup,
        }
    }

    fn how(&self, setup: &Setup, steps: u64) -> How {
        match self.plan.method {
            Method::Pct { depth } => How::steered(Box::new(Pct::new(setup.seed, depth, steps))),
            _ => How::plain(),
        }
    }

    /// Tries one schedule.
    fn attempt(&self, index: u64) -> Tried {
        let setup = self.setup(index);
        let steps = self.steps.load(Ordering::Relaxed);
        // Reads of what is gone are seen with every guard only, so some runs have them from the beginning.
        let light = index % (LIGHT_RUNS + 1) != LIGHT_RUNS;
        let how = self.how(&setup, steps);
        let how = if light { how.light() } else { how };
        let mut run = run::once(self.subject, &setup, how);
        self.steps.fetch_max(run.calls, Ordering::Relaxed);
        let again = light && run.odd;
        if again {
            let guarded = run::once(self.subject, &setup, self.how(&setup, steps));
            // What only the light run shows is shown all the same: zones that were written to, for one.
            if !guarded.violations.is_empty() {
                run.violations = guarded.violations;
            }
        }
        Tried::whole(index, steps, again, run)
    }

    /// The schedules of an exhaustive strategy, each of which follows from those before it. Gives the strategy back, and whether it has
    /// covered all.
    fn exhaust(
        &self,
        mut strategy: Exhaustive,
        sum: &mut Sum,
        tell: &mut dyn FnMut(&Progress) -> bool,
    ) -> (Exhaustive, bool) {
        let before = busy();
        let mut covered = false;
        while !covered && let Some(index) = self.next() {
            // With every guard: each run stands for all those like it.
            let how = How::traced(Box::new(strategy)).silent();
            let mut run = run::once(self.subject, &self.plan.setup, how);
            let back: Option<Box<dyn Any>> = run.strategy.take().map(|strategy| strategy as _);
            let back = back.and_then(|strategy| strategy.downcast::<Exhaustive>().ok());
            strategy = *back.expect("the strategy comes back as it was given");
            let mut tried = Tried::whole(index, 0, false, run);
            if strategy.gave_up() {
                (tried.order, tried.symptom) = (None, None);
            }
            covered = !strategy.advance();
            self.count(sum, tried, tell);
        }
        sum.busy = busy() - before;
        (strategy, covered)
    }

    fn report(&self, mut sum: Sum, exhausted: Option<(Exhaustive, bool)>) -> Report {
        let elapsed = self.begun.elapsed();
        let ended = match &exhausted {
            Some((strategy, true)) if strategy.cut() == 0 => Ended::Covered,
            _ if !sum.found.is_empty() && !self.plan.all => Ended::Found,
            _ if sum.interrupted => Ended::Interrupted,
            _ if self.time_is_up.load(Ordering::Relaxed) => Ended::Time,
            _ => Ended::Schedules,
        };
        let bound = match self.plan.method {
            Method::Pct { depth } => Some(bound(sum.longest.1, sum.longest.0, depth)),
            _ => None,
        };
        sum.found.sort_by_key(|(_, first)| first.index);
        if !self.plan.all {
            // What other threads were at when the first was found is not asked for.
            sum.found.truncate(1);
        }
        let found = sum.found.into_iter();
        Report {
            progress: sum.progress,
            elapsed,
            busy: sum.busy,
            ended,
            findings: found
                .map(|(symptom, first)| self.shrink(symptom, first))
                .collect(),
            longest: sum.longest,
            bound,
            redundant_and_cut: exhausted
                .map(|(strategy, _)| (strategy.redundant(), strategy.cut())),
        }
    }

    /// Makes a run that showed something as short as it gets.
    fn shrink(&self, symptom: Symptom, first: Tried) -> Finding {
        let setup = self.setup(first.index);
        let trace = first.trace.unwrap_or_else(|| {
            let how = match self.plan.method {
                Method::Pct { depth } => {
                    How::traced(Box::new(Pct::new(setup.seed, depth, first.steps)))
                }
                _ => How::noted(),
            };
            findings::trace_of(self.subject, &setup, how)
        });
        findings::find(self.subject, &setup, &trace, symptom, first.index + 1)
    }
}
