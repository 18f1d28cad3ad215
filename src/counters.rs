//! The counters, as the driver keeps them: one relaxed atomic each.
//!
//! They are written where the thing they count happens and never derived from each other, so that sums which must
//! agree are a check and not a tautology ([`tollgate_abi::Counters::disagreement`]).

use nt::sync::{AtomicU64, Ordering};
use tollgate_abi::Counter;

/// All counters, from zero.
pub struct Counters([AtomicU64; Counter::COUNT]);

impl Counters {
    /// Every counter at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; Counter::COUNT])
    }

    /// Counts one. IRQL: any.
    pub fn add(&self, counter: Counter) {
        if let Some(place) = self.0.get(counter.index()) {
            place.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A copy of all values, each read on its own. IRQL: any.
    #[must_use]
    pub fn snapshot(&self) -> tollgate_abi::Counters {
        let mut copy = tollgate_abi::Counters::default();
        for (counter, place) in Counter::ALL.iter().zip(&self.0) {
            copy.set(*counter, place.load(Ordering::Relaxed));
        }
        copy
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_counts_its_own_thing_only() {
        let counters = Counters::new();
        for (index, counter) in Counter::ALL.iter().enumerate() {
            for _ in 0..=index {
                counters.add(*counter);
            }
        }
        for (counter, value) in counters.snapshot().iter() {
            assert_eq!(value, 1 + counter.index() as u64, "{}", counter.name());
        }
    }
}
