//! What a sync is told, and what it tells.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use camino::Utf8PathBuf;
use ctx_io::{LockRecord, Wait};

use super::error::SyncError;
use crate::entry::Entry;
use crate::outbox::{OutboxError, SendReport};
use crate::types::{EntryType, LogMark, Sequence};

/// How to sync.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// What to do when the lock is held.
    pub wait: Wait,
    /// What the lock says its holder is doing, in the words of its user.
    pub command: String,
    /// The version of the program, for the lock's record.
    pub version: String,
    /// Build the mirror anew from the hub's first entry, whatever stands there.
    pub full: bool,
}

impl Default for SyncOptions {
    /// Does not wait and syncs what is new.
    fn default() -> Self {
        Self {
            wait: Wait::No,
            command: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            full: false,
        }
    }
}

/// What a sync did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncReport {
    /// How many entries were appended, by type; of a full sync, all that the mirror holds.
    pub new_entries: BTreeMap<EntryType, u64>,
    /// How many queued entries the hub holds now that were not there before.
    pub sent: u64,
    /// Up to where each type is mirrored now.
    pub cursors: BTreeMap<EntryType, Sequence>,
    /// How far the hub's log is known, and its rolling hash up to there; `None` while no hub has
    /// said, as an older one does not.
    pub log: Option<LogMark>,
    /// The dead holder from whom the lock was taken over.
    pub took_over: Option<LockRecord>,
    /// Whether the mirror was built anew.
    pub rebuilt: bool,
    /// Changed files that a rebuild kept beside the new ones.
    pub set_aside: Vec<Utf8PathBuf>,
    /// What was noticed on the way.
    pub warnings: Vec<SyncWarning>,
}

impl SyncReport {
    /// How many entries were appended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.new_entries.values().sum()
    }
}

/// What listening did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenReport {
    /// How many entries were appended, by type.
    pub new_entries: BTreeMap<EntryType, u64>,
    /// How often the hub was dialled again after a stream had ended.
    pub reconnects: u64,
}

impl ListenReport {
    /// How many entries were appended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.new_entries.values().sum()
    }
}

/// Something that a person should know, and that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncWarning {
    /// Entries were changed by hand. They stay as they are.
    Edited {
        /// The mirror file.
        path: Utf8PathBuf,
        /// The entries.
        sequences: Vec<Sequence>,
    },
    /// Text that is not ours stands between entries. It stays.
    Foreign {
        /// The mirror file.
        path: Utf8PathBuf,
    },
    /// The state was lost and has been made again from the mirror.
    Recovered {
        /// The state file.
        path: Utf8PathBuf,
    },
    /// A full sync had been interrupted after it was complete; it has been finished.
    FinishedRebuild {
        /// Changed files that were kept beside the new ones.
        set_aside: Vec<Utf8PathBuf>,
    },
    /// The lock was taken over from a holder that died, and whose record had not reached the disk.
    TookOverUnrecorded {
        /// The lock.
        path: Utf8PathBuf,
    },
}

impl fmt::Display for SyncWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { path, sequences } => {
                let numbers: Vec<String> = sequences.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "{path} was edited by hand in entry {}",
                    numbers.join(", ")
                )
            }
            Self::Foreign { path } => write!(f, "{path} holds text that was not mirrored"),
            Self::Recovered { path } => {
                write!(f, "{path} was lost and has been made again from the mirror")
            }
            Self::FinishedRebuild { .. } => {
                f.write_str("an interrupted full sync has been finished")
            }
            Self::TookOverUnrecorded { path } => write!(
                f,
                "took over {path} from a process that died and whose record is lost, as after a \
                 power cut"
            ),
        }
    }
}

/// What happens while a sync or a listener runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyncEvent {
    /// The lock was taken over from a holder that died.
    TookOver(LockRecord),
    /// Something was noticed.
    Warning(SyncWarning),
    /// Entries were appended and committed.
    Chunk {
        /// They, in order.
        entries: Vec<Entry>,
        /// How many altogether by now.
        total: u64,
    },
    /// What became of entries that were queued; not told when there was nothing to do.
    Outbox(SendReport),
    /// The outbox could not be used. What is queued stays so.
    OutboxUnusable(OutboxError),
    /// Only of a listener: the mirror is up to date, and entries are awaited.
    Connected,
    /// Only of a listener: the hub cannot be reached or went away, the disk takes nothing, or
    /// somebody else holds the lock for long.
    Disconnected {
        /// What happened; `None` when the hub ended the stream, as it does when it stops.
        error: Option<SyncError>,
        /// When it will be tried again.
        retry_in: Duration,
    },
}

/// Adds counts by type to counts by type.
pub(super) fn add(sum: &mut BTreeMap<EntryType, u64>, more: &BTreeMap<EntryType, u64>) {
    for (&entry_type, count) in more {
        *sum.entry(entry_type).or_default() += count;
    }
}
