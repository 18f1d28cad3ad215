//! `wfpsim check`.

use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use wfpsim::check;
use wfpsim::check::Scenario;
use wfpsim::check::Settings;
use wfpsim::check::Summary;
use wfpsim::check::json;
use wfpsim::check::text::Table;

use crate::driver;
use crate::interrupt;
use crate::terminal;

/// The exit status where a scenario failed.
const FAILED: u8 = 2;

#[derive(clap::Args)]
pub struct Arguments {
    /// Run only this scenario; may be given several times. `*` stands for any characters, `?` for one.
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// The first seed. A seed decides everything that Windows leaves open; the same one shows the same again.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds each scenario is run on; without it, as many as make the whole suite quick.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Only this case of each scenario, as a report names it.
    #[arg(long, value_name = "K")]
    case: Option<u64>,
    #[command(flatten)]
    driver: driver::Which,
    /// List the scenarios and what they are, and run none.
    #[arg(long)]
    list: bool,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let scenarios = match scenarios(&arguments.scenarios) {
        Ok(scenarios) => scenarios,
        Err(message) => return fail(crate::USAGE, &message),
    };
    if arguments.list {
        return list(&scenarios, arguments.json);
    }
    if let Some(message) = arguments.case.and_then(|case| no_case(&scenarios, case)) {
        return fail(crate::USAGE, &message);
    }
    match check(arguments, scenarios) {
        Ok(status) => ExitCode::from(status),
        Err(message) => fail(crate::UNREADABLE, &message),
    }
}

fn fail(status: u8, message: &str) -> ExitCode {
    terminal::complain(message);
    ExitCode::from(status)
}

/// The scenarios that the patterns name, in the suite's order; all if there is none.
fn scenarios(patterns: &[String]) -> Result<Vec<&'static Scenario>, String> {
    if patterns.is_empty() {
        return Ok(check::all().collect());
    }
    let mut names = std::collections::BTreeSet::new();
    for pattern in patterns {
        let found = check::find(pattern);
        if found.is_empty() {
            return Err(format!(
                "no scenario is called {pattern:?}; --list has them all"
            ));
        }
        names.extend(found.iter().map(|scenario| scenario.name));
    }
    let named = check::all().filter(|scenario| names.contains(scenario.name));
    Ok(named.collect())
}

/// Why there is nothing to run if only this case is to be.
fn no_case(scenarios: &[&'static Scenario], case: u64) -> Option<String> {
    let count = |scenario: &&Scenario| scenario.cases.count();
    let lacking = scenarios
        .iter()
        .find(|scenario| count(scenario).is_some_and(|count| case >= count))?;
    Some(format!(
        "scenario {} has cases 0 to {}",
        lacking.name,
        count(lacking)?.saturating_sub(1)
    ))
}

fn list(scenarios: &[&'static Scenario], json: bool) -> ExitCode {
    let text = if json {
        let listed: Vec<_> = scenarios
            .iter()
            .map(|one| {
                serde_json::json!({
                    "name": one.name,
                    "what": one.what,
                    "seeds": one.seeds,
                    "cases": one.cases.count(),
                })
            })
            .collect();
        format!("{:#}\n", serde_json::Value::from(listed))
    } else {
        let name = scenarios.iter().map(|one| one.name.len()).max();
        let name = name.unwrap_or(0);
        let lines = scenarios.iter();
        lines
            .map(|one| format!("{:<name$}  {}\n", one.name, one.what))
            .collect()
    };
    print(&text);
    ExitCode::SUCCESS
}

/// A reader that went away (head, less) is no fault of the check; its verdict stands.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn check(arguments: &Arguments, scenarios: Vec<&'static Scenario>) -> Result<u8, String> {
    let stop = interrupt::flag()?;
    let driver = arguments.driver.driver()?;
    let options = arguments.driver.options();
    let table = Table::new(terminal::width(), &scenarios, &options).coloured(terminal::colour());
    let settings = Settings {
        scenarios,
        seed: arguments.seed,
        seeds: arguments.seeds,
        case: arguments.case,
    };
    if !arguments.json {
        print(&table.head());
    }
    let bar = bar(settings.scenarios.len() as u64);
    let summary = check::run(
        &driver,
        &settings,
        &mut |scenario| go_on(&bar, scenario, &stop),
        &mut |line| {
            bar.inc(1);
            if !arguments.json {
                bar.suspend(|| print(&(table.row(line) + &table.report(line))));
            }
        },
    );
    bar.finish_and_clear();
    print(&if arguments.json {
        format!("{:#}\n", json::summary(&summary, &table))
    } else {
        table.verdict(&summary)
    });
    Ok(status(&summary))
}

fn go_on(bar: &ProgressBar, scenario: &Scenario, stop: &AtomicBool) -> bool {
    bar.set_message(scenario.name);
    bar.tick();
    !stop.load(Ordering::Relaxed)
}

fn status(summary: &Summary) -> u8 {
    match (summary.holds(), summary.interrupted) {
        (false, _) => FAILED,
        (true, true) => crate::INTERRUPTED,
        (true, false) => 0,
    }
}

/// A bar, where there is a terminal to show it.
fn bar(scenarios: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed}  {msg}");
    ProgressBar::new(scenarios).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
