//! The pcapng format: sections of blocks.

use pcap_parser::{
    Block, EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, PcapNGOption,
    SimplePacketBlock, UnknownBlock, parse_block_be, parse_block_le,
};

use super::source::Source;
use super::{CaptureErrorKind, CapturedPacket, Direction, MAXIMUM_PACKET, Record};
use crate::link::LinkType;
use crate::time::Timestamp;

/// The type of a section header block as bytes, the same in both byte orders.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const BYTE_ORDER_LITTLE: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
const BYTE_ORDER_BIG: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];

/// The type of the packet block that enhanced packet blocks replaced; old captures have it.
const OBSOLETE_PACKET: u32 = 2;
const ENHANCED_PACKET: u32 = 6;

/// The most bytes a block may have, as in Wireshark: room for a packet with options, or for a list of TLS secrets.
const MAXIMUM_BLOCK: u32 = 16 * 1024 * 1024;
/// The `epb_flags` option of enhanced packet blocks; its two lowest bits say the direction.
const EPB_FLAGS: OptionCode = OptionCode(2);

/// The state of reading a pcapng file.
pub(super) struct PcapNg {
    big_endian: bool,
    interfaces: Vec<Interface>,
    last_time: Timestamp,
}

struct Interface {
    link: LinkType,
    snaplen: u32,
    /// The value of `if_tsresol`.
    resolution: u8,
    /// The value of `if_tsoffset`, in seconds.
    offset: i64,
}

impl PcapNg {
    /// Reads the first section header, of which `bytes` are read already.
    pub(super) fn open(source: &mut Source, mut bytes: Vec<u8>) -> Result<Self, CaptureErrorKind> {
        source.fill(&mut bytes, 12)?;
        if bytes.len() < 12 {
            return Err(CaptureErrorKind::HeaderTruncated {
                have: bytes.len() as u64,
            });
        }
        let mut this = Self {
            big_endian: false,
            interfaces: Vec::new(),
            last_time: Timestamp::default(),
        };
        this.read_block(source, &mut bytes)
            .map_err(|kind| match kind {
                CaptureErrorKind::Truncated { have, .. } => {
                    CaptureErrorKind::HeaderTruncated { have }
                }
                other => other,
            })?;
        this.take_block(&bytes, 0, 0)?;
        Ok(this)
    }

    /// Reads blocks up to and including the next packet.
    pub(super) fn next(&mut self, source: &mut Source, number: u64) -> Record {
        let mut bytes = Vec::new();
        loop {
            let offset = source.position();
            bytes.clear();
            let block = self.read_block(source, &mut bytes).and_then(|more| {
                if more {
                    self.take_block(&bytes, number, offset).map(Some)
                } else {
                    Ok(None)
                }
            });
            match block {
                Err(kind) => return Err((offset, kind)),
                Ok(None) => return Ok(None),
                Ok(Some(Some(packet))) => return Ok(Some(packet)),
                Ok(Some(None)) => {}
            }
        }
    }

    /// Reads a whole block into `bytes`, which may hold its start already; `false` at the end of the file.
    fn read_block(
        &mut self,
        source: &mut Source,
        bytes: &mut Vec<u8>,
    ) -> Result<bool, CaptureErrorKind> {
        source.fill(bytes, 12)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        if bytes.len() < 12 {
            return Err(CaptureErrorKind::RecordHeaderTruncated {
                need: 12,
                have: bytes.len() as u64,
            });
        }
        if bytes.starts_with(&SECTION_HEADER) {
            self.big_endian = match array(bytes, 8) {
                BYTE_ORDER_LITTLE => false,
                BYTE_ORDER_BIG => true,
                other => {
                    return Err(CaptureErrorKind::ByteOrder {
                        found: u32::from_le_bytes(other),
                    });
                }
            };
        }
        let (block, said) = (self.u32(bytes, 0), self.u32(bytes, 4));
        let least = if bytes.starts_with(&SECTION_HEADER) {
            28
        } else {
            12
        };
        if said < least || !said.is_multiple_of(4) {
            return Err(CaptureErrorKind::BlockLength { block, said, least });
        }
        if said > MAXIMUM_BLOCK {
            return Err(CaptureErrorKind::RecordTooLong {
                said: said.into(),
                limit: MAXIMUM_BLOCK.into(),
            });
        }
        source.fill(bytes, said as usize)?;
        if bytes.len() < said as usize {
            return Err(CaptureErrorKind::Truncated {
                said: said.into(),
                have: bytes.len() as u64,
            });
        }
        let trailing = self.u32(bytes, bytes.len().saturating_sub(4));
        if trailing != said {
            return Err(CaptureErrorKind::BlockLengthsDiffer {
                block,
                said,
                trailing,
            });
        }
        Ok(true)
    }

