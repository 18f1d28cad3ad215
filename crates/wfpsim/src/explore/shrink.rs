//! A failing run made as short as it gets: the fewest choices that still show the same rule broken.

use super::Setup;
use super::Subject;
use super::run;
use crate::machine::choice::Deviation;
use crate::machine::choice::Kind;
use crate::machine::choice::Replay;
use crate::machine::choice::Trace;
use crate::verifier::Violation;

/// What must stay the same: the rule and the code of what was violated first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Symptom {
    /// The rule.
    pub rule: &'static str,
    /// The bug check code.
    pub code: u32,
}

impl Symptom {
    /// The symptom of a run.
    pub fn of(violations: &[Violation]) -> Option<Self> {
        violations.first().map(|violation| Self {
            rule: violation.rule,
            code: violation.code,
        })
    }
}

/// A shrunk run, and how many runs that took.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The choices left.
    pub trace: Trace,
    /// How many runs were made.
    pub runs: u64,
}

/// The most runs that are made to shrink one failure.
const MOST_RUNS: u64 = 4000;

/// Takes choices away as long as the symptom stays: first whole kinds of them, then by delta debugging (Zeller and Hildebrandt,
/// 2002), then each by itself, until none can go. What one of them did may make another needless, so it goes round
/// until nothing changes.
pub fn shrink(subject: &dyn Subject, setup: &Setup, trace: &Trace, symptom: Symptom) -> Shrunk {
    let mut shrinking = Shrinking {
        subject,
        setup,
        symptom,
        runs: 0,
        best: trace.deviations.clone(),
    };
    for keep in [
        // A thread that was stopped and picked again: nothing happened.
        (|one| one.kind != Kind::Preempt || one.value != one.place.thread.0)
            as fn(&Deviation) -> bool,
        |one| one.kind != Kind::Environment,
        |one| one.kind == Kind::Preempt,
        |one| one.kind != Kind::Switch,
    ] {
        let fewer: Vec<Deviation> = shrinking.best.iter().copied().filter(keep).collect();
        shrinking.try_out(fewer);
    }
    loop {
        let before = shrinking.best.len();
        shrinking.by_halves();
        shrinking.smaller_answers();
        if shrinking.best.len() == before || shrinking.is_out() {
            break;
        }
    }
    Shrunk {
        trace: Trace {
            deviations: shrinking.best,
        },
        runs: shrinking.runs,
    }
}

struct Shrinking<'a> {
    subject: &'a dyn Subject,
    setup: &'a Setup,
    symptom: Symptom,
    runs: u64,
    best: Vec<Deviation>,
}

impl Shrinking<'_> {
    fn is_out(&self) -> bool {
        self.runs >= MOST_RUNS
    }

    /// Keeps these choices if they show the symptom. What they decide is noted anew: places that never came up go.
    fn try_out(&mut self, deviations: Vec<Deviation>) -> bool {
        if self.is_out() || deviations.len() >= self.best.len() && deviations == self.best {
            return false;
        }
        self.runs += 1;
        let strategy = Box::new(Replay::new(&Trace { deviations }));
        let run = run::once(
            self.subject,
            self.setup,
            run::How::traced(strategy).silent(),
        );
        let shows = Symptom::of(&run.violations) == Some(self.symptom);
        if shows && let Some(trace) = run.trace {
            self.best = trace.deviations;
        }
        shows
    }

    /// Delta debugging: takes away ever smaller parts.
    fn by_halves(&mut self) {
        let mut parts = 2;
        while !self.best.is_empty() && !self.is_out() {
            let size = self.best.len().div_ceil(parts);
            let mut taken = false;
            let mut from = 0;
            while from < self.best.len() {
                let mut fewer = self.best.clone();
                fewer.drain(from..(from + size).min(fewer.len()));
                if self.try_out(fewer) {
                    taken = true;
                } else {
                    from += size;
                }
                if self.is_out() {
                    return;
                }
            }
            if size == 1 {
                if !taken {
                    return;
                }
            } else if !taken {
                parts = (parts * 2).min(self.best.len().max(2));
            }
        }
    }

    /// Answers of the environment that are numbers: as small as they can be.
    fn smaller_answers(&mut self) {
        let mut index = 0;
        while index < self.best.len() {
            let one = self.best[index];
            if one.kind == Kind::Environment && one.value > 1 {
                for value in [1, one.value / 2] {
                    let mut other = self.best.clone();
                    other[index].value = value;
                    if value < one.value && self.try_out(other) {
                        break;
                    }
                }
            }
            index += 1;
        }
    }
}
