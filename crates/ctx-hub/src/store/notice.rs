//! What an operator should know after a store was opened.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::types::Sequence;

/// Something that happened while a store was opened, for the operator to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The files of an older hub were imported.
    Imported {
        /// The data directory that they are in.
        path: Utf8PathBuf,
        /// How many entries.
        entries: u64,
        /// How many clients.
        clients: u64,
    },
    /// The store was written by an older version and is one of this version now.
    Upgraded {
        /// The store.
        path: Utf8PathBuf,
        /// How many entries were written anew.
        entries: u64,
    },
    /// The last line of an older hub's entries breaks off and was left out.
    TornLine {
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: u64,
        /// How many bytes of it there are.
        bytes: u64,
    },
    /// A file or the directory could be opened by others and cannot any more.
    Tightened {
        /// What.
        path: Utf8PathBuf,
        /// The permission bits that it had.
        mode: u32,
    },
    /// The store's write-ahead log was damaged while no hub ran: what it held behind that place is
    /// lost, though it had been acknowledged.
    LogDamaged {
        /// The write-ahead log.
        path: Utf8PathBuf,
        /// How many transactions are lost at least, each of one publish or several.
        lost: u64,
    },
    /// The store has less than was acknowledged: its write-ahead log was cut or removed, or an
    /// older copy of the database was put in its place.
    Lost {
        /// The store.
        path: Utf8PathBuf,
        /// How many transactions are lost.
        commits: u64,
        /// The last entry that is there.
        after: Sequence,
        /// The last sequence that was handed out; the next entry gets the one after it.
        until: Sequence,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imported {
                path,
                entries,
                clients,
            } => {
                write!(
                    f,
                    "imported {entries} entries and {clients} clients from {path}; the old files \
                     are left as they are"
                )?;
                if *clients == 0 {
                    return Ok(());
                }
                let file = ctx_config::paths::OLD_CLIENTS_FILE;
                write!(
                    f,
                    ", and {file} still holds tokens in the clear: delete it once the hub runs well"
                )
            }
            Self::Upgraded { path, entries: 0 } => write!(
                f,
                "upgraded {path}: older versions of ctx cannot open it any more"
            ),
            Self::Upgraded { path, entries } => write!(
                f,
                "upgraded {path}: {entries} entries were written anew; older versions of ctx cannot \
                 open it any more"
            ),
            Self::TornLine { path, line, bytes } => write!(
                f,
                "line {line}, the last of {path}, breaks off after {bytes} bytes and was left \
                 out: the older hub was stopped while it wrote it"
            ),
            Self::Tightened { path, mode } => write!(
                f,
                "{path} could be opened by others (mode {mode:04o}) and is its owner's alone now; \
                 if others use this machine, run `ctx hub token rotate` and look through `ctx hub \
                 clients`"
            ),
            Self::LogDamaged { path, lost } => write!(
                f,
                "{path} was damaged since the hub was stopped: {lost} or more transactions that \
                 had been acknowledged are lost; publish them again, and look at the disk"
            ),
            Self::Lost {
                path,
                commits,
                after,
                until,
            } => lost(f, path, *commits, *after, *until),
        }
    }
}

fn lost(
    f: &mut fmt::Formatter<'_>,
    path: &Utf8Path,
    commits: u64,
    after: Sequence,
    until: Sequence,
) -> fmt::Result {
    write!(
        f,
        "{path} is {commits} transactions behind what had been acknowledged: its write-ahead log \
         was cut or removed, or an older copy was put in its place; "
    )?;
    if until > after {
        let first = after.get().saturating_add(1);
        write!(
            f,
            "entries {first} to {until} are lost and their sequences are not given away again, "
        )?;
    }
    write!(
        f,
        "clients that were registered or revoked in them are as before: look through `ctx hub \
         clients`, and restore a backup that is newer if there is one"
    )
}
