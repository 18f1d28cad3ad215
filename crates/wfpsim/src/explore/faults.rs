//! Every call that can fail, failing.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::Finding;
use super::Setup;
use super::Subject;
use super::Symptom;
use super::findings;
use super::run;
use super::run::How;
use super::threads::on_threads;
use crate::machine::Faults;

/// How many failures a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// One call of each run.
    Single,
    /// Two calls of each run: every pair.
    Pairs,
}

/// What failing every call came to.
#[derive(Clone, Debug, Default)]
pub struct Faulted {
    /// How many stories were told: the subject's, by seed.
    pub stories: u64,
    /// How many calls there were to fail, in the run with the most.
    pub calls: u64,
    /// How many runs were made.
    pub runs: u64,
    /// What was found, one for each symptom.
    pub findings: Vec<Finding>,
    /// Whether every call's turn came in every story.
    pub complete: bool,
}

/// Runs each story of the subject with the k-th call that can fail failing, for every k: first each alone, then, for
/// [`Failing::Pairs`], with each later one as well. A story is over when a run of it has no k-th call any more. Several stories are
/// told at a time, each on a host thread of its own, where `jobs` is more than one. `tell` hears how many runs there were; false from it
/// ends it.
pub fn fail_every_call(
    subject: &dyn Subject,
    setup: &Setup,
    failing: Failing,
    jobs: usize,
    tell: &mut dyn FnMut(u64) -> bool,
) -> Faulted {
    let stories = subject.stories(setup.seed);
    let seeds = stories.iter().copied().zip(0..);
    if jobs < 2 {
        return merged(
            vec![Search::new(subject, failing, tell).tell_stories(setup, seeds)],
            stories.len(),
        );
    }
    let seeds = Mutex::new(seeds);
    let next = || seeds.lock().ok()?.next();
    let (stops, runs) = (AtomicBool::new(false), AtomicU64::new(0));
    let work = |give: &dyn Fn(u64)| {
        let mut told = 0;
        let mut tell = |own| {
            let more = own - std::mem::replace(&mut told, own);
            give(runs.fetch_add(more, Ordering::Relaxed) + more);
            !stops.load(Ordering::Relaxed)
        };
        Search::new(subject, failing, &mut tell).tell_stories(setup, std::iter::from_fn(next))
    };
    let take = |count| {
        if !tell(count) {
            stops.store(true, Ordering::Relaxed);
        }
    };
    merged(on_threads(jobs, &stops, work, take), stories.len())
}

/// What was found, with the number of its story.
type Found = Vec<(u64, Symptom, Finding)>;

/// What several searches came to, as if it had been one: of each symptom, what the first story showed.
fn merged(searches: Vec<(Faulted, Found)>, stories: usize) -> Faulted {
    let mut whole = Faulted::default();
    let mut found = Found::new();
    for (faulted, of) in searches {
        whole.stories += faulted.stories;
        whole.calls = whole.calls.max(faulted.calls);
        whole.runs += faulted.runs;
        found.extend(of);
    }
    whole.complete = whole.stories == stories as u64;
    found.sort_by_key(|(story, ..)| *story);
    let mut told = Vec::new();
    for (_, symptom, finding) in found {
        if !told.contains(&symptom) {
            told.push(symptom);
            whole.findings.push(finding);
        }
    }
    whole
}

/// What one host thread has found so far, and how to go on.
struct Search<'a> {
    subject: &'a dyn Subject,
    failing: Failing,
    found: Found,
    faulted: Faulted,
    /// Runs of stories before this one.
    runs_before: u64,
    tell: &'a mut dyn FnMut(u64) -> bool,
}

impl<'a> Search<'a> {
    fn new(
        subject: &'a dyn Subject,
        failing: Failing,
        tell: &'a mut dyn FnMut(u64) -> bool,
    ) -> Self {
        Self {
            subject,
            failing,
            found: Vec::new(),
            faulted: Faulted::default(),
            runs_before: 0,
            tell,
        }
    }

    /// Tells stories, by seed and number, until there are no more or it is stopped.
    fn tell_stories(
        mut self,
        setup: &Setup,
        stories: impl Iterator<Item = (u64, u64)>,
    ) -> (Faulted, Found) {
        for (seed, story) in stories {
            let setup = Setup {
                seed,
                ..setup.clone()
            };
            if !self.tell_story(&setup, story) {
                break;
            }
            self.faulted.stories += 1;
        }
        (self.faulted, self.found)
    }

    /// Tells one story with every call failing in turn. False if it was stopped.
    fn tell_story(&mut self, setup: &Setup, story: u64) -> bool {
        self.runs_before = self.faulted.runs;
        for first in 1.. {
            if self.attempt(setup, story, first, None) < first {
                return true;
            }
            if self.failing == Failing::Pairs {
                for second in first + 1.. {
                    if self.attempt(setup, story, first, Some(second)) < second {
                        break;
                    }
                    if !(self.tell)(self.faulted.runs) {
                        return false;
                    }
                }
            }
            if !(self.tell)(self.faulted.runs) {
                return false;
            }
        }
        true
    }

    /// One run. How many calls there were to fail.
    fn attempt(&mut self, setup: &Setup, story: u64, first: u64, second: Option<u64>) -> u64 {
        let mut setup = setup.clone();
        setup.faults = Faults {
            fail_call: Some(first),
            count: 1,
            second,
            ..Faults::default()
        };
        // With every guard: each way through a failure is taken once, and what reads what it has freed does so there.
        let run = run::once(self.subject, &setup, How::plain());
        let faulted = &mut self.faulted;
        faulted.runs += 1;
        faulted.calls = faulted.calls.max(run.fallible);
        if let Some(symptom) = Symptom::of(&run.violations)
            && !self.found.iter().any(|(_, known, _)| *known == symptom)
        {
            let trace = findings::trace_of(self.subject, &setup, How::noted());
            let number = faulted.runs - self.runs_before;
            let finding = findings::find(self.subject, &setup, &trace, symptom, number);
            self.found.push((story, symptom, finding));
        }
        run.fallible
    }
}
