//! Putting fragments together.

use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;
use std::time::Duration;

use super::layout::{Layout, PieceLayout, put16};
use crate::ip::{FragmentInfo, IpPacket};
use crate::time::Timestamp;

/// Puts fragments of IPv4 and IPv6 datagrams together. `T` is whatever the caller wants back with each fragment, such
/// as a packet number.
///
/// Overlapping fragments make a whole datagram be rejected, and what comes of it later too (RFC 5722 asks this for
/// IPv6; for IPv4, where RFC 791 leaves it open whose bytes win, nothing is left to guess). Exact duplicates are
/// tolerated. Time is that of the capture.
#[derive(Debug)]
pub struct Reassembler<T> {
    limits: Limits,
    pending: BTreeMap<Key, Pending<T>>,
    /// Bytes held in all pending datagrams, headers included.
    bytes: usize,
    lapsed: Vec<Lapsed<T>>,
}

/// How much a [`Reassembler`] holds, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long after a datagram's first fragment the last may come. 60 seconds: RFC 8200, section 4.5.
    pub timeout: Duration,
    /// The most bytes held; the oldest datagrams give way.
    pub bytes: usize,
    /// The most datagrams held; the oldest give way.
    pub datagrams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            bytes: 16 * 1024 * 1024,
            datagrams: 4096,
        }
    }
}

/// What became of a packet given to [`Reassembler::push`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It is a whole packet already; the tag is given back.
    NotAFragment(T),
    /// It waits for others.
    Held,
    /// It is the same fragment as one that waits already, and is not held.
    Duplicate(T),
    /// It was the last that was wanting.
    Complete {
        /// The datagram. IPv6: without fragment header. IPv4: without offset and more-fragments flag, but with the
        /// checksum bytes of the first fragment, which are wrong now: Windows leaves them so (rule A-60).
        packet: Vec<u8>,
        /// The fragments, in the order they came.
        pieces: Vec<Piece<T>>,
        /// How the datagram was cut, for [`refragment`](super::refragment).
        layout: Layout,
    },
    /// It cannot be part of any datagram, or makes the datagram it belongs to one that cannot be.
    Rejected {
        /// Why.
        why: Rejection,
        /// The fragments that are thrown away for it: those held of the same datagram, and this one last.
        tags: Vec<T>,
    },
}

/// A fragment of a complete datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<T> {
    /// What the caller gave with it.
    pub tag: T,
    /// Where it belongs in the datagram's fragmentable part, in bytes.
    pub offset: usize,
    /// How many bytes of that it has.
    pub len: usize,
}

/// Why fragments are thrown away at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Two fragments have the same part of the datagram, and not as exact duplicates.
    #[error("fragments overlap")]
    Overlap,
    /// Fragments of this datagram overlapped before.
    #[error("belongs to a datagram that was rejected")]
    RejectedBefore,
    /// A fragment that is not the last has a length that is no multiple of eight.
    #[error("a fragment that is not the last has a length that is no multiple of 8")]
    Length,
    /// A fragment has no bytes of the datagram.
    #[error("an empty fragment")]
    Empty,
    /// A fragment reaches beyond what a datagram may have.
    #[error("a fragment reaches beyond 65535 bytes")]
    TooLong,
    /// A fragment reaches beyond, or claims to be, the end that another has set.
    #[error("fragments disagree about the datagram's end")]
    End,
}

impl Rejection {
    /// A stable key to count by.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Overlap => "fragment_overlap",
            Self::RejectedBefore => "fragment_of_rejected_datagram",
            Self::Length => "fragment_length",
            Self::Empty => "fragment_empty",
            Self::TooLong => "fragment_too_long",
            Self::End => "fragment_end",
        }
    }
}

/// Fragments that were held but never became a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lapsed<T> {
    /// What the caller gave with them, in the order they came.
    pub tags: Vec<T>,
    /// A stable key to count by: `reassembly_timeout`, `reassembly_limit` or `reassembly_incomplete` (at the end).
    pub reason: &'static str,
}

/// What fragments of one datagram have in common. The protocol counts for IPv4 only: in IPv6 only the first
/// fragment's says what it is (RFC 8200, section 4.5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    protocol: Option<u8>,
}

#[derive(Debug)]
struct Pending<T> {
    since: Timestamp,
    fragments: Vec<Held<T>>,
    /// The length of the fragmentable part, known from the last fragment.
    end: Option<usize>,
    is_rejected: bool,
}

#[derive(Debug)]
struct Held<T> {
    tag: T,
    offset: usize,
    more: bool,
    /// What the fragment says follows the unfragmentable part.
    protocol: u8,
    id: u32,
    /// All that comes before its piece.
    header: Vec<u8>,
    /// Its piece.
    bytes: Vec<u8>,
}

impl<T> Held<T> {
    fn end(&self) -> usize {
        self.offset.saturating_add(self.bytes.len())
    }

