//! Packets that the host itself protected: the protection taken off, and put on again.

use crate::ah;
use crate::association::{Association, Mode};
use crate::crypto;
use crate::esp;
use crate::headers::{self, UDP_HEADER_LEN, protocol};
use crate::layer::{self, MAX_LAYERS, udp_checksum};
use crate::recipe::{Body, Recipe, Step, UdpHeader};
use crate::refused::Refused;
use crate::sadb::Sadb;

/// A packet of the capture that the host sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// It was not protected.
    Clear,
    /// It was protected.
    Protected {
        /// What the stack handed down: the packet without IPsec, or in tunnel mode the inner packet
        /// (itself without IPsec, if there is an association for what it had).
        clean: Vec<u8>,
        /// How to protect it again.
        recipe: Recipe,
    },
}

impl Sadb {
    /// Takes off the protection that the host itself had put on.
    ///
    /// `packet` is a whole IP packet, not a fragment. Bytes behind the end that its IP header gives
    /// are ignored. There is no replay check: a capture may show a packet twice.
    ///
    /// # Errors
    ///
    /// Why the packet cannot be taken apart. One packet in a tunnel that has no association of its
    /// own is not an error: it is then what the stack handed down.
    pub fn peel(&self, packet: &[u8]) -> Result<Outbound, Refused> {
        let mut clean = packet.to_vec();
        let mut steps: Vec<Step> = Vec::new();
        let mut first = true;
        loop {
            let unwrapped = match layer::unwrap(self, &clean, first, false) {
                Ok(Some(unwrapped)) => unwrapped,
                Ok(None) => break,
                Err(Refused::NoAssociation(_) | Refused::Fragment)
                    if first && !steps.is_empty() =>
                {
                    break;
                }
                Err(refused) => return Err(refused),
            };
            if steps.len() == MAX_LAYERS {
                return Err(Refused::TooManyLayers);
            }
            first = unwrapped.mode == Mode::Tunnel;
            clean = match unwrapped.mode {
                Mode::Tunnel => unwrapped.data().to_vec(),
                Mode::Transport => unwrapped.without_header(&clean)?,
            };
            steps.push(unwrapped.step);
        }
        if steps.is_empty() {
            return Ok(Outbound::Clear);
        }
        Ok(Outbound::Protected {
            clean,
            recipe: Recipe { steps },
        })
    }

    /// Protects `clean`, a whole IP packet, as `recipe` says.
    ///
    /// When `clean` is what [`Sadb::peel`] gave, the result is the packet that it was given, byte
    /// for byte. When it was changed, the IV and sequence number stay, and lengths, checksums,
    /// padding and integrity value are those of the changed packet.
    ///
    /// # Errors
    ///
    /// [`Refused::NoAssociation`] when an association of the recipe is not in this database,
    /// [`Refused::TooLong`], or [`Refused::Malformed`] when `clean` is no IP packet or the IV does
    /// not fit the cipher.
    pub fn protect(&self, clean: &[u8], recipe: &Recipe) -> Result<Vec<u8>, Refused> {
        let mut packet = clean.to_vec();
        for step in recipe.steps.iter().rev() {
            packet = wrap(self.find(&step.key)?, step, &packet)?;
        }
        Ok(packet)
    }

    /// The recipe of a sender that protects a packet of its own with one association.
    ///
    /// `iv` must have the length that the cipher takes
    /// ([`Encryption::iv_len`](crate::Encryption::iv_len)); with AH it is empty. For a tunnel the
    /// outer header is a plain one with the addresses of the association. For a bundle make one
    /// recipe for each association and join them with [`Recipe::within`].
    ///
    /// # Errors
    ///
    /// [`Refused::NoAssociation`].
    pub fn recipe(&self, key: &crate::SaKey, sequence: u32, iv: &[u8]) -> Result<Recipe, Refused> {
        crate::recipe::fresh(self.find(key)?, sequence, iv)
    }
}

