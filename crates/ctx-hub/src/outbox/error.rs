//! What can go wrong with an outbox.

use std::io;

use camino::Utf8PathBuf;
use ctx_io::{PathError, ReadError, WriteError};

use super::record::RecordError;
use crate::client::ClientError;

/// An outbox that could not be used. What is in it stays in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// There is no context directory.
    #[error("there is no {path}")]
    NoContext {
        /// Where it should be.
        path: Utf8PathBuf,
    },
    /// As much is queued as may be. The entry was not stored.
    #[error("{path} is full ({entries} entries, {bytes} bytes)")]
    Full {
        /// The outbox.
        path: Utf8PathBuf,
        /// How many entries wait.
        entries: usize,
        /// How large their files are.
        bytes: u64,
    },
    /// A directory of ours is not one.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file could not be written. The entry was not stored.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Anything else; the text names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl OutboxError {
    /// The kind of the underlying error.
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::NoContext { .. } => io::ErrorKind::NotFound,
            Self::Full { .. } => io::ErrorKind::QuotaExceeded,
            Self::Path(error) => error.io_kind(),
            Self::Write(error) => error.io_kind(),
            Self::Io(error) => error.kind(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoContext { .. } => Some("run `ctx init` in the project first".to_owned()),
            Self::Full { .. } => Some(
                "run `ctx connect sync` where the hub can be reached, which sends them".to_owned(),
            ),
            Self::Path(error) => error.hint(),
            Self::Write(error) => error.hint(),
            Self::Io(_) => None,
        }
    }
}

/// A file in the outbox that cannot be sent. It is left as it is and holds up nothing else.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be sent")]
pub struct Unusable {
    /// The file.
    pub path: Utf8PathBuf,
    /// Why not.
    #[source]
    pub why: Why,
}

/// Why a file in the outbox cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// Its name is not that of a queued entry.
    #[error("its name is not that of a queued entry")]
    Name,
    /// It cannot be read: it is a directory, a link, too large, or not ours to read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It does not say what to send.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Unusable {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match &self.why {
            Why::Record(RecordError::Newer { .. }) => "use the newer ctx that wrote it".to_owned(),
            Why::Read(error @ ReadError::Io { .. }) => return error.hint(),
            _ => "publish anew what can be read of it, then move it away".to_owned(),
        })
    }
}

/// An entry that was neither published nor queued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The hub did not take it, and it is not one to be queued.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The hub could not take it now, and it could not be queued.
    #[error("the entry is not stored: {away}, and it cannot be queued")]
    NotQueued {
        /// Why the hub did not take it.
        away: ClientError,
        /// Why it could not be queued.
        source: OutboxError,
    },
}

impl PublishError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.hint(),
            Self::NotQueued { source, .. } => source.hint(),
        }
    }
}
