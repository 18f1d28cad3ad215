//! The table for people.

use std::fmt;

use super::Check;
use super::Counts;
use super::Rule;
use crate::text::WIDTH;
use crate::text::cell;
use crate::text::paragraph;

/// Columns between columns.
const GAP: usize = 2;
/// Narrower than this a table is no table any more, and each rule is told below its title.
const TABLE: usize = 100;

/// The whole table, within the columns of a terminal, or one line for each rule where there is none.
pub struct Table {
    /// The terminal's columns.
    pub width: Option<usize>,
}

/// One rule in full.
pub struct Full {
    /// Which.
    pub rule: &'static Rule,
    /// The terminal's columns.
    pub width: Option<usize>,
}

impl Check {
    /// The mistakes that show that the rule is checked, or why it is not, in a line.
    pub fn told(&self) -> String {
        match self {
            Self::Tested { by } => by.join(", "),
            Self::NotChecked { why } => format!("not checked: {why}"),
            Self::Open => "to be checked; no mistake shows it yet".to_owned(),
        }
    }
}

/// How many mistakes a row of the table names.
const NAMED: usize = 3;

/// What the table says of a check: the first mistakes of many.
fn brief(check: &Check) -> String {
    match check {
        Check::Tested { by } if by.len() > NAMED => {
            let named = by
                .iter()
                .take(NAMED)
                .copied()
                .collect::<Vec<_>>()
                .join(", ");
            format!("{named} and {} more", by.len() - NAMED)
        }
        check => check.told(),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "rule",
            "severity",
            "title",
            "would Windows notice?",
            "shown by",
        ];
        let rows = Rule::all().map(|rule| {
            [
                rule.id.to_owned(),
                rule.severity.name().to_owned(),
                rule.title.to_owned(),
                rule.windows.to_string(),
                match self.width {
                    Some(_) => brief(&rule.check),
                    None => rule.check.told(),
                },
            ]
        });
        let rows: Vec<_> = [head.map(str::to_owned)].into_iter().chain(rows).collect();
        match self.width {
            Some(width) if width < TABLE => narrow(f, &rows, width)?,
            width => table(f, &rows, width)?,
        }
        writeln!(f)?;
        let width = self.width.unwrap_or(WIDTH);
        paragraph(f, width, "", 0, &Counts::of_all().to_string())?;
        let hint =
            "`wfpsim rules ID...` tells a rule in full; docs/contract.md says where it comes from.";
        paragraph(f, width, "", 0, hint)
    }
}

/// Rows of columns. Without a width each column is as wide as its widest cell; with one, the long columns share what is left.
fn table(f: &mut fmt::Formatter<'_>, rows: &[[String; 5]], width: Option<usize>) -> fmt::Result {
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let mut columns = [0, 1, 2, 3, 4].map(widest);
    if let Some(width) = width {
        let left = width.saturating_sub(columns[0] + columns[1] + 4 * GAP);
        columns[3] = left * 3 / 10;
        columns[4] = left * 3 / 10;
        columns[2] = left - columns[3] - columns[4];
    }
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(columns)
            .map(|(text, width)| cell(text, width))
            .collect();
        let lines = cells.iter().map(Vec::len).max().unwrap_or(0);
        for number in 0..lines {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(columns) {
                let text = cell.get(number).map_or("", String::as_str);
                line.push_str(&format!("{text:<width$}{:GAP$}", ""));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
    }
    Ok(())
}

/// Each rule below its title.
fn narrow(f: &mut fmt::Formatter<'_>, rows: &[[String; 5]], width: usize) -> fmt::Result {
    for [id, severity, title, windows, check] in rows.iter().skip(1) {
        paragraph(f, width, &format!("{id:<7}"), 7, title)?;
        paragraph(f, width, "       severity: ", 9, severity)?;
        paragraph(f, width, "       Windows: ", 9, windows)?;
        paragraph(f, width, "       shown by: ", 9, check)?;
    }
    Ok(())
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule;
        let width = self.width.unwrap_or(WIDTH).clamp(20, 100);
        paragraph(f, width, &format!("{:<7}", rule.id), 7, rule.title)?;
        writeln!(f)?;
        paragraph(f, width, "  ", 2, rule.meaning)?;
        writeln!(f)?;
        let mut told =
            |name: &str, text: &str| paragraph(f, width, &format!("  {name:<10}"), 12, text);
        told("severity", rule.severity.name())?;
        told("Windows", &rule.windows.to_string())?;
        match rule.check {
            Check::Tested { by } => {
                told("shown by", &by.join(", "))?;
                told("", "(cargo test -p mistakes NAME)")?;
            }
            check => told("checked", &check.told())?,
        }
        told("read", &rule.contract())?;
        for read in rule.read {
            told("", read)?;
        }
        Ok(())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rules: {} checked, shown by {} mistakes; {} not checked, of which {} say what the platform does and leave nothing to break",
            self.rules, self.tested, self.mistakes, self.not_checked, self.facts
        )?;
        if self.open > 0 {
            write!(f, "; {} to be checked", self.open)?;
        }
        f.write_str(".")
    }
}
