//! The database as a file: what it is before the engine touches it, and how a new one takes its
//! place.

use std::io::{self, Read as _};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::PRIVATE_FILE_MODE;
use ctx_io::failpoint;
use fs_err::os::unix::fs::OpenOptionsExt as _;

use super::{schema, torn};
use crate::store::error::{Damage, StoreError};

/// What the engine adds to a database's name for the files that it keeps beside it.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The engine's file header; numbers in it are big-endian.
const HEADER_BYTES: usize = 100;
const HEADER_LIMIT: u64 = 100;
const PAGE_SIZE_AT: usize = 16;
const CHANGES_AT: usize = 24;
const PAGES_AT: usize = 28;
const USER_VERSION_AT: usize = 60;
const APPLICATION_ID_AT: usize = 68;
const PAGES_AS_OF_AT: usize = 92;
/// Where the engine locks bytes of the file: it never writes the page that holds this one.
const LOCK_BYTE: u64 = 0x4000_0000;

/// The write-ahead log of the database at `path`.
pub(super) fn wal(path: &Utf8Path) -> Utf8PathBuf {
    companion(path, "-wal")
}

/// The database at `path` and every file that the engine may keep beside it.
pub(in crate::store) fn all(path: &Utf8Path) -> Vec<Utf8PathBuf> {
    let companions = COMPANIONS.iter().map(|suffix| companion(path, suffix));
    std::iter::once(path.to_owned()).chain(companions).collect()
}

fn companion(path: &Utf8Path, suffix: &str) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{path}{suffix}"))
}

/// Whether there is a store at `path`. Looks at the header alone, so that whatever is refused is
/// left as it was, to the byte: the engine itself would already replay a write-ahead log.
///
/// # Errors
/// A symbolic link, a file that is no store of this version, or a store without its database.
pub(super) fn exists(path: &Utf8Path) -> Result<bool, StoreError> {
    ctx_io::refuse_symlink(path)?;
    for suffix in COMPANIONS {
        ctx_io::refuse_symlink(&companion(path, suffix))?;
    }
    let Some(header) = header(path)? else {
        let wal = wal(path);
        // The engine would replay that log into whatever database comes to stand beside it.
        return if size(&wal)?.is_some_and(|bytes| bytes > 0) {
            Err(damaged(path, Damage::OnlyTheLog { wal }))
        } else {
            Ok(false)
        };
    };
    if header.is_empty() {
        return Err(damaged(path, Damage::Empty));
    }
    if header.len() < HEADER_BYTES || !header.starts_with(MAGIC) {
        return Err(damaged(path, Damage::NotADatabase));
    }
    if number(&header, APPLICATION_ID_AT) != Some(schema::APPLICATION_ID) {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
        });
    }
    refuse_newer(path, number(&header, USER_VERSION_AT).unwrap_or_default())?;
    match missing(path, &header)? {
        0 => Ok(true),
        missing => Err(damaged(path, Damage::Truncated { missing })),
    }
}

/// How many bytes the file lacks of what it has to hold. The engine itself counts a page that
/// breaks off as whole, and reads one that is missing as zeros.
fn missing(path: &Utf8Path, header: &[u8]) -> Result<u64, StoreError> {
    let page_size = page_size(header);
    let actual = size(path)?.unwrap_or_default();
    if size(&wal(path))?.is_none_or(|bytes| bytes == 0) {
        if number(header, CHANGES_AT) != number(header, PAGES_AS_OF_AT) {
            return Ok(0);
        }
        let expected = u64::from(number(header, PAGES_AT).unwrap_or_default()) * page_size;
        return Ok(expected.saturating_sub(actual));
    }
    // With a write-ahead log the file may lag behind its header, as when a checkpoint was
    // interrupted: what it lacks stands in the log.
    let log = torn::read(path)?;
    let pages = log.database_pages.or_else(|| number(header, PAGES_AT));
    let whole = actual.checked_div(page_size).unwrap_or_default();
    let never_written = LOCK_BYTE.checked_div(page_size).unwrap_or_default() + 1;
    let missing = (whole + 1..=u64::from(pages.unwrap_or_default()))
        .filter(|page| *page != never_written)
        .filter(|page| u32::try_from(*page).is_ok_and(|page| !log.pages.contains(&page)))
        .count();
    Ok(u64::try_from(missing)
        .unwrap_or(u64::MAX)
        .saturating_mul(page_size))
}

/// In bytes.
fn page_size(header: &[u8]) -> u64 {
    let bytes = header
        .get(PAGE_SIZE_AT..)
        .and_then(|rest| rest.first_chunk());
    match bytes.map(|bytes| u16::from_be_bytes(*bytes)) {
        // The engine's way to write what does not fit 16 bits.
        Some(1) => 65_536,
        other => u64::from(other.unwrap_or_default()),
    }
}

/// Refuses a format that is not known yet.
pub(super) fn refuse_newer(path: &Utf8Path, found: u32) -> Result<(), StoreError> {
    let known = schema::known();
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(())
}

/// Creates an empty file that only its owner may read. The engine gives the files beside it the
/// same mode.
pub(super) fn create_private(path: &Utf8Path) -> Result<(), StoreError> {
    fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE_MODE)
        .open(path)
        .and_then(|_| failpoint::reach("store.created"))
        .map_err(io_error(path, "create"))
}

/// Gives the finished database at `building` its `place`, durably.
pub(super) fn publish(building: &Utf8Path, place: &Utf8Path) -> Result<(), StoreError> {
    fs_err::File::open(building)
        .and_then(|file| failpoint::reach("store.flushing").and_then(|()| file.sync_all()))
        .and_then(|()| failpoint::reach("store.finished"))
        .map_err(io_error(building, "flush"))?;
    fs_err::rename(building, place)
        .and_then(|()| failpoint::reach("store.placed"))
        .map_err(io_error(place, "put the new store at"))?;
    ctx_io::sync_parent(place)
        .map_err(|error| io_error(place, "flush the directory of")(error.source))
}

/// Removes the database at `path` and the files beside it, whatever of them there is.
pub(super) fn remove(path: &Utf8Path) -> Result<(), StoreError> {
    for file in all(path) {
        match fs_err::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(&file, "remove")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The size of a file in bytes, if there is one.
pub(super) fn size(path: &Utf8Path) -> Result<Option<u64>, StoreError> {
    match fs_err::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path, "look at")(error)),
    }
}

fn header(path: &Utf8Path) -> Result<Option<Vec<u8>>, StoreError> {
    if size(path)?.is_none() {
        return Ok(None);
    }
    let mut header = Vec::new();
    fs_err::File::open(path)
        .and_then(|file| file.take(HEADER_LIMIT).read_to_end(&mut header))
        .map_err(io_error(path, "read"))?;
    Ok(Some(header))
}

fn number(header: &[u8], at: usize) -> Option<u32> {
    header
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes))
}

fn damaged(path: &Utf8Path, source: Damage) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        source,
    }
}

/// An error of the system while doing `action` to `path`. Want of room is told apart.
pub(super) fn io_error(
    path: &Utf8Path,
    action: &'static str,
) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full {
                path,
                source: std::sync::Arc::new(source),
            }
        }
        _ => StoreError::Io {
            path,
            action,
            source,
        },
    }
}
