//! `ctx connect unlock`: the sync lock, shown, and removed when nobody holds it any more.

use std::io::{self, Write};

use camino::Utf8PathBuf;
use ctx_io::lock::{self, LockRecord, Removed};
use serde::Serialize;

use crate::args::UnlockArgs;
use crate::commands::{Cx, convert};
use crate::error::CliError;
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

/// Removes the lock if its holder is dead for sure, or if it is the one that was named.
///
/// # Errors
/// Its holder lives, or cannot be told and was not named; the message says who it is.
pub(crate) fn run(args: &UnlockArgs, cx: &Cx) -> Result<UnlockReport, CliError> {
    cx.require_context()?;
    let path = cx.context.mirror().sync_lock();
    let removed = match &args.id {
        Some(id) => lock::remove_by_id(&path, id),
        None => lock::remove_stale(&path),
    };
    let (lock_id, record) = match removed.map_err(convert::lock)? {
        Removed::Lock { id, record } => (Some(id), record.map(|record| *record)),
        _ => (None, None),
    };
    Ok(UnlockReport {
        path,
        removed: lock_id.is_some(),
        lock_id,
        record,
    })
}
