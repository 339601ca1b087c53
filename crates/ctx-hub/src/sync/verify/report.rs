//! What a verification found.

use std::collections::BTreeMap;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::limits;

use crate::client::HubIdentity;
use crate::sync::error::SyncError;
use crate::types::{EntryType, Sequence};

/// In what respect something is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingKind {
    /// An entry whose bytes were changed.
    Edited,
    /// Text that was not mirrored, between entries or behind them.
    Foreign,
    /// An entry, a sequence or an id that comes twice.
    Duplicate,
    /// An entry that stands behind one with a larger sequence.
    Order,
    /// Entries that the hub has, up to the cursor, and the file has not.
    Hole,
    /// A well-formed entry that is not at the hub, or differs there.
    Forged,
    /// An entry in the recorded part of a file and yet behind the cursor.
    Beyond,
    /// An append that was killed; the next sync finishes it.
    Torn,
    /// A file with fewer bytes than were mirrored to it.
    Short,
    /// A file that is gone.
    Missing,
    /// Something else in place of a regular file: a directory, a symbolic link, a device.
    NotAFile,
    /// The system does not let it be read.
    Unreadable,
    /// The state file cannot be used.
    State,
    /// The connection file or its key cannot be used.
    Connection,
    /// A file in the outbox that cannot be sent.
    Unsendable,
    /// The hub's log is not the one that the mirror was made from.
    Diverged,
    /// Something that a killed process left.
    Leftover,
    /// A lock whose holder died; the next sync takes it over.
    StaleLock,
    /// Others can open what is private, or write into the mirror.
    Mode,
    /// Something in the mirror's folder that nobody knows.
    Unknown,
}

impl FindingKind {
    /// The name for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Foreign => "foreign",
            Self::Duplicate => "duplicate",
            Self::Order => "order",
            Self::Hole => "hole",
            Self::Forged => "forged",
            Self::Beyond => "beyond",
            Self::Torn => "torn",
            Self::Short => "short",
            Self::Missing => "missing",
            Self::NotAFile => "not-a-file",
            Self::Unreadable => "unreadable",
            Self::State => "state",
            Self::Connection => "connection",
            Self::Unsendable => "unsendable",
            Self::Diverged => "diverged",
            Self::Leftover => "leftover",
            Self::StaleLock => "stale-lock",
            Self::Mode => "mode",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the next sync mends it by itself: the trace of a process that was killed.
    #[must_use]
    pub const fn heals(self) -> bool {
        matches!(self, Self::Torn | Self::Leftover | Self::StaleLock)
    }

    /// Whether mirror files or their state are wrong, which entries from the hub put right.
    pub(super) const fn is_of_content(self) -> bool {
        matches!(
            self,
            Self::Edited
                | Self::Foreign
                | Self::Duplicate
                | Self::Order
                | Self::Hole
                | Self::Forged
                | Self::Beyond
                | Self::Short
                | Self::Missing
                | Self::NotAFile
                | Self::State
        )
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file or directory.
    pub path: Utf8PathBuf,
    /// The line, from 1, where it begins.
    pub line: Option<u64>,
    /// The sequence of the entry, as the file or the hub says.
    pub sequence: Option<Sequence>,
    /// The id of the entry.
    pub id: Option<String>,
    /// What kind of thing it is.
    pub kind: FindingKind,
    /// What it is, in one line: no path, no full stop.
    pub detail: String,
}

impl Finding {
    pub(super) fn new(path: &Utf8Path, kind: FindingKind, detail: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            sequence: None,
            id: None,
            kind,
            detail: detail.into(),
        }
    }

    pub(super) const fn at(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) const fn of(mut self, sequence: Sequence) -> Self {
        self.sequence = Some(sequence);
        self
    }

    pub(super) fn named(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }
}

/// Findings, of which only so many are kept.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) listed: Vec<Finding>,
    pub(super) more: u64,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        if self.listed.len() < limits::VERIFY_MAX_FINDINGS {
            self.listed.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    pub(super) fn extend(&mut self, others: Findings) {
        for finding in others.listed {
            self.push(finding);
        }
        self.more = self.more.saturating_add(others.more);
    }
}

/// What a mirror file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSummary {
    /// Entries that are as they were mirrored, or at least well-formed.
    pub entries: u64,
    /// Bytes that were looked at.
    pub bytes: u64,
    /// Entries that an older `ctx` wrote. They carry no sequence and cannot be compared.
    pub older: u64,
}

/// What became of the comparison with the hub.
#[derive(Debug)]
#[non_exhaustive]
pub enum HubCheck {
    /// It was not asked: not wanted, or nothing is mirrored.
    NotAsked,
    /// Every entry was compared with it.
    Compared(HubIdentity),
    /// It did not answer, or refused; what is here was checked by itself.
    Failed(Box<SyncError>),
}

/// What a verification found.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifyReport {
    /// What is wrong; of one file together, in order of lines. At most
    /// [`limits::VERIFY_MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// How many further ones there are.
    pub more: u64,
    /// What each mirror file holds.
    pub files: BTreeMap<EntryType, FileSummary>,
    /// Changed files that a repair or a full sync kept.
    pub set_aside: Vec<Utf8PathBuf>,
    /// A sync was at work: what it had not committed was not looked at.
    pub busy: bool,
    /// Whether the hub was asked.
    pub hub: HubCheck,
}

impl VerifyReport {
    /// Whether nothing was found. It says nothing of a hub that did not answer.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// How many entries were looked at.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.files.values().map(|file| file.entries).sum()
    }

    /// What to do next; `None` when nothing was found.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let any = |kind| self.findings.iter().any(|finding| finding.kind == kind);
        let hint = if self.is_clean() {
            return None;
        } else if any(FindingKind::Diverged) {
            "check that it is the right hub; if it is, run `ctx connect sync --full`, which builds \
             the mirror anew from it"
        } else if self.findings.iter().all(|finding| finding.kind.heals()) {
            "run `ctx connect sync`, which mends it, or `ctx connect verify --repair`"
        } else if self
            .findings
            .iter()
            .all(|found| found.kind == FindingKind::Connection)
        {
            "put the right files back, or register this project again: `ctx connect register HUB \
             --token TOKEN --force`"
        } else if self
            .findings
            .iter()
            .all(|found| found.kind == FindingKind::Unsendable)
        {
            "publish anew what can be read of it, then move it away; nothing else is held up by it"
        } else if !matches!(self.hub, HubCheck::Compared(_))
            && self
                .findings
                .iter()
                .any(|finding| finding.kind.is_of_content())
        {
            "run `ctx connect verify --repair` while the hub can be reached, which mends it and \
             keeps beside it what was changed"
        } else {
            "run `ctx connect verify --repair`, which mends it and keeps beside it what was changed"
        };
        Some(hint.to_owned())
    }
}

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyProgress {
    /// Entries that the hub has sent.
    Hub {
        /// How many by now.
        entries: u64,
    },
    /// Bytes of mirror files that were looked at.
    Files {
        /// How many by now.
        bytes: u64,
        /// How many there are.
        total: u64,
    },
}
