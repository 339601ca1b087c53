//! What can go wrong in a store.

use std::io;
use std::sync::Arc;

use camino::Utf8PathBuf;

use super::token::TokenFault;
use crate::types::{
    ClientId, EmptyId, InvalidId, ProjectName, ProjectNameError, Sequence, UnknownType,
};

/// What an engine said. It is shared because one failed transaction answers many callers.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// A store that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// A client of that project is registered and its token lives.
    #[error("project {:?} is already registered", project.as_str())]
    ProjectExists {
        /// The project.
        project: ProjectName,
    },
    /// The token that was proposed for a client has been another one's.
    #[error("the proposed token is not a new one")]
    TokenInUse,
    /// The invitation is none, another project's, used up, ended or expired. Which, is not told.
    #[error("the invitation is not valid")]
    Invitation,
    /// The client has been revoked, at the latest just before. Nothing was stored.
    #[error("client {client} is revoked")]
    Revoked {
        /// The client.
        client: ClientId,
    },
    /// The client has stored what it may in a day. Nothing was stored.
    #[error("client {client} has used up its day")]
    OverQuota {
        /// The client.
        client: ClientId,
    },
    /// The audit trail takes no line, and nothing is changed that is not on record.
    #[error("{path} takes no line, so nothing was changed")]
    NotOnRecord {
        /// The audit trail.
        path: Utf8PathBuf,
    },
    /// A token was not put in place of another. Nothing has changed.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// There is no room to write: a full disk, a quota, a file size limit. Nothing was stored;
    /// reads go on, and writes do as soon as there is room.
    #[error("no room to write {path}")]
    Full {
        /// The store.
        path: Utf8PathBuf,
        /// What the engine said.
        source: Cause,
    },
    /// The store was written by a newer version. It was not changed.
    #[error("{path} has format {found}, and this version knows formats up to {known}")]
    Newer {
        /// The store.
        path: Utf8PathBuf,
        /// The format of the file.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// A database, but of another program. It was not changed.
    #[error("{path} is a database of another program")]
    Foreign {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The store is damaged. It is left as it is, and never made anew.
    #[error("{path} is damaged")]
    Damaged {
        /// The store.
        path: Utf8PathBuf,
        /// What is wrong with it.
        source: Damage,
    },
    /// A file of an older hub that cannot be imported. No store was made.
    #[error("cannot import {path}{}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Import {
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1; `None` when no line is to blame.
        line: Option<u64>,
        /// What is wrong with it.
        source: ImportFault,
    },
    /// Something else in place of a file of the store.
    #[error(transparent)]
    Path(#[from] ctx_io::PathError),
    /// The file that remembers what was acknowledged cannot be read.
    #[error(transparent)]
    Marks(ctx_io::ReadError),
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
    /// The operating system gives no random bytes.
    #[error("cannot make a new identity")]
    Random {
        /// What the system said.
        source: getrandom::Error,
    },
    /// The store failed for another reason; what was asked did not happen.
    #[error("{path} cannot be used")]
    Unavailable {
        /// The store.
        path: Utf8PathBuf,
        /// What the engine said.
        source: Cause,
    },
}

/// How a store is damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file holds nothing at all.
    #[error("the file is empty")]
    Empty,
    /// The file does not begin as a database does.
    #[error("the file does not begin as a database does")]
    NotADatabase,
    /// The end of the file is missing.
    #[error("the file ends {missing} bytes early")]
    Truncated {
        /// How many bytes are missing.
        missing: u64,
    },
    /// Entries are waiting in a write-ahead log whose database is missing.
    #[error("the database is missing, and its write-ahead log {wal} is there")]
    OnlyTheLog {
        /// The write-ahead log.
        wal: Utf8PathBuf,
    },
    /// The store has entries that its head does not cover.
    #[error("its head is {head}, and it holds sequence {last}")]
    HeadBehind {
        /// What it says was the last sequence handed out.
        head: Sequence,
        /// The last sequence that it holds.
        last: Sequence,
    },
    /// The engine cannot make sense of it.
    #[error("its content makes no sense")]
    Content(#[source] Cause),
}

/// Why a file of an older hub cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportFault {
    /// The file cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// The line is not an entry.
    #[error("not an entry")]
    Json(#[from] serde_json::Error),
    /// The file is not what it should be. What it says there is not repeated: it may be a token.
    #[error("not what it should be at line {line}, column {column}")]
    Shape {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A sequence that does not rise, or is 0.
    #[error("sequence {found} after {previous}")]
    NotRising {
        /// The sequence before it.
        previous: Sequence,
        /// The sequence.
        found: Sequence,
    },
    /// A sequence that no store can hold.
    #[error("sequence {found} is too large")]
    SequenceTooLarge {
        /// The sequence.
        found: u64,
    },
    /// A time that is not RFC 3339.
    #[error("{given:?} is not a time")]
    Time {
        /// What is given as a time.
        given: String,
        /// Why it is none.
        source: jiff::Error,
    },
    /// An entry without an id.
    #[error(transparent)]
    Id(#[from] EmptyId),
    /// A type that no `ctx` knows.
    #[error(transparent)]
    Type(#[from] UnknownType),
    /// A client id that is none.
    #[error("client {number} has no usable id")]
    ClientId {
        /// Which client of the file, from 1.
        number: usize,
        /// Why.
        source: InvalidId,
    },
    /// A project name that is none.
    #[error("client {id} has no usable project name")]
    Project {
        /// The client.
        id: String,
        /// Why.
        source: ProjectNameError,
    },
    /// Two clients of one project: which of their tokens should go on cannot be told.
    #[error("project {project:?} has two clients")]
    TwoClients {
        /// The project.
        project: String,
    },
    /// A client whose id or token another client has too, or that has no token.
    #[error("client {id} has no id and token of its own")]
    NotItsOwn {
        /// The client.
        id: String,
    },
}

impl StoreError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Closed | Self::Random { .. } | Self::TokenInUse => None,
            Self::Invitation => Some("ask the hub's operator for another invitation".to_owned()),
            Self::NotOnRecord { .. } => {
                Some("look at the disk and at who owns the audit trail".to_owned())
            }
            Self::Revoked { .. } | Self::Token(TokenFault::Ended | TokenFault::Replaced) => {
                Some("register again".to_owned())
            }
            Self::Token(_) => Some("try again once the tokens before have ended".to_owned()),
            Self::OverQuota { .. } => Some("go on when the next day begins".to_owned()),
            Self::ProjectExists { .. } => Some(
                "choose another project name, or have the hub's operator revoke the client that \
                 has it"
                    .to_owned(),
            ),
            Self::Full { .. } => Some(
                "free some space, or lift the quota or file size limit; nothing acknowledged is \
                 lost, and publishing works again without a restart"
                    .to_owned(),
            ),
            Self::Newer { .. } => {
                Some("start the hub with the version of ctx that it ran with last".to_owned())
            }
            Self::Foreign { .. } => {
                Some("move the file away, or choose another data directory".to_owned())
            }
            // The engine deletes a log beside an empty or missing database, and applies it to any
            // other that comes to stand there.
            Self::Damaged {
                source: Damage::OnlyTheLog { wal },
                ..
            } => Some(format!(
                "put back the database that the log belongs to; to go on from a backup instead, \
                 move {wal} away first, or it is applied to the backup"
            )),
            Self::Damaged { path, .. } => Some(format!(
                "see what is lost with `ctx hub verify`; then move {path}-wal away together with \
                 {path}, and restore a backup; what can be saved, sqlite3's `.recover` shows on copies of both; the hub leaves them as they \
                 are"
            )),
            Self::Import { .. } => Some(
                "correct the file, or move the older hub's files away to start with an empty hub; \
                 nothing was changed"
                    .to_owned(),
            ),
            Self::Path(error) => error.hint(),
            Self::Marks(error) => error.hint(),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("run it as the user who owns the data directory".to_owned())
                }
                io::ErrorKind::NotFound => Some("create the data directory first".to_owned()),
                _ => None,
            },
            Self::Unavailable { .. } => {
                Some("look whether another program has the file open, and at the disk".to_owned())
            }
        }
    }
}
