//! What can go wrong around a hub: opening its data directory, serving, closing.

use std::io;

use camino::Utf8PathBuf;
use ctx_io::{LockError, PathError, ReadError, WriteError};

use super::audit::AuditError;
use super::invitations::NotInvited;
use super::tls::TlsError;
use crate::secret::InvalidToken;
use crate::store::StoreError;

/// A hub that does not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Another hub serves the data directory.
    #[error("{data_dir} is served by another hub{}", process(*pid))]
    Busy {
        /// The data directory.
        data_dir: Utf8PathBuf,
        /// The process of the other hub, when its lock says so.
        pid: Option<u32>,
        /// What the lock says.
        source: Box<LockError>,
    },
    /// There is nothing to administer.
    #[error("{data_dir} holds no hub")]
    NoHub {
        /// The data directory.
        data_dir: Utf8PathBuf,
    },
    /// The data directory cannot be made or used.
    #[error("cannot use the data directory {path}")]
    DataDir {
        /// The data directory.
        path: Utf8PathBuf,
        /// Why.
        source: PathError,
    },
    /// The lock of the data directory cannot be taken or released.
    #[error("cannot lock the data directory {data_dir}")]
    Lock {
        /// The data directory.
        data_dir: Utf8PathBuf,
        /// Why.
        source: Box<LockError>,
    },
    /// The file of the admin token cannot be read.
    #[error("cannot read the admin token")]
    ReadToken(#[source] ReadError),
    /// The file of the admin token holds something else.
    #[error("{path} holds no admin token")]
    NoToken {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with its content.
        source: InvalidToken,
    },
    /// A file of the data directory cannot be written.
    #[error("cannot write to the data directory")]
    Write(#[source] WriteError),
    /// The operating system gives no random bytes for a new token.
    #[error("cannot make an admin token")]
    Random(#[source] getrandom::Error),
    /// There is no such invitation.
    #[error("cannot make an invitation")]
    NotInvited(#[source] NotInvited),
    /// The store cannot be opened or closed.
    #[error("the store of {data_dir} failed")]
    Store {
        /// The data directory.
        data_dir: Utf8PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The audit trail cannot be opened or written, and nothing is done that is not on record.
    #[error("the audit trail of {data_dir} failed")]
    Audit {
        /// The data directory.
        data_dir: Utf8PathBuf,
        /// Why.
        source: AuditError,
    },
    /// A socket or a file cannot be handled.
    #[error("cannot {action} {what}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which path or address.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// It would be reached from other machines, and everybody on the way could read everything.
    #[error("a hub does not listen on {address} in the clear")]
    Exposed {
        /// Where it was to listen.
        address: std::net::SocketAddr,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What kind of trouble a [`HubError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubErrorKind {
    /// Another hub is at work: stop it, or ask it instead.
    Busy,
    /// What was asked for cannot be done: another address or directory can.
    Usage,
    /// What lies in the data directory is damaged or not ours.
    Damaged,
    /// The system failed: disk, permissions, sockets.
    Io,
}

impl HubError {
    /// What kind of trouble it is.
    #[must_use]
    pub fn kind(&self) -> HubErrorKind {
        match self {
            Self::Busy { .. } => HubErrorKind::Busy,
            Self::NoHub { .. } | Self::Exposed { .. } => HubErrorKind::Usage,
            Self::NotInvited(NotInvited::Time | NotInvited::Uses) => HubErrorKind::Usage,
            Self::NoToken { .. } => HubErrorKind::Damaged,
            Self::DataDir { source, .. } if source.io_kind() == io::ErrorKind::InvalidInput => {
                HubErrorKind::Usage
            }
            Self::Store { source, .. } if is_damage(source) => HubErrorKind::Damaged,
            Self::Audit {
                source: AuditError::Newer { .. },
                ..
            } => HubErrorKind::Damaged,
            _ => HubErrorKind::Io,
        }
    }

    /// The next step, when there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Busy {
                data_dir, source, ..
            } if let LockError::HeldByExistence { id, .. } = &**source => Some(format!(
                "make sure that no hub uses it any more, then run `ctx hub unlock --data-dir \
                 {data_dir} --id {id}`"
            )),
            Self::Busy { data_dir, .. } => Some(format!(
                "stop it with `ctx hub stop --data-dir {data_dir}`, or use another data directory"
            )),
            Self::NoHub { .. } => {
                Some("name the data directory of a hub with --data-dir".to_owned())
            }
            Self::DataDir { source, .. } => source.hint(),
            Self::Lock { source, .. } => source.hint(),
            Self::ReadToken(source) => source.hint(),
            Self::NoToken { path, .. } => Some(format!(
                "restore {path}, or move it away: the hub then makes a new token"
            )),
            Self::Exposed { .. } => Some(
                "whoever can listen in on the network would read tokens and entries: encrypt with \
                 --tls-self-signed, or with --tls-cert and --tls-key; or listen on 127.0.0.1 behind \
                 a proxy that encrypts; --insecure allows it all the same"
                    .to_owned(),
            ),
            Self::Tls(source) => source.hint(),
            Self::Write(source) => source.hint(),
            Self::Store { source, .. } => source.hint(),
            Self::Audit { source, .. } => source.hint(),
            Self::NotInvited(NotInvited::Store(source)) => source.hint(),
            Self::NotInvited(_) | Self::Random(_) | Self::Io { .. } => None,
        }
    }

    pub(super) fn io(
        action: &'static str,
        what: impl std::fmt::Display,
    ) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Io {
            action,
            what,
            source,
        }
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(", process {pid}"))
}

fn is_damage(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Damaged { .. }
            | StoreError::Foreign { .. }
            | StoreError::Newer { .. }
            | StoreError::Import { .. }
    )
}
