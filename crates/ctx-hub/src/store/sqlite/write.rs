//! The changes that are made to the database, each within somebody else's transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::admin;
use super::rows::{self, client_columns, message_columns};
use super::tokens;
use crate::entry::{EntryDraft, EntryView};
use crate::store::{Client, NewToken};
use crate::types::{Chain, ClientId, EntryType, ProjectName, Sequence};
use crate::wire::json;

/// What a message takes beside its content in most cases, in bytes.
const MESSAGE_ROOM: usize = 512;

/// What may have an id: whose hash is its hash. An older hub may have stored an id twice, so the first
/// comes first.
pub(super) const ALIKE: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM entries WHERE id_hash = ?1 ORDER BY sequence"
);
const INSERT: &str = "INSERT INTO entries (sequence, id_hash, type, chain, message) \
     VALUES (?1, ?2, ?3, ?4, ?5)";
const COUNT: &str = "INSERT INTO counts (origin, type, entries) VALUES (?1, ?2, ?3) \
     ON CONFLICT (origin, type) DO UPDATE SET entries = entries + excluded.entries";
const TIP: &str = "UPDATE log SET head = ?1, chain = ?2, commits = ?3";
/// Whether a client has been revoked. Clients are never removed.
pub(super) const REVOKED: &str =
    "SELECT EXISTS (SELECT 1 FROM clients WHERE id = ?1 AND revoked_at IS NOT NULL)";
const PROJECT_LIVES: &str =
    "SELECT EXISTS (SELECT 1 FROM clients WHERE project = ?1 AND revoked_at IS NULL)";
const REGISTER: &str = "INSERT INTO clients (id, project, created_at) VALUES (?1, ?2, ?3)";
const REVOKE: &str = "UPDATE clients SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
const BY_ID: &str = concat!("SELECT ", client_columns!(), " FROM clients WHERE id = ?1");

/// Where the log ends: the last sequence handed out, the rolling hash at the last entry, and the
/// transactions so far.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) head: Sequence,
    pub(super) chain: Chain,
    pub(super) commits: u64,
}

/// How many entries of each origin and type were added.
pub(super) type Tally = BTreeMap<(String, EntryType), i64>;

/// Whether a client has been revoked.
pub(super) fn is_revoked(connection: &Connection, id: &ClientId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(REVOKED)?
        .query_row([id.as_str()], |row| row.get(0))
}

/// Stores `drafts` after `tip`, which moves on, and answers their sequences. An id that is known
/// is not stored again.
pub(super) fn append(
    connection: &Connection,
    tip: &mut Tip,
    origin: &str,
    drafts: &[EntryDraft],
) -> rusqlite::Result<Vec<Sequence>> {
    let mut sequences = Vec::with_capacity(drafts.len());
    let mut tally = Tally::new();
    for draft in drafts {
        let id = draft.id().as_str();
        if let Some(known) = known(connection, id)? {
            sequences.push(known);
            continue;
        }
        let entry = EntryView {
            id,
            entry_type: draft.entry_type(),
            content: draft.content(),
            origin,
            timestamp: draft.timestamp(),
            sequence: next(tip.head)?,
            meta: draft.meta().view(),
            chain: None,
        };
        insert(connection, tip, entry)?;
        *tally
            .entry((origin.to_owned(), draft.entry_type()))
            .or_default() += 1;
        sequences.push(tip.head);
    }
    count(connection, &tally)?;
    Ok(sequences)
}

/// The sequence after `head`, if the database can hold it.
fn next(head: Sequence) -> rusqlite::Result<Sequence> {
    let head = rows::bound(head);
    let next = head.checked_add(1);
    next.map(|next| Sequence::new(next.unsigned_abs()))
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(0, head))
}

