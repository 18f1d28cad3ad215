//! What was found, made short and told.

use std::fmt;

use super::Setup;
use super::Subject;
use super::run;
use super::run::How;
use super::shrink;
use super::shrink::Symptom;
use super::timeline::Timeline;
use super::timeline::Watch;
use super::token::Token;
use crate::machine::choice::Trace;
use crate::verifier::Style;
use crate::verifier::Violation;

/// A failing run, as short as it gets.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was violated, the first first.
    pub violations: Vec<Violation>,
    /// Which schedule showed it first, counted from 1; where calls fail, which run of its story.
    pub schedule: u64,
    /// Choices made otherwise than usual: when it was found, and what is left of them.
    pub choices: (usize, usize),
    /// Runs that shrinking took.
    pub runs: u64,
    /// The threads side by side.
    pub timeline: Timeline,
    /// The run as a word.
    pub token: Token,
    /// Whether the run showed the same when it was made again. If not, something decides that is no choice.
    pub repeats: bool,
}

/// The choices of a run.
pub(super) fn trace_of(subject: &dyn Subject, setup: &Setup, how: How) -> Trace {
    run::once(subject, setup, how.silent())
        .trace
        .unwrap_or_default()
}

/// Shrinks and tells a failing run.
pub(super) fn find(
    subject: &dyn Subject,
    setup: &Setup,
    trace: &Trace,
    symptom: Symptom,
    schedule: u64,
) -> Finding {
    let shrunk = shrink::shrink(subject, setup, trace, symptom);
    let mut finding = show(subject, setup, &shrunk.trace);
    finding.schedule = schedule;
    finding.choices.0 = trace.deviations.len();
    finding.runs = shrunk.runs;
    finding.repeats = Symptom::of(&finding.violations) == Some(symptom);
    finding
}

/// Makes a run again by its token. `None` is a run without a violation.
pub fn replay(subject: &dyn Subject, token: &Token) -> Option<Finding> {
    let finding = show(subject, &token.setup, &token.trace);
    (!finding.violations.is_empty()).then_some(finding)
}

fn show(subject: &dyn Subject, setup: &Setup, trace: &Trace) -> Finding {
    let (watch, watched) = Watch::new(trace);
    let run = run::once(subject, setup, How::traced(Box::new(watch)));
    let count = trace.deviations.len();
    Finding {
        violations: run.violations,
        schedule: 0,
        choices: (count, count),
        runs: 0,
        timeline: watched.timeline(),
        token: Token {
            subject: subject.name(),
            setup: setup.clone(),
            trace: trace.clone(),
        },
        repeats: true,
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(f, None)
    }
}

/// A finding with the command that shows it again.
pub struct Shown<'a> {
    finding: &'a Finding,
    command: &'a str,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding.tell(f, Some(self.command))
    }
}

impl Finding {
    /// The same, with the command that shows it again in each report.
    pub fn with_command<'a>(&'a self, command: &'a str) -> Shown<'a> {
        Shown {
            finding: self,
            command,
        }
    }

    fn tell(&self, f: &mut fmt::Formatter<'_>, command: Option<&str>) -> fmt::Result {
        if !self.repeats {
            writeln!(
                f,
                "THIS RUN DID NOT SHOW THE SAME AGAIN: something decides it that is no choice of the machine's."
            )?;
        }
        let (preempts, environment) = self.counts();
        writeln!(
            f,
            "{} times another thread ran than usual, {} times the environment did something:",
            preempts, environment
        )?;
        writeln!(f)?;
        writeln!(f, "{}", self.timeline)?;
        for violation in &self.violations {
            let style = Style {
                command,
                ..Style::default()
            };
            writeln!(f, "{}", violation.report(style))?;
        }
        Ok(())
    }
}

impl Finding {
    /// How many choices of the schedule there are in it, and how many of the environment.
    pub fn counts(&self) -> (usize, usize) {
        let deviations = &self.token.trace.deviations;
        let environment = deviations
            .iter()
            .filter(|deviation| deviation.kind == crate::machine::choice::Kind::Environment)
            .count();
        (deviations.len() - environment, environment)
    }
}
