//! Which two steps of a run could have come in the other order.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use super::Picked;
use crate::machine::ThreadId;

/// A step of the run, and where on the path it was picked.
pub(super) struct Executed<'a> {
    pub index: usize,
    pub picked: &'a Picked,
}

/// How many steps of each thread came before, by thread number.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Vec<u32>);

impl Clock {
    fn get(&self, thread: ThreadId) -> u32 {
        self.0.get(thread.0 as usize).copied().unwrap_or(0)
    }

    fn set(&mut self, thread: ThreadId, steps: u32) {
        let index = thread.0 as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        self.0[index] = steps;
    }

    fn join(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (own, &other) in self.0.iter_mut().zip(&other.0) {
            *own = (*own).max(other);
        }
    }
}

/// For places on the path, the threads that are to be picked there besides. `begun` tells in which step of the path each
/// thread was begun; `None` for those that the host began, which it does when nothing runs any more.
pub(super) fn reversals(
    steps: &[Executed<'_>],
    begun: &[(ThreadId, Option<usize>)],
) -> BTreeMap<usize, BTreeSet<ThreadId>> {
    let mut wanted: BTreeMap<usize, BTreeSet<ThreadId>> = BTreeMap::new();
    let begun: HashMap<ThreadId, Option<usize>> = begun.iter().copied().collect();
    let mut threads: HashMap<ThreadId, Clock> = HashMap::new();
    // The clock of each step, with itself, and its number within its thread.
    let mut clocks: Vec<(Clock, u32)> = Vec::with_capacity(steps.len());
    for (now, step) in steps.iter().enumerate() {
        let thread = step.picked.chosen;
        let mut clock = threads
            .get(&thread)
            .cloned()
            .unwrap_or_else(|| first_clock(&begun, thread, steps, &clocks));
        for earlier in (0..now).rev() {
            let other = &steps[earlier];
            let (its_clock, its_number) = &clocks[earlier];
            if other.picked.chosen == thread
                || !other.picked.footprint.meets(&step.picked.footprint)
            {
                continue;
            }
            if clock.get(other.picked.chosen) < *its_number {
                wanted
                    .entry(other.index)
                    .or_default()
                    .extend(instead(other.picked, thread));
            }
            clock.join(its_clock);
        }
        let number = clock.get(thread) + 1;
        clock.set(thread, number);
        threads.insert(thread, clock.clone());
        clocks.push((clock, number));
    }
    wanted
}

/// What a thread knows when it begins: all that came before the step that began it.
fn first_clock(
    begun: &HashMap<ThreadId, Option<usize>>,
    thread: ThreadId,
    steps: &[Executed<'_>],
    clocks: &[(Clock, u32)],
) -> Clock {
    match begun.get(&thread).copied().flatten() {
        Some(parent) => steps
            .iter()
            .position(|step| step.index == parent)
            .and_then(|position| clocks.get(position))
            .map(|(clock, _)| clock.clone())
            .unwrap_or_default(),
        None => {
            let mut all = Clock::default();
            clocks.iter().for_each(|(clock, _)| all.join(clock));
            all
        }
    }
}

/// Whom to pick at `at` so that a step of `thread` can come first: the thread itself if it was ready, else anybody who
/// might make it so. Nobody if that was tried already.
fn instead(at: &Picked, thread: ThreadId) -> Vec<ThreadId> {
    if !at.ready.contains(&thread) {
        at.ready.clone()
    } else if at.sleeps(thread) {
        Vec::new()
    } else {
        vec![thread]
    }
}
