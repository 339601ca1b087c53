//! One moment of the store as another file, whether a hub is at work on it or not.
//!
//! The engine copies page by page within one snapshot: what the copy holds is what the log held at
//! one commit, and everything that was acknowledged before it began. Publishers go on meanwhile.
//! What they write stays in the write-ahead log until the snapshot is let go.

use std::io;
use std::sync::Arc;

use camino::Utf8Path;
use ctx_config::paths::{DataDir, PRIVATE_FILE_MODE};
use ctx_io::atomic::{self, Mode};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::marks::{self, Mark};
use super::verify::open::{self, Company};
use super::verify::{ATTEMPTS, mark, restless};
use super::{connection, file, read, rows, schema};
use crate::store::error::StoreError;
use crate::types::{Chain, HubId, Sequence};

/// Pages that are copied before it is told how far that is.
const STEP_PAGES: i32 = 1_024;
/// The format from which on the log says all of where it ends.
const END_FORMAT: u32 = 3;

/// What a copy holds.
#[derive(Clone, Debug)]
pub(in crate::store) struct Copied {
    pub(in crate::store) hub_id: HubId,
    pub(in crate::store) head: Sequence,
    /// The hash at the end of the log; `None` in a store of an earlier version.
    pub(in crate::store) chain: Option<Chain>,
    commits: Option<u64>,
}

/// Who is told how many bytes of how many are copied.
pub(in crate::store) type Listener<'a> = &'a mut dyn FnMut(u64, u64);

/// There is less room than a copy takes.
#[derive(Debug, thiserror::Error)]
#[error("it takes {needed} bytes, and {free} are free")]
struct NoRoom {
    needed: u64,
    free: u64,
}

/// Copies the store of `from` into the directory `to`, which nobody else uses, and writes beside it
/// how far it had got. Both are flushed. The store of `from` has to exist; nothing there is created
/// or changed.
///
/// # Errors
/// The store cannot be read, [`StoreError::Full`] when `to` has no room, and what the system refuses.
pub(in crate::store) fn copy(
    from: &DataDir,
    to: &DataDir,
    on_progress: Listener<'_>,
) -> Result<Copied, StoreError> {
    for _ in 0..ATTEMPTS {
        let before = mark(from)?;
        if !file::exists(&from.store())? {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(file::io_error(&from.store(), "read")(missing));
        }
        file::remove(&to.store())?;
        file::create_private(&to.store())?;
        let copied = copy_once(from, to, before.company, on_progress)?;
        // Beside a hub the engine sees to one moment; where none was, none may have come.
        if before.company == Company::Hub || mark(from)? == before {
            finish(to, &copied)?;
            return Ok(copied);
        }
    }
    Err(restless(from.store()))
}

fn copy_once(
    from: &DataDir,
    to: &DataDir,
    company: Company,
    on_progress: Listener<'_>,
) -> Result<Copied, StoreError> {
    let (source, target) = (from.store(), to.store());
    let unread = |error| rows::store_error(&source, Arc::new(error));
    let unwritten = |error| rows::store_error(&target, Arc::new(error));
    let origin = open::open(&source, company).map_err(unread)?;
    let snapshot = origin.unchecked_transaction().map_err(unread)?;
    file::refuse_newer(&source, schema::format(&snapshot).map_err(unread)?)?;
    let copied = end(&snapshot).map_err(unread)?;
    refuse_without_room(&target, bytes(&snapshot).map_err(unread)?)?;
    let mut copy = connection::builder(&target).map_err(unwritten)?;
    pages(&snapshot, &mut copy, on_progress).map_err(unwritten)?;
    copy.close().map_err(|(_, error)| unwritten(error))?;
    Ok(copied)
}

/// Where the log of this snapshot ends.
fn end(snapshot: &Connection) -> rusqlite::Result<Copied> {
    let (hub_id, head) = read::log(snapshot)?;
    let known = schema::format(snapshot)? >= END_FORMAT;
    let tip = known.then(|| read::tip(snapshot)).transpose()?;
    Ok(Copied {
        hub_id,
        head,
        chain: tip.map(|tip| tip.chain),
        commits: tip.map(|tip| tip.commits),
    })
}

/// How large the database of this snapshot is.
fn bytes(snapshot: &Connection) -> rusqlite::Result<u64> {
    let number = |name| -> rusqlite::Result<u64> {
        snapshot.pragma_query_value(None, name, |row| rows::count(row, 0))
    };
    Ok(number("page_count")?.saturating_mul(number("page_size")?))
}

fn refuse_without_room(target: &Utf8Path, needed: u64) -> Result<(), StoreError> {
    let free = ctx_io::free_bytes(target).map_err(file::io_error(target, "look for room at"))?;
    if free >= needed {
        return Ok(());
    }
    Err(StoreError::Full {
        path: target.to_owned(),
        source: Arc::new(NoRoom { needed, free }),
    })
}

/// Copies every page. The snapshot is held by whoever calls, so that the engine has no reason to
/// start over when somebody commits.
fn pages(
    snapshot: &Connection,
    copy: &mut Connection,
    on_progress: Listener<'_>,
) -> rusqlite::Result<()> {
    let page_bytes: u64 =
        snapshot.pragma_query_value(None, "page_size", |row| rows::count(row, 0))?;
    let backup = Backup::new(snapshot, copy)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        let progress = backup.progress();
        let pages = |count: i32| u64::try_from(count).unwrap_or_default();
        let (all, left) = (pages(progress.pagecount), pages(progress.remaining));
        on_progress(
            all.saturating_sub(left).saturating_mul(page_bytes),
            all.saturating_mul(page_bytes),
        );
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Nobody else has either of them open for writing to what is read or written here.
            _ => return Err(rows::failed(io::Error::other("the pages are locked"))),
        }
    }
}

/// Flushes the copy and remembers beside it how far it had got: a hub that starts on it neither
/// misses what was never in it nor takes it for older than it is.
fn finish(to: &DataDir, copied: &Copied) -> Result<(), StoreError> {
    let path = to.store();
    fs_err::File::open(&path)
        .and_then(|file| file.sync_all())
        .map_err(file::io_error(&path, "flush"))?;
    let Some(commits) = copied.commits else {
        return Ok(());
    };
    let mark = Mark {
        commits,
        head: copied.head,
    };
    let line = marks::only(&copied.hub_id, mark);
    let path = to.marks();
    atomic::write(&path, line.as_bytes(), Mode::Exactly(PRIVATE_FILE_MODE))
        .map_err(|error| file::io_error(&path, "write")(error.source))
}
