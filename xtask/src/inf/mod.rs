//! INF files: reading them, filling in what a build knows, and the rules that tollgate.inf must keep.
//!
//! The syntax is that of "General Syntax Rules for INF Files" in Microsoft's driver documentation: sections in brackets, entries of a key and
//! values with commas between, `;` before a comment, quotes around what contains either, `\` at the end of a line that goes on, `%name%` for
//! a string of `[Strings]`. The parser is stricter than Windows': what Windows skips in silence is an error here.

mod rules;
mod stamp;

use std::collections::BTreeMap;

pub use rules::{Context, check};
pub use stamp::{Stamp, stamp};

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inf {
    sections: Vec<Section>,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name as it is written; Windows compares names without regard to case.
    pub name: String,
    /// What is in it.
    pub entries: Vec<Entry>,
}

/// An entry of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The number of its line, from 1.
    pub line: usize,
    /// What is before the `=`, if there is one.
    pub key: Option<String>,
    /// What is after it, or the whole line.
    pub values: Vec<Value>,
}

/// One of the values of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(pub String);

impl Entry {
    /// The value at a place; empty if there is none.
    pub fn value(&self, index: usize) -> &str {
        self.values.get(index).map_or("", |value| value.0.as_str())
    }

    /// The values that are not empty.
    pub fn list(&self) -> impl Iterator<Item = &str> {
        self.values
            .iter()
            .map(|value| value.0.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether the key is this.
    pub fn is(&self, key: &str) -> bool {
        self.key
            .as_deref()
            .is_some_and(|own| own.eq_ignore_ascii_case(key))
    }
}

impl Section {
    /// The entries with a key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.is(key))
    }

    /// The first value of the first entry with a key; empty if there is none.
    pub fn first<'a>(&'a self, key: &'a str) -> &'a str {
        self.all(key).next().map_or("", |entry| entry.value(0))
    }
}

impl Inf {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// All that is not INF syntax, one line each.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut inf = Self {
            sections: Vec::new(),
        };
        let mut problems = Vec::new();
        if !text.is_ascii() {
            problems.push("has characters beyond ASCII, which Windows would read in its own code page (InfVerif 1003)".into());
        }
        for (line, text) in logical_lines(text) {
            if let Err(problem) = inf.add(line, &text) {
                problems.push(format!("line {line}: {problem}"));
            }
        }
        if problems.is_empty() {
            Ok(inf)
        } else {
            Err(problems)
        }
    }

    /// The sections in their order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.name.eq_ignore_ascii_case(name))
    }

    /// `[Strings]`, by names in lower case.
    pub fn strings(&self) -> BTreeMap<String, String> {
        self.section("Strings")
            .into_iter()
            .flat_map(|section| &section.entries)
            .filter_map(|entry| {
                Some((
                    entry.key.as_ref()?.to_ascii_lowercase(),
                    entry.value(0).to_owned(),
                ))
            })
            .collect()
    }

    /// A text with its `%name%`s replaced. Numbers between percent signs are directories and stay.
    ///
    /// # Errors
    ///
    /// The name that `[Strings]` does not have.
    pub fn resolve(&self, text: &str) -> Result<String, String> {
        let strings = self.strings();
        let mut resolved = String::new();
        let mut parts = text.split('%');
        resolved.push_str(parts.next().unwrap_or_default());
        while let Some(token) = parts.next() {
            let Some(after) = parts.next() else {
                return Err(format!("{text:?} has a percent sign without its fellow"));
            };
            if token.is_empty() {
                resolved.push('%');
            } else if token.bytes().all(|byte| byte.is_ascii_digit()) {
                resolved.push_str(&format!("%{token}%"));
            } else {
                let string = strings
                    .get(&token.to_ascii_lowercase())
                    .ok_or_else(|| format!("[Strings] has no {token} (InfVerif 1235)"))?;
                resolved.push_str(string);
            }
            resolved.push_str(after);
        }
        Ok(resolved)
    }

    fn add(&mut self, line: usize, text: &str) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if let Some(rest) = text.strip_prefix('[') {
            let name = rest
                .strip_suffix(']')
                .ok_or("a section's name has no closing bracket")?
                .trim();
            if name.is_empty() || name.contains(['[', ']', '"']) {
                return Err(format!("[{name}] is no name of a section"));
            }
            if self.section(name).is_some() {
                // Windows puts the two together, which nobody means.
                return Err(format!("a second section [{name}]"));
            }
            self.sections.push(Section {
                name: name.to_owned(),
                entries: Vec::new(),
            });
            return Ok(());
        }
        let section = self
            .sections
            .last_mut()
            .ok_or("an entry before the first section")?;
        let (key, values) = match split_once_unquoted(text, '=') {
            Some((key, values)) => (Some(unquote(key)?), values),
            None => (None, text),
        };
        if key.as_deref() == Some("") {
            return Err("an entry without a name before its equals sign".into());
        }
        let values = split_unquoted(values, ',')
            .into_iter()
            .map(|value| unquote(value).map(Value))
            .collect::<Result<_, _>>()?;
        section.entries.push(Entry { line, key, values });
        Ok(())
    }
}

