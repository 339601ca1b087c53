//! Reading a file that may be absent.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::hint;
use crate::open::{self, FileKind, OpenFailure};

const OTHERS: u32 = 0o077;

/// A file that could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Something other than a regular file is in its place.
    #[error("{path} is {found}, not a regular file")]
    NotAFile {
        /// The file.
        path: Utf8PathBuf,
        /// What is there.
        found: FileKind,
    },
    /// It is larger than the caller is ready to read.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: Utf8PathBuf,
        /// How many bytes were allowed.
        limit: u64,
    },
    /// It should be private, and others may open it.
    #[error("{path} can be opened by others (mode {mode:04o})")]
    Exposed {
        /// The file.
        path: Utf8PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refused.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ReadError {
    /// The kind of the underlying error.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            ReadError::NotAFile { .. } => io::ErrorKind::InvalidInput,
            ReadError::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            ReadError::Exposed { .. } => io::ErrorKind::PermissionDenied,
            ReadError::Io { source, .. } => source.kind(),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            ReadError::NotAFile { .. } => Some("move it away, then run it again".to_owned()),
            ReadError::TooLarge { .. } => None,
            ReadError::Exposed { path, .. } => Some(format!("run: chmod 600 {path}")),
            ReadError::Io { source, .. } => hint::for_io(source),
        }
    }
}

/// The content of `path`, or `None` when nothing is there. A symbolic link is refused, not
/// followed.
///
/// # Errors
/// Every other reason why there is no content to give.
pub fn read_optional(path: &Utf8Path) -> Result<Option<Vec<u8>>, ReadError> {
    read_optional_limited(path, u64::MAX)
}

/// As [`read_optional`], but refuses more than `limit` bytes, also of a file that grows while it
/// is read.
///
/// # Errors
/// [`ReadError::TooLarge`], and every other reason why there is no content to give.
pub fn read_optional_limited(path: &Utf8Path, limit: u64) -> Result<Option<Vec<u8>>, ReadError> {
    match open(path)? {
        Some((file, metadata)) => read_all(path, &file, &metadata, limit).map(Some),
        None => Ok(None),
    }
}

/// As [`read_optional_limited`], but refuses a file that anyone but its owner may open. The file
/// that was checked is the one that is read.
///
/// # Errors
/// [`ReadError::Exposed`], and every other reason why there is no content to give.
pub fn read_private(path: &Utf8Path, limit: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let Some((file, metadata)) = open(path)? else {
        return Ok(None);
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(ReadError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    read_all(path, &file, &metadata, limit).map(Some)
}

fn open(path: &Utf8Path) -> Result<Option<(File, Metadata)>, ReadError> {
    match open::regular(path, open::options().read(true)) {
        Ok(opened) => Ok(Some(opened)),
        Err(OpenFailure::NotAFile(found)) => Err(ReadError::NotAFile {
            path: path.to_owned(),
            found,
        }),
        Err(OpenFailure::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(OpenFailure::Io(source)) => Err(ReadError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

fn read_all(
    path: &Utf8Path,
    file: &File,
    metadata: &Metadata,
    limit: u64,
) -> Result<Vec<u8>, ReadError> {
    let too_large = || ReadError::TooLarge {
        path: path.to_owned(),
        limit,
    };
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
    if u64::try_from(bytes.len()).is_ok_and(|read| read > limit) {
        return Err(too_large());
    }
    Ok(bytes)
}
