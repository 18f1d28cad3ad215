//! How a violation reads: as `!analyze -v` tells a bug check, with the object's history and the rule.

use std::fmt;

use super::arguments::level_name;
use super::codes::code;
use super::ledger::Event;
use super::report::Violation;
use crate::machine::Time;
use crate::text::paragraph;

/// Columns of a report where nothing is known of the terminal.
const WIDTH: usize = 100;
/// Columns of the names of a report's lines.
const NAME: usize = 14;

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style<'a> {
    /// The terminal's columns, if there is one.
    pub width: Option<usize>,
    /// Whether the terminal shows colour and may be given some.
    pub colour: bool,
    /// The command that shows the same again, if it is known.
    pub command: Option<&'a str>,
}

/// A violation, printed in a style.
pub struct Report<'a> {
    violation: &'a Violation,
    style: Style<'a>,
}

impl Violation {
    /// The report in a style.
    pub fn report<'a>(&'a self, style: Style<'a>) -> Report<'a> {
        Report {
            violation: self,
            style,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report(Style::default()).fmt(f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.rule(f)?;
        self.circumstances(f)?;
        self.object(f)?;
        self.stack(f)?;
        self.again(f)
    }
}

impl Report<'_> {
    fn width(&self) -> usize {
        self.style.width.unwrap_or(WIDTH).clamp(40, 120)
    }

    /// A text in a colour of the terminal's own, where it has some.
    fn painted(&self, colour: u8, text: &str) -> String {
        if self.style.colour {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// A named line, broken into as many as it takes.
    fn line(&self, f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
        let name = format!("{name:<NAME$}");
        paragraph(f, self.width(), &name, NAME, text)
    }

    /// The code and its parameters.
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let violation = self.violation;
        let title = format!("{} ({:x})", violation.name(), violation.code);
        writeln!(f, "{}", self.painted(BOLD_RED, &title))?;
        paragraph(f, self.width(), "", 0, code::meaning(violation.code))?;
        // A summary may go on in lines of its own, as of blocks left behind.
        for line in violation.summary.lines() {
            let indent = line.len() - line.trim_start().len() + 4;
            paragraph(f, self.width(), &" ".repeat(indent), indent, line)?;
        }
        writeln!(f, "Arguments:")?;
        for (index, parameter) in violation.parameters.iter().enumerate() {
            let start = format!("Arg{}: {parameter:016x}", index + 1);
            match violation.arguments[index].as_str() {
                "" => writeln!(f, "{start}")?,
                told => paragraph(f, self.width(), &format!("{start}, "), 24, told)?,
            }
        }
        writeln!(f)
    }

    /// What was broken, what that means, and whether Windows would have said so.
    fn rule(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rule) = self.violation.broken() else {
            return Ok(());
        };
        let start = format!("{:<NAME$}{}  ", "RULE:", rule.id);
        paragraph(f, self.width(), &start, NAME, rule.title)?;
        self.line(f, "", rule.meaning)?;
        self.line(f, "SEVERITY:", rule.severity.name())?;
        self.line(f, "IN WINDOWS:", &rule.windows.to_string())
    }

    /// Who did it, and when.
    fn circumstances(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let violation = self.violation;
        self.line(f, "PROCESS_NAME:", violation.process)?;
        self.line(f, "THREAD:", &violation.thread)?;
        let processor = violation.processor.map_or_else(String::new, |processor| {
            format!(" on processor {processor}")
        });
        let level = level_name(violation.irql);
        self.line(
            f,
            "CURRENT_IRQL:",
            &format!("{} ({level}){processor}", violation.irql),
        )?;
        self.line(f, "TIME:", &Seconds(violation.time).to_string())
    }

    /// The object, who made it, and what happened to it.
    fn object(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let violation = self.violation;
        let Some(object) = &violation.object else {
            return Ok(());
        };
        self.line(f, "OBJECT:", object)?;
        if let Some(owner) = &violation.owner {
            self.line(f, "OWNER:", owner)?;
        }
        writeln!(f, "HISTORY:")?;
        let threads: Vec<_> = violation.history.iter().map(thread).collect();
        let widest = threads.iter().map(|told| told.chars().count()).max();
        let widest = widest.unwrap_or(0);
        for (event, thread) in violation.history.iter().zip(threads) {
            let what = self.painted(BOLD, &event.what);
            let time = Seconds(event.time).to_string();
            writeln!(
                f,
                "    {time:>14}  {thread:<widest$}  IRQL {}  {what}",
                event.irql
            )?;
            for frame in &event.stack {
                writeln!(f, "{:24}{}", "", self.painted(DIM, frame))?;
            }
        }
        Ok(())
    }

    fn stack(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.violation.stack.is_empty() {
            return Ok(());
        }
        writeln!(f, "STACK_TEXT:")?;
        for frame in &self.violation.stack {
            writeln!(f, "    {frame}")?;
        }
        Ok(())
    }

    /// How to see it again, and where to read on.
    fn again(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line(f, "SEED:", &self.violation.seed.to_string())?;
        if let Some(command) = self.style.command {
            // To be copied: not broken.
            writeln!(f, "{:<NAME$}{command}", "REPLAY:")?;
        }
        let Some(rule) = self.violation.broken() else {
            return Ok(());
        };
        self.line(f, "READ:", &rule.contract())?;
        for read in rule.read {
            self.line(f, "", read)?;
        }
        Ok(())
    }
}

/// On which thread and processor something happened.
fn thread(event: &Event) -> String {
    let Some((thread, processor)) = event.thread else {
        return "-".to_owned();
    };
    let name = event.name.as_deref().unwrap_or_default();
    format!("thread {} '{name}' cpu {processor}", thread.0)
}

const BOLD: u8 = 1;
const DIM: u8 = 2;
const BOLD_RED: u8 = 31;

/// A time of the machine, in seconds.
pub(crate) struct Seconds(pub Time);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:07}s", self.0 / 10_000_000, self.0 % 10_000_000)
    }
}