/// Lines without comments, those put together that go on, each with the number of its first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let line = split_once_unquoted(line, ';').map_or(line, |(before, _)| before);
        let line = line.trim_end();
        // The last character of a path is no continuation, but a path that ends so is not among ours.
        let (line, more) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, last)) if goes_on => last.push_str(line),
            _ => lines.push((index + 1, line.to_owned())),
        }
        goes_on = more;
    }
    lines
}

/// Where a character stands outside quotes.
fn unquoted(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.char_indices().filter_map(move |(index, character)| {
        if character == '"' {
            quoted = !quoted;
        }
        (character == wanted && !quoted).then_some(index)
    })
}

fn split_once_unquoted(text: &str, at: char) -> Option<(&str, &str)> {
    let index = unquoted(text, at).next()?;
    Some((text.get(..index)?, text.get(index + at.len_utf8()..)?))
}

fn split_unquoted(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for index in unquoted(text, at) {
        parts.push(&text[start..index]);
        start = index + at.len_utf8();
    }
    parts.push(&text[start..]);
    parts
}

/// Takes quotes off; two of them inside quotes are one that is meant.
fn unquote(text: &str) -> Result<String, String> {
    let text = text.trim();
    if !text.contains('"') {
        return Ok(text.to_owned());
    }
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .map(|inside| inside.replace("\"\"", "\u{0}"))
        .filter(|inside| !inside.contains('"'))
        .map(|inside| inside.replace('\u{0}', "\""))
        .ok_or_else(|| format!("{text} has quotes that do not enclose it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Inf {
        Inf::parse(text).unwrap()
    }

    #[test]
    fn quotes_comments_and_continued_lines_are_read_as_windows_reads_them() {
        let inf = parse(
            "[A] ; the first\n a = 1, \"two; and a half\" , \\\n   3 ; three\n plain.sys,,,4\n[Strings]\nQ = \"say \"\"yes\"\"\"\n",
        );
        let section = inf.section("a").unwrap();
        let entry = section.all("A").next().unwrap();
        assert_eq!(
            entry.list().collect::<Vec<_>>(),
            ["1", "two; and a half", "3"]
        );
        assert_eq!(section.entries[1].key, None);
        assert_eq!(section.entries[1].value(3), "4");
        assert_eq!(inf.resolve("%q%!").unwrap(), "say \"yes\"!");
    }

    #[test]
    fn a_directory_is_no_string_and_a_doubled_percent_sign_is_one() {
        let inf = parse("[Strings]\nName = \"x\"\n");
        assert_eq!(inf.resolve(r"%13%\a.sys").unwrap(), r"%13%\a.sys");
        assert_eq!(inf.resolve("100%%").unwrap(), "100%");
        assert!(inf.resolve("%Nome%").unwrap_err().contains("Nome"));
        assert!(inf.resolve("50%").is_err());
    }

    #[test]
    fn what_windows_would_skip_in_silence_is_an_error() {
        for (text, expected) in [
            ("a = b\n", "before the first section"),
            ("[A\n", "closing bracket"),
            ("[A]\n[a]\n", "a second section"),
            ("[A]\n= b\n", "without a name"),
            ("[A]\na = \"b\n", "quotes"),
            ("[A]\na = \"\u{e9}\"\n", "1003"),
        ] {
            let problems = Inf::parse(text).unwrap_err().join("\n");
            assert!(problems.contains(expected), "{text:?}: {problems}");
        }
    }
}
