//! What can be wrong with an image.

use std::fmt;

/// Why an image cannot be read or run: what, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageError {
    message: String,
}

impl ImageError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    /// Says where it was.
    pub(super) fn within(self, what: &str) -> Self {
        Self::new(format!("{what}: {}", self.message))
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ImageError {}
