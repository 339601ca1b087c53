//! The lock: a file whose existence is the lock, and whose holder the kernel vouches for.
//!
//! - **One wins.** The file is locked (operating system's lock) and written under a temporary
//!   name, then moved into place by a rename that fails if something is there. There is no instant
//!   at which the lock exists without its owner record. A power cut may take the record and leave
//!   the name; by a mark in its mode the file is known as ours all the same.
//! - **The dead do not block.** A contender that finds the file asks for the operating system's
//!   lock on it. Refused: held. Granted: the holder died, and after checking that the path still
//!   names this very file the contender takes it over in place.
//! - **It explains itself.** The file holds one JSON record a line; the last complete line is the
//!   holder. What is not ours (an older program's file, empty or with a word in it) is held by
//!   existence alone, and is never broken without being told to.
//!
//! Held locks map to [`std::io::ErrorKind::AlreadyExists`].
//!
//! The protocol is modelled, and every state of it is explored, in `tests/it/model.rs`: what says
//! `Model:` in a comment is a step of the model, and changes with it.

mod contend;
mod error;
mod examine;
mod inspect;
mod mark;
mod record;
mod removal;
mod wait;

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

pub use error::{LockError, LockStep};
pub use inspect::{LockStatus, Removed, inspect, remove_by_id, remove_stale};
pub use record::{FORMAT, LockRecord, Why};

use crate::file_id::FileId;
use crate::temp;
use crate::{failpoint, flush};

/// Who takes the lock, for the record.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// What it is doing, in the words of its user.
    pub command: &'a str,
    /// The version of the program.
    pub version: &'a str,
}

/// What to do when the lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Say so at once.
    No,
    /// Try again, at growing and jittered intervals, for so long.
    UpTo(Duration),
}

/// A lock that is held; released when dropped.
///
/// [`release`](FileLock::release) does the same and can say what went wrong. When the process is
/// killed, the file stays, the kernel's lock on it goes, and the next contender takes it over.
#[derive(Debug)]
#[must_use = "the lock is released as soon as this guard is dropped"]
pub struct FileLock {
    path: Utf8PathBuf,
    /// Holds the operating system's lock for as long as it is open.
    file: File,
    id: FileId,
    record: LockRecord,
    took_over: Option<Box<LockRecord>>,
    from_unrecorded: bool,
    /// The length of the complete lines.
    length: u64,
    /// Somebody may be about to remove it from outside, so its own removal is announced.
    announces: bool,
    released: bool,
}

impl FileLock {
    /// Takes the lock at `path`. The directory must exist.
    ///
    /// # Errors
    /// [`LockError::Held`] and [`LockError::HeldByExistence`] once `wait` is over;
    /// [`LockError::NotAFile`] when something else is at `path`; [`LockError::Io`] names the step
    /// that failed. Nothing is left behind.
    pub fn acquire(
        path: &Utf8Path,
        holder: &Holder<'_>,
        wait: Wait,
    ) -> Result<FileLock, LockError> {
        let lock = contend::acquire(path, holder, wait)?;
        // Model: Work, which may sweep.
        temp::sweep_for(path);
        Ok(lock)
    }

    /// Where the lock is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// What the lock says of its holder.
    pub fn record(&self) -> &LockRecord {
        &self.record
    }

    /// The record of the dead holder from whom the lock was taken over, if it was.
    pub fn took_over(&self) -> Option<&LockRecord> {
        self.took_over.as_deref()
    }

    /// Whether the lock was taken over from a holder of whom nothing is known but that it is dead:
    /// its record never reached the disk, as when the power fails.
    pub fn took_over_unrecorded(&self) -> bool {
        self.from_unrecorded
    }

