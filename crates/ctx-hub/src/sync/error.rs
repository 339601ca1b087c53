//! What can go wrong with the mirror.

use std::io;
use std::time::Duration;

use camino::Utf8PathBuf;
use ctx_io::{AppendError, LockError, PathError, ReadError, WriteError};

use super::plan::BatchError;
use super::state::StateError;
use crate::client::{ClientError, ClientErrorKind};
use crate::types::{HubId, Sequence};

/// A sync that did not come to its end. What was committed before stays; the lock is released.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// There is no context directory.
    #[error("there is no {path}")]
    NoContext {
        /// Where it should be.
        path: Utf8PathBuf,
    },
    /// The lock is held, or could not be taken or released.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state file cannot be used. It is left as it is.
    #[error("cannot use {path}")]
    State {
        /// The state file.
        path: Utf8PathBuf,
        /// Why.
        source: StateError,
    },
    /// A mirror file is not what its record says. It is left as it is.
    #[error("{path} {fault}")]
    Mirror {
        /// The mirror file.
        path: Utf8PathBuf,
        /// In what respect.
        fault: MirrorFault,
    },
    /// The hub's log is not the one that the mirror was made from. Nothing was changed.
    #[error("the mirror was not made from this hub's log: {how}")]
    Diverged {
        /// In what respect.
        how: Divergence,
    },
    /// A batch does not follow what is mirrored. Nothing was changed.
    #[error("the batch does not fit the mirror")]
    Batch(#[from] BatchError),
    /// The hub could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file or directory could not be read or written.
    #[error(transparent)]
    Io(#[from] FileError),
}

/// In what respect a mirror file is not what its record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorFault {
    /// It has been removed.
    #[error("is gone, and {length} bytes were mirrored to it")]
    Missing {
        /// The bytes that it should have.
        length: u64,
    },
    /// It has been shortened.
    #[error("was changed: it has {found} bytes, and {length} were mirrored to it")]
    Short {
        /// The bytes that it should have.
        length: u64,
        /// The bytes that it has.
        found: u64,
    },
    /// Something was added to it, or inserted.
    #[error("was changed: what stands at byte {offset} is not what was mirrored there")]
    Edited {
        /// Where.
        offset: u64,
    },
    /// It has entries, and no state says which.
    #[error("has entries, and there is no usable state that says which")]
    Unrecorded,
    /// It is a directory or a special file.
    #[error("is not a regular file")]
    NotAFile,
}

/// In what respect a hub's log is another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Divergence {
    /// It has another identity.
    #[error("it is hub {found}, and the mirror is of hub {mirrored}")]
    OtherHub {
        /// The hub that the mirror was made from.
        mirrored: HubId,
        /// The hub that answered.
        found: HubId,
    },
    /// It is shorter than it was.
    #[error("it ends at {head}, and {mirrored} was mirrored (was it restored from a backup?)")]
    SetBack {
        /// The largest sequence mirrored.
        mirrored: Sequence,
        /// The hub's last sequence.
        head: Sequence,
    },
    /// It reaches as far, and holds something else.
    #[error(
        "what it holds up to {known} is not what was mirrored (was it restored from a backup, and \
         published to since?)"
    )]
    Rewritten {
        /// Up to where the log is known that the mirror was made from.
        known: Sequence,
    },
}

/// A file or directory that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A directory of ours is not one.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Reading a file of ours.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Replacing a file of ours.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Appending to a file of ours.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Anything else; the text names the path.
    #[error(transparent)]
    Other(#[from] io::Error),
}

/// Who has to act on a [`SyncError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncErrorKind {
    /// Somebody else holds the lock.
    Busy,
    /// There is no context directory.
    NotSetUp,
    /// State or mirror are damaged or were edited.
    Damaged,
    /// The hub's log is not the one that the mirror was made from.
    Diverged,
    /// The hub, or the way to it.
    Client(ClientErrorKind),
    /// The file system.
    Io,
}

impl SyncError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> SyncErrorKind {
        match self {
            Self::NoContext { .. } => SyncErrorKind::NotSetUp,
            Self::Lock(error) if error.io_kind() == io::ErrorKind::AlreadyExists => {
                SyncErrorKind::Busy
            }
            Self::State { .. } | Self::Mirror { .. } => SyncErrorKind::Damaged,
            Self::Diverged { .. } | Self::Batch(_) => SyncErrorKind::Diverged,
            Self::Client(error) => SyncErrorKind::Client(error.kind()),
            Self::Lock(_) | Self::Io(_) => SyncErrorKind::Io,
        }
    }

    /// How long the hub wants to be left alone, if that is what went wrong.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Client(error) => error.retry_after(),
            _ => None,
        }
    }

    /// The nearest kind of the standard library: `AlreadyExists` when the lock is held.
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::NoContext { .. } => io::ErrorKind::NotFound,
            Self::Lock(error) => error.io_kind(),
            Self::State { .. } | Self::Mirror { .. } => io::ErrorKind::InvalidData,
            Self::Diverged { .. } | Self::Batch(_) | Self::Client(_) => io::ErrorKind::Other,
            Self::Io(error) => error.io_kind(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let full = "run `ctx connect sync --full`, which builds the mirror anew";
        match self {
            Self::NoContext { .. } => Some("run `ctx init` in the project first".to_owned()),
            Self::Lock(error) => error.hint(),
            Self::State {
                source: StateError::Newer { .. },
                ..
            } => Some("use the newer ctx that wrote it".to_owned()),
            Self::State { .. } => Some(
                "run `ctx connect verify --repair`, which makes it again from the mirror or the hub"
                    .to_owned(),
            ),
            Self::Mirror {
                fault: MirrorFault::NotAFile,
                ..
            } => Some("run `ctx connect verify --repair`, which moves it aside".to_owned()),
            Self::Mirror { .. } => Some(format!(
                "see what was changed with `ctx connect verify`; then {full} and keeps the changed \
                 file beside it"
            )),
            Self::Diverged {
                how: Divergence::OtherHub { .. },
            } => Some(format!(
                "check that it is the right hub; if it is, {full} from it"
            )),
            Self::Diverged { .. } => Some(format!(
                "{full} from what the hub has now and keeps beside it every file with entries that \
                 the hub lost; whoever published those can publish them again"
            )),
            Self::Batch(_) => Some("pull again from the cursor".to_owned()),
            Self::Client(error) => error.hint(),
            Self::Io(error) => error.hint(),
        }
    }
}

impl From<SyncError> for io::Error {
    fn from(error: SyncError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

impl FileError {
    /// The kind of the underlying error.
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Path(error) => error.io_kind(),
            Self::Read(error) => error.io_kind(),
            Self::Write(error) => error.io_kind(),
            Self::Append(error) => error.io_kind(),
            Self::Other(error) => error.kind(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Path(error) => error.hint(),
            Self::Read(error) => error.hint(),
            Self::Write(error) => error.hint(),
            Self::Append(error) => error.hint(),
            Self::Other(_) => None,
        }
    }
}

macro_rules! from_file_error {
    ($($source:ty),*) => {$(
        impl From<$source> for SyncError {
            fn from(error: $source) -> Self {
                Self::Io(error.into())
            }
        }
    )*};
}

from_file_error!(PathError, ReadError, WriteError, AppendError, io::Error);

/// The error of a mirror file.
pub(super) fn damaged(path: Utf8PathBuf, fault: MirrorFault) -> SyncError {
    SyncError::Mirror { path, fault }
}
