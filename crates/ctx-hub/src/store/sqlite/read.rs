//! The questions that are asked of the database.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows::{self, client_columns, message_columns};
use super::write::Tip;
use crate::entry::Entry;
use crate::secret::TokenHash;
use crate::store::{Authenticated, ListedClient, PageQuery, Statistics, StoredMessage};
use crate::types::{Chain, EntryType, HubId, Sequence};

/// A range of entries of every type.
pub(super) const RANGE: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM entries WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3"
);
/// The places of the next entries of one type, from its index alone.
pub(super) const PLACES: &str = "SELECT sequence FROM entries \
     WHERE type = ?4 AND sequence > ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3";
/// One entry.
pub(super) const ONE: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM entries WHERE sequence = ?1"
);
/// The last entry.
pub(super) const LAST: &str = "SELECT coalesce(max(sequence), 0) FROM entries";
/// The hash at the last entry up to a sequence.
pub(super) const CHAIN_AT: &str =
    "SELECT chain FROM entries WHERE sequence <= ?1 ORDER BY sequence DESC LIMIT 1";
const LOG: &str = "SELECT hub_id, head FROM log";
const TIP: &str = "SELECT head, chain, commits FROM log";
const COUNTS: &str = "SELECT origin, type, entries FROM counts ORDER BY origin, type";
const LIVE: &str = "SELECT count(*) FROM clients WHERE revoked_at IS NULL";
/// Who a token stands for, while it lives. Whether it was ended stands with the client alone, so that
/// none of several tokens can be forgotten.
pub(super) const BY_TOKEN: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", expires_at FROM tokens JOIN clients ON number = client \
       WHERE hash = ?1 AND (expires_at IS NULL OR expires_at > ?2) AND revoked_at IS NULL"
);
const CLIENTS: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", (SELECT coalesce(sum(entries), 0) FROM counts WHERE origin = project), \
       last_seen_at, last_address, issued_at, expires_at \
       FROM clients LEFT JOIN tokens AS newest ON client = number \
       AND NOT EXISTS (SELECT 1 FROM tokens AS later WHERE later.replaces = newest.hash) \
       ORDER BY number"
);

/// The identity of the log and its head.
pub(super) fn log(connection: &Connection) -> rusqlite::Result<(HubId, Sequence)> {
    connection.query_row(LOG, [], |row| {
        Ok((rows::hub_id(row, 0)?, rows::sequence(row, 1)?))
    })
}

/// Where the log ends.
pub(super) fn tip(connection: &Connection) -> rusqlite::Result<Tip> {
    connection.prepare_cached(TIP)?.query_row([], |row| {
        Ok(Tip {
            head: rows::sequence(row, 0)?,
            chain: rows::chain(row, 1)?,
            commits: rows::count(row, 2)?,
        })
    })
}

/// The hash of the log up to `sequence`; `None` beyond the head.
pub(super) fn chain_at(
    connection: &Connection,
    sequence: Sequence,
) -> rusqlite::Result<Option<Chain>> {
    let snapshot = connection.unchecked_transaction()?;
    let (hub_id, head) = log(&snapshot)?;
    if sequence > head {
        return Ok(None);
    }
    let found = snapshot
        .prepare_cached(CHAIN_AT)?
        .query_row([rows::bound(sequence)], |row| rows::chain(row, 0))
        .optional()?;
    Ok(Some(found.unwrap_or_else(|| Chain::genesis(&hub_id))))
}

/// The last sequence that an entry has.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<Sequence> {
    connection.query_row(LAST, [], |row| rows::sequence(row, 0))
}

/// A page of entries.
pub(super) fn page(connection: &Connection, query: &PageQuery) -> rusqlite::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    read(connection, query, &mut |row| {
        entries.push(rows::entry(row)?);
        Ok(ControlFlow::Continue(rows::message(row)?.json.len()))
    })?;
    Ok(entries)
}