/// Adds one IPsec header to `packet`.
fn wrap(association: &Association, step: &Step, packet: &[u8]) -> Result<Vec<u8>, Refused> {
    let (prefix, named_at, next_header, data) = match &step.outer {
        None => {
            let headers =
                headers::parse(packet).map_err(|_| Refused::Malformed("packet to protect"))?;
            let (at, named_at) = step.position.find(&headers)?;
            let whole = packet.get(..headers.end).unwrap_or_default();
            let (prefix, data) = whole
                .split_at_checked(at)
                .ok_or(Refused::Malformed("packet to protect"))?;
            let next_header = *prefix
                .get(named_at)
                .ok_or(Refused::Malformed("packet to protect"))?;
            (prefix.to_vec(), named_at, next_header, data)
        }
        Some(outer) => {
            let next_header = match packet.first().map(|first| first >> 4) {
                Some(4) => protocol::IPV4,
                Some(6) => protocol::IPV6,
                _ => return Err(Refused::Malformed("packet to protect")),
            };
            (outer.bytes.clone(), outer.named_at, next_header, packet)
        }
    };
    let mut protected = match &step.body {
        Body::Esp {
            iv,
            padding,
            traffic_flow_padding,
            udp,
        } => {
            let data = [data, traffic_flow_padding].concat();
            let parts = esp::Parts {
                sequence: step.sequence,
                iv,
                data: &data,
                padding: padding.as_deref(),
                next_header,
            };
            let esp = esp::build(association, &parts)?;
            wrap_esp(prefix, named_at, &esp, udp.as_ref())?
        }
        Body::Ah { reserved, padding } => {
            let header = AhHeader {
                next_header,
                reserved: *reserved,
                sequence: step.sequence,
            };
            wrap_ah(
                association,
                prefix,
                named_at,
                &header,
                padding.as_deref(),
                data,
            )?
        }
    };
    if protected.first().is_some_and(|first| first >> 4 == 4) {
        let right = headers::read_u16(&protected, 10).ok_or(Refused::Malformed("IPv4 header"))?;
        headers::write_u16(&mut protected, 10, step.header_checksum.value(right))?;
    }
    Ok(protected)
}

fn wrap_esp(
    prefix: Vec<u8>,
    named_at: usize,
    esp: &[u8],
    udp: Option<&UdpHeader>,
) -> Result<Vec<u8>, Refused> {
    let payload = prefix.len();
    let mut packet = prefix;
    if let Some(udp) = udp {
        let length = u16::try_from(UDP_HEADER_LEN.saturating_add(esp.len()))
            .map_err(|_| Refused::TooLong)?;
        for field in [udp.source, udp.destination, length, 0] {
            packet.extend_from_slice(&field.to_be_bytes());
        }
    }
    packet.extend_from_slice(esp);
    let protocol = if udp.is_some() {
        protocol::UDP
    } else {
        protocol::ESP
    };
    headers::write_u8(&mut packet, named_at, protocol)?;
    headers::finish(&mut packet)?;
    if let Some(udp) = udp {
        let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
        let right = udp_checksum(&packet, v6, packet.get(payload..).unwrap_or_default())?;
        headers::write_u16(
            &mut packet,
            payload.saturating_add(6),
            udp.checksum.value(right),
        )?;
    }
    Ok(packet)
}

/// The fields of an AH header that do not follow from the rest.
struct AhHeader {
    next_header: u8,
    reserved: [u8; 2],
    sequence: u32,
}

fn wrap_ah(
    association: &Association,
    prefix: Vec<u8>,
    named_at: usize,
    header: &AhHeader,
    padding: Option<&[u8]>,
    data: &[u8],
) -> Result<Vec<u8>, Refused> {
    let at = prefix.len();
    let v6 = prefix.first().is_some_and(|first| first >> 4 == 6);
    let unpadded = ah::FIXED_LEN.saturating_add(association.icv_len());
    let padding = match padding {
        Some(padding) => padding.to_vec(),
        None => {
            let whole = unpadded.next_multiple_of(if v6 { 8 } else { 4 });
            vec![0; whole.saturating_sub(unpadded)]
        }
    };
    let words = (unpadded.saturating_add(padding.len()) / 4).saturating_sub(2);
    let words = u8::try_from(words).map_err(|_| Refused::Malformed("length of the AH header"))?;

    let mut packet = prefix;
    packet.extend_from_slice(&[header.next_header, words]);
    packet.extend_from_slice(&header.reserved);
    packet.extend_from_slice(&association.key.spi.to_be_bytes());
    packet.extend_from_slice(&header.sequence.to_be_bytes());
    let icv_at = packet.len();
    packet.resize(icv_at.saturating_add(association.icv_len()), 0);
    packet.extend_from_slice(&padding);
    packet.extend_from_slice(data);
    headers::write_u8(&mut packet, named_at, protocol::AH)?;
    headers::finish(&mut packet)?;

    let parsed = headers::parse(&packet).map_err(|_| Refused::Malformed("packet to protect"))?;
    let bytes = ah::authenticated_bytes(&packet, &parsed, at, association.icv_len())?;
    let icv = crypto::sign(association, &[&bytes])
        .map_err(|_| Refused::Malformed("key does not fit the algorithm"))?;
    packet
        .get_mut(icv_at..icv_at.saturating_add(icv.len()))
        .ok_or(Refused::Malformed("too short"))?
        .copy_from_slice(&icv);
    Ok(packet)
}
