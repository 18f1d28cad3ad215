//! How a datagram was cut into fragments, and cutting one the same way again.

use crate::checksum;
use crate::ip::{IpError, IpPacket, protocol};

/// Fragments are cut at multiples of eight bytes.
const UNIT: usize = 8;

/// How a datagram was cut into fragments, in the order they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The header of the whole datagram, up to its fragmentable part, as it was when this was recorded.
    pub(super) header: Vec<u8>,
    /// The length of the fragmentable part.
    pub(super) len: usize,
    pub(super) pieces: Vec<PieceLayout>,
}

/// One fragment's part in a [`Layout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceLayout {
    /// Where its piece starts in the datagram's fragmentable part, in bytes.
    pub offset: usize,
    /// The length of its piece in bytes.
    pub len: usize,
    /// Its header: all that comes before its piece, with the fragment header if IPv6.
    pub header: Vec<u8>,
    /// Its identification.
    pub id: u32,
}

/// Why a datagram cannot be fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefragmentError {
    /// It is no sound IP packet.
    #[error("not an IP packet: {0}")]
    NotIp(#[from] IpError),
    /// It is a fragment itself.
    #[error("the packet is a fragment itself")]
    Fragment,
    /// The layout is of another IP version.
    #[error("the fragments were of IPv{recorded}, but the packet is of IPv{found}")]
    Version {
        /// The fragments' version.
        recorded: u8,
        /// The packet's version.
        found: u8,
    },
    /// With the fragment header the fragments would be too long.
    #[error("a fragment would have {0} bytes, more than IP can say")]
    TooLong(usize),
}

impl Layout {
    /// A plan to cut `packet` before each of the offsets `cuts` into its fragmentable part, in bytes; they are rounded
    /// down to multiples of eight, and those that fall outside or together are left out.
    pub fn cut(packet: &[u8], cuts: &[usize], id: u32) -> Result<Self, RefragmentError> {
        let whole = Whole::of(packet)?;
        let len = whole.body.len();
        let mut starts: Vec<usize> = cuts
            .iter()
            .map(|cut| cut / UNIT * UNIT)
            .filter(|cut| *cut < len)
            .collect();
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().skip(1).copied().chain([len]);
        let pieces = starts.iter().zip(ends).map(|(&start, end)| {
            let header = whole.fragment_header(start, end < len, id, end - start)?;
            Ok(PieceLayout {
                offset: start,
                len: end - start,
                header,
                id,
            })
        });
        let pieces = pieces.collect::<Result<_, RefragmentError>>()?;
        Ok(Self {
            header: whole.header.to_vec(),
            len,
            pieces,
        })
    }

    /// The fragments' parts, in the order they came.
    #[must_use]
    pub fn pieces(&self) -> &[PieceLayout] {
        &self.pieces
    }

    /// The same fragments in another order: `order` says for each place which of them comes there.
    #[must_use]
    pub fn reordered(&self, order: &[usize]) -> Self {
        let pieces = order
            .iter()
            .filter_map(|index| self.pieces.get(*index))
            .cloned()
            .collect();
        Self {
            pieces,
            ..self.clone()
        }
    }
}

/// Cuts `packet` into fragments as `layout` was.
///
/// If its headers (but for IPv4's checksum) and its length are what they were, the fragments' headers are the recorded ones, byte for byte;
/// a changed payload is cut at the same places. Otherwise the headers are made from the packet's own, with the recorded
/// identifications; what the datagram has grown by goes to the last fragment and, where that would become longer
/// than the longest was, to further ones; pieces beyond the end are left out.
pub fn refragment(packet: &[u8], layout: &Layout) -> Result<Vec<Vec<u8>>, RefragmentError> {
    let recorded = layout.header.first().map_or(0, |first| first >> 4);
    let found = packet.first().map_or(0, |first| first >> 4);
    if recorded != found {
        return Err(RefragmentError::Version { recorded, found });
    }
    let header_is_same = |header: &[u8]| {
        // The header checksum does not count: a reassembled packet comes with a wrong one, and a driver has to put it
        // right before it reinjects the packet (rule A-60).
        let but_checksum = |at: &usize| found == 6 || !(10..12).contains(at);
        let pairs = header.iter().zip(&layout.header).enumerate();
        pairs
            .filter(|(at, _)| but_checksum(at))
            .all(|(_, (is, was))| is == was)
    };
    let body = packet
        .split_at_checked(layout.header.len())
        .filter(|(header, body)| body.len() == layout.len && header_is_same(header))
        .map(|(_, body)| body);
    if let Some(body) = body {
        let fragments = layout.pieces.iter().map(|piece| {
            let end = piece.offset.saturating_add(piece.len);
            let bytes = body.get(piece.offset..end).unwrap_or_default();
            [piece.header.as_slice(), bytes].concat()
        });
        return Ok(fragments.collect());
    }
    let whole = Whole::of(packet)?;
    let len = whole.body.len();
    let fragments = recut(layout, len).into_iter().map(|(start, end, id)| {
        let mut fragment = whole.fragment_header(start, end < len, id, end - start)?;
        fragment.extend_from_slice(whole.body.get(start..end).unwrap_or_default());
        Ok(fragment)
    });
    fragments.collect()
}

