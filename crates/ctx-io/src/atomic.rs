//! Replacing a file as a whole.
//!
//! Temporary file in the same directory, write, set the mode, flush, rename, flush the directory.
//! Killed at any instruction, or with the power cut, the file holds its old content or its new
//! content. Unless the step that failed is [`Step::SyncDir`], the old content stands.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::file_id::lstat;
use crate::open::FileKind;
use crate::temp::{self, TempFile};
use crate::{dir, failpoint, flush, hint};

const BUFFER: usize = 64 * 1024;
const PERMISSION_BITS: u32 = 0o7777;

/// The permission bits of the new file. The user's file creation mask plays no part. The owner
/// is whoever writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those of the file that is replaced; for a file that is not there yet, `otherwise`.
    Keep {
        /// The bits of a new file, for example `0o644`.
        otherwise: u32,
    },
    /// These, whatever the file had.
    Exactly(u32),
}

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Looking at what is there.
    Inspect,
    /// Creating the temporary file.
    Create,
    /// Writing the content.
    Write,
    /// Setting the permission bits.
    SetMode,
    /// Flushing the content to the disk.
    SyncFile,
    /// Moving the file into place.
    Rename,
    /// Flushing the directory: the new content is in place, but a power cut may undo that.
    SyncDir,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::Inspect => "look at",
            Step::Create => "create the temporary file for",
            Step::Write => "write",
            Step::SetMode => "set the mode of",
            Step::SyncFile => "flush",
            Step::Rename => "move into place",
            Step::SyncDir => "flush the directory of",
        })
    }
}

/// A file that could not be replaced.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {path}")]
#[non_exhaustive]
pub struct WriteError {
    /// The file that was to be replaced.
    pub path: Utf8PathBuf,
    /// What was being done.
    pub step: Step,
    /// What the system said.
    pub source: io::Error,
}

impl WriteError {
    fn at(path: &Utf8Path, step: Step) -> impl FnOnce(io::Error) -> WriteError {
        move |source| WriteError {
            path: path.to_owned(),
            step,
            source,
        }
    }

    /// The kind of the underlying error.
    pub fn io_kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        hint::for_io(&self.source)
    }
}

/// Flushes the directory that holds `path`, so that a name created or replaced in it survives a
/// power cut; for those who rename files themselves. Does nothing on file systems that cannot flush
/// a directory.
///
/// # Errors
/// [`WriteError`] with [`Step::SyncDir`]: the directory cannot be opened or flushed.
pub fn sync_parent(path: &Utf8Path) -> Result<(), WriteError> {
    dir::sync_parent(path).map_err(WriteError::at(path, Step::SyncDir))
}

/// Replaces the content of `path` with `bytes`, durably: when this returns, a power cut does not
/// bring the old content back.
///
/// # Errors
/// [`WriteError`] names the step. Nothing is left behind.
pub fn write(path: &Utf8Path, bytes: &[u8], mode: Mode) -> Result<(), WriteError> {
    let mut file = AtomicFile::create(path, mode)?;
    file.write_all(bytes)
        .map_err(WriteError::at(path, Step::Write))?;
    file.commit()
}

/// Creates `path` with `bytes` and permission bits `mode`, durably, if nothing is there: whole or
/// not at all, and of several that try at once, one. `false` when something was there, which is
/// left alone, be it a file, a directory or a link.
///
/// # Errors
/// [`WriteError`] names the step. Nothing is left behind.
pub fn create_new(path: &Utf8Path, bytes: &[u8], mode: u32) -> Result<bool, WriteError> {
    if lstat(path)
        .map_err(WriteError::at(path, Step::Inspect))?
        .is_some()
    {
        return Ok(false);
    }
    let mut temp = TempFile::create(path).map_err(WriteError::at(path, Step::Create))?;
    temp::sweep_for(path);
    temp.write_all(bytes)
        .map_err(WriteError::at(path, Step::Write))?;
    finish(temp.file(), path, mode)?;
    let published = temp
        .publish_new(path)
        .map_err(WriteError::at(path, Step::Rename))?;
    if published.is_none() {
        return Ok(false);
    }
    make_durable(path)?;
    Ok(true)
}

/// Removes from `dir` what writers that were killed left: temporary files whose owners are dead.
/// Whoever replaces a file sweeps those of that file by itself; this is for directories in which
/// every file has a new name. Litter does no harm, so a failure is none.
pub fn sweep(dir: &Utf8Path) {
    drop(temp::sweep_all(dir));
}

