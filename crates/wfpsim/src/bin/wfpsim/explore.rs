//! `wfpsim explore`.

use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use clap::ValueEnum;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde_json::json;
use wfpsim::driver::Driver;
use wfpsim::explore;
use wfpsim::explore::Ended;
use wfpsim::explore::Failing;
use wfpsim::explore::Finding;
use wfpsim::explore::Method;
use wfpsim::explore::Plan;
use wfpsim::explore::Report;
use wfpsim::explore::Setup;
use wfpsim::explore::Subject;
use wfpsim::explore::Token;

use crate::driver;
use crate::interrupt;
use crate::terminal;

/// The exit status when something was violated.
const VIOLATED: u8 = 2;
/// The exit status after Ctrl-C where nothing was violated.
const INTERRUPTED: u8 = 130;
/// What is run if nothing is said.
const USUAL: &str = "ten-packets";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Strategy {
    /// At every point, by chance.
    Random,
    /// Random priorities that change at few points: finds a bug of the given depth with a stated probability.
    Pct,
    /// Every schedule, less those that differ only in the order of steps that do not concern each other.
    Exhaustive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fail {
    /// One call at a time.
    Single,
    /// Every two calls.
    Pairs,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// What is run over and over; `--list` tells what there is.
    #[arg(long, default_value = USUAL)]
    scenario: String,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// How many schedules.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    schedules: u64,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    time: Option<u64>,
    /// The first schedule's seed; those behind it have the numbers that follow.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How schedules are chosen.
    #[arg(long, value_enum, default_value_t = Strategy::Random)]
    strategy: Strategy,
    /// The depth of the bugs that `--strategy pct` is to find: how many events must come in one order.
    #[arg(long, default_value_t = 3, value_name = "D", value_parser = clap::value_parser!(u32).range(1..=20))]
    depth: u32,
    /// How many processors the machine has: 1 to 8.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    processors: Option<u8>,
    /// Have every call that can fail fail in turn, in DriverEntry, at work and in unload, instead of trying schedules.
    #[arg(long, value_enum, value_name = "HOW MANY", num_args = 0..=1, default_missing_value = "single", conflicts_with_all = ["strategy", "schedules", "depth", "all"])]
    faults: Option<Fail>,
    /// Do not stop at the first violation; look for others.
    #[arg(long)]
    all: bool,
    /// Run on so many processors of this computer at a time.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Show the run of a token again.
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["scenario", "faults", "schedules", "time", "seed", "jobs"])]
    replay: Option<String>,
    #[command(flatten)]
    driver: driver::Which,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let driver = match arguments.driver.driver() {
        Ok(driver) => driver,
        Err(error) => {
            terminal::complain(error);
            return ExitCode::from(1);
        }
    };
    if arguments.list {
        for (name, what) in explore::subjects(&driver) {
            say(&format!("{name:<30} {what}\n"));
        }
        return ExitCode::SUCCESS;
    }
    let outcome = match &arguments.replay {
        Some(token) => replay(arguments, &driver, token),
        None => explore_or_fail(arguments, &driver),
    };
    outcome.unwrap_or_else(|message| {
        terminal::complain(message);
        ExitCode::from(crate::USAGE)
    })
}

fn subject(driver: &Driver, name: &str) -> Result<Box<dyn Subject>, String> {
    explore::subject(driver, name).ok_or_else(|| {
        format!("there is no scenario {name:?}; `wfpsim explore --list` tells what there is")
    })
}

/// A reader that went away (head, less) is no fault of the exploration.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn replay(arguments: &Arguments, driver: &Driver, token: &str) -> Result<ExitCode, String> {
    let token = Token::parse(token).map_err(|error| error.to_string())?;
    let subject = subject(driver, &token.subject)?;
    let found = explore::replay(subject.as_ref(), &token);
    if arguments.json {
        let found = found.as_ref().map(explore::finding_json);
        say(&format!("{:#}\n", json!({ "finding": found })));
    } else {
        match &found {
            Some(finding) => say(&finding.to_string()),
            None => say("nothing was violated\n"),
        }
    }
    Ok(ExitCode::from(if found.is_some() { VIOLATED } else { 0 }))
}

/// The command that shows a finding again.
fn command(arguments: &Arguments, finding: &Finding) -> String {
    let image = arguments.driver.options();
    format!("wfpsim explore{image} --replay {}", finding.token)
}

