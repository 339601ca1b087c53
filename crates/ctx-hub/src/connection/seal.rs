//! Sealing and opening: AES-256-GCM under a random nonce.

use aes_gcm::aead::{AeadInPlace as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use camino::Utf8Path;
use ctx_config::limits::NONCE_BYTES;
use zeroize::Zeroizing;

use super::error::ConnectionError;
use super::key::Key;

/// Bytes of the tag that AES-GCM puts behind the ciphertext.
const TAG_BYTES: usize = 16;

/// Nonce, ciphertext and tag of `text`, which is overwritten.
///
/// The nonce is random: with the few files that a person ever seals, two alike are not to be feared.
pub(super) fn seal(key: &Key, mut text: Zeroizing<Vec<u8>>) -> Result<Vec<u8>, ConnectionError> {
    let mut nonce = [0_u8; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(ConnectionError::Random)?;
    let tag = Aes256Gcm::new((&**key).into())
        .encrypt_in_place_detached(Nonce::from_slice(&nonce), b"", &mut text)
        .map_err(|_| ConnectionError::Seal)?;
    Ok([nonce.as_slice(), &text, &tag].concat())
}

/// The text that was sealed, if nobody has touched it and the key is the one that sealed it.
pub(super) fn open(
    key: &Key,
    sealed: &[u8],
    path: &Utf8Path,
) -> Result<Zeroizing<Vec<u8>>, ConnectionError> {
    let truncated = || ConnectionError::Truncated {
        path: path.to_owned(),
        bytes: sealed.len(),
    };
    let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(truncated)?;
    let text_bytes = rest.len().checked_sub(TAG_BYTES).ok_or_else(truncated)?;
    let (text, tag) = rest.split_at_checked(text_bytes).ok_or_else(truncated)?;
    let mut text = Zeroizing::new(text.to_vec());
    Aes256Gcm::new((&**key).into())
        .decrypt_in_place_detached(Nonce::from_slice(nonce), b"", &mut text, tag.into())
        .map_err(|_| ConnectionError::NotAuthentic {
            path: path.to_owned(),
        })?;
    Ok(text)
}
