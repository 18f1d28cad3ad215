//! The seed's numbers as a strategy: what a machine does that is not steered, to be listened to or noted.

use super::Ask;
use super::Candidates;
use super::Place;
use super::Strategy;
use crate::machine::random::Random;

/// Decides by the numbers of the machine's seed, drawing them exactly as a machine does that is not steered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers;

impl Strategy for Numbers {
    fn preempts(&mut self, random: &Random, _place: Place, percent: u8) -> bool {
        random.percent(percent)
    }

    fn thread(&mut self, random: &Random, _place: Place, candidates: &Candidates<'_>) -> usize {
        match candidates.ready.len() {
            1 => 0,
            count => random.below(count),
        }
    }

    fn environment(&mut self, random: &Random, _place: Place, ask: Ask) -> usize {
        match ask {
            Ask::Percent(percent) => usize::from(random.percent(percent)),
            Ask::Below(bound) => random.below(bound),
        }
    }
}
