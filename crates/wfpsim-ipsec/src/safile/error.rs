//! What is wrong with an SA file, said so that it can be put right.

use std::fmt;

/// Everything that is wrong with an SA file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaFileError {
    /// The name of the file.
    pub file: String,
    /// What is wrong, in the order of the lines.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with an SA file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which `[[sa]]`, counted from 1; `None` when it is about the file as a whole.
    pub sa: Option<usize>,
    /// The line, counted from 1, if it has one.
    pub line: Option<usize>,
    /// The field, if it is about one.
    pub field: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    pub(super) fn of_file(line: Option<usize>, message: String) -> Self {
        Self {
            sa: None,
            line,
            field: None,
            message,
        }
    }

    pub(super) fn of_sa(sa: usize, line: usize, field: &str, message: &str) -> Self {
        Self {
            sa: Some(sa),
            line: Some(line),
            field: Some(field.to_owned()),
            message: message.to_owned(),
        }
    }
}

impl SaFileError {
    pub(super) fn whole(file: &str, message: String) -> Self {
        Self {
            file: file.to_owned(),
            problems: vec![Problem::of_file(None, message)],
        }
    }
}

impl fmt::Display for SaFileError {
    /// One line for each problem: `file:line: sa 2: enc_key is 5 bytes; ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            f.write_str(&self.file)?;
            if let Some(line) = problem.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
            if let Some(sa) = problem.sa {
                write!(f, "sa {sa}: ")?;
            }
            if let Some(field) = &problem.field {
                write!(f, "{field} ")?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for SaFileError {}