/// Hands the messages of a page to `each`.
pub(super) fn visit(
    connection: &Connection,
    query: &PageQuery,
    each: &mut (dyn FnMut(StoredMessage<'_>) -> ControlFlow<()> + Send),
) -> rusqlite::Result<()> {
    read(connection, query, &mut |row| {
        let message = rows::message(row)?;
        Ok(match each(message) {
            ControlFlow::Continue(()) => ControlFlow::Continue(message.json.len()),
            ControlFlow::Break(()) => ControlFlow::Break(()),
        })
    })
}

/// Whether there is more to read, after how many bytes of a message.
type Went = ControlFlow<(), usize>;

/// Reads the rows of a page until its bytes are used up, or `each` breaks off.
fn read(
    connection: &Connection,
    query: &PageQuery,
    each: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<Went>,
) -> rusqlite::Result<()> {
    let since = rows::bound(query.since);
    let until = query.until.map_or(i64::MAX, rows::bound);
    let most = i64::try_from(query.max_entries).unwrap_or(i64::MAX);
    let mut bytes: usize = 0;
    let mut goes_on = |went: Went| match went {
        ControlFlow::Continue(more) => {
            bytes = bytes.saturating_add(more);
            bytes < query.max_bytes
        }
        ControlFlow::Break(()) => false,
    };
    if query.types.is_all() {
        let mut statement = connection.prepare_cached(RANGE)?;
        let mut found = statement.query(params![since, until, most])?;
        while let Some(row) = found.next()?
            && goes_on(each(row)?)
        {}
        return Ok(());
    }
    // One snapshot for all types: otherwise a commit between two of them could put an entry on
    // the page and leave out one that stands before it.
    let snapshot = connection.unchecked_transaction()?;
    let mut places: Vec<i64> = Vec::new();
    let mut statement = snapshot.prepare_cached(PLACES)?;
    for entry_type in query.types.iter() {
        let code = rows::type_code(entry_type);
        let found = statement.query_map(params![since, until, most, code], |row| row.get(0))?;
        places.extend(found.collect::<rusqlite::Result<Vec<i64>>>()?);
    }
    places.sort_unstable();
    let mut statement = snapshot.prepare_cached(ONE)?;
    for place in places.into_iter().take(query.max_entries) {
        if !goes_on(statement.query_row([place], |row| each(row))?) {
            break;
        }
    }
    Ok(())
}

/// The client of this token, if it lives at `now`.
pub(super) fn authenticate(
    connection: &Connection,
    token: &TokenHash,
    now: i64,
) -> rusqlite::Result<Option<Authenticated>> {
    let token = token.as_bytes().as_slice();
    connection
        .prepare_cached(BY_TOKEN)?
        .query_row(params![token, now], rows::authenticated)
        .optional()
}

/// Every client.
pub(super) fn clients(connection: &Connection) -> rusqlite::Result<Vec<ListedClient>> {
    connection
        .prepare_cached(CLIENTS)?
        .query_map([], rows::listed_client)?
        .collect()
}

/// Counts of what is stored, from the counters.
pub(super) fn statistics(connection: &Connection) -> rusqlite::Result<Statistics> {
    let snapshot = connection.unchecked_transaction()?;
    let (_, head) = log(&snapshot)?;
    let mut statistics = Statistics {
        head,
        ..Statistics::default()
    };
    let mut by_type = EntryType::ALL.map(|entry_type| (entry_type, 0_u64));
    let mut statement = snapshot.prepare_cached(COUNTS)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let origin: String = row.get(0)?;
        let entry_type = rows::entry_type(row, 1)?;
        let entries = rows::count(row, 2)?;
        statistics.total += entries;
        for (_, count) in by_type
            .iter_mut()
            .filter(|(counted, _)| *counted == entry_type)
        {
            *count += entries;
        }
        match statistics.by_project.last_mut() {
            Some((project, count)) if *project == origin => *count += entries,
            _ => statistics.by_project.push((origin, entries)),
        }
    }
    statistics.by_type = by_type
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    statistics.live_clients = snapshot.query_row(LIVE, [], |row| rows::count(row, 0))?;
    Ok(statistics)
}
