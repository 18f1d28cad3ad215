//! The bytes of a capture, with the place in them.

use std::io::{self, Read};

/// A reader that knows how many bytes it gave out.
pub(super) struct Source {
    reader: Box<dyn Read + Send>,
    position: u64,
}

impl Source {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self {
            reader,
            position: 0,
        }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Extends `buffer` to `len` bytes; it stays shorter only if the input ends first. Memory grows with what is
    /// read, not with `len`, so that a length made up by a damaged record costs nothing.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>, len: usize) -> io::Result<()> {
        let missing = len.saturating_sub(buffer.len()) as u64;
        let read = self.reader.by_ref().take(missing).read_to_end(buffer)?;
        self.position = self.position.saturating_add(read as u64);
        Ok(())
    }
}
