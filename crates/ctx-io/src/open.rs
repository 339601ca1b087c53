//! Opening regular files, and only those.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use camino::Utf8Path;
use rustix::fs::OFlags;

/// What was found where a regular file was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A symbolic link, wherever it points.
    Symlink,
    /// A pipe, a socket or a device.
    Special,
}

impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FileKind::Directory => "a directory",
            FileKind::Symlink => "a symbolic link",
            FileKind::Special => "a special file",
        })
    }
}

impl FileKind {
    /// `None` for a regular file.
    pub(crate) fn of(metadata: &Metadata) -> Option<FileKind> {
        let kind = metadata.file_type();
        if kind.is_file() {
            None
        } else if kind.is_symlink() {
            Some(FileKind::Symlink)
        } else if kind.is_dir() {
            Some(FileKind::Directory)
        } else {
            debug_assert!(
                kind.is_fifo()
                    || kind.is_socket()
                    || kind.is_char_device()
                    || kind.is_block_device()
            );
            Some(FileKind::Special)
        }
    }
}

/// How opening failed.
#[derive(Debug)]
pub(crate) enum OpenFailure {
    NotAFile(FileKind),
    Io(io::Error),
}

/// Options that never follow a symbolic link in the last component and never block on a pipe.
/// (Close-on-exec is what the standard library always sets.)
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

/// Opens `path` with `options` (from [`options`]); whatever is not a regular file is refused.
pub(crate) fn regular(
    path: &Utf8Path,
    options: &OpenOptions,
) -> Result<(File, Metadata), OpenFailure> {
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) => return Err(why_not(path, error)),
    };
    let metadata = file.metadata().map_err(OpenFailure::Io)?;
    match FileKind::of(&metadata) {
        None => Ok((file, metadata)),
        Some(kind) => Err(OpenFailure::NotAFile(kind)),
    }
}

/// The errno for "it is a symbolic link" differs between systems, so the answer comes from a
/// second look; if that shows nothing special, the first error stands.
fn why_not(path: &Utf8Path, error: io::Error) -> OpenFailure {
    if error.kind() == io::ErrorKind::NotFound {
        return OpenFailure::Io(error);
    }
    match std::fs::symlink_metadata(path)
        .ok()
        .as_ref()
        .and_then(FileKind::of)
    {
        Some(kind) => OpenFailure::NotAFile(kind),
        None => OpenFailure::Io(error),
    }
}