    /// Learns from a block, and gives the packet in it if it is of a kind that has one.
    fn take_block(
        &mut self,
        bytes: &[u8],
        number: u64,
        offset: u64,
    ) -> Result<Option<CapturedPacket>, CaptureErrorKind> {
        // Statistics, names, secrets, and whatever else there may be, hold no packets; their length has been checked.
        if !self.is_needed(bytes) {
            return Ok(None);
        }
        let parsed = if self.big_endian {
            parse_block_be(bytes)
        } else {
            parse_block_le(bytes)
        };
        let packet = match parsed {
            Ok((_, Block::SectionHeader(_))) => {
                self.interfaces.clear();
                return Ok(None);
            }
            Ok((_, Block::InterfaceDescription(block))) => {
                self.interfaces.push(self.interface(&block)?);
                return Ok(None);
            }
            Ok((_, Block::EnhancedPacket(block))) => self.enhanced_packet(&block)?,
            Ok((_, Block::SimplePacket(block))) => self.simple_packet(&block)?,
            Ok((_, Block::Unknown(block))) if self.u32(bytes, 0) == OBSOLETE_PACKET => {
                self.obsolete_packet(&block)?
            }
            Ok(_) | Err(_) => {
                return Err(CaptureErrorKind::BlockMalformed {
                    block: self.u32(bytes, 0),
                });
            }
        };
        self.last_time = packet.time;
        Ok(Some(CapturedPacket {
            number,
            offset,
            ..packet
        }))
    }

    /// Whether a block is of a kind that packets depend on.
    fn is_needed(&self, bytes: &[u8]) -> bool {
        const SECTION: u32 = 0x0a0d_0d0a;
        const INTERFACE: u32 = 1;
        const SIMPLE_PACKET: u32 = 3;
        matches!(
            self.u32(bytes, 0),
            SECTION | INTERFACE | OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET
        )
    }

    fn interface(
        &self,
        block: &InterfaceDescriptionBlock<'_>,
    ) -> Result<Interface, CaptureErrorKind> {
        // The parser's own decoding takes the offset as little-endian always, so the option's bytes are used.
        let offset = option(&block.options, OptionCode::IfTsoffset)
            .and_then(|value| <[u8; 8]>::try_from(value).ok())
            .map_or(0, |value| {
                if self.big_endian {
                    i64::from_be_bytes(value)
                } else {
                    i64::from_le_bytes(value)
                }
            });
        let resolution = option(&block.options, OptionCode::IfTsresol)
            .and_then(|value| value.first().copied())
            .unwrap_or(6);
        if units_per_second(resolution).is_none() {
            return Err(CaptureErrorKind::TimeResolution { found: resolution });
        }
        let link = LinkType((block.linktype.0.cast_unsigned() & 0xffff) as u16);
        Ok(Interface {
            link,
            snaplen: block.snaplen,
            resolution,
            offset,
        })
    }

    fn enhanced_packet(
        &self,
        block: &EnhancedPacketBlock<'_>,
    ) -> Result<CapturedPacket, CaptureErrorKind> {
        let interface = self.by_number(block.if_id)?;
        if block.caplen > MAXIMUM_PACKET {
            return Err(CaptureErrorKind::RecordTooLong {
                said: block.caplen.into(),
                limit: MAXIMUM_PACKET.into(),
            });
        }
        let data =
            block
                .data
                .get(..block.caplen as usize)
                .ok_or(CaptureErrorKind::BlockMalformed {
                    block: ENHANCED_PACKET,
                })?;
        let flags = option(&block.options, EPB_FLAGS)
            .and_then(|value| <[u8; 4]>::try_from(value).ok())
            .map_or(0, |value| {
                if self.big_endian {
                    u32::from_be_bytes(value)
                } else {
                    u32::from_le_bytes(value)
                }
            });
        let direction = match flags & 3 {
            1 => Some(Direction::Inbound),
            2 => Some(Direction::Outbound),
            _ => None,
        };
        let time = interface.time(block.ts_high, block.ts_low);
        Ok(CapturedPacket {
            direction,
            ..packet(interface.link, time, data, block.origlen)
        })
    }

