//! Looking at a lock file, and judging what was seen.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use camino::Utf8Path;

use super::error::{LockError, LockStep};
use super::record::{self, Content, LockRecord, Why};
use super::removal::Print;
use crate::failpoint;
use crate::file_id::{FileId, lstat};
use crate::open::{self, OpenFailure};
use crate::os_lock::{self, OsLock};
use crate::process::Liveness;

/// What is at the path of a lock.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// Something that changed while it was looked at: look again.
    Moved,
    /// A file that this user may not open.
    Closed(Sight),
    /// A file, with the operating system's lock on it if that was granted.
    File(Box<Opened>),
}

/// A lock file that is open, and was at its path after the lock was asked for.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) id: FileId,
    /// The length of the complete lines.
    pub(super) length: u64,
    pub(super) sight: Sight,
}

/// What a lock file says, and the operating system of it.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) content: Content,
    /// What to call the lock.
    pub(super) id: String,
    /// `Unsupported` where it could not be asked.
    os_lock: OsLock,
    modified: Option<SystemTime>,
    /// The file, to be compared with what is there later.
    pub(super) print: Print,
}

/// Which lock to ask the operating system for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    /// To take the lock over or remove it.
    Exclusive,
    /// To look at it.
    Shared,
}

/// Whether a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its holder lives.
    Held,
    /// Its holder is dead, for sure.
    Stale,
    /// It is held by its existence: nothing is known of its holder.
    Unverified(Why),
}

/// Looks at the lock at `path`. (Model: Open, Flock, Stat, Read; the file is closed by whoever
/// drops it: Close.)
pub(super) fn examine(path: &Utf8Path, ask: Ask) -> Result<Found, LockError> {
    let at = |step| LockError::at(path, step);
    let (file, metadata) = match open::regular(path, open::options().read(true).write(true)) {
        Ok(opened) => opened,
        Err(OpenFailure::NotAFile(found)) => {
            return Err(LockError::NotAFile {
                path: path.to_owned(),
                found,
            });
        }
        Err(OpenFailure::Io(error)) => return not_opened(path, error),
    };
    let os_lock = match ask {
        Ask::Exclusive => os_lock::try_exclusive(&file),
        Ask::Shared => os_lock::try_shared(&file),
    }
    .map_err(at(LockStep::Lock))?;
    let id = FileId::of(&metadata);
    // Only now: until the lock was asked for, its holder could release it.
    if FileId::of_path(path).map_err(at(LockStep::Inspect))? != Some(id) {
        return Ok(Found::Moved);
    }
    let (content, length) = record::read(&file).map_err(at(LockStep::Read))?;
    let metadata = file.metadata().map_err(at(LockStep::Inspect))?;
    let sight = Sight::new(content, &metadata, os_lock);
    Ok(Found::File(Box::new(Opened {
        file,
        id,
        length,
        sight,
    })))
}

fn not_opened(path: &Utf8Path, error: io::Error) -> Result<Found, LockError> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(Found::Nothing),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let metadata = lstat(path).map_err(LockError::at(path, LockStep::Inspect))?;
            Ok(metadata.map_or(Found::Nothing, |metadata| {
                let content = Content::NotOurs(Why::NotReadable);
                Found::Closed(Sight::new(content, &metadata, OsLock::Unsupported))
            }))
        }
        _ => Err(LockError::at(path, LockStep::Open)(error)),
    }
}

impl Sight {
    fn new(content: Content, metadata: &Metadata, os_lock: OsLock) -> Sight {
        let id = match content.record() {
            Some(record) => record.lock_id.clone(),
            None => legacy_id(metadata),
        };
        Sight {
            content,
            id,
            os_lock,
            modified: metadata.modified().ok(),
            print: Print::of(metadata),
        }
    }

    pub(super) fn record(&self) -> Option<&LockRecord> {
        self.content.record()
    }

    /// For how long the lock has been there; `None` when clocks disagree.
    pub(super) fn age(&self) -> Option<Duration> {
        match self.record() {
            Some(record) => record.age(),
            None => self.modified?.elapsed().ok(),
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        judge(self.os_lock, &self.content, LockRecord::liveness)
    }

    /// Someone has the operating system's lock on it.
    pub(super) fn is_refused(&self) -> bool {
        self.os_lock == OsLock::Refused
    }

    /// Refused, although its record looks dead or is lost, or it is an older program's, which never
    /// asks for that lock: someone is taking it over, or only looks.
    pub(super) fn is_settling(&self) -> bool {
        self.is_refused()
            && match &self.content {
                Content::Ours(record) | Content::Newer(record) => record.looks_dead(),
                Content::NotOurs(_) => true,
            }
    }

    /// Granted, and the dead holder was protected by the operating system's lock, so that being
    /// granted proves its death and one contender alone has it.
    pub(super) fn is_takeable(&self) -> bool {
        self.os_lock == OsLock::Granted
            && match &self.content {
                Content::Ours(record) => record.os_lock,
                Content::Newer(_) => false,
                Content::NotOurs(why) => *why == Why::Unrecorded,
            }
    }
}

/// Stable while the file is not touched, and another one for every other file.
fn legacy_id(metadata: &Metadata) -> String {
    let nanoseconds =
        i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    format!("legacy-{}-{nanoseconds}", metadata.ino())
}

/// Judges by what the operating system answered and the file says. `liveness` is asked only
/// where there is no lock of the operating system to go by.
pub(super) fn judge(
    os_lock: OsLock,
    content: &Content,
    liveness: impl FnOnce(&LockRecord) -> Liveness,
) -> Verdict {
    match (content, os_lock) {
        (Content::NotOurs(Why::Unrecorded), OsLock::Granted) => Verdict::Stale,
        (Content::NotOurs(why), _) => Verdict::Unverified(*why),
        (Content::Ours(_) | Content::Newer(_), OsLock::Refused) => Verdict::Held,
        (Content::Newer(_), _) => Verdict::Unverified(Why::NewerFormat),
        (Content::Ours(record), OsLock::Granted) if record.os_lock => Verdict::Stale,
        (Content::Ours(record), _) => match liveness(record) {
            Liveness::Alive => Verdict::Held,
            Liveness::Dead => Verdict::Stale,
            Liveness::Unknown => Verdict::Unverified(Why::NoOsLocks),
        },
    }
}

/// Removes the file; one that is already gone is no error.
pub(super) fn unlink(path: &Utf8Path) -> Result<(), LockError> {
    let remove = || {
        failpoint::reach_at("lock.unlinking", path)?;
        std::fs::remove_file(path)?;
        failpoint::reach_at("lock.unlinked", path)
    };
    match remove() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LockError::at(path, LockStep::Remove)(error))
        }
        _ => Ok(()),
    }
}
