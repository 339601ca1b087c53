//! A directory that appears under its name whole, or not at all.
//!
//! It is filled under a random name beside its place, `.<name>.<16 hex digits>.partial`, and locked
//! with the operating system's lock for as long as its owner lives. An owner that fails removes it;
//! one that was killed cannot, so whoever stages the same name next finds it unlocked and removes
//! it. Where there are no such locks it stays, and its name says what it is.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::OFlags;

use crate::file_id::{FileId, lstat};
use crate::os_lock::{self, OsLock};
use crate::{dir, failpoint, hint, random, refuse_symlink, temp};

const SUFFIX: &str = ".partial";
const RANDOM_BYTES: usize = 8;

/// A directory that did not find its place. Nothing stands there that did not stand there before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// Something is there already.
    #[error("{path} is not empty")]
    NotEmpty {
        /// The place.
        path: Utf8PathBuf,
    },
    /// Something that is no directory stands there.
    #[error(transparent)]
    Path(#[from] crate::PathError),
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// The directory.
        path: Utf8PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StageError {
    /// The kind of the underlying error.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            StageError::NotEmpty { .. } => io::ErrorKind::DirectoryNotEmpty,
            StageError::Path(error) => error.io_kind(),
            StageError::Io { source, .. } => source.kind(),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            StageError::NotEmpty { .. } => {
                Some("name a directory that does not exist yet, or an empty one".to_owned())
            }
            StageError::Path(error) => error.hint(),
            StageError::Io { path, source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some(format!("create {} first", dir::parent(path))),
                io::ErrorKind::ResourceBusy => Some(
                    "another file system is mounted there: name a directory inside it".to_owned(),
                ),
                _ => hint::for_io(source),
            },
        }
    }
}

/// A directory that is being filled. Dropping it removes it and all that is in it.
#[derive(Debug)]
#[must_use = "it is removed as soon as this is dropped"]
pub struct StagedDir {
    target: Utf8PathBuf,
    path: Utf8PathBuf,
    placed: bool,
    /// Keeps the lock.
    handle: File,
}

impl StagedDir {
    /// Makes a directory with permission bits `mode` that is to become `target`, and removes what
    /// dead processes left of theirs. The parent of `target` has to exist.
    ///
    /// # Errors
    /// [`StageError::NotEmpty`] when `target` is a directory with something in it;
    /// [`StageError::Path`] when it is something else; [`StageError::Io`] when the system refuses.
    pub fn create(target: &Utf8Path, mode: u32) -> Result<StagedDir, StageError> {
        refuse_full(target)?;
        let failed = |action| io_error(target, action);
        sweep(target).map_err(failed("look beside"))?;
        let name = target.file_name().unwrap_or_default();
        let random = random::hex::<RANDOM_BYTES>().map_err(failed("find a name for"))?;
        let prefix = temp::prefix_of(name);
        let path = dir::parent(target).join(format!("{prefix}{random}{SUFFIX}"));
        DirBuilder::new()
            .mode(mode)
            .create(&path)
            .map_err(failed("make a directory for"))?;
        let staged = open(&path).map(|handle| StagedDir {
            target: target.to_owned(),
            path,
            placed: false,
            handle,
        });
        let staged = staged.map_err(failed("open a directory for"))?;
        let locked = os_lock::try_exclusive(&staged.handle).map_err(failed("lock the one for"))?;
        if locked == OsLock::Refused {
            // Somebody who stages the same took it for one left behind, in the instant between.
            let source = io::Error::from(io::ErrorKind::WouldBlock);
            return Err(failed("lock the one for")(source));
        }
        failpoint::reach_at("staged.created", target).map_err(failed("fill"))?;
        Ok(staged)
    }

    /// Where to put what it shall hold. Whoever puts it there flushes it.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Gives it its place, durably. An empty directory that stands there is replaced.
    ///
    /// # Errors
    /// As [`StagedDir::create`]; something came to stand there meanwhile.
    pub fn place(mut self) -> Result<(), StageError> {
        let target = self.target.clone();
        let failed = |action| io_error(&target, action);
        refuse_full(&target)?;
        dir::sync(&self.path).map_err(failed("flush the one for"))?;
        failpoint::reach_at("staged.flushed", &target).map_err(failed("place"))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where a staged directory is renamed"
        )]
        match std::fs::rename(&self.path, &target) {
            Ok(()) => self.placed = true,
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Err(StageError::NotEmpty { path: target });
            }
            Err(error) => return Err(failed("place")(error)),
        }
        failpoint::reach_at("staged.placed", &target).map_err(failed("place"))?;
        dir::sync_parent(&target).map_err(failed("flush the directory of"))
    }
}