/// The sequence of an id. The hash finds the candidates, the id decides. One that cannot be read any
/// more has it: the hash says so, and who sends it again must not be kept from everything else.
fn known(connection: &Connection, id: &str) -> rusqlite::Result<Option<Sequence>> {
    let mut statement = connection.prepare_cached(ALIKE)?;
    let mut alike = statement.query([rows::id_hash(id)])?;
    while let Some(row) = alike.next()? {
        let is_another = rows::entry(row).is_ok_and(|entry| entry.id.as_str() != id);
        if !is_another {
            return rows::sequence(row, 0).map(Some);
        }
    }
    Ok(None)
}

/// Stores one entry at the end of the log, which `tip` is afterwards, with the hash that it has there.
pub(super) fn insert(
    connection: &Connection,
    tip: &mut Tip,
    entry: EntryView<'_>,
) -> rusqlite::Result<()> {
    let chain = tip.chain.link(&entry);
    let chained = EntryView {
        chain: Some(chain),
        ..entry
    };
    put(connection, &chained)?;
    *tip = Tip {
        head: entry.sequence,
        chain,
        ..*tip
    };
    Ok(())
}

/// Stores the message of `entry`, which knows its hash.
pub(super) fn put(connection: &Connection, entry: &EntryView<'_>) -> rusqlite::Result<()> {
    let mut message = Vec::with_capacity(entry.content.len() + MESSAGE_ROOM);
    json::write_entry(&mut message, entry);
    let message = str::from_utf8(&message).map_err(|error| rusqlite::Error::Utf8Error(4, error))?;
    connection
        .prepare_cached(INSERT)?
        .execute(params![
            rows::bound(entry.sequence),
            rows::id_hash(entry.id),
            rows::type_code(entry.entry_type),
            entry.chain.map(Chain::to_bytes),
            message,
        ])
        .map(drop)
}

/// Adds what was counted to the counters.
pub(super) fn count(connection: &Connection, tally: &Tally) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(COUNT)?;
    for ((origin, entry_type), entries) in tally {
        statement.execute(params![origin, rows::type_code(*entry_type), entries])?;
    }
    Ok(())
}

/// Keeps where the log ends.
pub(super) fn set_tip(connection: &Connection, tip: Tip) -> rusqlite::Result<()> {
    let commits = i64::try_from(tip.commits).unwrap_or(i64::MAX);
    connection
        .prepare_cached(TIP)?
        .execute(params![
            rows::bound(tip.head),
            tip.chain.to_bytes(),
            commits
        ])
        .map(drop)
}

/// Whether a project has a client that lives.
pub(super) fn project_lives(
    connection: &Connection,
    project: &ProjectName,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(PROJECT_LIVES)?
        .query_row([project.as_str()], |row| row.get(0))
}

/// Registers a client; false when its project has one that lives.
pub(super) fn register(
    connection: &Connection,
    id: &ClientId,
    project: &ProjectName,
    token: &NewToken,
    created_at: i64,
) -> rusqlite::Result<bool> {
    if project_lives(connection, project)? {
        return Ok(false);
    }
    connection.prepare_cached(REGISTER)?.execute(params![
        id.as_str(),
        project.as_str(),
        created_at
    ])?;
    tokens::issue(
        connection,
        connection.last_insert_rowid(),
        token,
        None,
        created_at,
    )?;
    Ok(true)
}

/// Ends the tokens of a client at `now`, and the open invitations of its project with it; answers
/// the client. Ended again, it ends no invitation that was made since.
pub(super) fn revoke(
    connection: &Connection,
    id: &ClientId,
    now: i64,
) -> rusqlite::Result<Option<Client>> {
    let ended = connection
        .prepare_cached(REVOKE)?
        .execute(params![id.as_str(), now])?;
    let client = connection
        .prepare_cached(BY_ID)?
        .query_row([id.as_str()], rows::client)
        .optional()?;
    if let Some(client) = client.as_ref().filter(|_| ended > 0) {
        admin::end_invitations_of(connection, &client.project, now)?;
    }
    Ok(client)
}
