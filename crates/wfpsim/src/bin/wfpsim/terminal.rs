//! What the standard output is, what is fit for it, and what goes to the standard error.

use std::fmt;
use std::io::IsTerminal;
use std::io::Write;

/// The terminal's columns; `None` where the standard output is none.
pub fn width() -> Option<usize> {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map(|(width, _)| usize::from(width.0))
}

/// Whether colour is wanted: on a terminal, unless NO_COLOR is set to something (no-color.org) or the terminal is dumb.
pub fn colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stdout().is_terminal() && !refused && !dumb
}

/// Says what is wrong on the standard error. Where nobody reads that any more (`2>&1 | head`), the exit status has to do.
pub fn complain(message: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "wfpsim: {message}");
}
