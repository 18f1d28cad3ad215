//! What a scenario is, and one run of it.

use std::fmt;

use super::bench::Bench;
use super::bench::Outcome;
use crate::Config;
use crate::Machine;
use crate::driver::Driver;

/// The version of IP that a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// One case of a scenario: the same story with other particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Which one, counted from 0 over all of the scenario's.
    pub index: u64,
    /// The version of IP, where the story is about one.
    pub family: Family,
    /// Which particulars, counted from 0, where there are more than the version of IP.
    pub number: u64,
}

/// How many cases a scenario has. Every seed runs them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cases {
    /// So many, each for both versions of IP.
    Families(u64),
    /// So many, the version of IP being no matter or both being in each.
    Count(u64),
    /// One for each call that can be made to fail: case k fails call k + 1. How many there are shows when a run makes fewer.
    EveryCall,
}

impl Cases {
    /// How many there are, if that is known beforehand.
    pub fn count(self) -> Option<u64> {
        match self {
            Self::Families(count) => Some(2 * count),
            Self::Count(count) => Some(count),
            Self::EveryCall => None,
        }
    }

    /// A case by its index.
    pub fn case(self, index: u64) -> Case {
        let both = matches!(self, Self::Families(_));
        Case {
            index,
            family: if both && index % 2 == 1 {
                Family::V6
            } else {
                Family::V4
            },
            number: if both { index / 2 } else { index },
        }
    }
}

/// Something that a machine puts a driver through.
pub struct Scenario {
    /// Its stable name: words with hyphens.
    pub name: &'static str,
    /// What it is, in a few words.
    pub what: &'static str,
    /// On how many seeds it is run unless somebody says otherwise.
    pub seeds: u64,
    /// Its cases.
    pub cases: Cases,
    /// What the machine must be like for a case. It comes with the seed and every freedom.
    pub config: fn(&mut Config, Case),
    /// What happens. The driver is not loaded yet; whatever is still loaded at the end is unloaded and judged.
    pub story: fn(&mut Bench<'_>),
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Scenario {
    /// The machine that a case wants.
    pub fn config(&self, seed: u64, case: u64) -> Config {
        let mut config = Config::new(seed);
        (self.config)(&mut config, self.cases.case(case));
        config
    }

    /// Runs a case on a machine that was just made from [`Scenario::config`], and judges.
    pub fn run_on(&self, machine: &Machine, driver: &Driver, case: u64) -> Outcome {
        let mut bench = Bench::new(machine, driver, self.cases.case(case));
        (self.story)(&mut bench);
        bench.end()
    }

    /// Runs a case under a seed, and judges.
    pub fn run(&self, driver: &Driver, seed: u64, case: u64) -> Outcome {
        self.run_on(&Machine::new(self.config(seed, case)), driver, case)
    }
}

/// A machine as it is, with every freedom.
pub(super) fn ordinary(_: &mut Config, _: Case) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_of_both_families_alternate() {
        let cases = Cases::Families(3);
        assert_eq!(cases.count(), Some(6));
        let told: Vec<_> = (0..6)
            .map(|index| cases.case(index))
            .map(|case| (case.family, case.number))
            .collect();
        assert_eq!(
            told,
            [
                (Family::V4, 0),
                (Family::V6, 0),
                (Family::V4, 1),
                (Family::V6, 1),
                (Family::V4, 2),
                (Family::V6, 2)
            ]
        );
        assert_eq!(Cases::Count(3).case(1).number, 1);
    }
}
