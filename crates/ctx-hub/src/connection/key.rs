//! The key of a person, which seals their connection files.

use camino::Utf8PathBuf;
use ctx_config::limits::KEY_BYTES;
use ctx_config::paths::{PRIVATE_DIR_MODE, PRIVATE_FILE_MODE, UserDir};
use ctx_io::{atomic, ensure_private_dir, read_private};
use zeroize::Zeroizing;

use super::error::ConnectionError;

/// The 32 bytes of a key. Cleared when dropped, never shown.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// How much of a key file is read: more than a key has, so that the size of a wrong one is told.
const READ_MAX_BYTES: u64 = 4_096;

/// The key, which has to be there.
pub(super) fn load(user: &UserDir) -> Result<Key, ConnectionError> {
    let path = user.key();
    match read(path.clone())? {
        Some(key) => Ok(key),
        None => Err(ConnectionError::NoKey { path }),
    }
}

/// The key, made when there is none. Of several processes that make it at once, one wins, and all
/// go on with the key that it wrote.
pub(super) fn load_or_create(user: &UserDir) -> Result<Key, ConnectionError> {
    let path = user.key();
    if let Some(key) = read(path.clone())? {
        return Ok(key);
    }
    ensure_private_dir(user.path(), PRIVATE_DIR_MODE)?;
    let mut key = Key::default();
    getrandom::fill(&mut *key).map_err(ConnectionError::Random)?;
    atomic::create_new(&path, &*key, PRIVATE_FILE_MODE)?;
    load(user)
}

fn read(path: Utf8PathBuf) -> Result<Option<Key>, ConnectionError> {
    let Some(bytes) = read_private(&path, READ_MAX_BYTES)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let key =
        <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| ConnectionError::KeySize {
            path,
            bytes: bytes.len(),
        })?;
    Ok(Some(Key::new(key)))
}
