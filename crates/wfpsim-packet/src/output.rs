//! Writing what the simulated stack delivered and sent, as pcapng.

use std::io::{self, Write};

use crate::capture::MAXIMUM_PACKET;
use crate::link::LinkType;
use crate::time::Timestamp;

/// Where a packet came out of the simulated stack. The numbers are those of the file's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// To a local receiver.
    Delivered = 0,
    /// To the network.
    Sent = 1,
}

impl Side {
    /// The name of the interface in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Sent => "sent",
        }
    }
}

/// Writes a pcapng file of IP packets (LINKTYPE_RAW) with nanosecond times, in the order they are given.
#[derive(Debug)]
pub struct PacketWriter<W: Write> {
    to: W,
}

impl<W: Write> PacketWriter<W> {
    /// Writes the file's header to `to`, which should be buffered.
    pub fn new(mut to: W) -> io::Result<Self> {
        const BYTE_ORDER: u32 = 0x1a2b_3c4d;
        const VERSION: u32 = 1;
        const LENGTH_NOT_KNOWN: [u8; 8] = [0xff; 8];
        let section = Block::new(0x0a0d_0d0a)
            .word(BYTE_ORDER)
            .word(VERSION)
            .bytes(&LENGTH_NOT_KNOWN);
        to.write_all(&section.option(SHB_USERAPPL, b"wfpsim").finish())?;
        for side in [Side::Delivered, Side::Sent] {
            let interface = Block::new(1)
                .word(LinkType::RAW.0.into())
                .word(MAXIMUM_PACKET);
            let interface = interface
                .option(IF_NAME, side.name().as_bytes())
                .option(IF_TSRESOL, &[NANOSECONDS]);
            to.write_all(&interface.finish())?;
        }
        Ok(Self { to })
    }

    /// Writes a packet, with a comment for who looks at it in Wireshark.
    pub fn write(
        &mut self,
        side: Side,
        time: Timestamp,
        packet: &[u8],
        comment: Option<&str>,
    ) -> io::Result<()> {
        let len = u32::try_from(packet.len())
            .ok()
            .filter(|len| *len <= MAXIMUM_PACKET)
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a packet longer than captures can hold",
                )
            })?;
        let direction = match side {
            Side::Delivered => INBOUND,
            Side::Sent => OUTBOUND,
        };
        let (time_high, time_low) = ((time.0 >> 32) as u32, (time.0 & 0xffff_ffff) as u32);
        let block = Block::new(6)
            .word(side as u32)
            .word(time_high)
            .word(time_low)
            .word(len)
            .word(len);
        let mut block = block
            .bytes(packet)
            .option(EPB_FLAGS, &direction.to_le_bytes());
        if let Some(comment) = comment {
            block = block.option(OPT_COMMENT, start_of(comment).as_bytes());
        }
        self.to.write_all(&block.finish())
    }

    /// Flushes and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }
}

const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const NANOSECONDS: u8 = 9;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A block in the making, in little-endian byte order.
struct Block {
    bytes: Vec<u8>,
    has_options: bool,
}

impl Block {
    fn new(kind: u32) -> Self {
        // The length follows once it is known.
        Self {
            bytes: Vec::new(),
            has_options: false,
        }
        .word(kind)
        .word(0)
    }

    fn word(mut self, word: u32) -> Self {
        self.bytes.extend_from_slice(&word.to_le_bytes());
        self
    }

    /// Adds bytes, padded to a multiple of four.
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an option. Every value given here is shorter than 65536 bytes.
    fn option(mut self, code: u16, value: &[u8]) -> Self {
        self.has_options = true;
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.word(u32::from(len) << 16 | u32::from(code))
            .bytes(value)
    }

    fn finish(mut self) -> Vec<u8> {
        const END_OF_OPTIONS: u32 = 0;
        if self.has_options {
            self = self.word(END_OF_OPTIONS);
        }
        // A packet, a comment and what goes with them cannot come near 32 bits.
        let len = u32::try_from(self.bytes.len().saturating_add(4)).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(4..8) {
            field.copy_from_slice(&len.to_le_bytes());
        }
        self.word(len).bytes
    }
}

/// As much of a comment as an option can hold.
fn start_of(comment: &str) -> &str {
    let mut end = comment.len().min(usize::from(u16::MAX));
    while !comment.is_char_boundary(end) {
        end -= 1;
    }
    comment.get(..end).unwrap_or_default()
}
