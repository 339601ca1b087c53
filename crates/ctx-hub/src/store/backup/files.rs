//! The files of a backup: copied, flushed, and known by what is in them.

use std::io::{self, Read, Write};

use camino::Utf8Path;
use ctx_config::paths::PRIVATE_FILE_MODE;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use sha2::{Digest as _, Sha256};

use super::error::BackupError;
use super::manifest::FileRecord;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 65_536;

/// What is in the file at `path`; `None` when there is none.
pub(super) fn record(path: &Utf8Path) -> Result<Option<FileRecord>, BackupError> {
    let read = fs_err::File::open(path).and_then(|mut file| pour(&mut file, &mut io::sink()));
    match read {
        Ok((bytes, sha256)) => Ok(Some(FileRecord {
            name: path.file_name().unwrap_or_default().to_owned(),
            bytes,
            sha256,
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackupError::io("read", path)(error)),
    }
}

/// Copies the regular file at `from` to `to`, which must not exist, flushed and for its owner
/// alone. What was copied is what the record speaks of.
pub(super) fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<FileRecord, BackupError> {
    ctx_io::refuse_symlink(from).map_err(BackupError::Path)?;
    let mut source = fs_err::File::open(from).map_err(BackupError::io("read", from))?;
    let mut target = fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE_MODE)
        .open(to)
        .map_err(BackupError::io("create", to))?;
    let (bytes, sha256) = pour(&mut source, &mut target).map_err(BackupError::io("copy", from))?;
    target.sync_all().map_err(BackupError::io("flush", to))?;
    Ok(FileRecord {
        name: to.file_name().unwrap_or_default().to_owned(),
        bytes,
        sha256,
    })
}

/// Copies everything; how many bytes, and their SHA-256 in hex.
fn pour(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let (mut sum, mut length) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let read = piece.get(..count).unwrap_or_default();
        sum.update(read);
        to.write_all(read)?;
        length += u64::try_from(count).unwrap_or_default();
    }
    let sum = sum.finalize();
    let hex = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((length, hex))
}