fn explore_or_fail(arguments: &Arguments, driver: &Driver) -> Result<ExitCode, String> {
    let subject = subject(driver, &arguments.scenario)?;
    let stop = interrupt::flag()?;
    let mut setup = Setup::new(arguments.seed);
    setup.processors = arguments.processors;
    if let Some(fail) = arguments.faults {
        return Ok(faults(arguments, subject.as_ref(), &setup, fail, &stop));
    }
    let method = match arguments.strategy {
        Strategy::Random => Method::Random,
        Strategy::Pct => Method::Pct {
            depth: arguments.depth,
        },
        Strategy::Exhaustive if arguments.jobs > 1 => {
            return Err("--jobs means nothing with --strategy exhaustive, each of whose schedules follows from those before it".to_owned());
        }
        Strategy::Exhaustive => {
            // What the environment may do besides would multiply the schedules by millions, and a thread that has no processor is
            // not ready for a reason that no choice decides.
            setup.free = false;
            setup.processors = setup.processors.or(Some(8));
            Method::Exhaustive
        }
    };
    let plan = Plan {
        setup,
        method,
        schedules: arguments.schedules,
        time: arguments.time.map(Duration::from_secs),
        all: arguments.all,
        jobs: usize::from(arguments.jobs),
    };
    let bar = bar(plan.schedules);
    let report = explore::explore(subject.as_ref(), &plan, &mut |progress| {
        bar.set_position(progress.schedules);
        bar.set_message(format!(
            "{} distinct, {} violations",
            progress.distinct, progress.violations
        ));
        !stop.load(Ordering::Relaxed)
    });
    bar.finish_and_clear();
    if arguments.json {
        say(&format!("{:#}\n", explore::json(&subject.name(), &report)));
    } else {
        tell(arguments, &subject.name(), &report);
    }
    Ok(ExitCode::from(match report.ended {
        _ if !report.findings.is_empty() => VIOLATED,
        Ended::Interrupted => INTERRUPTED,
        _ => 0,
    }))
}

fn tell(arguments: &Arguments, name: &str, report: &Report) {
    for finding in &report.findings {
        let command = command(arguments, finding);
        say(&format!("{}\n", finding.with_command(&command)));
        say(&format!(
            "found in schedule {}, shrunk from {} choices to {} in {} runs; shown again by\n\n    {command}\n\n",
            finding.schedule, finding.choices.0, finding.choices.1, finding.runs,
        ));
    }
    let progress = &report.progress;
    let seconds = report.elapsed.as_secs_f64();
    say(&format!(
        "{name}: {} schedules in {seconds:.1} s ({:.0} a second, {:.0} a second of a whole core), {} of them distinct, {} with a violation\n",
        progress.schedules,
        progress.schedules as f64 / seconds.max(1e-9),
        progress.schedules as f64 / report.busy.as_secs_f64().max(1e-9),
        progress.distinct,
        progress.violations
    ));
    if let Some(bound) = report.bound {
        say(&format!(
            "each schedule shows a bug of depth {} with a probability of at least {bound:.2e} (threads {}, steps {})\n",
            arguments.depth, report.longest.1, report.longest.0
        ));
    }
    if let Some((redundant, cut)) = report.redundant_and_cut {
        let covered = match report.ended {
            Ended::Covered => "every schedule is covered",
            _ => "not every schedule is covered",
        };
        say(&format!(
            "{covered}; {redundant} runs were given up because others show the same, {cut} were too long\n"
        ));
    }
    match report.ended {
        Ended::Interrupted => say("interrupted\n"),
        Ended::Time => say("the time was up\n"),
        _ => {}
    }
}

fn faults(
    arguments: &Arguments,
    subject: &dyn Subject,
    setup: &Setup,
    fail: Fail,
    stop: &std::sync::atomic::AtomicBool,
) -> ExitCode {
    let failing = match fail {
        Fail::Single => Failing::Single,
        Fail::Pairs => Failing::Pairs,
    };
    let bar = bar(0);
    let begun = Instant::now();
    let most = arguments.time.map(Duration::from_secs);
    let jobs = usize::from(arguments.jobs);
    let faulted = explore::fail_every_call(subject, setup, failing, jobs, &mut |runs| {
        bar.set_position(runs);
        !stop.load(Ordering::Relaxed) && most.is_none_or(|most| begun.elapsed() < most)
    });
    let interrupted = stop.load(Ordering::Relaxed);
    bar.finish_and_clear();
    if arguments.json {
        let findings: Vec<_> = faulted.findings.iter().map(explore::finding_json).collect();
        say(&format!(
            "{:#}\n",
            json!({
                "scenario": subject.name(),
                "stories": faulted.stories,
                "calls": faulted.calls,
                "runs": faulted.runs,
                "complete": faulted.complete,
                "findings": findings,
            })
        ));
    } else {
        for finding in &faulted.findings {
            let call = finding.token.setup.faults.fail_call.unwrap_or(0);
            say(&format!(
                "{finding}\nwhen call {call} failed; shown again by\n\n    {}\n\n",
                command(arguments, finding)
            ));
        }
        say(&format!(
            "{}: {} runs of {}, in which each of their calls failed in turn, up to {} in a run{}; {} violations\n",
            subject.name(),
            faulted.runs,
            stories(faulted.stories),
            faulted.calls,
            match (faulted.complete, interrupted) {
                (true, _) => "",
                (false, true) => " (interrupted)",
                (false, false) => " (the time was up)",
            },
            faulted.findings.len()
        ));
    }
    ExitCode::from(if !faulted.findings.is_empty() {
        VIOLATED
    } else if interrupted && !faulted.complete {
        INTERRUPTED
    } else {
        0
    })
}

fn stories(count: u64) -> String {
    match count {
        1 => "one story".to_owned(),
        count => format!("{count} stories"),
    }
}

/// A bar on the terminal, of a known length or of none (0).
fn bar(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = if length == 0 {
        (
            ProgressBar::new_spinner(),
            "{spinner} {pos} runs  {per_sec}",
        )
    } else {
        (
            ProgressBar::new(length),
            "{wide_bar} {pos}/{len}  {per_sec}  {msg}  {eta} left",
        )
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
