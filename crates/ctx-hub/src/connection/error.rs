//! Why a connection file cannot be used.

use std::io;

use camino::Utf8PathBuf;
use ctx_config::limits::KEY_BYTES;
use ctx_io::{LockError, PathError, ReadError, WriteError};

use super::document::DocumentError;

/// A connection file that cannot be read or written. No variant holds a token or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// There is no context directory.
    #[error("{path} is not there")]
    NoContext {
        /// The directory.
        path: Utf8PathBuf,
    },
    /// The project is not registered with a hub.
    #[error("this project is not registered with a hub: {path} is not there")]
    NotRegistered {
        /// The connection file.
        path: Utf8PathBuf,
    },
    /// A connection without types would read back as one with all of them.
    #[error("a connection has to have at least one entry type")]
    NoTypes,
    /// The key that sealed the connection file is gone.
    #[error("the key that seals the connection file is not at {path}")]
    NoKey {
        /// Where it should be.
        path: Utf8PathBuf,
    },
    /// The key has the wrong size.
    #[error("{path} holds {bytes} bytes and not a key of {KEY_BYTES}")]
    KeySize {
        /// The key.
        path: Utf8PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The file is too short to be a sealed one.
    #[error("{path} is cut short: {bytes} bytes hold no sealed connection")]
    Truncated {
        /// The connection file.
        path: Utf8PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The file was changed or cut after it was sealed, or sealed with another key. AES-GCM does not
    /// tell which.
    #[error("{path} cannot be opened: it was changed or cut short, or sealed with another key")]
    NotAuthentic {
        /// The connection file.
        path: Utf8PathBuf,
    },
    /// The file opens and does not describe a connection.
    #[error("{path} opens but does not describe a connection")]
    Document {
        /// The connection file.
        path: Utf8PathBuf,
        /// In what respect.
        source: DocumentError,
    },
    /// Another process is changing the connection file, or its lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file cannot be read; for the key, also that others may open it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file cannot be written.
    #[error(transparent)]
    Save(#[from] WriteError),
    /// A directory cannot be made, or something else is in its place.
    #[error(transparent)]
    Directory(#[from] PathError),
    /// The context directory cannot be looked at.
    #[error(transparent)]
    Look(io::Error),
    /// The document cannot be written.
    #[error("cannot write the connection as JSON")]
    Write(#[source] serde_json::Error),
    /// The document cannot be sealed.
    #[error("cannot seal the connection")]
    Seal,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
}

/// Who has to act on a [`ConnectionError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionErrorKind {
    /// Something has to be set up first.
    NotSetUp,
    /// What is on disk is damaged, or its key is.
    Damaged,
    /// Another process holds the lock of the connection file.
    Busy,
    /// The system refused.
    Io,
}

impl ConnectionError {
    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> ConnectionErrorKind {
        match self {
            Self::NoContext { .. } | Self::NotRegistered { .. } | Self::NoTypes => {
                ConnectionErrorKind::NotSetUp
            }
            Self::NoKey { .. }
            | Self::KeySize { .. }
            | Self::Truncated { .. }
            | Self::NotAuthentic { .. }
            | Self::Document { .. }
            | Self::Read(
                ReadError::Exposed { .. } | ReadError::NotAFile { .. } | ReadError::TooLarge { .. },
            ) => ConnectionErrorKind::Damaged,
            Self::Lock(LockError::Held { .. } | LockError::HeldByExistence { .. }) => {
                ConnectionErrorKind::Busy
            }
            Self::Lock(_)
            | Self::Read(_)
            | Self::Save(_)
            | Self::Directory(_)
            | Self::Look(_)
            | Self::Write(_)
            | Self::Seal
            | Self::Random(_) => ConnectionErrorKind::Io,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoContext { .. } => Some("run `ctx init` in the project's directory".to_owned()),
            Self::NotRegistered { .. } => {
                Some("run `ctx connect register HUB --token TOKEN`".to_owned())
            }
            Self::NoTypes => Some("subscribe to at least one type".to_owned()),
            Self::NoKey { .. } => Some(format!(
                "put the key back if you have it elsewhere; otherwise {REGISTER_AGAIN}"
            )),
            Self::KeySize { path, .. } => Some(format!(
                "put the right key back if you have it elsewhere; otherwise remove {path} and {REGISTER_AGAIN}"
            )),
            Self::Truncated { .. } | Self::NotAuthentic { .. } | Self::Document { .. } => {
                Some(REGISTER_AGAIN.to_owned())
            }
            Self::Read(ReadError::TooLarge { .. }) => Some(REGISTER_AGAIN.to_owned()),
            Self::Read(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Save(error) => error.hint(),
            Self::Directory(error) => error.hint(),
            Self::Look(_) | Self::Write(_) | Self::Seal | Self::Random(_) => None,
        }
    }
}

/// The way out of most damage. The old name is taken until its client is revoked.
const REGISTER_AGAIN: &str = "register this project again: `ctx connect register HUB --token TOKEN --force`, after `ctx hub revoke` of the old client or with another --project";
