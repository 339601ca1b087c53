//! Appending to a file that only grows.
//!
//! An append that failed is cut back, so that the file ends where it ended before. A process
//! killed in the middle of one leaves a tail; whoever knows how long the file should be (a length
//! kept elsewhere) cuts it with [`AppendFile::truncate_to`].

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};

use rustix::fs::FallocateFlags;

use crate::file_id::{FileId, lstat};
use crate::open::{self, FileKind, OpenFailure};
use crate::{dir, failpoint, flush, hint};

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Opening or creating the file.
    Open,
    /// Asking for its length.
    Length,
    /// Cutting it.
    Truncate,
    /// Appending to it; the file has its earlier length again.
    Append,
    /// Flushing it to the disk.
    SyncFile,
    /// Flushing its directory.
    SyncDir,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::Open => "open",
            Step::Length => "ask for the length of",
            Step::Truncate => "cut",
            Step::Append => "append to",
            Step::SyncFile => "flush",
            Step::SyncDir => "flush the directory of",
        })
    }
}

/// A file that could not be appended to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Something other than a regular file is in its place.
    #[error("{path} is {found}, not a regular file")]
    NotAFile {
        /// The file.
        path: Utf8PathBuf,
        /// What is there.
        found: FileKind,
    },
    /// A step failed. After [`Step::Append`] the file is as it was before.
    #[error("cannot {step} {path}")]
    Io {
        /// The file.
        path: Utf8PathBuf,
        /// What was being done.
        step: Step,
        /// What the system said.
        source: io::Error,
    },
    /// An append failed, and so did cutting it back: the file may have a tail.
    #[error("cannot append to {path}, nor cut off the {written} bytes that it got ({cut})")]
    Tail {
        /// The file.
        path: Utf8PathBuf,
        /// How much was written of it.
        written: u64,
        /// Why it could not be cut back.
        cut: io::Error,
        /// Why the append failed.
        source: io::Error,
    },
    /// Asked to cut a file to more than it has.
    #[error("{path} has {actual} bytes, fewer than the {wanted} it should keep")]
    TooShort {
        /// The file.
        path: Utf8PathBuf,
        /// How many bytes it has.
        actual: u64,
        /// How many it should have had.
        wanted: u64,
    },
}

impl AppendError {
    /// The kind of the underlying error.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            AppendError::NotAFile { .. } => io::ErrorKind::InvalidInput,
            AppendError::Io { source, .. } | AppendError::Tail { source, .. } => source.kind(),
            AppendError::TooShort { .. } => io::ErrorKind::InvalidData,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            AppendError::NotAFile { .. } => Some("move it away, then run it again".to_owned()),
            AppendError::Io { source, .. } | AppendError::Tail { source, .. } => {
                hint::for_io(source)
            }
            AppendError::TooShort { .. } => None,
        }
    }
}

/// A file open for appending. One writer at a time: whoever appends holds a lock of their own.
#[derive(Debug)]
pub struct AppendFile {
    path: Utf8PathBuf,
    file: File,
    id: FileId,
    /// The name is not known to be durable yet: who created the file may have been killed first.
    unsynced_name: bool,
}

impl AppendFile {
    /// Opens `path`, or creates it with the permission bits `mode`; an existing file keeps its
    /// own.
    ///
    /// # Errors
    /// [`AppendError::NotAFile`] for a symbolic link, a directory or a special file;
    /// [`AppendError::Io`] at [`Step::Open`] otherwise.
    pub fn open(path: &Utf8Path, mode: u32) -> Result<AppendFile, AppendError> {
        let failed = |failure| match failure {
            OpenFailure::NotAFile(found) => AppendError::NotAFile {
                path: path.to_owned(),
                found,
            },
            OpenFailure::Io(source) => AppendError::Io {
                path: path.to_owned(),
                step: Step::Open,
                source,
            },
        };
        let (file, metadata) = loop {
            match open::regular(path, &existing()) {
                Ok(opened) => break opened,
                Err(OpenFailure::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(failure) => return Err(failed(failure)),
            }
            match create(path, mode) {
                Ok(created) => break created,
                // Someone was faster: it is an existing file now.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(OpenFailure::Io(error))),
            }
        };
        failpoint::reach_at("append.opened", path)
            .map_err(|error| failed(OpenFailure::Io(error)))?;
        Ok(AppendFile {
            path: path.to_owned(),
            file,
            id: FileId::of(&metadata),
            unsynced_name: true,
        })
    }

    /// The path it was opened at.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// How long the file is now, in bytes.
    ///
    /// # Errors
    /// [`AppendError::Io`] at [`Step::Length`].
    pub fn len(&self) -> Result<u64, AppendError> {
        Ok(self.file.metadata().map_err(self.at(Step::Length))?.len())
    }

    /// Whether the file has no content.
    ///
    /// # Errors
    /// [`AppendError::Io`] at [`Step::Length`].
    pub fn is_empty(&self) -> Result<bool, AppendError> {
        Ok(self.len()? == 0)
    }

    /// How long the file is that its path names now, in bytes; `None` when that is not this file any
    /// more: it was moved, removed or replaced, and what is appended goes where nobody looks.
    ///
    /// # Errors
    /// [`AppendError::Io`] at [`Step::Length`].
    pub fn len_in_place(&self) -> Result<Option<u64>, AppendError> {
        let there = lstat(&self.path).map_err(self.at(Step::Length))?;
        let same = there.filter(|there| FileId::of(there) == self.id);
        Ok(same.map(|there| there.len()))
    }

    /// Asks the file system to keep room for the next `bytes` behind the end, which stays where it
    /// is, so that appending them does not fail on a full disk. Answers whether it does; not every
    /// file system can. [`give_back`](AppendFile::give_back) lets go of what was not used.
    pub fn keep_room(&self, bytes: u64) -> bool {
        self.len().is_ok_and(|length| {
            rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, length, bytes).is_ok()
        })
    }

