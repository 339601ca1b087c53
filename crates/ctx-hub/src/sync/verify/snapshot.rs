//! State and files as they were together at one moment, without the lock.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use ctx_config::limits;
use ctx_config::paths::MirrorDir;
use ctx_io::{LockError, LockStatus, lock};
use fs_err::File;

use super::report::{Finding, FindingKind as Kind};
use crate::sync::error::SyncError;
use crate::sync::recover;
use crate::sync::state::{Recorded, SyncState};
use crate::types::EntryType;

/// Pause before another look at what changed meanwhile.
const PAUSE: Duration = Duration::from_millis(2);

/// What the mirror was at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// What the state file says; a finding when it cannot be used.
    pub(super) state: Result<Recorded, Finding>,
    pub(super) files: BTreeMap<EntryType, Opened>,
    /// A finding about the lock.
    pub(super) lock: Option<Finding>,
    /// A full sync died while its mirror took this one's place: files and state do not belong
    /// together until the next sync has finished it.
    pub(super) half_swapped: bool,
    mark: Mark,
    calm: Option<Calm>,
}

/// A mirror file, opened.
#[derive(Debug)]
pub(super) enum Opened {
    Absent,
    File {
        file: File,
        length: u64,
    },
    /// It cannot be read as a file.
    Fault(Finding),
}

/// What changes with every commit and every swap: which files the names stand for.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    state: Option<Identity>,
    files: Vec<Option<(u64, u64)>>,
}

/// That nobody is at work: the dead holder of the lock if there is one, and the lengths of the
/// files, which only an append changes.
#[derive(Debug, PartialEq, Eq)]
struct Calm {
    dead: Option<String>,
    lengths: Vec<Option<u64>>,
}

/// Device, inode, modification time.
type Identity = (u64, u64, i64, i64);

/// Takes a snapshot of the mirror in `dir`, again and again until nothing changed in between.
pub(super) fn take(dir: &MirrorDir) -> Result<Snapshot, SyncError> {
    let until = Instant::now() + limits::VERIFY_SNAPSHOT_WAIT;
    loop {
        let (before, calm) = (mark(dir)?, calm(dir)?);
        let snapshot = look(dir, before, calm);
        let swapping = is_complete(&dir.rebuild());
        let stands = snapshot.stands(dir);
        if stands || (!swapping && mark(dir)? == snapshot.mark) {
            let calm = snapshot.calm.filter(|_| stands);
            let half_swapped = swapping;
            return Ok(Snapshot {
                half_swapped,
                calm,
                ..snapshot
            });
        }
        if Instant::now() > until {
            let text = format!("{} changes faster than it can be looked at", dir.path());
            return Err(std::io::Error::new(ErrorKind::ResourceBusy, text).into());
        }
        std::thread::sleep(PAUSE);
    }
}

impl Snapshot {
    /// Whether nobody was at work when it was taken.
    pub(super) const fn is_quiet(&self) -> bool {
        self.calm.is_some()
    }

    /// Whether nobody was at work then and nobody has changed anything since.
    pub(super) fn stands(&self, dir: &MirrorDir) -> bool {
        self.calm.is_some()
            && calm(dir).is_ok_and(|now| now == self.calm)
            && mark(dir).is_ok_and(|now| now == self.mark)
    }

    /// Whether a state says what the files should hold.
    pub(super) const fn is_recorded(&self) -> bool {
        matches!(&self.state, Ok(Recorded::Current(_) | Recorded::Older(_)))
    }

    /// The state, if one of ours could be read.
    pub(super) const fn current(&self) -> Option<&SyncState> {
        match &self.state {
            Ok(Recorded::Current(state)) => Some(state),
            _ => None,
        }
    }
}

fn look(dir: &MirrorDir, mark: Mark, calm: Option<Calm>) -> Snapshot {
    let state = recover::read_file(dir).map_err(|error| state_finding(&dir.state(), &error));
    let files = EntryType::ALL
        .into_iter()
        .map(|of| (of, open(&dir.path().join(of.mirror_file()))));
    Snapshot {
        state,
        files: files.collect(),
        lock: look_at_lock(&dir.sync_lock()),
        half_swapped: false,
        mark,
        calm,
    }
}

