//! Removing a lock file without taking it from whoever got it in the meantime.
//!
//! No system compares and unlinks in one step. Where the operating system's lock on the file is held
//! from the look to the end, nobody else can change what the path names. Where there are no such
//! locks, and for files that are not ours, a remover *announces* itself by a file of its own beside
//! the lock; then it looks again, unlinks, and withdraws. Whoever takes the lock looks for
//! announcements once it is in place, waits for them to go, and holds it only if the path still
//! names it then:
//!
//! - a remover that unlinks a lock put in place after its second look has announced itself before
//!   that lock was there, so its owner sees the announcement, or comes after the unlinking;
//! - in both cases the owner looks at the path after it, and takes the lock anew.
//!
//! An announcement has a random name, so that one whose owner died is removed by anybody at any
//! time. It says who its owner is in the way a lock does.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::error::{LockError, LockStep};
use super::examine::{Ask, Found, Sight, Verdict, examine, unlink};
use super::record::{LockRecord, Why};
use super::{Holder, mark};
use crate::failpoint;
use crate::file_id::{FileId, lstat};
use crate::temp;

/// What an announcement's name ends with.
const SUFFIX: &str = ".removing";

/// A file as it was seen; one that was taken over in place is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    id: FileId,
    length: u64,
    modified: (i64, i64),
}

impl Print {
    pub(super) fn of(metadata: &Metadata) -> Print {
        Print {
            id: FileId::of(metadata),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// An announcement; withdrawn when dropped.
struct Announcement {
    path: Utf8PathBuf,
    /// Keeps the operating system's lock on it, where there is one.
    _file: std::fs::File,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // One that stays says that its owner is dead, as soon as that is so.
        drop(std::fs::remove_file(&self.path));
    }
}

fn announce(lock: &Utf8Path) -> Result<Announcement, LockError> {
    use std::io::Write as _;
    let at = |step| LockError::at(lock, step);
    // Not flushed: where it has no mark, nothing but its id ends one that a power cut emptied.
    let (mut temp, _) = mark::create(lock).map_err(at(LockStep::Create))?;
    let holder = Holder {
        command: "removing a lock",
        version: env!("CARGO_PKG_VERSION"),
    };
    let record = LockRecord::new(&holder, temp.is_os_locked()).map_err(at(LockStep::Create))?;
    let line = record.to_line().map_err(at(LockStep::Write))?;
    temp.write_all(&line).map_err(at(LockStep::Write))?;
    let path = temp.sibling(SUFFIX);
    let published = temp.publish_new(&path).map_err(at(LockStep::Publish))?;
    let file = published.ok_or_else(|| {
        let taken = std::io::Error::other("a random name is taken");
        LockError::at(lock, LockStep::Publish)(taken)
    })?;
    let announcement = Announcement { path, _file: file };
    failpoint::reach_at("unlock.announced", lock).map_err(at(LockStep::Publish))?;
    Ok(announcement)
}

/// Removes the lock at `path` if it is still as it was `seen`; false when it is not. (Model:
/// RemoveAnnounce, RemoveStat, RemoveUnlink, Withdraw.)
pub(super) fn remove(path: &Utf8Path, seen: Print) -> Result<bool, LockError> {
    let _announcement = announce(path)?;
    let metadata = lstat(path).map_err(LockError::at(path, LockStep::Inspect))?;
    match metadata.map(|metadata| Print::of(&metadata)) {
        None => Ok(true),
        Some(now) if now == seen => unlink(path).map(|()| true),
        Some(_) => Ok(false),
    }
}

/// Removes the lock at `path` if it is the file `id`, which is the caller's own. (Model:
/// ReleaseAnnounce, ReleaseStat, ReleaseUnlink; QuitAnnounce, QuitStat, QuitUnlink; Withdraw.)
pub(super) fn remove_own(path: &Utf8Path, id: FileId) -> Result<(), LockError> {
    // Without room for an announcement it is still released: to leave it would block everybody.
    let _announcement = announce(path).ok();
    match FileId::of_path(path).map_err(LockError::at(path, LockStep::Inspect))? {
        None => Ok(()),
        Some(found) if found == id => unlink(path),
        Some(_) => Err(LockError::Lost {
            path: path.to_owned(),
        }),
    }
}

/// An announcement whose owner is not known to be dead.
pub(super) struct Pending {
    pub(super) path: Utf8PathBuf,
    pub(super) sight: Sight,
    pub(super) why: Why,
}

/// Looks for announcements beside the lock at `path`, and removes those of the dead. (Model:
/// ClaimList, ClaimLook, ClaimClear.)
pub(super) fn pending(path: &Utf8Path) -> Result<Option<Pending>, LockError> {
    for found in announcements(path)? {
        let (sight, why) = match examine(&found, Ask::Shared)? {
            Found::Nothing | Found::Moved => continue,
            Found::Closed(sight) => (sight, Why::NotReadable),
            Found::File(opened) if opened.sight.verdict() == Verdict::Stale => {
                unlink(&found)?;
                continue;
            }
            Found::File(opened) => (opened.sight, Why::BeingRemoved),
        };
        return Ok(Some(Pending {
            path: found,
            sight,
            why,
        }));
    }
    Ok(None)
}

/// Removes the announcement called `id`, because someone who knows better said so.
pub(super) fn withdraw(path: &Utf8Path, id: &str) -> Result<Option<Sight>, LockError> {
    for found in announcements(path)? {
        let sight = match examine(&found, Ask::Shared)? {
            Found::Nothing | Found::Moved => continue,
            Found::Closed(sight) => sight,
            Found::File(opened) if opened.sight.verdict() == Verdict::Held => continue,
            Found::File(opened) => opened.sight,
        };
        if sight.id == id {
            unlink(&found)?;
            return Ok(Some(sight));
        }
    }
    Ok(None)
}

fn announcements(path: &Utf8Path) -> Result<Vec<Utf8PathBuf>, LockError> {
    temp::siblings(path, SUFFIX).map_err(LockError::at(path, LockStep::Inspect))
}
