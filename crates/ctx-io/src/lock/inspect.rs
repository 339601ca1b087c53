//! Looking at a lock without taking it, and removing one that nobody holds any more.

use std::fs::File;
use std::time::Duration;

use camino::Utf8Path;

use super::Wait;
use super::contend::{held, held_by_existence};
use super::error::{LockError, LockStep};
use super::examine::{Ask, Found, Sight, Verdict, examine};
use super::record::{LockRecord, Why};
use super::removal;
use super::wait::Pace;
use crate::failpoint;

/// The state of a lock.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockStatus {
    /// Nobody holds it.
    Free,
    /// Its holder lives.
    Held {
        /// The holder.
        record: Box<LockRecord>,
        /// For how long it has been held; `None` when clocks disagree.
        age: Option<Duration>,
    },
    /// Its holder is dead; the next [`acquire`](super::FileLock::acquire) takes it over, or
    /// [`remove_stale`] removes it.
    Stale {
        /// The dead holder.
        record: Box<LockRecord>,
        /// How long ago it took the lock; `None` when clocks disagree.
        age: Option<Duration>,
    },
    /// Its holder is dead, and nothing else is known of it: its record never reached the disk, as
    /// when the power fails. What is said of [`Stale`](LockStatus::Stale) goes for it too.
    Unrecorded {
        /// What to call it in [`remove_by_id`].
        id: String,
        /// For how long it has been there; `None` when clocks disagree.
        age: Option<Duration>,
    },
    /// It is held by its existence: whether its holder lives cannot be told from here.
    Unverified {
        /// The holder, if the file names one.
        record: Option<Box<LockRecord>>,
        /// What to call it in [`remove_by_id`].
        id: String,
        /// For how long it has been there; `None` when clocks disagree.
        age: Option<Duration>,
        /// Why nothing more is known.
        why: Why,
    },
}

/// What became of a lock that was to be removed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Removed {
    /// There was none.
    WasFree,
    /// It is gone.
    Lock {
        /// What it was called.
        id: String,
        /// Whose it was, if it said.
        record: Option<Box<LockRecord>>,
    },
}

/// Looks at the lock at `path`, and changes nothing.
///
/// # Errors
/// [`LockError::NotAFile`] when something else is there; [`LockError::Io`] when it cannot be
/// read.
pub fn inspect(path: &Utf8Path) -> Result<LockStatus, LockError> {
    let Some(Seen { sight, verdict, .. }) = settled(path, Ask::Shared)? else {
        return Ok(LockStatus::Free);
    };
    Ok(match (verdict, sight.record()) {
        (Verdict::Held, Some(record)) => LockStatus::Held {
            record: Box::new(record.clone()),
            age: sight.age(),
        },
        (Verdict::Stale, Some(record)) => LockStatus::Stale {
            record: Box::new(record.clone()),
            age: sight.age(),
        },
        (Verdict::Unverified(why), _) => unverified(sight, why),
        (Verdict::Stale, None) => LockStatus::Unrecorded {
            age: sight.age(),
            id: sight.id,
        },
        (Verdict::Held, None) => unverified(sight, Why::Foreign),
    })
}

/// Removes the lock at `path` if its holder is dead for sure.
///
/// # Errors
/// [`LockError::Held`] when its holder lives; [`LockError::HeldByExistence`] when that cannot be
/// told; [`LockError::Io`] when it cannot be removed.
pub fn remove_stale(path: &Utf8Path) -> Result<Removed, LockError> {
    remove_if(path, |seen| match seen.verdict {
        Verdict::Stale => Ok(()),
        Verdict::Held => Err(held(path, &seen.sight, Duration::ZERO)),
        Verdict::Unverified(why) => Err(held_by_existence(path, &seen.sight, why, Duration::ZERO)),
    })
}

/// Removes the lock at `path` if it is the one called `id`, because someone who knows better
/// said so. A holder that is seen to live is still respected: end it first. Whoever takes the lock
/// while this removes it waits for this to end, and holds a lock of its own afterwards; only a
/// program that is not ours can lose one that it took in that instant.
///
/// It is also the way to remove what a remover left that died, where nothing tells that it did.
///
/// # Errors
/// [`LockError::OtherId`] when another lock is there; [`LockError::Held`] or
/// [`LockError::HeldByExistence`] when its holder lives; [`LockError::Io`] when it cannot be
/// removed.
pub fn remove_by_id(path: &Utf8Path, id: &str) -> Result<Removed, LockError> {
    if let Some(sight) = removal::withdraw(path, id)? {
        return Ok(removed(sight));
    }
    remove_if(path, |seen| {
        if seen.sight.id != id {
            return Err(LockError::OtherId {
                path: path.to_owned(),
                found: seen.sight.id.clone(),
                wanted: id.to_owned(),
            });
        }
        match seen.verdict {
            Verdict::Held => Err(held(path, &seen.sight, Duration::ZERO)),
            Verdict::Unverified(why) if seen.sight.is_refused() => {
                Err(held_by_existence(path, &seen.sight, why, Duration::ZERO))
            }
            Verdict::Stale | Verdict::Unverified(_) => Ok(()),
        }
    })
}

/// Looks, decides, and removes what was looked at: when another lock is there by then, looks again.
/// The operating system's lock on the file is held to the end, so that nobody takes over what is
/// being removed.
fn remove_if(
    path: &Utf8Path,
    decide: impl Fn(&Seen) -> Result<(), LockError>,
) -> Result<Removed, LockError> {
    loop {
        let Some(seen) = settled(path, Ask::Exclusive)? else {
            return Ok(Removed::WasFree);
        };
        decide(&seen)?;
        failpoint::reach_at("unlock.judged", path)
            .map_err(LockError::at(path, LockStep::Remove))?;
        if removal::remove(path, seen.sight.print)? {
            return Ok(removed(seen.sight));
        }
    }
}

fn removed(sight: Sight) -> Removed {
    Removed::Lock {
        record: sight.record().cloned().map(Box::new),
        id: sight.id,
    }
}

/// A lock that was looked at, and what was made of it.
struct Seen {
    sight: Sight,
    verdict: Verdict,
    /// Keeps the operating system's lock that was granted. Without it, it may not be opened.
    _file: Option<File>,
}

impl Seen {
    fn new(sight: Sight, file: Option<File>) -> Seen {
        Seen {
            verdict: sight.verdict(),
            sight,
            _file: file,
        }
    }
}

/// Looks until what is seen stands still: a takeover or a look under way gets the time it needs.
fn settled(path: &Utf8Path, ask: Ask) -> Result<Option<Seen>, LockError> {
    let mut pace = Pace::new(Wait::No);
    loop {
        match examine(path, ask)? {
            Found::Nothing => return Ok(None),
            Found::Moved => pace.churn(),
            Found::Closed(sight) => return Ok(Some(Seen::new(sight, None))),
            Found::File(opened) if opened.sight.is_settling() && pace.settle() => {}
            Found::File(opened) => return Ok(Some(Seen::new(opened.sight, Some(opened.file)))),
        }
    }
}

fn unverified(sight: Sight, why: Why) -> LockStatus {
    LockStatus::Unverified {
        record: sight.record().cloned().map(Box::new),
        age: sight.age(),
        id: sight.id,
        why,
    }
}
