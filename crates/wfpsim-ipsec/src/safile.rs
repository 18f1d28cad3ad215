//! The SA file: security associations with their keys, in TOML.
//!
//! ```toml
//! [[sa]]                                  # one direction between two hosts
//! spi = 0x12345678                        # 256 or more
//! src = "192.0.2.1"                       # both IPv4 or both IPv6
//! dst = "192.0.2.2"
//! proto = "esp"                           # or "ah"
//! mode = "transport"                      # or "tunnel"
//! enc = "aes-cbc"                         # or "aes-gcm", "3des-cbc", "null"; not with "ah"
//! enc_key = "00112233445566778899aabbccddeeff"
//! auth = "hmac-sha1-96"                   # or "hmac-sha256-128", "hmac-md5-96", "none" (which is the default)
//! auth_key = "000102030405060708090a0b0c0d0e0f10111213"
//! udp_encap = false                       # which is the default; true for ESP in UDP on port 4500
//! ```
//!
//! Keys are hex digits. `aes-cbc` takes 16, 24 or 32 bytes; `aes-gcm` the same with its 4-byte salt
//! at the end, and has a 16-byte integrity value; `3des-cbc` takes 24; `hmac-sha1-96` takes 20,
//! `hmac-sha256-128` 32 and `hmac-md5-96` 16.

mod error;
mod fields;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

pub use error::{Problem, SaFileError};

use crate::association::{Association, SaKey};
use crate::sadb::Sadb;
use fields::Fields;

/// Reads the associations of a file that was read already. `file` is the name that errors show.
///
/// # Errors
///
/// Everything that is wrong with the file, in the order of its lines.
pub fn parse(file: &str, text: &str) -> Result<Vec<Association>, SaFileError> {
    let mut problems = Vec::new();
    let associations = read(text, &mut problems);
    if problems.is_empty() {
        return Ok(associations);
    }
    problems.sort_by_key(|problem: &Problem| problem.line);
    Err(SaFileError {
        file: file.to_owned(),
        problems,
    })
}

impl Sadb {
    /// Makes a database from the text of an SA file. `file` is the name that errors show.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, SaFileError> {
        let associations = parse(file, text)?;
        // What can be wrong here was found by `parse`, with the line it is in.
        Self::new(associations).map_err(|error| SaFileError::whole(file, error.to_string()))
    }

    /// Reads an SA file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, SaFileError> {
        let file = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| SaFileError::whole(&file, format!("cannot be read: {error}")))?;
        Self::from_toml(&file, &text)
    }
}

fn read(text: &str, problems: &mut Vec<Problem>) -> Vec<Association> {
    let document = match DeTable::parse(text) {
        Ok(document) => document.into_inner(),
        Err(error) => {
            let line = error.span().map(|span| line_of(text, span.start));
            problems.push(Problem::of_file(
                line,
                format!("is not TOML: {}", error.message()),
            ));
            return Vec::new();
        }
    };
    let mut associations = Vec::new();
    let mut first_with: BTreeMap<SaKey, (usize, usize)> = BTreeMap::new();
    for (name, value) in &document {
        let line = line_of(text, name.span().start);
        if name.get_ref() != "sa" {
            let message = format!("has \"{}\"; only [[sa]] tables belong here", name.get_ref());
            problems.push(Problem::of_file(Some(line), message));
            continue;
        }
        let DeValue::Array(array) = value.get_ref() else {
            let message = "has one [sa]; write [[sa]], because there may be several".to_owned();
            problems.push(Problem::of_file(Some(line), message));
            continue;
        };
        for (index, item) in (1..).zip(array.iter()) {
            let line = line_of(text, item.span().start);
            let DeValue::Table(table) = item.get_ref() else {
                problems.push(Problem::of_sa(
                    index,
                    line,
                    "sa",
                    "is no table; write [[sa]]",
                ));
                continue;
            };
            let Some(association) = Fields::new(text, index, line, table, problems).read() else {
                continue;
            };
            if let Some((earlier, at)) = first_with.get(&association.key) {
                let message = format!(
                    "is the same as in sa {earlier} (line {at}), with the same dst and proto; each association needs its own"
                );
                problems.push(Problem::of_sa(index, line, "spi", &message));
                continue;
            }
            first_with.insert(association.key, (index, line));
            associations.push(association);
        }
    }
    associations
}

/// The line of a byte of the file, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
        .saturating_add(1)
}
