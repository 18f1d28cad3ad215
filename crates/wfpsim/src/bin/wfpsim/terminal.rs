//! What the standard output is, and what is fit for it.

/// The terminal's columns; `None` where the standard output is none.
pub fn width() -> Option<usize> {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map(|(width, _)| usize::from(width.0))
}