/// Where to cut a body of another length: start, end and identification of each fragment, in the recorded order.
fn recut(layout: &Layout, len: usize) -> Vec<(usize, usize, u32)> {
    let longest = layout
        .pieces
        .iter()
        .map(|piece| piece.len / UNIT * UNIT)
        .max()
        .unwrap_or(0)
        .max(UNIT);
    let last = layout
        .pieces
        .iter()
        .map(|piece| piece.offset)
        .filter(|offset| *offset < len)
        .max()
        .unwrap_or(0);
    let mut cuts = Vec::new();
    let mut more = Vec::new();
    for piece in layout
        .pieces
        .iter()
        .filter(|piece| piece.offset < len || piece.offset == 0)
    {
        let end = if piece.offset == last {
            len
        } else {
            piece.offset.saturating_add(piece.len).min(len)
        };
        let first_end = end.min(piece.offset.saturating_add(longest));
        cuts.push((piece.offset, first_end, piece.id));
        let mut start = first_end;
        while start < end {
            let next = end.min(start.saturating_add(longest));
            more.push((start, next, piece.id));
            start = next;
        }
    }
    cuts.append(&mut more);
    cuts
}

/// A datagram that is to be cut.
struct Whole<'a> {
    version: u8,
    /// What every fragment repeats.
    header: &'a [u8],
    /// Where in the header the number of what follows it stands.
    next_at: usize,
    /// What is cut.
    body: &'a [u8],
}

impl<'a> Whole<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, RefragmentError> {
        let packet = IpPacket::parse(bytes)?;
        if packet.fragment().is_some() {
            return Err(RefragmentError::Fragment);
        }
        let bytes = packet.bytes();
        let (len, next_at) = if packet.version() == 4 {
            (packet.header_len(), 9)
        } else {
            unfragmentable(bytes, packet.header_len())
        };
        let (header, body) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
        Ok(Self {
            version: packet.version(),
            header,
            next_at,
            body,
        })
    }

    /// The header of a fragment with `len` bytes at `offset`.
    fn fragment_header(
        &self,
        offset: usize,
        more: bool,
        id: u32,
        len: usize,
    ) -> Result<Vec<u8>, RefragmentError> {
        let mut header = self.header.to_vec();
        let place = u16::try_from(offset).map_err(|_| RefragmentError::TooLong(offset))?;
        if self.version == 4 {
            let total = header.len().saturating_add(len);
            put16(
                &mut header,
                2,
                u16::try_from(total).map_err(|_| RefragmentError::TooLong(total))?,
            );
            put16(&mut header, 4, (id & 0xffff) as u16);
            // A fragment may not forbid what was done to it: the flag is kept only because some senders set it.
            let dont_fragment = header.get(6).map_or(0, |byte| u16::from(byte & 0x40) << 8);
            put16(
                &mut header,
                6,
                dont_fragment | u16::from(more) << 13 | place >> 3,
            );
            let sum = checksum::header_checksum(&header);
            put16(&mut header, 10, sum);
        } else {
            let next = header
                .get(self.next_at)
                .copied()
                .unwrap_or(protocol::NO_NEXT_HEADER);
            if let Some(field) = header.get_mut(self.next_at) {
                *field = protocol::FRAGMENT;
            }
            header.extend_from_slice(&[next, 0]);
            header.extend_from_slice(&(place | u16::from(more)).to_be_bytes());
            header.extend_from_slice(&id.to_be_bytes());
            let total = header.len().saturating_add(len).saturating_sub(40);
            put16(
                &mut header,
                4,
                u16::try_from(total).map_err(|_| RefragmentError::TooLong(total))?,
            );
        }
        Ok(header)
    }
}

/// The part of an IPv6 packet that every fragment repeats (RFC 8200, section 4.5): the fixed header, hop-by-hop
/// options, and extension headers up to the routing header. Gives its length and where the next header field is.
fn unfragmentable(bytes: &[u8], header_len: usize) -> (usize, usize) {
    let (mut end, mut next_at) = (40, 6);
    let (mut at, mut field) = (40, 6);
    while at < header_len {
        let kind = bytes
            .get(field)
            .copied()
            .unwrap_or(protocol::NO_NEXT_HEADER);
        let Some(len) = bytes.get(at + 1).map(|len| (usize::from(*len) + 1) * 8) else {
            break;
        };
        field = at;
        at += len;
        if matches!(kind, protocol::HOP_BY_HOP | protocol::ROUTING) {
            (end, next_at) = (at, field);
        }
    }
    (end, next_at)
}

/// Writes 16 bits where they fit.
pub(super) fn put16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(field) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *field = value.to_be_bytes();
    }
}