    fn size(&self) -> usize {
        self.header.len().saturating_add(self.bytes.len())
    }
}

impl<T> Default for Reassembler<T> {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl<T> Reassembler<T> {
    /// A reassembler that holds nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            pending: BTreeMap::new(),
            bytes: 0,
            lapsed: Vec::new(),
        }
    }

    /// How many datagrams wait for more fragments, those rejected before included.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes a packet that was captured at `now`.
    pub fn push(&mut self, packet: &IpPacket<'_>, tag: T, now: Timestamp) -> Outcome<T> {
        let Some(info) = packet.fragment() else {
            return Outcome::NotAFragment(tag);
        };
        let held = hold(packet, info, tag);
        // An atomic fragment is whole by itself, whatever others of the same identification do (RFC 6946).
        if info.is_atomic() {
            return complete(vec![held]);
        }
        let key = Key {
            source: packet.source(),
            destination: packet.destination(),
            id: info.id,
            protocol: (packet.version() == 4).then_some(info.protocol),
        };
        self.retire(&key, now);
        let pending = self.pending.entry(key.clone()).or_insert_with(|| Pending {
            since: now,
            fragments: Vec::new(),
            end: None,
            is_rejected: false,
        });
        match pending.accept(held, packet.version()) {
            Accepted::Duplicate(tag) => Outcome::Duplicate(tag),
            Accepted::Rejected(why, tags, freed) => {
                self.bytes = self.bytes.saturating_sub(freed);
                self.make_room();
                Outcome::Rejected { why, tags }
            }
            Accepted::Held(size) => {
                self.bytes = self.bytes.saturating_add(size);
                if pending.is_complete() {
                    let fragments = self
                        .pending
                        .remove(&key)
                        .map(|pending| pending.fragments)
                        .unwrap_or_default();
                    self.bytes = self
                        .bytes
                        .saturating_sub(fragments.iter().map(Held::size).sum());
                    return complete(fragments);
                }
                self.make_room();
                Outcome::Held
            }
        }
    }

    /// Gives up datagrams whose time is over at `now`, and hands out what lapsed since the last call.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Lapsed<T>> {
        let timeout = self.limits.timeout;
        let over: Vec<Key> = self
            .pending
            .iter()
            .filter(|(_, pending)| now.saturating_since(pending.since) > timeout)
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.lapse(&key, "reassembly_timeout");
        }
        mem::take(&mut self.lapsed)
    }

    /// Gives up everything at the capture's end, and hands out what lapsed since the last call.
    pub fn drain(&mut self) -> Vec<Lapsed<T>> {
        while let Some(key) = self.pending.keys().next().cloned() {
            self.lapse(&key, "reassembly_incomplete");
        }
        mem::take(&mut self.lapsed)
    }

    /// Gives up the datagram of `key` if its time is over, so that its identification can be used again.
    fn retire(&mut self, key: &Key, now: Timestamp) {
        let timeout = self.limits.timeout;
        if self
            .pending
            .get(key)
            .is_some_and(|pending| now.saturating_since(pending.since) > timeout)
        {
            self.lapse(key, "reassembly_timeout");
        }
    }

    /// Gives up the oldest datagrams until the limits are kept.
    fn make_room(&mut self) {
        while self.bytes > self.limits.bytes || self.pending.len() > self.limits.datagrams {
            let oldest = self
                .pending
                .iter()
                .min_by_key(|(_, pending)| pending.since)
                .map(|(key, _)| key.clone());
            match oldest {
                Some(key) => self.lapse(&key, "reassembly_limit"),
                None => break,
            }
        }
    }

    fn lapse(&mut self, key: &Key, reason: &'static str) {
        let fragments = self
            .pending
            .remove(key)
            .map(|pending| pending.fragments)
            .unwrap_or_default();
        self.bytes = self
            .bytes
            .saturating_sub(fragments.iter().map(Held::size).sum());
        if !fragments.is_empty() {
            let tags = fragments.into_iter().map(|held| held.tag).collect();
            self.lapsed.push(Lapsed { tags, reason });
        }
    }
}

/// What became of a fragment of a datagram.
enum Accepted<T> {
    /// It is kept, with so many bytes.
    Held(usize),
    Duplicate(T),
    /// It and those before are thrown away, which frees so many bytes.
    Rejected(Rejection, Vec<T>, usize),
}

impl<T> Pending<T> {
    fn accept(&mut self, held: Held<T>, version: u8) -> Accepted<T> {
        match self.check(&held, version) {
            Ok(true) => Accepted::Duplicate(held.tag),
            Ok(false) => {
                if !held.more {
                    self.end = Some(held.end());
                }
                let size = held.size();
                self.fragments.push(held);
                Accepted::Held(size)
            }
            Err(why) => {
                self.is_rejected = true;
                let thrown = mem::take(&mut self.fragments);
                let freed = thrown.iter().map(Held::size).sum();
                Accepted::Rejected(
                    why,
                    thrown
                        .into_iter()
                        .chain([held])
                        .map(|held| held.tag)
                        .collect(),
                    freed,
                )
            }
        }
    }

