//! One ESP header: opened, or made (RFC 4303).

use crate::association::{Association, Authentication, Encryption};
use crate::crypto;
use crate::headers::read_u32;
use crate::refused::Refused;

/// SPI and sequence number, in bytes.
pub(crate) const FIXED_LEN: usize = 8;
/// Pad length and next header, in bytes.
const TRAILER_LEN: usize = 2;

/// An ESP packet that was verified and decrypted.
#[derive(Debug)]
pub(crate) struct Opened {
    /// SPI, sequence number and IV, in bytes.
    pub(crate) header_len: usize,
    /// Everything behind that, as long as before: data, padding, pad length, next header
    /// (decrypted) and the integrity value.
    pub(crate) body: Vec<u8>,
    /// How much of `body` is data.
    pub(crate) data_len: usize,
    /// The IV as it was in the packet.
    pub(crate) iv: Vec<u8>,
    /// The padding as it was in the packet.
    pub(crate) padding: Vec<u8>,
    /// What the data is.
    pub(crate) next_header: u8,
}

/// Verifies and then decrypts `esp`, which begins with the SPI and ends with the integrity value.
pub(crate) fn open(association: &Association, esp: &[u8]) -> Result<Opened, Refused> {
    let key = association.key;
    let short = || Refused::Malformed("ESP shorter than its headers");
    let (header, rest) = esp.split_at_checked(FIXED_LEN).ok_or_else(short)?;
    let (iv, rest) = rest
        .split_at_checked(association.encryption.iv_len())
        .ok_or_else(short)?;
    let cipher_len = rest
        .len()
        .checked_sub(association.icv_len())
        .ok_or_else(short)?;
    let (ciphertext, icv) = rest.split_at_checked(cipher_len).ok_or_else(short)?;
    let alignment = association.encryption.alignment();
    if ciphertext.is_empty() || !cipher_len.is_multiple_of(alignment) {
        return Err(Refused::Malformed(
            "ESP data is not a multiple of the block",
        ));
    }

    let mut plain = ciphertext.to_vec();
    if association.encryption == Encryption::AesGcm {
        crypto::gcm_open(association, iv, header, &mut plain, icv)
            .map_err(|_| Refused::BadIntegrity(key))?;
    } else {
        crypto::verify(association, &[header, iv, ciphertext], icv)
            .map_err(|_| Refused::BadIntegrity(key))?;
        crypto::decrypt(association, iv, &mut plain)
            .map_err(|_| Refused::Malformed("ESP data does not fit the cipher"))?;
    }

    let (data, trailer) = plain
        .len()
        .checked_sub(TRAILER_LEN)
        .and_then(|at| plain.split_at_checked(at))
        .ok_or_else(short)?;
    let &[pad_len, next_header] = trailer else {
        return Err(short());
    };
    let data_len = data
        .len()
        .checked_sub(usize::from(pad_len))
        .ok_or(Refused::BadPadding(key))?;
    let padding = data
        .get(data_len..)
        .ok_or(Refused::BadPadding(key))?
        .to_vec();
    // RFC 4303, section 2.4: the receiver inspects the padding. Where the packet is not
    // authenticated, this is the only sign that the key was right.
    if padding != default_padding(padding.len()) {
        return Err(Refused::BadPadding(key));
    }
    let iv = iv.to_vec();
    plain.extend_from_slice(icv);
    let header_len = FIXED_LEN.saturating_add(iv.len());
    Ok(Opened {
        header_len,
        body: plain,
        data_len,
        iv,
        padding,
        next_header,
    })
}

/// What an ESP packet is made of, besides its association.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) sequence: u32,
    pub(crate) iv: &'a [u8],
    pub(crate) data: &'a [u8],
    /// Used when it brings the data to the right length, otherwise the default is.
    pub(crate) padding: Option<&'a [u8]>,
    pub(crate) next_header: u8,
}

/// Makes an ESP packet, from the SPI to the integrity value.
pub(crate) fn build(association: &Association, parts: &Parts<'_>) -> Result<Vec<u8>, Refused> {
    let unusable = |_| Refused::Malformed("IV or key does not fit the cipher");
    if parts.iv.len() != association.encryption.iv_len() {
        return Err(Refused::Malformed("IV does not fit the cipher"));
    }
    let alignment = association.encryption.alignment();
    let unpadded = parts.data.len().saturating_add(TRAILER_LEN);
    let recorded = parts.padding.filter(|padding| {
        unpadded
            .saturating_add(padding.len())
            .is_multiple_of(alignment)
    });
    let padding = match recorded {
        Some(padding) => padding.to_vec(),
        None => default_padding(
            unpadded
                .next_multiple_of(alignment)
                .saturating_sub(unpadded),
        ),
    };
    let pad_len = u8::try_from(padding.len()).map_err(|_| Refused::Malformed("ESP padding"))?;

    let mut body = [parts.data, &padding, &[pad_len, parts.next_header]].concat();
    let header = [
        association.key.spi.to_be_bytes(),
        parts.sequence.to_be_bytes(),
    ]
    .concat();
    let icv = if association.encryption == Encryption::AesGcm {
        crypto::gcm_seal(association, parts.iv, &header, &mut body).map_err(unusable)?
    } else {
        crypto::encrypt(association, parts.iv, &mut body).map_err(unusable)?;
        match association.authentication {
            Authentication::None => Vec::new(),
            _ => crypto::sign(association, &[&header, parts.iv, &body]).map_err(unusable)?,
        }
    };
    Ok([&header, parts.iv, &body, &icv].concat())
}

/// The sequence number of an ESP packet.
pub(crate) fn sequence(esp: &[u8]) -> Result<u32, Refused> {
    read_u32(esp, 4).ok_or(Refused::Malformed("ESP shorter than its headers"))
}

/// 1, 2, 3, ... (RFC 4303, section 2.4).
fn default_padding(len: usize) -> Vec<u8> {
    (1..=u8::MAX).take(len).collect()
}
