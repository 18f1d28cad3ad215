//! What was decided otherwise than usual, and a strategy that decides the same again.

use std::collections::HashMap;

use super::Ask;
use super::Candidates;
use super::Place;
use super::Strategy;
use crate::machine::ThreadId;
use crate::machine::random::Random;

/// What kind of choice was decided otherwise than usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A thread was stopped at a point. Usually it goes on.
    Preempt,
    /// A thread waited, ended or let others run, and not the next in turn was picked.
    Switch,
    /// The environment did something.
    Environment,
}

/// One choice that was decided otherwise than usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deviation {
    /// Where.
    pub place: Place,
    /// What kind of choice.
    pub kind: Kind,
    /// The thread that ran next, by number; or the environment's answer, which is never 0.
    pub value: u32,
}

/// All that was decided otherwise than usual in one run. With the configuration and the scenario it makes the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// In the order in which they came up.
    pub deviations: Vec<Deviation>,
}

/// Decides as a trace says, and as usual where it says nothing. Where the trace does not fit any more, because it was
/// shortened or the driver changed, the usual is done too.
#[derive(Debug)]
pub struct Replay {
    decided: HashMap<(Place, Kind), u32>,
}

impl Replay {
    /// The run that the trace tells of.
    pub fn new(trace: &Trace) -> Self {
        let decided = trace.deviations.iter();
        Self {
            decided: decided
                .map(|deviation| ((deviation.place, deviation.kind), deviation.value))
                .collect(),
        }
    }

    fn named(candidates: &Candidates<'_>, thread: u32) -> Option<usize> {
        candidates
            .ready
            .iter()
            .position(|&ready| ready == ThreadId(thread))
    }
}

impl Strategy for Replay {
    fn preempts(&mut self, _random: &Random, place: Place, _percent: u8) -> bool {
        self.decided.contains_key(&(place, Kind::Preempt))
    }

    fn thread(&mut self, _random: &Random, place: Place, candidates: &Candidates<'_>) -> usize {
        let kind = if candidates.preempted {
            Kind::Preempt
        } else {
            Kind::Switch
        };
        self.decided
            .get(&(place, kind))
            .and_then(|&thread| Self::named(candidates, thread))
            .unwrap_or(candidates.usual)
    }

    fn environment(&mut self, _random: &Random, place: Place, ask: Ask) -> usize {
        let value = self.decided.get(&(place, Kind::Environment));
        value.map_or(0, |&value| (value as usize).min(ask.alternatives() - 1))
    }
}
