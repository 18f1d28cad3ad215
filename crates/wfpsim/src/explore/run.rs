//! One run.

use super::Setup;
use super::Subject;
use crate::Machine;
use crate::machine::Guards;
use crate::machine::choice::Numbers;
use crate::machine::choice::Strategy;
use crate::machine::choice::Trace;
use crate::verifier::Violation;

/// How a run is made.
pub(crate) struct How {
    /// Who decides; the machine's numbers if nobody.
    strategy: Option<Box<dyn Strategy>>,
    traced: bool,
    stacks: bool,
    guards: Guards,
}

impl How {
    /// By the seed's numbers, as fast as it goes.
    pub fn plain() -> Self {
        Self {
            strategy: None,
            traced: false,
            stacks: false,
            guards: Guards::Pages,
        }
    }

    /// The same, with its choices noted.
    pub fn noted() -> Self {
        Self::traced(Box::new(Numbers))
    }

    /// By a strategy.
    pub fn steered(strategy: Box<dyn Strategy>) -> Self {
        Self {
            strategy: Some(strategy),
            traced: false,
            stacks: false,
            guards: Guards::Pages,
        }
    }

    /// By a strategy, with its choices noted.
    pub fn traced(strategy: Box<dyn Strategy>) -> Self {
        Self {
            strategy: Some(strategy),
            traced: true,
            stacks: true,
            guards: Guards::Pages,
        }
    }

    /// Without pages for each block and histories of each object: for a run that is made again with them if it is odd.
    pub fn light(self) -> Self {
        Self {
            guards: Guards::Zones,
            ..self
        }
    }

    /// Without telling whose code did it, which takes far longer than the run.
    pub fn silent(self) -> Self {
        Self {
            stacks: false,
            ..self
        }
    }
}

/// What came of a run.
pub(crate) struct Run {
    pub violations: Vec<Violation>,
    pub trace: Option<Trace>,
    /// Kernel calls made.
    pub calls: u64,
    /// Threads begun.
    pub threads: u32,
    /// Calls that could have been made to fail.
    pub fallible: u64,
    /// Which run this was, as the order of the events of each object tells.
    pub order: u64,
    /// Something was violated, or memory is not as it must be: the run is to be made again with every guard.
    pub odd: bool,
    pub strategy: Option<Box<dyn Strategy>>,
}

/// Makes one run.
pub(crate) fn once(subject: &dyn Subject, setup: &Setup, how: How) -> Run {
    let mut config = setup.config(subject);
    config.guards = how.guards;
    config.event_stacks = how.stacks;
    let machine = Machine::new(config);
    machine.tell_stacks(how.stacks);
    if let Some(strategy) = how.strategy {
        machine.steer(strategy, how.traced);
    }
    subject.run(&machine);
    let kernel = machine.kernel();
    let trace = kernel.random.trace();
    let violations = machine.violations();
    Run {
        odd: !violations.is_empty() || kernel.arena.is_damaged(),
        violations,
        trace,
        calls: kernel.kernel_calls(),
        threads: kernel.threads_begun(),
        fallible: kernel.fallible_calls(),
        order: kernel.ledger.order(),
        strategy: kernel.random.take_strategy(),
    }
}
