//! The pcap format: a file header, then records.

use pcap_parser::{
    PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
};

use super::source::Source;
use super::{CaptureErrorKind, CapturedPacket, MAXIMUM_PACKET, Record};
use crate::link::LinkType;
use crate::time::Timestamp;

const FILE_HEADER: usize = 24;

/// The state of reading a pcap file.
pub(super) struct Pcap {
    header: PcapHeader,
    link: LinkType,
    /// 24 in the "modified" format, which has eight more bytes per record; 16 otherwise.
    record_header: usize,
}

/// Whether a file that starts with these four bytes is a pcap file.
pub(super) fn is_magic(start: &[u8]) -> bool {
    matches!(
        start,
        [0xd4, 0xc3, 0xb2, 0xa1]
            | [0x4d, 0x3c, 0xb2, 0xa1]
            | [0x34, 0xcd, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xa1, 0xb2, 0x3c, 0x4d]
    )
}

impl Pcap {
    /// Reads the file header, of which `bytes` are read already.
    pub(super) fn open(source: &mut Source, mut bytes: Vec<u8>) -> Result<Self, CaptureErrorKind> {
        source.fill(&mut bytes, FILE_HEADER)?;
        let Ok((_, header)) = parse_pcap_header(&bytes) else {
            // The magic number is known to be right, so this can only be for want of bytes.
            return Err(CaptureErrorKind::HeaderTruncated {
                have: bytes.len() as u64,
            });
        };
        // The upper half says the length of frame check sequences, which are trimmed with other padding.
        let link = LinkType((header.network.0.cast_unsigned() & 0xffff) as u16);
        let record_header = if header.is_modified_format() { 24 } else { 16 };
        Ok(Self {
            header,
            link,
            record_header,
        })
    }

    /// Reads the next record.
    pub(super) fn next(&mut self, source: &mut Source, number: u64) -> Record {
        let offset = source.position();
        self.read(source, number, offset)
            .map_err(|kind| (offset, kind))
    }

    fn read(
        &mut self,
        source: &mut Source,
        number: u64,
        offset: u64,
    ) -> Result<Option<CapturedPacket>, CaptureErrorKind> {
        let mut bytes = Vec::new();
        source.fill(&mut bytes, self.record_header)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some(said) = self
            .captured_len(&bytes)
            .filter(|_| bytes.len() == self.record_header)
        else {
            let (need, have) = (self.record_header as u64, bytes.len() as u64);
            return Err(CaptureErrorKind::RecordHeaderTruncated { need, have });
        };
        if said > MAXIMUM_PACKET {
            return Err(CaptureErrorKind::RecordTooLong {
                said: said.into(),
                limit: MAXIMUM_PACKET.into(),
            });
        }
        let len = self.record_header.saturating_add(said as usize);
        source.fill(&mut bytes, len)?;

        let parsed = if self.header.is_modified_format() {
            parse_pcap_frame_modified(&bytes)
        } else if self.header.is_bigendian() {
            parse_pcap_frame_be(&bytes)
        } else {
            parse_pcap_frame(&bytes)
        };
        let Ok((_, record)) = parsed else {
            // A record of the length it says can always be parsed.
            let have = bytes.len().saturating_sub(self.record_header) as u64;
            return Err(CaptureErrorKind::Truncated {
                said: said.into(),
                have,
            });
        };
        let unit = if self.header.is_nanosecond_precision() {
            1
        } else {
            1000
        };
        let time = Timestamp::new(record.ts_sec.into(), u64::from(record.ts_usec) * unit);
        let original_len = record.origlen;
        bytes.drain(..self.record_header);
        let link = self.link;
        Ok(Some(CapturedPacket {
            number,
            offset,
            time,
            link,
            data: bytes,
            original_len,
            direction: None,
        }))
    }

    /// The captured length of the record whose header is given.
    fn captured_len(&self, header: &[u8]) -> Option<u32> {
        let field = header.get(8..12)?.try_into().ok()?;
        Some(if self.header.is_bigendian() {
            u32::from_be_bytes(field)
        } else {
            u32::from_le_bytes(field)
        })
    }
}
