//! What can be wrong with a capture, said so that it can be found and mended.

use std::fmt;
use std::io;

/// What is wrong with a capture, and where.
///
/// Displayed as one line: the capture's name, the packet and byte if the error has a place, what was found and what
/// would be right.
#[derive(Debug)]
pub struct CaptureError {
    /// The name the capture was opened with.
    pub name: String,
    /// The place, or `None` if the capture as a whole is at fault.
    pub place: Option<Place>,
    /// What is wrong.
    pub kind: CaptureErrorKind,
}

/// A place in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the packet that is or would be there, counted from 1.
    pub packet: u64,
    /// The offset of its record from the start of the file, in bytes.
    pub offset: u64,
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureErrorKind {
    /// The file could not be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A directory was named.
    #[error("this is a directory; name a capture file in it")]
    Directory,
    /// The file has no bytes.
    #[error("the file is empty; a capture has at least a header of 24 bytes")]
    Empty,
    /// The file ends within the header that every capture starts with.
    #[error("the file ends within its header, after {have} bytes: not even the start of a capture")]
    HeaderTruncated {
        /// How many bytes there are.
        have: u64,
    },
    /// The file is compressed.
    #[error("this is a {what} file; unpack it first{hint}")]
    Compressed {
        /// The name of the compression.
        what: &'static str,
        /// The command that unpacks it.
        hint: &'static str,
    },
    /// The file is a capture of a kind that is not read here.
    #[error("this is {what}, which is not read here; convert it with {how}")]
    OtherFormat {
        /// The name of the format.
        what: &'static str,
        /// What converts it.
        how: &'static str,
    },
    /// The first bytes are not those of any capture.
    #[error(
        "not a capture: it starts with {}, where a pcap file has d4 c3 b2 a1, 4d 3c b2 a1 or the reverse, and a \
         pcapng file 0a 0d 0d 0a",
        Hex(.start)
    )]
    NotACapture {
        /// The bytes it starts with, at most 8.
        start: Vec<u8>,
    },
    /// The record says more bytes than the file has left.
    #[error("record says {said} bytes, but the file ends after {have}: the capture is truncated")]
    Truncated {
        /// How many bytes the record says it has.
        said: u64,
        /// How many of them there are.
        have: u64,
    },
    /// The file ends within a record's own header.
    #[error(
        "the file ends within a record header, after {have} of its {need} bytes: the capture is truncated"
    )]
    RecordHeaderTruncated {
        /// How many bytes the header has.
        need: u64,
        /// How many of them there are.
        have: u64,
    },
    /// The record says a length that no capture program writes.
    #[error(
        "record says {said} bytes, but at most {limit} are possible: the capture is corrupted here"
    )]
    RecordTooLong {
        /// How many bytes the record says it has.
        said: u64,
        /// The most a record may have.
        limit: u64,
    },
    /// A pcapng block says a length that no block can have.
    #[error(
        "block of type {block:#010x} says a length of {said}, which should be at least {least} and a multiple of 4: \
         the capture is corrupted here"
    )]
    BlockLength {
        /// The block's type.
        block: u32,
        /// The length it says.
        said: u32,
        /// The least such a block has.
        least: u32,
    },
    /// A pcapng block's two lengths differ.
    #[error(
        "block of type {block:#010x} says a length of {said} at its start but {trailing} at its end, which should be \
         the same: the capture is corrupted here"
    )]
    BlockLengthsDiffer {
        /// The block's type.
        block: u32,
        /// The length at its start.
        said: u32,
        /// The length at its end.
        trailing: u32,
    },
    /// A pcapng block's contents do not fit its type.
    #[error(
        "block of type {block:#010x} does not hold what its type says: the capture is corrupted here"
    )]
    BlockMalformed {
        /// The block's type.
        block: u32,
    },
    /// A pcapng section header names no byte order.
    #[error(
        "section header says byte order {found:#010x}, which should be 0x1a2b3c4d: the capture is corrupted here"
    )]
    ByteOrder {
        /// What it says, read as little-endian.
        found: u32,
    },
    /// A packet names an interface that the section has not described.
    #[error(
        "packet names interface {interface}, but {described} interfaces are described before it; they count from 0"
    )]
    UnknownInterface {
        /// The interface it names.
        interface: u32,
        /// How many are described.
        described: usize,
    },
    /// An interface's time resolution is finer than its times could say.
    #[error(
        "interface says a time resolution of {found:#04x}, which is finer than 64-bit times can use"
    )]
    TimeResolution {
        /// The value of its `if_tsresol` option.
        found: u8,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        if let Some(Place { packet, offset }) = self.place {
            write!(f, "packet {packet} at byte {offset}: ")?;
        }
        self.kind.fmt(f)
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            // Displayed already as part of this error's own line.
            CaptureErrorKind::Io(error) => std::error::Error::source(error),
            _ => None,
        }
    }
}

/// Bytes as `0a 0d`.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}