    /// Gives back the room behind the end that [`keep_room`](AppendFile::keep_room) took.
    ///
    /// # Errors
    /// [`AppendError::Io`] at [`Step::Truncate`].
    pub fn give_back(&self) -> Result<(), AppendError> {
        let length = self.len()?;
        self.file.set_len(length).map_err(self.at(Step::Truncate))
    }

    /// Cuts the file to its first `length` bytes. It never makes it longer.
    ///
    /// # Errors
    /// [`AppendError::TooShort`] when it has fewer; [`AppendError::Io`] otherwise.
    pub fn truncate_to(&mut self, length: u64) -> Result<(), AppendError> {
        let actual = self.len()?;
        if actual < length {
            let path = self.path.clone();
            return Err(AppendError::TooShort {
                path,
                actual,
                wanted: length,
            });
        }
        self.file
            .set_len(length)
            .and_then(|()| failpoint::reach_at("append.cut", &self.path))
            .map_err(self.at(Step::Truncate))
    }

    /// Appends `bytes`, all of them or none: after a failure the file has its earlier length
    /// again. Not durable before [`sync`](AppendFile::sync).
    ///
    /// # Errors
    /// [`AppendError::Io`] at [`Step::Append`]; [`AppendError::Tail`] when the part that was
    /// written could not be cut off again.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        let mut rest = bytes;
        let done = write_all(&mut self.file, &mut rest)
            .and_then(|()| failpoint::reach_at("append.written", &self.path));
        let Err(source) = done else {
            return Ok(());
        };
        let written = u64::try_from(bytes.len() - rest.len()).unwrap_or(u64::MAX);
        match self.cut_off(written) {
            Ok(()) => Err(self.at(Step::Append)(source)),
            Err(cut) => Err(AppendError::Tail {
                path: self.path.clone(),
                written,
                cut,
                source,
            }),
        }
    }

    /// Cuts off the last `bytes`. How long the file is is asked only here, for most appends succeed.
    fn cut_off(&self, bytes: u64) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        self.file.set_len(length.saturating_sub(bytes))
    }

    /// Makes what was appended durable, and the file's name.
    ///
    /// # Errors
    /// [`AppendError::Io`] at [`Step::SyncFile`] or [`Step::SyncDir`]. What was appended may then
    /// be on the disk or not: do not count on it, and do not sync again to find out.
    pub fn sync(&mut self) -> Result<(), AppendError> {
        flush::data(&self.file, &self.path)
            .and_then(|()| failpoint::reach_at("append.flushed", &self.path))
            .map_err(self.at(Step::SyncFile))?;
        if self.unsynced_name {
            dir::sync_parent(&self.path)
                .and_then(|()| failpoint::reach_at("append.durable", &self.path))
                .map_err(self.at(Step::SyncDir))?;
            self.unsynced_name = false;
        }
        Ok(())
    }

    fn at(&self, step: Step) -> impl FnOnce(io::Error) -> AppendError + use<> {
        let path = self.path.clone();
        move |source| AppendError::Io { path, step, source }
    }
}

/// Writes `rest`, of which what was not written is left.
fn write_all(file: &mut File, rest: &mut &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn existing() -> OpenOptions {
    let mut options = open::options();
    options.read(true).append(true);
    options
}

/// The mode is set in two steps because the user's file creation mask narrows the first.
fn create(path: &Utf8Path, mode: u32) -> io::Result<(File, Metadata)> {
    let file = existing().create_new(true).mode(mode).open(path)?;
    failpoint::reach_at("append.created", path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}
