//! Taking a lock: create it, take it over from the dead, or be told who has it.

use std::time::Duration;

use camino::Utf8Path;

use super::error::{LockError, LockStep};
use super::examine::{Ask, Found, Opened, Sight, Verdict, examine};
use super::record::{self, LockRecord, Why};
use super::removal::{self, Pending};
use super::wait::Pace;
use super::{FileLock, Holder, Wait};
use crate::file_id::FileId;
use crate::{failpoint, flush};

/// The outcome of one try.
enum Attempt {
    Won(Box<FileLock>),
    /// The file went away, or another came in its place, while it was looked at.
    Moved,
    /// What was seen. The file is closed, or who waits would keep others from it.
    Refused(Box<Sight>),
}

pub(super) fn acquire(
    path: &Utf8Path,
    holder: &Holder<'_>,
    wait: Wait,
) -> Result<FileLock, LockError> {
    let mut pace = Pace::new(wait);
    loop {
        match attempt(path, holder)? {
            Attempt::Won(lock) => match claim(*lock, &mut pace)? {
                Some(lock) => return Ok(lock),
                None => pace.churn(),
            },
            Attempt::Moved => pace.churn(),
            // About to change hands, it is worth another try even without a wait.
            Attempt::Refused(sight) => {
                let again = pace.wait() || (sight.is_settling() && pace.settle());
                if !again {
                    return Err(refusal(path, &sight, pace.waited()));
                }
            }
        }
    }
}

/// Waits until nobody removes a lock any more who may have looked before this one was in place;
/// `None` when one of them has removed it. (Model: ClaimList, ClaimLook, ClaimStat.)
fn claim(mut lock: FileLock, pace: &mut Pace) -> Result<Option<FileLock>, LockError> {
    while let Some(pending) = removal::pending(&lock.path)? {
        failpoint::reach_at("unlock.waiting", &lock.path)
            .map_err(LockError::at(&lock.path, LockStep::Inspect))?;
        if !pace.settle() && !pace.wait() {
            lock.announces = true;
            let Pending { path, sight, why } = pending;
            return Err(held_by_existence(&path, &sight, why, pace.waited()));
        }
    }
    let found = FileId::of_path(&lock.path).map_err(lock.at(LockStep::Inspect))?;
    if found == Some(lock.id) {
        return Ok(Some(lock));
    }
    lock.released = true;
    Ok(None)
}

fn attempt(path: &Utf8Path, holder: &Holder<'_>) -> Result<Attempt, LockError> {
    match examine(path, Ask::Exclusive)? {
        // Looked at first, so that only who has a chance pays for a temporary file.
        Found::Nothing => Ok(FileLock::create(path, holder)?
            .map_or(Attempt::Moved, |lock| Attempt::Won(Box::new(lock)))),
        Found::Moved => Ok(Attempt::Moved),
        Found::Closed(sight) => Ok(Attempt::Refused(Box::new(sight))),
        Found::File(opened) if opened.sight.is_takeable() => take_over(path, holder, *opened),
        Found::File(opened) => Ok(Attempt::Refused(Box::new(opened.sight))),
    }
}

/// Makes the dead holder's file ours: a new record behind its own. Never unlink and create,
/// which would let two contenders in. (Model: TakeoverCut, TakeoverAppend, TakeoverStat.)
fn take_over(path: &Utf8Path, holder: &Holder<'_>, opened: Opened) -> Result<Attempt, LockError> {
    let at = |step| LockError::at(path, step);
    let Opened {
        file,
        id,
        length,
        sight,
        ..
    } = opened;
    let record = LockRecord::new(holder, true).map_err(at(LockStep::Create))?;
    let line = record.to_line().map_err(at(LockStep::Write))?;
    let length = record::append_line(&file, length, &line).map_err(at(LockStep::Write))?;
    failpoint::reach_at("lock.takeover-written", path).map_err(at(LockStep::Write))?;
    flush::data(&file, path)
        .and_then(|()| failpoint::reach_at("lock.taken-over", path))
        .map_err(at(LockStep::Sync))?;
    if FileId::of_path(path).map_err(at(LockStep::Inspect))? != Some(id) {
        return Ok(Attempt::Moved);
    }
    Ok(Attempt::Won(Box::new(FileLock {
        path: path.to_owned(),
        file,
        id,
        record,
        took_over: sight.record().cloned().map(Box::new),
        from_unrecorded: sight.record().is_none(),
        length,
        announces: false,
        released: false,
    })))
}

fn refusal(path: &Utf8Path, sight: &Sight, waited: Duration) -> LockError {
    match sight.verdict() {
        Verdict::Held => held(path, sight, waited),
        // Its process is dead, but without a lock of the operating system two contenders could
        // both think so: it is for `remove_stale` to end it.
        Verdict::Stale => held_by_existence(path, sight, Why::NoOsLocks, waited),
        Verdict::Unverified(why) => held_by_existence(path, sight, why, waited),
    }
}

pub(super) fn held(path: &Utf8Path, sight: &Sight, waited: Duration) -> LockError {
    match sight.record() {
        Some(record) => LockError::Held {
            path: path.to_owned(),
            record: Box::new(record.clone()),
            age: sight.age(),
            waited,
        },
        None => held_by_existence(path, sight, Why::Foreign, waited),
    }
}

pub(super) fn held_by_existence(
    path: &Utf8Path,
    sight: &Sight,
    why: Why,
    waited: Duration,
) -> LockError {
    LockError::HeldByExistence {
        path: path.to_owned(),
        id: sight.id.clone(),
        age: sight.age(),
        why,
        waited,
    }
}
