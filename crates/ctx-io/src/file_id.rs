//! Which file it is: device and inode, whatever it is called.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;

/// Device and inode. An inode number is not reused while the file is open, so comparing an open
/// file with what a path names now is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    dev: u64,
    ino: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> FileId {
        FileId {
            dev: metadata.dev(),
            ino: metadata.ino(),
        }
    }

    pub(crate) fn of_file(file: &File) -> io::Result<FileId> {
        Ok(FileId::of(&file.metadata()?))
    }

    /// What `path` itself names now, symbolic links not followed; `None` when nothing is there.
    pub(crate) fn of_path(path: &Utf8Path) -> io::Result<Option<FileId>> {
        Ok(lstat(path)?.map(|metadata| FileId::of(&metadata)))
    }
}

/// The metadata of what `path` itself names; `None` when nothing is there.
pub(crate) fn lstat(path: &Utf8Path) -> io::Result<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
