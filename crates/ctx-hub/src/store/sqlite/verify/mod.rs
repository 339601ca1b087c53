//! What is wrong with a data directory. Reads, and never writes.

mod admin;
mod clients;
mod folder;
pub(super) mod open;
mod report;
mod scan;
#[cfg(test)]
mod tests;

pub use report::{StoreFinding, StoreFindingKind, StoreProgress, StoreReport};

use std::error::Error as _;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use ctx_io::{LockStatus, lock};

use self::StoreFindingKind as Kind;
use self::folder::Kept;
use self::open::Company;
use self::scan::Scan;
use super::{file, torn};
use crate::store::error::StoreError;
use crate::store::notice::Notice;

/// How often a store is looked at again because a hub started or stopped meanwhile.
pub(super) const ATTEMPTS: usize = 3;

/// Looks through the data directory `dir`: everything that opening checks and does not, every page,
/// every entry, every counter, every client, the admin token and the modes of files. Blocks, for as
/// long as reading the whole log takes; memory does not grow with it.
///
/// Works with a hub at work, of which it sees one moment, and without one. Nothing in the directory
/// is created, changed or removed. While it reads beside a hub, the hub's write-ahead log grows.
///
/// # Errors
/// [`StoreError::Unavailable`] when hubs come and go faster than it can be read, and what the
/// system refuses. What is wrong with the store is in the report.
pub fn verify(
    dir: &DataDir,
    on_progress: &mut dyn FnMut(StoreProgress),
) -> Result<StoreReport, StoreError> {
    let path = dir.store();
    for _ in 0..ATTEMPTS {
        let before = mark(dir)?;
        let mut report = StoreReport {
            running: before.pid,
            ..StoreReport::default()
        };
        folder::look(dir, &mut report);
        before.note(dir, &mut report);
        let looked = store(dir, before.company, &mut report, on_progress);
        let looked = looked.map(|kept| folder::token(dir, &kept, &mut report));
        // A hub's own files change while it runs, and the engine sees to one moment of them.
        if before.company == Company::Hub || mark(dir)? == before {
            return looked.map(|()| report);
        }
    }
    Err(restless(path))
}

/// Looks at the store that stands alone in `dir`, which nobody else uses, and at nothing beside it
/// but what remembers how far it had got.
///
/// # Errors
/// What the system refuses. What is wrong with the store is in the report.
pub(in crate::store) fn verify_alone(
    dir: &DataDir,
    on_progress: &mut dyn FnMut(StoreProgress),
) -> Result<StoreReport, StoreError> {
    let mut report = StoreReport::default();
    store(dir, Company::Nobody, &mut report, on_progress)?;
    Ok(report)
}

/// Hubs came and went each time that the store at `path` was read.
pub(super) fn restless(path: Utf8PathBuf) -> StoreError {
    let source = io::Error::other("hubs started and stopped on it while it was read");
    StoreError::Unavailable {
        path,
        source: Arc::new(source),
    }
}

/// Looks at the store itself, and answers what it says of the admin token.
fn store(
    dir: &DataDir,
    company: Company,
    report: &mut StoreReport,
    on_progress: scan::Listener<'_>,
) -> Result<Kept, StoreError> {
    let path = dir.store();
    match file::exists(&path) {
        Ok(true) => {}
        Ok(false) => {
            if !dir.old_entries().exists() {
                report.found(&path, Kind::Damaged, None, "is not there");
            }
            return Ok(Kept::Nothing);
        }
        Err(error) => return refused(&path, error, report).map(|()| Kept::Nothing),
    }
    if company == Company::NobodyAndLog
        && let Some(Notice::LogDamaged { path: wal, lost }) = torn::look(&path)?
    {
        let what = format!(
            "was damaged since the hub ended: {lost} or more transactions that had been \
             acknowledged are lost"
        );
        report.found(&wal, Kind::Log, None, what);
    }
    let mut scan = Scan {
        path: &path,
        report,
        acknowledged: (company != Company::Hub).then_some(dir),
        admin: Kept::Nothing,
    };
    let scanned =
        open::open(&path, company).and_then(|connection| scan.run(&connection, &mut *on_progress));
    if let Err(error) = scanned {
        scan.found(Kind::Damaged, None, format!("cannot be read: {error}"));
    }
    Ok(scan.admin)
}

/// What a store that does not open is, as a finding; what the system refused stays an error.
fn refused(path: &Utf8Path, error: StoreError, report: &mut StoreReport) -> Result<(), StoreError> {
    let (kind, what) = match &error {
        StoreError::Damaged { source, .. } => (Kind::Damaged, source.to_string()),
        StoreError::Foreign { .. } => {
            (Kind::Foreign, "is a database of another program".to_owned())
        }
        StoreError::Newer { found, known, .. } => (
            Kind::Foreign,
            format!("has format {found}, and this version knows formats up to {known}"),
        ),
        StoreError::Path(error) => (Kind::NotAFile, error.to_string()),
        StoreError::Io { source, .. } if is_directory(path) => {
            let cause = source.source().map(ToString::to_string);
            let cause = cause.unwrap_or_else(|| "is a directory".to_owned());
            (Kind::NotAFile, cause)
        }
        _ => return Err(error),
    };
    report.found(path, kind, None, what);
    Ok(())
}

fn is_directory(path: &Utf8Path) -> bool {
    path.is_dir()
}

/// What tells that a hub started, stopped or died meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) company: Company,
    pid: Option<u32>,
    dead: Option<u32>,
    files: Vec<Option<(u64, u64, i64, i64)>>,
}

impl Mark {
    fn note(&self, dir: &DataDir, report: &mut StoreReport) {
        if let Some(pid) = self.dead {
            let path = dir.path();
            report.notes.push(format!(
                "the hub of {path}, process {pid}, ended without closing it; the next start puts \
                 that in order"
            ));
        }
    }
}

/// Looks who is at work in `dir`.
pub(super) fn mark(dir: &DataDir) -> Result<Mark, StoreError> {
    let files: Vec<_> = file::all(&dir.store())
        .iter()
        .map(|path| {
            let found = fs_err::symlink_metadata(path).ok()?;
            Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        })
        .collect();
    let log = file::size(&file::wal(&dir.store()))?.is_some_and(|bytes| bytes > 0);
    let alone = if log {
        Company::NobodyAndLog
    } else {
        Company::Nobody
    };
    let (company, pid, dead) = match lock::inspect(&dir.lock()) {
        Ok(LockStatus::Free | LockStatus::Unrecorded { .. }) => (alone, None, None),
        Ok(LockStatus::Stale { record, .. }) => (alone, None, Some(record.pid)),
        Ok(LockStatus::Held { record, .. }) => (Company::Hub, Some(record.pid), None),
        Ok(LockStatus::Unverified { record, .. }) => {
            (Company::Hub, record.map(|record| record.pid), None)
        }
        // What is no lock holds nobody off; whoever cannot be told may be there.
        Ok(_) | Err(_) => (Company::Hub, None, None),
    };
    Ok(Mark {
        company,
        pid,
        dead,
        files,
    })
}
