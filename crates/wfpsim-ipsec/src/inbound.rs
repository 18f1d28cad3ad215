//! Packets that the peer protected: verified, decrypted, and laid out as Windows leaves them.

use crate::association::{Mode, SaKey};
use crate::headers::{self, protocol};
use crate::layer::{self, Kind, MAX_LAYERS};
use crate::refused::Refused;
use crate::sadb::Sadb;

/// A packet after inbound IPsec processing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// It was not protected, and is to be taken as it came.
    Clear,
    /// Its payload was protected.
    Transport(TransportMode),
    /// It carries another packet, which is to be received in turn.
    Tunnel(TunnelMode),
}

/// A packet whose payload was protected and is now readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportMode {
    /// The packet as Windows leaves it: IP header as it came, with the protocol and lengths of the
    /// protected packet; the UDP header of an encapsulation, AH and ESP headers and IV still in
    /// place (rule A-63); the decrypted payload; and behind it what the ESP trailer left (rule
    /// As long as the protected packet.
    pub laid_out: Vec<u8>,
    /// From the start of `laid_out` to the transport header, so AH and ESP headers are counted in
    /// (rule A-63). In bytes.
    pub ip_header_len: usize,
    /// Where the payload ends in `laid_out`; from here on lies the trailer (rule A-26). In bytes.
    pub data_end: usize,
    /// The transport protocol.
    pub protocol: u8,
    /// The same packet as it would be had it never been protected: protocol, lengths and IPv4
    /// header checksum are right. Transport checksums are as the sender made them.
    pub clean: Vec<u8>,
    /// The IPsec headers that were removed, outermost first.
    pub kinds: Vec<Kind>,
}

/// A packet that carries another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelMode {
    /// Length in bytes of the outer IP header with its options or extension headers; the first
    /// IPsec (or UDP) header follows.
    pub outer_header_len: usize,
    /// Where the inner packet begins in `laid_out`, in bytes.
    pub inner_offset: usize,
    /// Where the inner packet ends in `laid_out`, in bytes; from here on lies the trailer.
    pub data_end: usize,
    /// The outer packet with everything in place and the inner packet decrypted. As long as the
    /// protected packet.
    pub laid_out: Vec<u8>,
    /// The inner packet. It may be protected itself: [`Sadb::open`] has not looked.
    pub inner: Vec<u8>,
    /// 4 when the inner packet is IPv4, 41 when it is IPv6.
    pub protocol: u8,
    /// The IPsec headers that were removed, outermost first.
    pub kinds: Vec<Kind>,
}

/// Whether a packet is a NAT keepalive: one byte 0xff in UDP to port 4500, which its receiver
/// ignores (RFC 3948, section 2.3).
///
/// It belongs to no association, so it is for the caller to say whether it means something: without
/// an association that has UDP encapsulation, port 4500 is a port like any other.
#[must_use]
pub fn is_nat_keepalive(packet: &[u8]) -> bool {
    layer::is_nat_keepalive(packet)
}

impl Sadb {
    /// Verifies and decrypts a packet that arrived.
    ///
    /// `packet` is a whole IP packet, not a fragment. Bytes behind the end that its IP header gives
    /// are ignored.
    ///
    /// Transport-mode headers are taken off one after the other; the first tunnel ends it. Nothing
    /// is decrypted before it was verified, and replay windows move only when all of the packet
    /// was.
    ///
    /// Also clear are IKE and NAT keepalives on port 4500, any UDP on that port to an address that
    /// has no association with UDP encapsulation, and a packet whose headers are broken before any
    /// IPsec header is reached: whoever parses it next drops it.
    ///
    /// Of these only the keepalive is not to be handed on:
    /// [`is_nat_keepalive`](crate::is_nat_keepalive) tells.
    ///
    /// # Errors
    ///
    /// Why the packet must be dropped. The replay windows are then as they were.
    pub fn open(&mut self, packet: &[u8]) -> Result<Inbound, Refused> {
        let mut seen: Vec<(SaKey, u32)> = Vec::new();
        let result = open_layers(self, packet, &mut seen)?;
        for (key, sequence) in seen {
            self.accept(&key, sequence);
        }
        Ok(result)
    }
}

fn open_layers(
    sadb: &Sadb,
    packet: &[u8],
    seen: &mut Vec<(SaKey, u32)>,
) -> Result<Inbound, Refused> {
    let mut current = packet.to_vec();
    let mut laid_out = Vec::new();
    let mut outer_header_len = 0_usize;
    // Bytes of headers that `laid_out` has and `current` no longer has. All of them lie before the
    // next IPsec header.
    let mut removed = 0_usize;
    // Bytes of trailers that `laid_out` has at its end and `current` no longer has.
    let mut trailers = 0_usize;
    let mut kinds = Vec::new();

    while let Some(unwrapped) = layer::unwrap(sadb, &current, kinds.is_empty(), true)? {
        if kinds.len() == MAX_LAYERS {
            return Err(Refused::TooManyLayers);
        }
        if kinds.is_empty() {
            // The first layer knows where the packet ends; what the link added behind is cut off.
            let end = unwrapped
                .at
                .saturating_add(unwrapped.header_len)
                .saturating_add(unwrapped.body.len());
            laid_out = packet
                .get(..end)
                .ok_or(Refused::Malformed("IP length"))?
                .to_vec();
            outer_header_len = unwrapped.at;
        }
        let body_at = removed
            .saturating_add(unwrapped.at)
            .saturating_add(unwrapped.header_len);
        laid_out
            .get_mut(body_at..body_at.saturating_add(unwrapped.body.len()))
            .ok_or(Refused::Malformed("IP length"))?
            .copy_from_slice(&unwrapped.body);
        removed = removed.saturating_add(unwrapped.header_len);
        trailers = trailers.saturating_add(unwrapped.body.len().saturating_sub(unwrapped.data_len));
        kinds.push(unwrapped.kind);
        seen.push((unwrapped.step.key, unwrapped.step.sequence));
        if unwrapped.mode == Mode::Tunnel {
            return Ok(Inbound::Tunnel(TunnelMode {
                outer_header_len,
                inner_offset: body_at,
                data_end: laid_out.len().saturating_sub(trailers),
                laid_out,
                inner: unwrapped.data().to_vec(),
                protocol: unwrapped.next_header,
                kinds,
            }));
        }
        current = unwrapped.without_header(&current)?;
    }

    if kinds.is_empty() {
        return Ok(Inbound::Clear);
    }
    let headers =
        headers::parse(&current).map_err(|_| Refused::Malformed("headers within IPsec"))?;
    // A fragment header within IPsec is the sender's own business; its transport header is not to
    // be found from here.
    let protocol = if headers.fragment {
        protocol::FRAGMENT
    } else {
        headers.protocol
    };
    Ok(Inbound::Transport(TransportMode {
        ip_header_len: headers.payload.saturating_add(removed),
        data_end: laid_out.len().saturating_sub(trailers),
        laid_out,
        protocol,
        clean: current,
        kinds,
    }))
}
