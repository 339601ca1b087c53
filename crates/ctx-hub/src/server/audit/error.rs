//! What can go wrong with an audit trail.

use std::io;

use camino::Utf8PathBuf;
use ctx_io::{AppendError, WriteError};

/// An audit trail that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A file of the trail cannot be appended to.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A file of the trail got its name, and that may not be durable.
    #[error(transparent)]
    Name(#[from] WriteError),
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// The file or the directory.
        path: Utf8PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The trail was written by a newer version. It was not changed.
    #[error("{path} has format {found}, and this version knows formats up to {known}")]
    Newer {
        /// The file.
        path: Utf8PathBuf,
        /// The format of its last line.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// The lines could not be written; why is in the log. What they would have told of was not done.
    #[error("{path} takes no line")]
    Unwritten {
        /// The file.
        path: Utf8PathBuf,
    },
}

impl AuditError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Append(error) => error.hint(),
            Self::Name(error) => error.hint(),
            Self::Newer { .. } => {
                Some("start the hub with the version of ctx that it ran with last".to_owned())
            }
            Self::Io { .. } | Self::Unwritten { .. } => Some(
                "look at the disk and at who owns the file; nothing is done that is not on record"
                    .to_owned(),
            ),
        }
    }

    pub(super) fn io(
        action: &'static str,
        path: impl Into<Utf8PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }
}