    /// Makes the lock say what its holder is doing now, and checks that it is still held.
    ///
    /// # Errors
    /// [`LockError::Lost`] when someone removed or replaced the file; [`LockError::Io`] when the
    /// phase could not be written (the lock is still held).
    pub fn set_phase(&mut self, phase: &str) -> Result<(), LockError> {
        if FileId::of_path(&self.path).map_err(self.at(LockStep::Inspect))? != Some(self.id) {
            return Err(LockError::Lost {
                path: self.path.clone(),
            });
        }
        let record = self.record.in_phase(phase);
        if record.phase != self.record.phase && self.length < record::MAX_FILE_BYTES {
            let line = record.to_line().map_err(self.at(LockStep::Write))?;
            self.length = record::append_line(&self.file, self.length, &line)
                .map_err(self.at(LockStep::Write))?;
            failpoint::reach_at("lock.phase-written", &self.path)
                .map_err(self.at(LockStep::Write))?;
        }
        self.record = record;
        Ok(())
    }

    /// Releases the lock: removes the file, if it is still the one that was taken. A file that is
    /// already gone is no error.
    ///
    /// # Errors
    /// [`LockError::Lost`] when another file is in its place (it is left alone);
    /// [`LockError::Io`] when the file could not be removed.
    pub fn release(mut self) -> Result<(), LockError> {
        self.remove()
    }

    /// Creates the lock, or `None` when something is at `path` by the time it is complete.
    /// (Model: TempCreate, TempFlock, TempStat, TempWrite, Publish; TempDiscard on the way out.)
    fn create(path: &Utf8Path, holder: &Holder<'_>) -> Result<Option<FileLock>, LockError> {
        let at = |step| LockError::at(path, step);
        let (mut temp, marked) = mark::create(path).map_err(at(LockStep::Create))?;
        let record = LockRecord::new(holder, temp.is_os_locked()).map_err(at(LockStep::Create))?;
        let line = record.to_line().map_err(at(LockStep::Write))?;
        temp.write_all(&line)
            .and_then(|()| failpoint::reach_at("lock.written", path))
            .map_err(at(LockStep::Write))?;
        if !marked {
            // Without this a power cut may leave the name without the record: a lock that looks
            // like an older program's, which nobody may break.
            flush::data(temp.file(), path)
                .and_then(|()| failpoint::reach_at("lock.flushed", path))
                .map_err(at(LockStep::Sync))?;
        }
        let id = FileId::of(temp.metadata());
        let Some(file) = temp.publish_new(path).map_err(at(LockStep::Publish))? else {
            return Ok(None);
        };
        let lock = FileLock {
            path: path.to_owned(),
            file,
            id,
            announces: !record.os_lock,
            record,
            took_over: None,
            from_unrecorded: false,
            length: record::length_of(&line),
            released: false,
        };
        // From here on a failure drops the lock, which releases it.
        failpoint::reach_at("lock.linked", path).map_err(at(LockStep::Publish))?;
        Ok(Some(lock))
    }

    /// Unlinks while still holding, so that whoever gets the kernel's lock on this file next sees
    /// that the path no longer names it. Without that lock, anybody could have replaced the file
    /// between the look and the end. (Model: ReleaseStat, ReleaseUnlink; QuitStat, QuitUnlink; the
    /// guard closes.)
    fn remove(&mut self) -> Result<(), LockError> {
        if std::mem::replace(&mut self.released, true) {
            return Ok(());
        }
        if self.announces {
            return removal::remove_own(&self.path, self.id);
        }
        match FileId::of_path(&self.path).map_err(self.at(LockStep::Inspect))? {
            None => Ok(()),
            Some(id) if id == self.id => examine::unlink(&self.path),
            Some(_) => Err(LockError::Lost {
                path: self.path.clone(),
            }),
        }
    }

    fn at(&self, step: LockStep) -> impl FnOnce(std::io::Error) -> LockError + use<> {
        LockError::at(&self.path, step)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Nobody to report to; a file that stays behind is taken over by the next contender.
        drop(self.remove());
    }
}

#[cfg(test)]
mod tests;
