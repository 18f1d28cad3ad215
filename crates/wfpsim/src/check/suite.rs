//! All scenarios, each on its seeds, and what came of them.

use super::bench::Failure;
use super::scenario::Scenario;
use crate::Config;
use crate::Machine;
use crate::driver::Driver;

/// What is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The scenarios, in this order.
    pub scenarios: Vec<&'static Scenario>,
    /// The first seed.
    pub seed: u64,
    /// How many seeds each scenario is run on; what the scenario says if absent.
    pub seeds: Option<u64>,
    /// Only this case of each.
    pub case: Option<u64>,
}

/// The run of a scenario that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Its seed.
    pub seed: u64,
    /// Its case.
    pub case: u64,
    /// What was wrong, the first cause first; never empty.
    pub failures: Vec<Failure>,
}

/// What came of one scenario.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which one.
    pub scenario: &'static Scenario,
    /// Seeds on which it was run to the end.
    pub seeds: u64,
    /// Runs: cases of all seeds.
    pub runs: u64,
    /// Packets given to the stack in all runs.
    pub packets: u64,
    /// How often a callout took a packet or pended an operation.
    pub taken: u64,
    /// Packets lost by failures that the scenario injected.
    pub lost: u64,
    /// The first run that failed; no other is tried then.
    pub failed: Option<Failed>,
    /// Why the scenario says nothing of the driver, if it does not.
    pub not_applicable: Option<&'static str>,
    /// Somebody interrupted it.
    pub interrupted: bool,
}

impl Line {
    /// Whether the driver did all that it owes, as far as it was tried.
    pub fn holds(&self) -> bool {
        self.failed.is_none()
    }
}

/// What came of all.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Scenarios, in the order run.
    pub lines: Vec<Line>,
    /// Whether somebody interrupted the suite.
    pub interrupted: bool,
}

impl Summary {
    /// Whether every scenario that was run holds.
    pub fn holds(&self) -> bool {
        self.lines.iter().all(Line::holds)
    }
}

/// The failures of a run once more, with the stacks of all that happened to the objects concerned: they are too dear to be kept
/// in each run, and the same seed shows the same.
fn with_stacks(
    driver: &Driver,
    scenario: &Scenario,
    seed: u64,
    case: u64,
    failures: Vec<Failure>,
) -> Vec<Failure> {
    let config = Config {
        event_stacks: true,
        ..scenario.config(seed, case)
    };
    let again = scenario
        .run_on(&Machine::new(config), driver, case)
        .failures;
    if again.len() == failures.len() {
        again
    } else {
        failures
    }
}

/// Runs the suite. `go_on` is asked before each run, and told which scenario it is of; `done` is told of each scenario when it
/// is over.
pub fn run(
    driver: &Driver,
    settings: &Settings,
    go_on: &mut dyn FnMut(&'static Scenario) -> bool,
    done: &mut dyn FnMut(&Line),
) -> Summary {
    let mut summary = Summary::default();
    for &scenario in &settings.scenarios {
        let line = run_one(driver, settings, scenario, go_on);
        summary.interrupted = line.interrupted;
        done(&line);
        summary.lines.push(line);
        if summary.interrupted {
            break;
        }
    }
    summary
}

fn run_one(
    driver: &Driver,
    settings: &Settings,
    scenario: &'static Scenario,
    go_on: &mut dyn FnMut(&'static Scenario) -> bool,
) -> Line {
    let mut line = Line {
        scenario,
        seeds: 0,
        runs: 0,
        packets: 0,
        taken: 0,
        lost: 0,
        failed: None,
        not_applicable: None,
        interrupted: false,
    };
    for offset in 0..settings.seeds.unwrap_or(scenario.seeds) {
        let seed = settings.seed.wrapping_add(offset);
        let cases = match (settings.case, scenario.cases.count()) {
            (Some(case), _) => case..case + 1,
            (None, Some(count)) => 0..count,
            (None, None) => 0..u64::MAX,
        };
        for case in cases {
            if !go_on(scenario) {
                line.interrupted = true;
                return line;
            }
            let outcome = scenario.run(driver, seed, case);
            line.runs += 1;
            line.packets += outcome.packets;
            line.taken += outcome.taken;
            line.lost += outcome.lost;
            if !outcome.failures.is_empty() {
                line.failed = Some(Failed {
                    seed,
                    case,
                    failures: with_stacks(driver, scenario, seed, case, outcome.failures),
                });
                return line;
            }
            if outcome.not_applicable.is_some() {
                line.not_applicable = outcome.not_applicable;
                return line;
            }
            // Where each call fails in turn, the run in which none did is the last.
            if scenario.cases.count().is_none() && outcome.fallible_calls <= case {
                break;
            }
        }
        line.seeds += 1;
    }
    line
}