impl Drop for StagedDir {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing to report it to; the next one that is staged removes what this could not.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

fn io_error(path: &Utf8Path, action: &'static str) -> impl FnOnce(io::Error) -> StageError {
    let path = path.to_owned();
    move |source| StageError::Io {
        path,
        action,
        source,
    }
}

/// Refuses `target` unless nothing is there, or an empty directory.
fn refuse_full(target: &Utf8Path) -> Result<(), StageError> {
    refuse_symlink(target)?;
    let failed = |source| io_error(target, "look at")(source);
    let Some(found) = lstat(target).map_err(failed)? else {
        return Ok(());
    };
    if !found.is_dir() {
        return Err(StageError::Path(crate::PathError::NotADirectory {
            path: target.to_owned(),
        }));
    }
    let mut entries = target.read_dir().map_err(failed)?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(StageError::NotEmpty {
            path: target.to_owned(),
        }),
    }
}

/// Removes what dead processes staged for `target`. Litter does no harm, so only failing to look is
/// a failure.
fn sweep(target: &Utf8Path) -> io::Result<()> {
    for path in temp::siblings(target, SUFFIX)? {
        let Ok(handle) = open(&path) else { continue };
        let dead = os_lock::try_exclusive(&handle)? == OsLock::Granted;
        if dead && FileId::of_path(&path)? == Some(FileId::of_file(&handle)?) {
            drop(std::fs::remove_dir_all(&path));
        }
    }
    Ok(())
}

/// Opens a directory, and nothing that a link in its place leads to.
fn open(path: &Utf8Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const MODE: u32 = 0o700;

    fn room() -> (tempfile::TempDir, Utf8PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let target = Utf8Path::from_path(temp.path()).unwrap().join("whole");
        (temp, target)
    }

    fn names(target: &Utf8Path) -> Vec<String> {
        let entries = dir::parent(target).read_dir_utf8().unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect();
        names.sort();
        names
    }

    fn put(path: &Utf8Path) {
        crate::atomic::write(path, b"x", crate::atomic::Mode::Exactly(0o600)).unwrap();
    }

    #[test]
    fn it_appears_whole_and_private_also_in_place_of_an_empty_directory() {
        for empty in [false, true] {
            let (_temp, target) = room();
            if empty {
                std::fs::create_dir(&target).unwrap();
            }
            let staged = StagedDir::create(&target, MODE).unwrap();
            put(&staged.path().join("file"));
            assert!(!target.join("file").exists());
            staged.place().unwrap();
            assert!(target.join("file").exists());
            let mode = std::fs::metadata(&target).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, MODE);
            assert_eq!(names(&target), ["whole"]);
        }
    }

    #[test]
    fn one_that_is_dropped_leaves_nothing() {
        let (_temp, target) = room();
        let staged = StagedDir::create(&target, MODE).unwrap();
        put(&staged.path().join("file"));
        drop(staged);
        assert_eq!(names(&target), Vec::<String>::new());
    }

    #[test]
    fn what_is_there_is_never_replaced() {
        let (_temp, target) = room();
        let early = StagedDir::create(&target, MODE).unwrap();
        std::fs::create_dir(&target).unwrap();
        put(&target.join("theirs"));
        let refused = StagedDir::create(&target, MODE).unwrap_err();
        assert!(
            matches!(refused, StageError::NotEmpty { .. }),
            "{refused:?}"
        );
        let refused = early.place().unwrap_err();
        assert_eq!(refused.io_kind(), io::ErrorKind::DirectoryNotEmpty);
        assert!(target.join("theirs").exists());
        assert_eq!(names(&target), ["whole"]);

        let file = target.join("theirs");
        let refused = StagedDir::create(&file, MODE).unwrap_err();
        assert_eq!(refused.to_string(), format!("{file} is not a directory"));
    }

    #[test]
    fn what_dead_processes_left_is_removed_and_what_live_ones_fill_is_not() {
        let (_temp, target) = room();
        let dead = dir::parent(&target).join(".whole.0123456789abcdef.partial");
        std::fs::create_dir(&dead).unwrap();
        put(&dead.join("file"));
        let unlike = dir::parent(&target).join(".whole.partial");
        std::fs::create_dir(&unlike).unwrap();

        let live = StagedDir::create(&target, MODE).unwrap();
        assert!(!dead.exists());
        let other = StagedDir::create(&target, MODE).unwrap();
        assert!(live.path().exists() && unlike.exists());
        drop((live, other));
        assert_eq!(names(&target), [".whole.partial"]);
    }

    #[test]
    fn a_missing_parent_is_told_with_what_to_create() {
        let (_temp, target) = room();
        let error = StagedDir::create(&target.join("deep"), MODE).unwrap_err();
        assert_eq!(error.hint(), Some(format!("create {target} first")));
    }
}