/// The new content of a file while it is being written, in whatever pieces.
///
/// Nothing is seen at the path before [`commit`](AtomicFile::commit); dropped without it, the
/// old content stands and nothing is left behind. Writes are buffered.
#[derive(Debug)]
#[must_use = "without commit() nothing is written"]
pub struct AtomicFile {
    path: Utf8PathBuf,
    mode: u32,
    writer: BufWriter<TempFile>,
    /// A write that failed leaves a hole, so there is nothing whole to commit any more.
    failed: Option<io::ErrorKind>,
}

impl AtomicFile {
    /// Begins to replace `path`.
    ///
    /// # Errors
    /// [`WriteError`] at [`Step::Inspect`] when `path` is something other than a regular file (a
    /// symbolic link is refused, not followed), at [`Step::Create`] when the directory takes no
    /// file.
    pub fn create(path: &Utf8Path, mode: Mode) -> Result<AtomicFile, WriteError> {
        let mode = mode_for(path, mode).map_err(WriteError::at(path, Step::Inspect))?;
        let temp = TempFile::create(path).map_err(WriteError::at(path, Step::Create))?;
        temp::sweep_for(path);
        let writer = BufWriter::with_capacity(BUFFER, temp);
        Ok(AtomicFile {
            path: path.to_owned(),
            mode,
            writer,
            failed: None,
        })
    }

    /// Puts the new content in place, durably.
    ///
    /// # Errors
    /// [`WriteError`] names the step; at [`Step::Write`] also when an earlier write had failed.
    /// Nothing is left behind.
    pub fn commit(self) -> Result<(), WriteError> {
        let AtomicFile {
            path,
            mode,
            writer,
            failed,
        } = self;
        if let Some(kind) = failed {
            return Err(WriteError::at(&path, Step::Write)(kind.into()));
        }
        let temp = writer
            .into_inner()
            .map_err(|error| WriteError::at(&path, Step::Write)(error.into_error()))?;
        finish(temp.file(), &path, mode)?;
        let file = temp
            .replace(&path)
            .map_err(WriteError::at(&path, Step::Rename))?;
        drop(file);
        make_durable(&path)
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(error.kind());
        }
        result
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.writer.write(bytes);
        self.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.writer.flush();
        self.note(result)
    }
}

/// The mode comes before the flush, so that both are durable together, and after the write, so
/// that content never stands under a wider mode than it shall have.
fn finish(file: &File, path: &Utf8Path, mode: u32) -> Result<(), WriteError> {
    file.set_permissions(Permissions::from_mode(mode))
        .and_then(|()| failpoint::reach_at("atomic.written", path))
        .map_err(WriteError::at(path, Step::SetMode))?;
    flush::all(file, path)
        .and_then(|()| failpoint::reach_at("atomic.flushed", path))
        .map_err(WriteError::at(path, Step::SyncFile))
}

/// Flushes the directory after the rename.
fn make_durable(path: &Utf8Path) -> Result<(), WriteError> {
    failpoint::reach_at("atomic.renamed", path)
        .and_then(|()| dir::sync_parent(path))
        .and_then(|()| failpoint::reach_at("atomic.durable", path))
        .map_err(WriteError::at(path, Step::SyncDir))
}

fn mode_for(path: &Utf8Path, mode: Mode) -> io::Result<u32> {
    let Some(metadata) = lstat(path)? else {
        return Ok(match mode {
            Mode::Keep { otherwise } => otherwise,
            Mode::Exactly(mode) => mode,
        });
    };
    if let Some(kind) = FileKind::of(&metadata) {
        let text = format!("it is {kind}, not a regular file");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(match mode {
        Mode::Keep { .. } => metadata.permissions().mode() & PERMISSION_BITS,
        Mode::Exactly(mode) => mode,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_failed_once_commits_nothing_even_if_it_could_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("file");
        write(&path, b"old", Mode::Exactly(0o600)).unwrap();
        let mut stream = AtomicFile::create(&path, Mode::Exactly(0o600)).unwrap();
        stream.write_all(b"begin").unwrap();
        assert!(
            stream
                .note::<()>(Err(io::ErrorKind::StorageFull.into()))
                .is_err()
        );
        stream.write_all(b"end").unwrap();
        let error = stream.commit().unwrap_err();
        assert_eq!(
            (error.step, error.io_kind()),
            (Step::Write, io::ErrorKind::StorageFull)
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
