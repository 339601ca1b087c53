//! What looking through a data directory found.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::limits;

use crate::types::{HubId, Sequence};

/// In what respect a data directory is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFindingKind {
    /// The database is damaged: its file, its pages or its indexes.
    Damaged,
    /// It cannot be used by this version: it is a newer one's or another program's.
    Foreign,
    /// Acknowledged transactions in the write-ahead log are lost.
    Log,
    /// Sequences that no entry has.
    Gap,
    /// A row that no entry can be made of.
    Entry,
    /// A rolling hash that does not follow: the entry, or one before it, is not what was stored.
    Chain,
    /// The head or the identity of the log.
    Head,
    /// A counter that is not what was counted.
    Count,
    /// A client that cannot be used.
    Client,
    /// The admin token is missing or none.
    Token,
    /// Others can open what is private.
    Mode,
    /// Something that a killed process left.
    Leftover,
    /// Something else in place of a regular file.
    NotAFile,
}

impl StoreFindingKind {
    /// The name for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Foreign => "foreign",
            Self::Log => "log",
            Self::Gap => "gap",
            Self::Entry => "entry",
            Self::Chain => "chain",
            Self::Head => "head",
            Self::Count => "count",
            Self::Client => "client",
            Self::Token => "token",
            Self::Mode => "mode",
            Self::Leftover => "leftover",
            Self::NotAFile => "not-a-file",
        }
    }
}

impl fmt::Display for StoreFindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreFinding {
    /// The file.
    pub path: Utf8PathBuf,
    /// The sequence that it is about.
    pub sequence: Option<Sequence>,
    /// What kind of thing it is.
    pub kind: StoreFindingKind,
    /// What it is, in one line: no path, no full stop.
    pub detail: String,
}

/// What looking through a data directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreReport {
    /// What is wrong, at most [`limits::VERIFY_MAX_FINDINGS`].
    pub findings: Vec<StoreFinding>,
    /// How many further findings there are.
    pub more: u64,
    /// What is good to know and no damage, a sentence each.
    pub notes: Vec<String>,
    /// The process of the hub that serves the directory; `None` when none does.
    pub running: Option<u32>,
    /// The identity of the log, if it could be read.
    pub hub_id: Option<HubId>,
    /// The last sequence handed out, if it could be read.
    pub head: Option<Sequence>,
    /// Entries that were read.
    pub entries: u64,
    /// Clients that were read, revoked ones included.
    pub clients: u64,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreProgress {
    /// The engine checks its pages.
    Pages,
    /// Entries are read.
    Entries {
        /// How many by now.
        read: u64,
        /// The last sequence.
        head: u64,
    },
}

impl StoreReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// What can be done, and what a hub would do; `None` when nothing is wrong.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        use StoreFindingKind as Kind;
        let any = |kinds: &[Kind]| {
            self.findings
                .iter()
                .any(|found| kinds.contains(&found.kind))
        };
        let hint = if self.is_clean() {
            return None;
        } else if any(&[Kind::Damaged, Kind::Entry, Kind::Chain, Kind::Head]) {
            "stop the hub, keep a copy of the data directory, and restore a backup of it; a hub \
             that starts on it as it is leaves it as it is, and refuses what it cannot read"
        } else if any(&[Kind::Log, Kind::Gap]) {
            "restore a backup that has the lost entries, or have their publishers send them again; \
             a hub that starts on it serves what is left, and never uses the lost sequences again"
        } else if any(&[Kind::Foreign]) {
            "start the hub with the version of ctx that it ran with last, or choose another data \
             directory"
        } else if any(&[Kind::Count, Kind::Client]) {
            "keep a copy of the data directory, and restore a backup of it; no entry is lost"
        } else {
            "mend what is listed; the store itself is whole"
        };
        Some(hint.to_owned())
    }

    pub(super) fn found(
        &mut self,
        path: &Utf8Path,
        kind: StoreFindingKind,
        sequence: Option<Sequence>,
        detail: impl Into<String>,
    ) {
        if self.findings.len() < limits::VERIFY_MAX_FINDINGS {
            self.findings.push(StoreFinding {
                path: path.to_owned(),
                sequence,
                kind,
                detail: detail.into(),
            });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}
