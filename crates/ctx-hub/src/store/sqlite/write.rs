//! The changes that are made to the database, each within somebody else's transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::{self, client_columns};
use crate::entry::{EntryDraft, EntryMeta};
use crate::secret::TokenHash;
use crate::store::Client;
use crate::types::{ClientId, EntryType, ProjectName, Sequence};

/// The sequence of an id. The hash finds the candidates, the id decides. An older hub may have
/// stored an id twice: the first counts.
pub(super) const KNOWN: &str = "SELECT min(sequence) FROM entries WHERE id_hash = ?1 AND id = ?2";
const INSERT: &str = "INSERT INTO entries (sequence, id_hash, id, type, origin, timestamp, \
     display_name, host, tool, via, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const COUNT: &str = "INSERT INTO counts (origin, type, entries) VALUES (?1, ?2, ?3) \
     ON CONFLICT (origin, type) DO UPDATE SET entries = entries + excluded.entries";
const HEAD: &str = "UPDATE log SET head = ?1";
const PROJECT_LIVES: &str =
    "SELECT EXISTS (SELECT 1 FROM clients WHERE project = ?1 AND revoked_at IS NULL)";
const REGISTER: &str =
    "INSERT INTO clients (id, project, token_hash, created_at) VALUES (?1, ?2, ?3, ?4)";
const REVOKE: &str = "UPDATE clients SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
const BY_ID: &str = concat!("SELECT ", client_columns!(), " FROM clients WHERE id = ?1");

/// An entry on its way into the database.
#[derive(Clone, Copy)]
pub(super) struct NewEntry<'a> {
    pub(super) sequence: i64,
    pub(super) id: &'a str,
    pub(super) entry_type: EntryType,
    pub(super) origin: &'a str,
    pub(super) timestamp: i64,
    pub(super) meta: &'a EntryMeta,
    pub(super) content: &'a str,
}

/// How many entries of each origin and type were added.
pub(super) type Tally = BTreeMap<(String, EntryType), i64>;

/// Stores `drafts` after `head`, which moves on, and answers their sequences. An id that is known
/// is not stored again.
pub(super) fn append(
    connection: &Connection,
    head: &mut i64,
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
        let next = head.checked_add(1);
        *head = next.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, *head))?;
        insert(
            connection,
            NewEntry {
                sequence: *head,
                id,
                entry_type: draft.entry_type(),
                origin,
                timestamp: draft.timestamp(),
                meta: draft.meta(),
                content: draft.content(),
            },
        )?;
        *tally
            .entry((origin.to_owned(), draft.entry_type()))
            .or_default() += 1;
        sequences.push(Sequence::new(head.unsigned_abs()));
    }
    count(connection, &tally)?;
    Ok(sequences)
}

fn known(connection: &Connection, id: &str) -> rusqlite::Result<Option<Sequence>> {
    connection
        .prepare_cached(KNOWN)?
        .query_row(params![rows::id_hash(id), id], |row| {
            match row.get::<_, Option<i64>>(0)? {
                Some(_) => rows::sequence(row, 0).map(Some),
                None => Ok(None),
            }
        })
}

/// Stores one entry as it is.
pub(super) fn insert(connection: &Connection, entry: NewEntry<'_>) -> rusqlite::Result<()> {
    let NewEntry {
        sequence,
        id,
        entry_type,
        origin,
        timestamp,
        meta,
        content,
    } = entry;
    connection.prepare_cached(INSERT)?.execute(params![
        sequence,
        rows::id_hash(id),
        id,
        rows::type_code(entry_type),
        origin,
        timestamp,
        meta.display_name,
        meta.host,
        meta.tool,
        meta.via,
        content,
    ])?;
    Ok(())
}

/// Adds what was counted to the counters.
pub(super) fn count(connection: &Connection, tally: &Tally) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(COUNT)?;
    for ((origin, entry_type), entries) in tally {
        statement.execute(params![origin, rows::type_code(*entry_type), entries])?;
    }
    Ok(())
}

/// Keeps the head.
pub(super) fn set_head(connection: &Connection, head: i64) -> rusqlite::Result<()> {
    connection.prepare_cached(HEAD)?.execute([head]).map(drop)
}

/// Registers a client; false when its project has one that lives.
pub(super) fn register(
    connection: &Connection,
    id: &ClientId,
    project: &ProjectName,
    token: &TokenHash,
    created_at: i64,
) -> rusqlite::Result<bool> {
    let lives: bool = connection
        .prepare_cached(PROJECT_LIVES)?
        .query_row([project.as_str()], |row| row.get(0))?;
    if lives {
        return Ok(false);
    }
    let token = token.as_bytes().as_slice();
    connection.prepare_cached(REGISTER)?.execute(params![
        id.as_str(),
        project.as_str(),
        token,
        created_at
    ])?;
    Ok(true)
}

/// Ends the token of a client at `now`, and answers the client.
pub(super) fn revoke(
    connection: &Connection,
    id: &ClientId,
    now: i64,
) -> rusqlite::Result<Option<Client>> {
    connection
        .prepare_cached(REVOKE)?
        .execute(params![id.as_str(), now])?;
    connection
        .prepare_cached(BY_ID)?
        .query_row([id.as_str()], rows::client)
        .optional()
}
