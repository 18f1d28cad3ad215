//! The suite for people: a line for each scenario, the first fault of each that failed, and a verdict.

use std::fmt::Write as _;

use super::bench::Failure;
use super::scenario::Scenario;
use super::suite::Failed;
use super::suite::Line;
use super::suite::Summary;
use crate::text::cell;
use crate::text::paragraph;
use crate::verifier::Style;

/// Columns of the numbers, and of the verdict.
const SEEDS: usize = 6;
const PACKETS: usize = 8;
const VERDICT: usize = 9;
/// How many failures of a run are told; the first is mostly the cause of the others.
const TOLD: usize = 3;

/// The table, for so many columns.
pub struct Table {
    /// `None`: a line each, however long, for whoever reads them with a program.
    width: Option<usize>,
    name: usize,
    what: usize,
    /// What a command that repeats a run says besides the scenario.
    options: String,
    /// Whether the terminal shows colour and may be given some.
    colour: bool,
}

impl Table {
    /// A table of these scenarios for a terminal of `width` columns, or for a pipe. `options` are those of the command line
    /// that belong to repeating a run: the image.
    pub fn new(width: Option<usize>, scenarios: &[&'static Scenario], options: &str) -> Self {
        let longest = |of: fn(&Scenario) -> &str| {
            let lengths = scenarios.iter().map(|one| of(one).chars().count());
            lengths.max().unwrap_or(0)
        };
        let name = longest(|scenario| scenario.name).max(8);
        let what = longest(|scenario| scenario.what);
        let others = name + 1 + SEEDS + PACKETS + 2 + VERDICT + 2;
        Self {
            width: width.map(|width| width.clamp(20, 120)),
            name,
            what: width.map_or(what, |width| {
                what.min(width.clamp(20, 120).saturating_sub(others).max(16))
            }),
            options: options.to_owned(),
            colour: false,
        }
    }

    /// The same in colour, or not.
    #[must_use]
    pub fn coloured(mut self, colour: bool) -> Self {
        self.colour = colour;
        self
    }

    /// The headings.
    pub fn head(&self) -> String {
        let (name, what) = (self.name, self.what);
        let line = format!(
            "{:<name$}  {:<what$} {:>SEEDS$}{:>PACKETS$}  VERDICT",
            "SCENARIO", "WHAT IT IS", "SEEDS", "PACKETS"
        );
        line + "\n"
    }

    /// What came of one scenario, in one line, or in as many as what it is needs beside the rest.
    pub fn row(&self, line: &Line) -> String {
        let (name, what) = (self.name, self.what);
        let width = self.width.map_or(usize::MAX, |_| what);
        let mut words = cell(line.scenario.what, width).into_iter();
        let mut row = format!(
            "{:<name$}  {:<what$} {:>SEEDS$}{:>PACKETS$}  {}\n",
            line.scenario.name,
            words.next().unwrap_or_default(),
            line.seeds,
            line.packets,
            self.painted(line)
        );
        for more in words {
            let _ = writeln!(row, "{:<name$}  {more}", "");
        }
        row
    }

    /// What was wrong in a scenario's run that failed, and how to see it again; empty if none did.
    pub fn report(&self, line: &Line) -> String {
        let Some(failed) = &line.failed else {
            return String::new();
        };
        let mut text = format!("\n{}\n\n", self.title(line, failed));
        let style = Style {
            width: self.width,
            colour: self.colour,
            command: None,
        };
        for failure in failed.failures.iter().take(TOLD) {
            let _ = match failure {
                Failure::Violation(violation) => writeln!(text, "{}", violation.report(style)),
                other => writeln!(text, "{other}"),
            };
        }
        let more = failed.failures.len().saturating_sub(TOLD);
        if more > 0 {
            let _ = writeln!(text, "{more} more: --json has all\n");
        }
        let _ = writeln!(
            text,
            "To see it again:\n    {}\n",
            self.command(line, failed)
        );
        text
    }

    /// The verdict of a line, red where it failed and may be.
    fn painted(&self, line: &Line) -> String {
        let told = verdict(line);
        if self.colour && line.failed.is_some() {
            format!("\x1b[1;31m{told}\x1b[0m")
        } else {
            told.to_owned()
        }
    }

    fn title(&self, line: &Line, failed: &Failed) -> String {
        format!(
            "{} FAILED with seed {}, case {}:",
            line.scenario.name, failed.seed, failed.case
        )
    }

    /// The command that runs exactly this again.
    pub fn command(&self, line: &Line, failed: &Failed) -> String {
        format!(
            "wfpsim check{} --scenario {} --seed {} --seeds 1 --case {}",
            self.options, line.scenario.name, failed.seed, failed.case
        )
    }

    /// Whether it all holds.
    pub fn verdict(&self, summary: &Summary) -> String {
        let lines = &summary.lines;
        let failed: Vec<&str> = lines
            .iter()
            .filter(|line| !line.holds())
            .map(|line| line.scenario.name)
            .collect();
        let runs: u64 = lines.iter().map(|line| line.runs).sum();
        let packets: u64 = lines.iter().map(|line| line.packets).sum();
        let lost: u64 = lines.iter().map(|line| line.lost).sum();
        let taken: u64 = lines.iter().map(|line| line.taken).sum();
        let size = format!("{} scenarios, {runs} runs, {packets} packets", lines.len());
        let mut text = String::new();
        if summary.interrupted {
            text.push_str("Interrupted: the last scenario was not run to its end. ");
        }
        if failed.is_empty() {
            let _ = write!(
                text,
                "It holds{}: {size}; nothing violated, nothing left behind, every packet out once and unaltered",
                if summary.interrupted {
                    " as far as that"
                } else {
                    ""
                }
            );
            let _ = match lost {
                0 => write!(text, "."),
                _ => write!(text, " but {lost} lost by injected failures."),
            };
            // A driver that looks at nothing breaks nothing, and whoever reads this wants to know.
            let _ = match taken {
                0 => write!(text, " The driver took no packet and pended no connection."),
                _ => write!(
                    text,
                    " The driver took a packet or pended a connection {taken} times."
                ),
            };
        } else {
            let _ = write!(
                text,
                "IT DOES NOT HOLD: {} of {size} failed: {}.",
                failed.len(),
                failed.join(", ")
            );
        }
        let mut told = "\n".to_owned();
        let _ = paragraph(&mut told, self.width.unwrap_or(usize::MAX), "", 0, &text);
        told
    }
}

/// What a scenario came to, in a word or two.
pub fn verdict(line: &Line) -> &'static str {
    if line.failed.is_some() {
        "FAILED"
    } else if line.interrupted {
        "partly"
    } else if line.not_applicable.is_some() {
        "no matter"
    } else {
        "holds"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::all;

    fn line(scenario: &'static Scenario, failures: usize) -> Line {
        let failures: Vec<Failure> = (0..failures)
            .map(|number| Failure::Packet(format!("packet {number} was lost")))
            .collect();
        Line {
            scenario,
            seeds: 1000,
            runs: 2000,
            packets: 1_234_567,
            taken: 3,
            lost: 0,
            failed: (!failures.is_empty()).then_some(Failed {
                seed: 7,
                case: 3,
                failures,
            }),
            not_applicable: None,
            interrupted: false,
        }
    }

    #[test]
    fn every_row_fits_the_terminal_and_a_pipe_gets_one_line() {
        let scenarios: Vec<_> = all().collect();
        for width in [72, 80, 100, 120] {
            let table = Table::new(Some(width), &scenarios, "");
            for scenario in &scenarios {
                for row in table.row(&line(scenario, 1)).lines() {
                    assert!(row.chars().count() <= width, "{width}: {row}");
                    assert_eq!(row.trim_end(), row);
                }
            }
        }
        let table = Table::new(None, &scenarios, "");
        for scenario in &scenarios {
            assert_eq!(table.row(&line(scenario, 0)).lines().count(), 1);
            assert!(table.row(&line(scenario, 0)).contains(scenario.what));
        }
    }

    #[test]
    fn a_report_tells_the_first_failures_and_the_command() {
        let scenarios: Vec<_> = all().collect();
        let table = Table::new(Some(80), &scenarios, " --image a.sys");
        let report = table.report(&line(scenarios[0], 5));
        assert!(report.contains("packet 0 was lost"), "{report}");
        assert!(report.contains("2 more"), "{report}");
        let command = format!(
            "wfpsim check --image a.sys --scenario {} --seed 7 --seeds 1 --case 3",
            scenarios[0].name
        );
        assert!(report.contains(&command), "{report}");
        assert_eq!(table.report(&line(scenarios[0], 0)), "");
    }

    #[test]
    fn the_verdict_names_what_failed() {
        let scenarios: Vec<_> = all().collect();
        let table = Table::new(Some(80), &scenarios, "");
        let mut summary = Summary {
            lines: vec![line(scenarios[0], 0)],
            interrupted: false,
        };
        assert!(table.verdict(&summary).contains("It holds: 1 scenarios"));
        summary.interrupted = true;
        assert!(table.verdict(&summary).contains("as far as that"));
        summary.lines.push(line(scenarios[1], 1));
        let told = table.verdict(&summary);
        assert!(told.contains("DOES NOT HOLD: 1 of 2"), "{told}");
        assert!(told.contains(scenarios[1].name), "{told}");
    }
}
