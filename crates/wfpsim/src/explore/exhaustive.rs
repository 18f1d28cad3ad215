//! Every schedule, and none twice that differs only in the order of steps that do not concern each other.
//!
//! Depth first through the tree of choices, each run from its beginning. Which branches there are to be taken is found as
//! in dynamic partial-order reduction (Flanagan and Godefroid, POPL 2005): after a run, for each step and each earlier step of
//! another thread that concerns the same object and is not already ordered before it, the other order is to be run too.
//! Sleep sets (Godefroid, 1996) keep from running what only commutes steps of a run that was made. Choices of the environment
//! are all taken.
//!
//! What a step concerns is what it tells: the objects that its kernel call names, and those that the simulator touches for
//! it ([`Strategy::touches`]). Memory that threads of a driver share without naming it in a call is not seen, so the
//! reduction is for drivers that share under locks; [`Exhaustive::brute`] assumes nothing.

mod races;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use races::Executed;

use crate::machine::Random;
use crate::machine::ThreadId;
use crate::machine::choice::Ask;
use crate::machine::choice::Candidates;
use crate::machine::choice::Place;
use crate::machine::choice::Strategy;

/// Stands for "every object": a step of which nobody can tell what it concerns.
pub(crate) const EVERYTHING: usize = usize::MAX;

/// The objects that a step concerns, and whether it changes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint(BTreeMap<usize, bool>);

impl Footprint {
    fn add(&mut self, object: usize, changes: bool) {
        *self.0.entry(object).or_default() |= changes;
    }

    fn add_all(&mut self, other: &Self) {
        for (&object, &changes) in &other.0 {
            self.add(object, changes);
        }
    }

    /// Whether the order of two steps may matter.
    pub(super) fn meets(&self, other: &Self) -> bool {
        if self.0.contains_key(&EVERYTHING) || other.0.contains_key(&EVERYTHING) {
            return true;
        }
        let (few, many) = if self.0.len() < other.0.len() {
            (self, other)
        } else {
            (other, self)
        };
        few.0
            .iter()
            .any(|(object, &one)| many.0.get(object).is_some_and(|&other| one || other))
    }
}

/// A thread was picked, and did a step.
#[derive(Debug)]
pub(super) struct Picked {
    pub(super) ready: Vec<ThreadId>,
    pub(super) chosen: ThreadId,
    /// What the step concerned in this run.
    pub(super) footprint: Footprint,
    /// What it concerned in any run, whatever the environment did.
    ever: Footprint,
    pub(super) wanted: BTreeSet<ThreadId>,
    done: Vec<(ThreadId, Footprint)>,
    asleep: Vec<(ThreadId, Footprint)>,
}

impl Picked {
    pub(super) fn sleeps(&self, thread: ThreadId) -> bool {
        self.asleep.iter().any(|(asleep, _)| *asleep == thread)
    }

    /// Those whose next step was tried elsewhere and does not meet this one.
    fn still_asleep(&self) -> Vec<(ThreadId, Footprint)> {
        self.asleep
            .iter()
            .chain(&self.done)
            .filter(|(thread, footprint)| {
                *thread != self.chosen && !footprint.meets(&self.footprint)
            })
            .cloned()
            .collect()
    }
}

#[derive(Debug)]
enum Node {
    Picked(Picked),
    Environment { value: usize, alternatives: usize },
}

/// Takes every branch, one run after the other: the strategy of all these runs.
#[derive(Debug)]
pub struct Exhaustive {
    path: Vec<Node>,
    /// How far the run has come along the path.
    at: usize,
    /// Where the step that runs was picked.
    step: Option<usize>,
    reduces: bool,
    longest: usize,
    gives_up: bool,
    /// The threads that were begun, with the step they were begun in.
    begun: Vec<(ThreadId, Option<usize>)>,
    /// Runs that were given up because others show all that they would.
    redundant: u64,
    /// Runs that were longer than they may be.
    cut: u64,
}

impl Exhaustive {
    /// With the reduction. Runs with more choices than `longest` are cut off, and then not all is covered.
    pub fn new(longest: usize) -> Self {
        Self {
            path: Vec::new(),
            at: 0,
            step: None,
            reduces: true,
            longest,
            gives_up: false,
            begun: Vec::new(),
            redundant: 0,
            cut: 0,
        }
    }

    /// Without the reduction: every schedule there is.
    pub fn brute(longest: usize) -> Self {
        Self {
            reduces: false,
            ..Self::new(longest)
        }
    }

    /// How many runs were given up because they would have shown nothing new.
    pub fn redundant(&self) -> u64 {
        self.redundant
    }

    /// How many runs were cut off because they were too long.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Whether the run that has just ended was given up.
    pub fn gave_up(&self) -> bool {
        self.gives_up
    }

