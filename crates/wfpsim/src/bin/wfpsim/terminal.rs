//! What the standard output is, and what is fit for it.

use std::io::IsTerminal;

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
