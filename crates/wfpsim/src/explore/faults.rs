//! Every call that can fail, failing.

use super::Finding;
use super::Setup;
use super::Subject;
use super::Symptom;
use super::findings;
use super::run;
use super::run::How;
use crate::machine::Faults;

/// How many failures a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// One call of each run.
    Single,
    /// Two calls of each run: every pair.
    Pairs,
}

/// What failing every call came to.
#[derive(Clone, Debug)]
pub struct Faulted {
    /// How many calls there were to fail, in the run with the most.
    pub calls: u64,
    /// How many runs were made.
    pub runs: u64,
    /// What was found, one for each symptom.
    pub findings: Vec<Finding>,
    /// Whether every call's turn came.
    pub complete: bool,
}

/// Runs the subject with the k-th call that can fail failing, for every k: first each alone, then, for [`Failing::Pairs`],
/// with each later one as well. Ends when a run has no k-th call any more. `tell` hears of each run; false from it ends it.
pub fn fail_every_call(
    subject: &dyn Subject,
    setup: &Setup,
    failing: Failing,
    tell: &mut dyn FnMut(u64) -> bool,
) -> Faulted {
    let mut faulted = Faulted {
        calls: 0,
        runs: 0,
        findings: Vec::new(),
        complete: false,
    };
    let mut symptoms = Vec::new();
    let mut attempt = |faulted: &mut Faulted, first: u64, second: Option<u64>| {
        let mut setup = setup.clone();
        setup.faults = Faults {
            fail_call: Some(first),
            count: 1,
            second,
            ..Faults::default()
        };
        let run = run::once(subject, &setup, How::plain());
        faulted.runs += 1;
        faulted.calls = faulted.calls.max(run.fallible);
        if let Some(symptom) = Symptom::of(&run.violations)
            && !symptoms.contains(&symptom)
        {
            symptoms.push(symptom);
            let trace = findings::trace_of(subject, &setup, How::noted());
            faulted.findings.push(findings::find(
                subject,
                &setup,
                &trace,
                symptom,
                faulted.runs,
            ));
        }
        run.fallible
    };
    let mut first = 1;
    loop {
        let calls = attempt(&mut faulted, first, None);
        if calls < first {
            faulted.complete = true;
            break;
        }
        if failing == Failing::Pairs {
            let mut second = first + 1;
            while attempt(&mut faulted, first, Some(second)) >= second {
                second += 1;
                if !tell(faulted.runs) {
                    return faulted;
                }
            }
        }
        first += 1;
        if !tell(faulted.runs) {
            break;
        }
    }
    faulted
}