    /// A packet without time and captured length: it belongs to the first interface and ends where the block, the
    /// interface's limit or the packet ends.
    fn simple_packet(
        &self,
        block: &SimplePacketBlock<'_>,
    ) -> Result<CapturedPacket, CaptureErrorKind> {
        let interface = self.by_number(0)?;
        let limit = if interface.snaplen == 0 {
            u32::MAX
        } else {
            interface.snaplen
        };
        let len = block.origlen.min(limit) as usize;
        let data = block.data.get(..len).unwrap_or(block.data);
        Ok(packet(interface.link, self.last_time, data, block.origlen))
    }

    /// A block as the enhanced one, but for 16 bits each of interface and drop count in place of the interface.
    fn obsolete_packet(
        &self,
        block: &UnknownBlock<'_>,
    ) -> Result<CapturedPacket, CaptureErrorKind> {
        let malformed = CaptureErrorKind::BlockMalformed {
            block: OBSOLETE_PACKET,
        };
        let Some((header, rest)) = block.data.split_at_checked(20) else {
            return Err(malformed);
        };
        let number = array(header, 0);
        let number = if self.big_endian {
            u16::from_be_bytes(number)
        } else {
            u16::from_le_bytes(number)
        };
        let interface = self.by_number(number.into())?;
        let data = rest.get(..self.u32(header, 12) as usize).ok_or(malformed)?;
        let time = interface.time(self.u32(header, 4), self.u32(header, 8));
        Ok(packet(interface.link, time, data, self.u32(header, 16)))
    }

    fn by_number(&self, interface: u32) -> Result<&Interface, CaptureErrorKind> {
        let described = self.interfaces.len();
        self.interfaces
            .get(interface as usize)
            .ok_or(CaptureErrorKind::UnknownInterface {
                interface,
                described,
            })
    }

    /// The 32 bits at `at` in the section's byte order; zero if they are not there.
    fn u32(&self, bytes: &[u8], at: usize) -> u32 {
        let field = array(bytes, at);
        if self.big_endian {
            u32::from_be_bytes(field)
        } else {
            u32::from_le_bytes(field)
        }
    }
}

impl Interface {
    /// The time that a packet block's two words mean.
    fn time(&self, high: u32, low: u32) -> Timestamp {
        let units = u128::from(high) << 32 | u128::from(low);
        // Neither product can exceed 128 bits: 64 bits of units times 30 bits, 64 bits of seconds times 30 bits.
        let per_second = units_per_second(self.resolution).unwrap_or(1);
        let nanos = units.saturating_mul(1_000_000_000) / per_second;
        let offset = i128::from(self.offset).saturating_mul(1_000_000_000);
        let nanos = i128::try_from(nanos)
            .unwrap_or(i128::MAX)
            .saturating_add(offset);
        Timestamp(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

/// How many units a second has, from an `if_tsresol`: a power of ten, or of two if the highest bit is set.
fn units_per_second(resolution: u8) -> Option<u128> {
    let exponent = u32::from(resolution & 0x7f);
    if resolution & 0x80 == 0 {
        10u128.checked_pow(exponent)
    } else {
        1u128.checked_shl(exponent)
    }
}

/// A packet that does not yet know its place in the file.
fn packet(link: LinkType, time: Timestamp, data: &[u8], original_len: u32) -> CapturedPacket {
    CapturedPacket {
        number: 0,
        offset: 0,
        time,
        link,
        data: data.to_vec(),
        original_len,
        direction: None,
    }
}

/// The value of the first option with this code.
fn option<'a>(options: &'a [PcapNGOption<'_>], code: OptionCode) -> Option<&'a [u8]> {
    options
        .iter()
        .take_while(|option| option.code != OptionCode::EndOfOpt)
        .find(|option| option.code == code)
        .and_then(|option| option.as_bytes().ok())
}

/// The `N` bytes at `at`; zeros if they are not there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}
