//! Locks that are shown, and removed when nobody holds them any more: the sync lock of a project,
//! and the lock of a hub's data directory.

use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_io::LockError;
use ctx_io::lock::{self, LockRecord, Removed};
use serde::Serialize;

use crate::ui::Report;

/// What became of the lock.
#[derive(Debug, Serialize)]
pub(crate) struct UnlockReport {
    path: Utf8PathBuf,
    /// Whether there was one, which is gone now.
    removed: bool,
    lock_id: Option<String>,
    record: Option<LockRecord>,
}

impl UnlockReport {
    /// Reports what became of the lock at `path`.
    pub(crate) fn new(path: Utf8PathBuf, removed: Removed) -> Self {
        let (lock_id, record) = match removed {
            Removed::Lock { id, record } => (Some(id), record.map(|record| *record)),
            _ => (None, None),
        };
        Self {
            path,
            removed: lock_id.is_some(),
            lock_id,
            record,
        }
    }
}

/// Removes the lock at `path` if its holder is dead for sure, or if it is the one called `id`.
///
/// # Errors
/// Its holder lives, or cannot be told and was not named.
pub(crate) fn remove(path: &Utf8Path, id: Option<&str>) -> Result<Removed, LockError> {
    match id {
        Some(id) => lock::remove_by_id(path, id),
        None => lock::remove_stale(path),
    }
}

impl Report for UnlockReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let path = &self.path;
        match (&self.lock_id, &self.record) {
            (None, _) => writeln!(out, "{path} is free"),
            (Some(id), None) => writeln!(out, "removed {path} (lock {id})"),
            (Some(id), Some(record)) => {
                let LockRecord {
                    command, pid, host, ..
                } = record;
                let since = crate::ui::when(record.since.as_second());
                writeln!(out, "removed {path} (lock {id})")?;
                writeln!(
                    out,
                    "it was held by `{command}`, process {pid} on {host}, since {since}"
                )
            }
        }
    }
}
