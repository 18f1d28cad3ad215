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

/// The lines that a text takes in a column of a table. There a word that is longer than the column is broken: the next column
/// begins where it ends.
pub(crate) fn cell(text: &str, width: usize) -> Vec<String> {
    let mut out = String::new();
    // Writing into a string does not fail.
    let _ = paragraph(&mut out, width, "", 0, text);
    let pieces = |line: &str| -> Vec<String> {
        let letters: Vec<char> = line.chars().collect();
        let pieces = letters.chunks(width.max(1));
        pieces.map(|piece| piece.iter().collect()).collect()
    };
    out.lines().flat_map(pieces).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_into_lines_and_not_broken_but_in_cells() {
        let text = "a driver that calls FwpsInjectTransportReceiveAsync0";
        let mut told = String::new();
        paragraph(&mut told, 20, "", 2, text).expect("a string takes it");
        assert_eq!(
            told,
            "a driver that calls\n  FwpsInjectTransportReceiveAsync0\n"
        );
        assert_eq!(
            cell(text, 20),
            [
                "a driver that calls",
                "FwpsInjectTransportR",
                "eceiveAsync0"
            ]
        );
    }
}
