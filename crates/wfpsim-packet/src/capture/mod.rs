//! Reading captures: pcap and pcapng, of either byte order, with micro- or nanoseconds.
//!
//! A damaged capture gives all packets before the damage, then one [`CaptureError`] that says where it is, then ends.

mod error;
mod pcap;
mod pcapng;
mod source;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

pub use error::{CaptureError, CaptureErrorKind, Place};

use crate::link::{self, LinkType, NotIp};
use crate::time::Timestamp;
use source::Source;

/// The most bytes a packet in a capture may have: what libpcap calls the maximum snapshot length.
pub const MAXIMUM_PACKET: u32 = 262_144;

/// A packet as the capture has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedPacket {
    /// Its number in the capture, counted from 1 as Wireshark does.
    pub number: u64,
    /// The offset of its record or block from the start of the file, in bytes.
    pub offset: u64,
    /// When it was captured. Simple packet blocks of pcapng have no time and take that of the packet before.
    pub time: Timestamp,
    /// What its bytes start with.
    pub link: LinkType,
    /// The bytes captured.
    pub data: Vec<u8>,
    /// How many bytes the packet had on the wire; more than `data` has if the capture was limited to its start.
    pub original_len: u32,
    /// Which way it went, if the capture says so.
    pub direction: Option<Direction>,
}

impl CapturedPacket {
    /// The IP packet in it, without link-layer headers and padding.
    pub fn ip(&self) -> Result<&[u8], NotIp> {
        link::ip_packet(self.link, &self.data, self.original_len)
    }
}

/// Which way a packet went, seen from the capturing host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received by the capturing host.
    Inbound,
    /// Sent by the capturing host.
    Outbound,
}

/// Reads a capture packet by packet.
///
/// The iterator ends after the first error.
pub struct CaptureReader {
    name: String,
    size: Option<u64>,
    source: Source,
    format: Format,
    packets: u64,
    done: bool,
}

enum Format {
    Pcap(pcap::Pcap),
    PcapNg(pcapng::PcapNg),
}

impl CaptureReader {
    /// Opens the capture file at `path` and reads its header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let opened =
            File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        match opened {
            Err(error) => Err(CaptureError {
                name,
                place: None,
                kind: error.into(),
            }),
            Ok((_, metadata)) if metadata.is_dir() => Err(CaptureError {
                name,
                place: None,
                kind: CaptureErrorKind::Directory,
            }),
            Ok((file, metadata)) => {
                let mut reader = Self::from_reader(BufReader::new(file), name)?;
                // A pipe has no size to speak of.
                reader.size = metadata.is_file().then_some(metadata.len());
                Ok(reader)
            }
        }
    }

    /// Reads a capture from `reader`, which should be buffered; `name` is what errors call it.
    pub fn from_reader(
        reader: impl Read + Send + 'static,
        name: impl Into<String>,
    ) -> Result<Self, CaptureError> {
        let name = name.into();
        let mut source = Source::new(Box::new(reader));
        match Format::detect(&mut source) {
            Ok(format) => Ok(Self {
                name,
                size: None,
                source,
                format,
                packets: 0,
                done: false,
            }),
            Err(kind) => Err(CaptureError {
                name,
                place: None,
                kind,
            }),
        }
    }

    /// The name errors call this capture by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size of the capture in bytes, if it is a file.
    #[must_use]
    pub fn size_hint_bytes(&self) -> Option<u64> {
        self.size
    }

    /// How many bytes of the capture have been read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.source.position()
    }
}

impl std::fmt::Debug for CaptureReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureReader")
            .field("name", &self.name)
            .field("position", &self.position())
            .field("packets", &self.packets)
            .finish_non_exhaustive()
    }
}

impl Iterator for CaptureReader {
    type Item = Result<CapturedPacket, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let number = self.packets.saturating_add(1);
        let read = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.source, number),
            Format::PcapNg(pcapng) => pcapng.next(&mut self.source, number),
        };
        match read {
            Ok(Some(packet)) => {
                self.packets = number;
                Some(Ok(packet))
            }
            Ok(None) => {
                self.done = true;
                None
            }
            Err((offset, kind)) => {
                self.done = true;
                let place = Some(Place {
                    packet: number,
                    offset,
                });
                Some(Err(CaptureError {
                    name: self.name.clone(),
                    place,
                    kind,
                }))
            }
        }
    }
}

impl std::iter::FusedIterator for CaptureReader {}

/// A packet, the end, or what is wrong with the record at an offset.
type Record = Result<Option<CapturedPacket>, (u64, CaptureErrorKind)>;

impl Format {
    /// Tells the format from the first bytes and reads the file header.
    fn detect(source: &mut Source) -> Result<Self, CaptureErrorKind> {
        let mut start = Vec::new();
        source.fill(&mut start, 4)?;
        if start.is_empty() {
            return Err(CaptureErrorKind::Empty);
        }
        if start == pcapng::SECTION_HEADER {
            return Ok(Self::PcapNg(pcapng::PcapNg::open(source, start)?));
        }
        if pcap::is_magic(&start) {
            return Ok(Self::Pcap(pcap::Pcap::open(source, start)?));
        }
        source.fill(&mut start, 8)?;
        Err(foreign(start))
    }
}

/// What to say of a file that starts with something else.
fn foreign(start: Vec<u8>) -> CaptureErrorKind {
    use CaptureErrorKind::{Compressed, NotACapture, OtherFormat};
    const EDITCAP: &str = "editcap -F pcapng";
    let compressed = |what, hint| Compressed { what, hint };
    let other = |what| OtherFormat { what, how: EDITCAP };
    match start.as_slice() {
        [0x1f, 0x8b, ..] => compressed("gzip", ": gzip -d"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => compressed("zstd", ": zstd -d"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => compressed("xz", ": xz -d"),
        [b'B', b'Z', b'h', ..] => compressed("bzip2", ": bzip2 -d"),
        [0x04, 0x22, 0x4d, 0x18, ..] => compressed("lz4", ": lz4 -d"),
        [b'P', b'K', 3, 4, ..] => compressed("zip", ""),
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => {
            other("a Microsoft Network Monitor capture")
        }
        [b's', b'n', b'o', b'o', b'p', ..] => other("a snoop capture"),
        [0xa1, 0xb2, 0xcd, 0x34, ..] => {
            other("a capture in a modified pcap format of the reverse byte order")
        }
        _ => NotACapture { start },
    }
}