    /// Whether a fragment is a duplicate, or why it cannot belong to the datagram.
    fn check(&self, held: &Held<T>, version: u8) -> Result<bool, Rejection> {
        if self.is_rejected {
            return Err(Rejection::RejectedBefore);
        }
        if held.bytes.is_empty() {
            return Err(Rejection::Empty);
        }
        if held.more && !held.bytes.len().is_multiple_of(8) {
            return Err(Rejection::Length);
        }
        // IPv4 counts its header in the length, IPv6 only extension headers, here less the fragment header's 8 bytes.
        let header = if version == 4 {
            held.header.len()
        } else {
            held.header.len().saturating_sub(48)
        };
        if header.saturating_add(held.end()) > usize::from(u16::MAX) {
            return Err(Rejection::TooLong);
        }
        for other in &self.fragments {
            if other.offset < held.end() && held.offset < other.end() {
                let is_same = other.offset == held.offset
                    && other.more == held.more
                    && other.bytes == held.bytes;
                return if is_same {
                    Ok(true)
                } else {
                    Err(Rejection::Overlap)
                };
            }
        }
        let reach = self.fragments.iter().map(Held::end).max().unwrap_or(0);
        match self.end {
            Some(end) if held.end() > end || !held.more => Err(Rejection::End),
            None if !held.more && reach > held.end() => Err(Rejection::End),
            _ => Ok(false),
        }
    }

    fn is_complete(&self) -> bool {
        // They do not overlap and none reaches beyond the end, so they cover it if their lengths add up to it.
        self.end == Some(self.fragments.iter().map(|held| held.bytes.len()).sum())
    }
}

/// Keeps what is needed of a fragment.
fn hold<T>(packet: &IpPacket<'_>, info: FragmentInfo, tag: T) -> Held<T> {
    let (header, bytes) = packet
        .bytes()
        .split_at_checked(info.payload_offset)
        .unwrap_or((packet.bytes(), &[]));
    Held {
        tag,
        offset: info.offset.into(),
        more: info.more,
        protocol: info.protocol,
        id: info.id,
        header: header.to_vec(),
        bytes: bytes.to_vec(),
    }
}

/// Makes a datagram of fragments that are known to be all and to fit.
fn complete<T>(fragments: Vec<Held<T>>) -> Outcome<T> {
    let mut in_place: Vec<&Held<T>> = fragments.iter().collect();
    in_place.sort_by_key(|held| held.offset);
    let mut header = in_place
        .first()
        .map(|first| whole_header(first))
        .unwrap_or_default();
    let header_len = header.len();
    let mut packet = mem::take(&mut header);
    for held in in_place {
        packet.extend_from_slice(&held.bytes);
    }
    let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
    let said = if is_v4 {
        packet.len()
    } else {
        packet.len().saturating_sub(40)
    };
    put16(
        &mut packet,
        if is_v4 { 2 } else { 4 },
        u16::try_from(said).unwrap_or(u16::MAX),
    );

    let len = packet.len().saturating_sub(header_len);
    let header = packet.get(..header_len).unwrap_or_default().to_vec();
    let (pieces, layouts) = fragments
        .into_iter()
        .map(
            |Held {
                 tag,
                 offset,
                 id,
                 header,
                 bytes,
                 ..
             }| {
                let len = bytes.len();
                (
                    Piece { tag, offset, len },
                    PieceLayout {
                        offset,
                        len,
                        header,
                        id,
                    },
                )
            },
        )
        .unzip();
    Outcome::Complete {
        packet,
        pieces,
        layout: Layout {
            header,
            len,
            pieces: layouts,
        },
    }
}

/// The first fragment's header as that of a whole datagram, but for the length.
fn whole_header<T>(first: &Held<T>) -> Vec<u8> {
    let mut header = first.header.clone();
    if header.first().is_some_and(|byte| byte >> 4 == 4) {
        // Reserved and don't-fragment flags stay.
        let flags = header.get(6).map_or(0, |byte| byte & 0xc0);
        put16(&mut header, 6, u16::from(flags) << 8);
        return header;
    }
    header.truncate(header.len().saturating_sub(8));
    let next_at = next_header_before(&header);
    if let Some(field) = header.get_mut(next_at) {
        *field = first.protocol;
    }
    header
}

/// Where the last next header field in the unfragmentable part of an IPv6 packet is.
fn next_header_before(header: &[u8]) -> usize {
    let (mut at, mut field) = (40, 6);
    while at < header.len() {
        let Some(len) = header.get(at + 1) else { break };
        field = at;
        at += (usize::from(*len) + 1) * 8;
    }
    field
}
