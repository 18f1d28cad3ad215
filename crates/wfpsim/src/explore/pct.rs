//! Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi and Nagarakatte, ASPLOS 2010).
//!
//! Every thread gets a priority by chance, and the ready thread with the highest one runs. At `d - 1` steps, chosen by chance
//! among the `k` that a run has, the running thread's priority falls below all others. A bug that needs `d` events in one
//! order (its depth) then shows in a run with a probability of at least `1 / (n * k^(d-1))`, where `n` is how many threads
//! there are: a bound that no scheduler which tosses a coin at every step can give.

use std::collections::HashMap;

use crate::machine::Random;
use crate::machine::ThreadId;
use crate::machine::choice::Ask;
use crate::machine::choice::Candidates;
use crate::machine::choice::Numbers;
use crate::machine::choice::Place;
use crate::machine::choice::Strategy;

/// Priorities of threads that have not fallen are above this.
const HIGH: u64 = 1 << 32;

/// The strategy for one run.
#[derive(Debug)]
pub struct Pct {
    own: Random,
    /// The steps at which the running thread falls, the last first.
    falls: Vec<u64>,
    step: u64,
    /// The priority of the next thread to fall: below those that fell before.
    next_fall: u64,
    priorities: HashMap<ThreadId, u64>,
}

impl Pct {
    /// For bugs of this depth (1 or more), in runs of about so many steps.
    pub fn new(seed: u64, depth: u32, steps: u64) -> Self {
        // Not the machine's own numbers: the environment draws from those.
        let own = Random::new(seed ^ 0x5043_5420_5043_5420);
        let mut falls: Vec<u64> = (1..depth)
            .map(|_| 1 + own.below(steps.max(1) as usize) as u64)
            .collect();
        falls.sort_unstable_by(|one, other| other.cmp(one));
        Self {
            own,
            falls,
            step: 0,
            next_fall: HIGH - 1,
            priorities: HashMap::new(),
        }
    }

    fn priority(&mut self, thread: ThreadId) -> u64 {
        let own = &self.own;
        *self
            .priorities
            .entry(thread)
            .or_insert_with(|| HIGH + (own.bits() >> 1))
    }

    fn fall(&mut self, thread: ThreadId) {
        self.priorities.insert(thread, self.next_fall);
        self.next_fall -= 1;
    }
}

impl Strategy for Pct {
    fn preempts(&mut self, _random: &Random, place: Place, _percent: u8) -> bool {
        self.step += 1;
        while self.falls.last().is_some_and(|&fall| fall <= self.step) {
            self.falls.pop();
            self.fall(place.thread);
        }
        // Whoever has become ready meanwhile may have a higher priority.
        true
    }

    fn thread(&mut self, _random: &Random, place: Place, candidates: &Candidates<'_>) -> usize {
        if !candidates.preempted && candidates.ready.contains(&place.thread) {
            // It let others run, and would do so for ever if it were picked again: it polls.
            self.fall(place.thread);
        }
        let mut best = (0, 0);
        for (index, &thread) in candidates.ready.iter().enumerate() {
            let priority = self.priority(thread);
            if priority >= best.1 {
                best = (index, priority);
            }
        }
        best.0
    }

    fn environment(&mut self, random: &Random, place: Place, ask: Ask) -> usize {
        Numbers.environment(random, place, ask)
    }
}

/// The least probability with which one run shows a bug of this depth.
pub fn bound(threads: u32, steps: u64, depth: u32) -> f64 {
    let threads = f64::from(threads.max(1));
    1.0 / (threads * (steps.max(1) as f64).powi(depth.saturating_sub(1) as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_that_falls_runs_only_when_no_other_can() {
        let random = Random::new(0);
        let mut pct = Pct::new(1, 1, 10);
        let (one, two) = (ThreadId(1), ThreadId(2));
        let both = Candidates {
            ready: &[one, two],
            usual: 0,
            preempted: true,
        };
        let place = |thread| Place { thread, nth: 1 };
        let first = both.ready[pct.thread(&random, place(one), &both)];
        pct.fall(first);
        let second = both.ready[pct.thread(&random, place(first), &both)];
        assert_ne!(first, second);
        let alone = Candidates {
            ready: &[first],
            usual: 0,
            preempted: true,
        };
        assert_eq!(pct.thread(&random, place(second), &alone), 0);
    }

    #[test]
    fn the_bound_is_the_papers() {
        assert!((bound(3, 100, 1) - 1.0 / 3.0).abs() < 1e-12);
        assert!((bound(2, 100, 3) - 1.0 / 20_000.0).abs() < 1e-12);
    }
}
