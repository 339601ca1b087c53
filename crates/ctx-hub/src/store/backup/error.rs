//! What can go wrong around a backup.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_io::{PathError, ReadError, StageError, WriteError};

use crate::store::StoreError;
use crate::store::verify::StoreReport;

const NO_ROOM: &str = "free some space there, or put it on another disk; nothing was left behind";

/// A backup that was not made, or of which nothing was made. No half of it stands anywhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is no store to back up.
    #[error("{data_dir} holds no hub")]
    NoHub {
        /// The data directory.
        data_dir: Utf8PathBuf,
    },
    /// The backup would lie in what is backed up.
    #[error("{path} lies in the data directory {data_dir}")]
    Inside {
        /// Where the backup was to be.
        path: Utf8PathBuf,
        /// The data directory.
        data_dir: Utf8PathBuf,
    },
    /// There is no backup to restore.
    #[error("{path} is no backup of a hub")]
    NoBackup {
        /// What was named as one.
        path: Utf8PathBuf,
    },
    /// The manifest cannot be used.
    #[error("cannot use {path}")]
    Manifest {
        /// The manifest.
        path: Utf8PathBuf,
        /// Why.
        source: ManifestFault,
    },
    /// A file is not what the manifest says.
    #[error("{path} is not the file that the backup was made with")]
    Altered {
        /// The file.
        path: Utf8PathBuf,
    },
    /// Something is wrong with the copy, and so with what it is a copy of.
    #[error("{path} is not sound: {}", in_words(report))]
    Unsound {
        /// What was copied.
        path: Utf8PathBuf,
        /// What was found in the copy.
        report: Box<StoreReport>,
    },
    /// It cannot be given its place.
    #[error(transparent)]
    Place(#[from] StageError),
    /// The store cannot be copied or read.
    #[error("cannot copy the store")]
    Store(#[from] StoreError),
    /// The manifest cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The manifest cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something else in place of a file.
    #[error(transparent)]
    Path(PathError),
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// The file.
        path: Utf8PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestFault {
    /// It is not what a manifest is.
    #[error("it is no manifest")]
    Json(#[from] serde_json::Error),
    /// A newer version wrote it.
    #[error("it has format {found}, and this version knows formats up to {known}")]
    Newer {
        /// Its format.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// It names a file that no backup holds.
    #[error("it names a file {name:?}, which no backup holds")]
    Name {
        /// The name.
        name: String,
    },
    /// It names no store, or a file twice.
    #[error("it does not name each file once, the store among them")]
    Files,
    /// The store is another one than it speaks of.
    #[error("it speaks of another store than the one beside it")]
    AnotherStore,
}

impl BackupError {
    /// Whether what was to be copied or restored is damaged.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Unsound { .. } | Self::Manifest { .. } | Self::Altered { .. } => true,
            Self::Store(error) => matches!(
                error,
                StoreError::Damaged { .. } | StoreError::Foreign { .. } | StoreError::Newer { .. }
            ),
            _ => false,
        }
    }

    /// Whether something else should have been asked for.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        let taken = match self {
            Self::Place(StageError::NotEmpty { .. }) => true,
            Self::Place(StageError::Path(error)) | Self::Path(error) => {
                !matches!(error, PathError::Io { .. })
            }
            _ => false,
        };
        let nothing = matches!(
            self,
            Self::NoHub { .. } | Self::Inside { .. } | Self::NoBackup { .. }
        );
        taken || nothing
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHub { .. } => {
                Some("name the data directory of a hub with --data-dir".to_owned())
            }
            Self::Inside { .. } => {
                Some("put it elsewhere, best on another disk or machine".to_owned())
            }
            Self::NoBackup { .. } => {
                Some("name a directory that `ctx hub backup` has made".to_owned())
            }
            Self::Manifest {
                source: ManifestFault::Newer { .. },
                ..
            } => Some("restore it with the version of ctx that made it, or a newer one".to_owned()),
            Self::Manifest { .. } | Self::Altered { .. } => {
                Some("take another copy of this backup, or an earlier backup".to_owned())
            }
            Self::Unsound { report, .. } => report.hint(),
            Self::Store(StoreError::Full { .. }) => Some(NO_ROOM.to_owned()),
            Self::Io { source, .. } if is_want_of_room(source) => Some(NO_ROOM.to_owned()),
            Self::Store(error) => error.hint(),
            Self::Place(error) => error.hint(),
            Self::Write(error) => error.hint(),
            Self::Read(error) => error.hint(),
            Self::Path(error) => error.hint(),
            Self::Io { .. } => None,
        }
    }

    pub(super) fn unsound(path: &Utf8Path, report: StoreReport) -> Self {
        Self::Unsound {
            path: path.to_owned(),
            report: Box::new(report),
        }
    }

    pub(super) fn io(
        action: &'static str,
        path: &Utf8Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }
}

fn is_want_of_room(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge
    )
}

/// The first thing that was found, and how many there are.
fn in_words(report: &StoreReport) -> String {
    let Some(first) = report.findings.first() else {
        return "nothing was found".to_owned();
    };
    let place = first
        .sequence
        .map_or_else(String::new, |sequence| format!("entry {sequence} "));
    let text = format!("{}: {place}{}", first.kind, first.detail);
    match u64::try_from(report.findings.len() - 1).unwrap_or_default() + report.more {
        0 => text,
        more => format!("{text} (and {more} more)"),
    }
}
