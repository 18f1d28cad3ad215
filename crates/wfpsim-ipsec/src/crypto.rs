//! The algorithms, each behind a function that takes slices and cannot panic on their lengths.

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use aes_gcm::{AesGcm, KeyInit, Nonce, Tag};
use cbc::cipher::{Block, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use des::TdesEde3;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;

use crate::association::{Association, Authentication, Encryption};

/// A key, IV, data or integrity value is not what the algorithm takes, or the integrity value is
/// wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CryptoError;

/// Compares the integrity value of `parts`, in constant time, with the one of a packet.
pub(crate) fn verify(
    association: &Association,
    parts: &[&[u8]],
    icv: &[u8],
) -> Result<(), CryptoError> {
    if icv.len() != association.icv_len() {
        return Err(CryptoError);
    }
    let key = association.authentication_key.bytes();
    match association.authentication {
        Authentication::None => Ok(()),
        Authentication::HmacSha1_96 => check(mac::<Hmac<Sha1>>(key, parts)?, icv),
        Authentication::HmacSha256_128 => check(mac::<Hmac<Sha256>>(key, parts)?, icv),
        Authentication::HmacMd5_96 => check(mac::<Hmac<Md5>>(key, parts)?, icv),
    }
}

/// Makes the integrity value of `parts`, cut to its length in the packet.
pub(crate) fn sign(association: &Association, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
    let key = association.authentication_key.bytes();
    let mut icv = match association.authentication {
        Authentication::None => Vec::new(),
        Authentication::HmacSha1_96 => mac::<Hmac<Sha1>>(key, parts)?
            .finalize()
            .into_bytes()
            .to_vec(),
        Authentication::HmacSha256_128 => mac::<Hmac<Sha256>>(key, parts)?
            .finalize()
            .into_bytes()
            .to_vec(),
        Authentication::HmacMd5_96 => mac::<Hmac<Md5>>(key, parts)?
            .finalize()
            .into_bytes()
            .to_vec(),
    };
    icv.truncate(association.authentication.icv_len());
    Ok(icv)
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Result<M, CryptoError> {
    let mut mac = <M as KeyInit>::new_from_slice(key).map_err(|_| CryptoError)?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac)
}

fn check<M: Mac>(mac: M, icv: &[u8]) -> Result<(), CryptoError> {
    mac.verify_truncated_left(icv).map_err(|_| CryptoError)
}

/// Decrypts in place with a cipher that does not authenticate. What `data` holds after an error is
/// of no use.
pub(crate) fn decrypt(
    association: &Association,
    iv: &[u8],
    data: &mut [u8],
) -> Result<(), CryptoError> {
    let key = association.encryption_key.bytes();
    match (association.encryption, key.len()) {
        (Encryption::Null, 0) => Ok(()),
        (Encryption::AesCbc, 16) => cbc_decrypt::<cbc::Decryptor<Aes128>>(key, iv, data),
        (Encryption::AesCbc, 24) => cbc_decrypt::<cbc::Decryptor<Aes192>>(key, iv, data),
        (Encryption::AesCbc, 32) => cbc_decrypt::<cbc::Decryptor<Aes256>>(key, iv, data),
        (Encryption::TripleDesCbc, 24) => cbc_decrypt::<cbc::Decryptor<TdesEde3>>(key, iv, data),
        _ => Err(CryptoError),
    }
}

/// Encrypts in place with a cipher that does not authenticate.
pub(crate) fn encrypt(
    association: &Association,
    iv: &[u8],
    data: &mut [u8],
) -> Result<(), CryptoError> {
    let key = association.encryption_key.bytes();
    match (association.encryption, key.len()) {
        (Encryption::Null, 0) => Ok(()),
        (Encryption::AesCbc, 16) => cbc_encrypt::<cbc::Encryptor<Aes128>>(key, iv, data),
        (Encryption::AesCbc, 24) => cbc_encrypt::<cbc::Encryptor<Aes192>>(key, iv, data),
        (Encryption::AesCbc, 32) => cbc_encrypt::<cbc::Encryptor<Aes256>>(key, iv, data),
        (Encryption::TripleDesCbc, 24) => cbc_encrypt::<cbc::Encryptor<TdesEde3>>(key, iv, data),
        _ => Err(CryptoError),
    }
}

fn cbc_decrypt<M: BlockModeDecrypt + KeyIvInit>(
    key: &[u8],
    iv: &[u8],
    data: &mut [u8],
) -> Result<(), CryptoError> {
    let mut mode = M::new_from_slices(key, iv).map_err(|_| CryptoError)?;
    for chunk in data.chunks_mut(M::block_size()) {
        let block: &mut Block<M> = chunk.try_into().map_err(|_| CryptoError)?;
        mode.decrypt_block(block);
    }
    Ok(())
}

fn cbc_encrypt<M: BlockModeEncrypt + KeyIvInit>(
    key: &[u8],
    iv: &[u8],
    data: &mut [u8],
) -> Result<(), CryptoError> {
    let mut mode = M::new_from_slices(key, iv).map_err(|_| CryptoError)?;
    for chunk in data.chunks_mut(M::block_size()) {
        let block: &mut Block<M> = chunk.try_into().map_err(|_| CryptoError)?;
        mode.encrypt_block(block);
    }
    Ok(())
}

/// Verifies and only then decrypts in place (RFC 4106). `iv` is the 8 bytes of the packet; the salt
/// comes from the key.
pub(crate) fn gcm_open(
    association: &Association,
    iv: &[u8],
    aad: &[u8],
    data: &mut [u8],
    icv: &[u8],
) -> Result<(), CryptoError> {
    let (key, nonce) = gcm_key_and_nonce(association, iv)?;
    match key.len() {
        16 => gcm_open_with::<AesGcm<Aes128, U12>>(key, &nonce, aad, data, icv),
        24 => gcm_open_with::<AesGcm<Aes192, U12>>(key, &nonce, aad, data, icv),
        32 => gcm_open_with::<AesGcm<Aes256, U12>>(key, &nonce, aad, data, icv),
        _ => Err(CryptoError),
    }
}

/// Encrypts in place and gives the integrity value (RFC 4106).
pub(crate) fn gcm_seal(
    association: &Association,
    iv: &[u8],
    aad: &[u8],
    data: &mut [u8],
) -> Result<Vec<u8>, CryptoError> {
    let (key, nonce) = gcm_key_and_nonce(association, iv)?;
    match key.len() {
        16 => gcm_seal_with::<AesGcm<Aes128, U12>>(key, &nonce, aad, data),
        24 => gcm_seal_with::<AesGcm<Aes192, U12>>(key, &nonce, aad, data),
        32 => gcm_seal_with::<AesGcm<Aes256, U12>>(key, &nonce, aad, data),
        _ => Err(CryptoError),
    }
}

/// Splits the salt off the key and puts it before the IV.
fn gcm_key_and_nonce<'a>(
    association: &'a Association,
    iv: &[u8],
) -> Result<(&'a [u8], Nonce<U12>), CryptoError> {
    let material = association.encryption_key.bytes();
    let at = material.len().checked_sub(4).ok_or(CryptoError)?;
    let (key, salt) = material.split_at_checked(at).ok_or(CryptoError)?;
    let nonce = [salt, iv].concat();
    Ok((
        key,
        Nonce::try_from(nonce.as_slice()).map_err(|_| CryptoError)?,
    ))
}

fn gcm_open_with<A: AeadInOut<NonceSize = U12, TagSize = aes_gcm::aead::consts::U16> + KeyInit>(
    key: &[u8],
    nonce: &Nonce<U12>,
    aad: &[u8],
    data: &mut [u8],
    icv: &[u8],
) -> Result<(), CryptoError> {
    let cipher = A::new_from_slice(key).map_err(|_| CryptoError)?;
    let tag = Tag::try_from(icv).map_err(|_| CryptoError)?;
    cipher
        .decrypt_inout_detached(nonce, aad, data.into(), &tag)
        .map_err(|_| CryptoError)
}

fn gcm_seal_with<A: AeadInOut<NonceSize = U12, TagSize = aes_gcm::aead::consts::U16> + KeyInit>(
    key: &[u8],
    nonce: &Nonce<U12>,
    aad: &[u8],
    data: &mut [u8],
) -> Result<Vec<u8>, CryptoError> {
    let cipher = A::new_from_slice(key).map_err(|_| CryptoError)?;
    let tag = cipher
        .encrypt_inout_detached(nonce, aad, data.into())
        .map_err(|_| CryptoError)?;
    Ok(tag.to_vec())
}
