//! What an image does when it is loaded and unloaded, in a simulated machine.

use std::sync::Arc;

use crate::Config;
use crate::Machine;
use crate::driver::LoadError;
use crate::driver::Parameters;
use crate::fwp::inventory::CalloutSeen;
use crate::image::Image;
use crate::image::ImageError;

/// What came of running an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not to be run.
    NotRun,
    /// The simulator cannot load it.
    NotLoaded(String),
    /// DriverEntry did not succeed.
    Refused(String),
    /// The simulated machine stopped: a bug check, or a function that the simulator lacks.
    Stopped(String),
    /// It was loaded, and unloaded.
    Ran,
}

/// What was seen while it ran.
#[derive(Clone, Debug)]
pub struct Run {
    /// What came of it.
    pub outcome: Outcome,
    /// The callouts, as they were when DriverEntry had returned and its threads had nothing more to do.
    pub callouts: Vec<CalloutSeen>,
    /// What broke the platform's rules, one sentence each, with the rule. Empty unless the outcome is [`Outcome::Ran`].
    pub violations: Vec<String>,
}

/// Turns of threads that a driver is given to set itself up.
const TURNS: usize = 100_000;

pub(super) fn run(image: Result<Arc<Image>, ImageError>, wanted: bool) -> Run {
    let mut run = Run {
        outcome: Outcome::NotRun,
        callouts: Vec::new(),
        violations: Vec::new(),
    };
    match image {
        Err(error) => run.outcome = Outcome::NotLoaded(error.to_string()),
        Ok(image) if wanted => try_run(&image, &mut run),
        Ok(_) => {}
    }
    run
}

fn try_run(image: &Arc<Image>, run: &mut Run) {
    let machine = Machine::new(Config::plain());
    let stopped = |machine: &Machine| {
        let violations = machine.violations();
        Outcome::Stopped(violations.first().map_or_else(
            || "it never returned".to_owned(),
            |violation| violation.summary.clone(),
        ))
    };
    let loaded = machine.load_image(image, &Parameters::default());
    run.callouts = machine.kernel().fwp.inventory();
    run.outcome = match loaded {
        Ok(()) => Outcome::Ran,
        Err(LoadError::Stopped) => stopped(&machine),
        Err(error @ LoadError::Refused(..)) => Outcome::Refused(error.to_string()),
        Err(error) => Outcome::NotLoaded(error.to_string()),
    };
    if run.outcome != Outcome::Ran {
        return;
    }
    machine.run_steps(TURNS);
    run.callouts = machine.kernel().fwp.inventory();
    if !machine.kernel().has_crashed() {
        machine.unload_driver();
    }
    if machine.kernel().has_crashed() {
        run.outcome = stopped(&machine);
        return;
    }
    run.violations = machine
        .violations()
        .iter()
        .map(|violation| format!("{} ({})", violation.summary, violation.rule))
        .collect();
}
