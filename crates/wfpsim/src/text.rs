//! Words in columns.

use std::fmt;
use std::fmt::Write as _;

/// Columns where nothing is known of the terminal.
pub const WIDTH: usize = 80;

/// Words, with `start` before the first line and `indent` columns before the others, within `width` columns. A word that is
/// longer stands alone on its line, unbroken: names and addresses are to be copied.
pub(crate) fn paragraph(
    f: &mut dyn fmt::Write,
    width: usize,
    start: &str,
    indent: usize,
    text: &str,
) -> fmt::Result {
    let mut line = start.to_owned();
    let mut has_word = false;
    for word in text.split_whitespace() {
        let len = line.chars().count() + usize::from(has_word) + word.chars().count();
        if has_word && len > width {
            writeln!(f, "{}", line.trim_end())?;
            line.clear();
            line.extend(std::iter::repeat_n(' ', indent));
            has_word = false;
        }
        let space = if has_word { " " } else { "" };
        write!(line, "{space}{word}")?;
        has_word = true;
    }
    writeln!(f, "{}", line.trim_end())
}

/// The lines that a text takes within `width` columns.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut out = String::new();
    // Writing into a string does not fail.
    let _ = paragraph(&mut out, width, "", 0, text);
    out.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_into_lines_and_not_broken() {
        let text =
            "a driver that is unloaded with DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS";
        let lines = wrapped(text, 20);
        assert_eq!(lines[0], "a driver that is");
        assert_eq!(lines[1], "unloaded with");
        assert_eq!(lines.len(), 3);
        assert_eq!(lines.join(" "), text);
    }
}