    /// Ends a run, and prepares the next. False if there is none: all is covered.
    pub fn advance(&mut self) -> bool {
        self.end_step();
        if self.reduces {
            self.want_reversed();
        }
        (self.at, self.step, self.gives_up) = (0, None, false);
        self.begun.clear();
        while let Some(last) = self.path.last_mut() {
            match last {
                Node::Environment {
                    value,
                    alternatives,
                } if *value + 1 < *alternatives => {
                    *value += 1;
                    return true;
                }
                Node::Environment { .. } => {}
                Node::Picked(picked) => {
                    let ever = std::mem::take(&mut picked.ever);
                    picked.done.push((picked.chosen, ever));
                    let next = picked.wanted.iter().copied().find(|&thread| {
                        !picked.sleeps(thread)
                            && picked.done.iter().all(|(done, _)| *done != thread)
                    });
                    if let Some(next) = next {
                        picked.chosen = next;
                        return true;
                    }
                }
            }
            self.path.pop();
        }
        false
    }

    /// Wants the other order of each two steps of this run that could have come in it.
    fn want_reversed(&mut self) {
        let (path, begun) = (&self.path, &self.begun);
        let steps: Vec<(usize, &Picked)> = path[..self.at.min(path.len())]
            .iter()
            .enumerate()
            .filter_map(|(index, node)| match node {
                Node::Picked(picked) => Some((index, picked)),
                Node::Environment { .. } => None,
            })
            .collect();
        let executed: Vec<Executed<'_>> = steps
            .iter()
            .map(|&(index, picked)| Executed { index, picked })
            .collect();
        let wanted = races::reversals(&executed, begun);
        for (index, threads) in wanted {
            if let Some(Node::Picked(picked)) = self.path.get_mut(index) {
                picked.wanted.extend(threads);
            }
        }
    }

    fn footprint(&mut self) -> Option<&mut Picked> {
        match self.path.get_mut(self.step?) {
            Some(Node::Picked(picked)) => Some(picked),
            _ => None,
        }
    }

    /// The step that ran is over: what it concerned is known.
    fn end_step(&mut self) {
        if let Some(picked) = self.footprint() {
            let footprint = picked.footprint.clone();
            picked.ever.add_all(&footprint);
        }
    }
}

impl Strategy for Exhaustive {
    fn preempts(&mut self, _random: &Random, _place: Place, _percent: u8) -> bool {
        true
    }

    fn thread(&mut self, _random: &Random, _place: Place, candidates: &Candidates<'_>) -> usize {
        self.end_step();
        let is_new = self.at >= self.path.len();
        let asleep = match self.footprint() {
            Some(picked) if is_new => picked.still_asleep(),
            _ => Vec::new(),
        };
        if self.at >= self.path.len() && !self.gives_up {
            let usual = candidates.ready[candidates.usual];
            let is_asleep = |thread: ThreadId| asleep.iter().any(|(asleep, _)| *asleep == thread);
            let chosen = Some(usual)
                .filter(|&usual| !self.reduces || !is_asleep(usual))
                .or_else(|| {
                    candidates
                        .ready
                        .iter()
                        .copied()
                        .find(|&thread| !is_asleep(thread))
                });
            let too_long = self.path.len() >= self.longest;
            self.cut += u64::from(too_long);
            self.redundant += u64::from(!too_long && chosen.is_none());
            match chosen.filter(|_| !too_long) {
                None => self.gives_up = true,
                Some(chosen) => {
                    let wanted = if self.reduces {
                        BTreeSet::from([chosen])
                    } else {
                        candidates.ready.iter().copied().collect()
                    };
                    self.path.push(Node::Picked(Picked {
                        ready: candidates.ready.to_vec(),
                        chosen,
                        footprint: Footprint::default(),
                        ever: Footprint::default(),
                        wanted,
                        done: Vec::new(),
                        asleep: if self.reduces { asleep } else { Vec::new() },
                    }));
                }
            }
        }
        if self.gives_up {
            return candidates.usual;
        }
        let index = self.at;
        self.at += 1;
        self.step = Some(index);
        let Some(picked) = self.footprint() else {
            // The run did not come the same way again: it depends on something that no choice decides.
            self.gives_up = true;
            self.cut += 1;
            return candidates.usual;
        };
        picked.footprint = Footprint::default();
        let chosen = picked.chosen;
        candidates
            .ready
            .iter()
            .position(|&thread| thread == chosen)
            .unwrap_or(candidates.usual)
    }

    fn environment(&mut self, _random: &Random, _place: Place, ask: Ask) -> usize {
        if self.gives_up {
            return 0;
        }
        if self.at >= self.path.len() {
            self.path.push(Node::Environment {
                value: 0,
                alternatives: ask.alternatives(),
            });
        }
        let value = match self.path.get(self.at) {
            Some(Node::Environment { value, .. }) => *value,
            _ => 0,
        };
        self.at += 1;
        value
    }

    fn touches(&mut self, object: usize, changes: bool) {
        if let Some(picked) = self.footprint() {
            picked.footprint.add(object, changes);
        }
    }

    fn begins(&mut self, thread: ThreadId, _name: &str, parent: ThreadId) {
        let step = self.step.filter(|_| parent != ThreadId(0));
        self.begun.push((thread, step));
    }

    fn gives_up(&self) -> bool {
        self.gives_up
    }
}
