//! Every call that can fail, failing.

use super::Finding;
use super::Setup;
use super::Subject;
use super::Symptom;
use super::findings;
use super::run;
use super::run::How;
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
/// [`Failing::Pairs`], with each later one as well. A story is over when a run of it has no k-th call any more. `tell` hears of each
/// run; false from it ends it.
pub fn fail_every_call(
    subject: &dyn Subject,
    setup: &Setup,
    failing: Failing,
    tell: &mut dyn FnMut(u64) -> bool,
) -> Faulted {
    let mut search = Search {
        subject,
        failing,
        symptoms: Vec::new(),
        faulted: Faulted::default(),
        tell,
    };
    for seed in subject.stories(setup.seed) {
        let setup = Setup {
            seed,
            ..setup.clone()
        };
        if !search.tell_story(&setup) {
            return search.faulted;
        }
        search.faulted.stories += 1;
    }
    search.faulted.complete = true;
    search.faulted
}

/// What is found so far, and how to go on.
struct Search<'a> {
    subject: &'a dyn Subject,
    failing: Failing,
    symptoms: Vec<Symptom>,
    faulted: Faulted,
    tell: &'a mut dyn FnMut(u64) -> bool,
}

impl Search<'_> {
    /// Tells one story with every call failing in turn. False if it was stopped.
    fn tell_story(&mut self, setup: &Setup) -> bool {
        for first in 1.. {
            if self.attempt(setup, first, None) < first {
                return true;
            }
            if self.failing == Failing::Pairs {
                for second in first + 1.. {
                    if self.attempt(setup, first, Some(second)) < second {
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
    fn attempt(&mut self, setup: &Setup, first: u64, second: Option<u64>) -> u64 {
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
            && !self.symptoms.contains(&symptom)
        {
            self.symptoms.push(symptom);
            let trace = findings::trace_of(self.subject, &setup, How::noted());
            let finding = findings::find(self.subject, &setup, &trace, symptom, faulted.runs);
            faulted.findings.push(finding);
        }
        run.fallible
    }
}