/// What is wrong with the lock.
fn look_at_lock(path: &Utf8Path) -> Option<Finding> {
    match lock::inspect(path) {
        Ok(LockStatus::Stale { record, .. }) => {
            let what = format!(
                "`{}`, process {} on {}, died while it held it",
                record.command, record.pid, record.host
            );
            Some(Finding::new(path, Kind::StaleLock, what))
        }
        Ok(LockStatus::Unrecorded { .. }) => {
            let what = "its holder died, and its record is lost, as after a power cut".to_owned();
            Some(Finding::new(path, Kind::StaleLock, what))
        }
        Ok(_) => None,
        Err(LockError::NotAFile { found, .. }) => {
            let what = format!("is {found}, not a lock");
            Some(Finding::new(path, Kind::NotAFile, what))
        }
        Err(error) => Some(unreadable(path, &error)),
    }
}

fn state_finding(path: &Utf8Path, error: &SyncError) -> Finding {
    match error {
        SyncError::State { source, .. } => {
            Finding::new(path, Kind::State, format!("cannot be used: {source}"))
        }
        SyncError::Io(error) => not_a_file(path).unwrap_or_else(|| unreadable(path, error)),
        other => unreadable(path, other),
    }
}

fn open(path: &Utf8Path) -> Opened {
    if let Some(finding) = not_a_file(path) {
        return Opened::Fault(finding);
    }
    let opened = File::open(path).and_then(|file| {
        let length = file.metadata()?.len();
        Ok((file, length))
    });
    match opened {
        Ok((file, length)) => Opened::File { file, length },
        Err(error) if error.kind() == ErrorKind::NotFound => Opened::Absent,
        Err(error) => Opened::Fault(unreadable(path, &error)),
    }
}

/// What is at `path`, when it is no regular file.
pub(super) fn not_a_file(path: &Utf8Path) -> Option<Finding> {
    let found = fs_err::symlink_metadata(path).ok()?.file_type();
    let what = match () {
        () if found.is_file() => return None,
        () if found.is_symlink() => "is a symbolic link, not a file",
        () if found.is_dir() => "is a directory, not a file",
        () => "is a special file",
    };
    Some(Finding::new(path, Kind::NotAFile, what))
}

/// That the system refused, in its words and without the path.
pub(super) fn unreadable(path: &Utf8Path, error: &dyn std::error::Error) -> Finding {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Finding::new(path, Kind::Unreadable, format!("cannot be read: {cause}"))
}

fn mark(dir: &MirrorDir) -> Result<Mark, SyncError> {
    let state = metadata(&dir.state())?;
    Ok(Mark {
        state: state.map(|found| (found.dev(), found.ino(), found.mtime(), found.mtime_nsec())),
        files: of_files(dir, |found| (found.dev(), found.ino()))?,
    })
}

/// That nobody is at work; `None` when somebody is, or when that cannot be told.
fn calm(dir: &MirrorDir) -> Result<Option<Calm>, SyncError> {
    let dead = match lock::inspect(&dir.sync_lock()) {
        Ok(LockStatus::Free) | Err(LockError::NotAFile { .. }) => None,
        Ok(LockStatus::Stale { record, .. }) => Some(record.lock_id),
        Ok(LockStatus::Unrecorded { id, .. }) => Some(id),
        _ => return Ok(None),
    };
    let lengths = of_files(dir, Metadata::len)?;
    Ok(Some(Calm { dead, lengths }))
}

fn of_files<T>(
    dir: &MirrorDir,
    what: impl Fn(&Metadata) -> T,
) -> Result<Vec<Option<T>>, SyncError> {
    let files = EntryType::ALL.into_iter();
    files
        .map(|of| {
            Ok(metadata(&dir.path().join(of.mirror_file()))?
                .as_ref()
                .map(&what))
        })
        .collect()
}

fn metadata(path: &Utf8Path) -> Result<Option<Metadata>, SyncError> {
    match fs_err::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a rebuild is complete and about to take the mirror's place.
fn is_complete(rebuild: &MirrorDir) -> bool {
    matches!(recover::read_file(rebuild), Ok(Recorded::Current(state)) if state.complete)
}
