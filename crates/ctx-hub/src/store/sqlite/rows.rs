//! Between values and what the database holds.

use std::error::Error;
use std::sync::Arc;

use camino::Utf8Path;
use rusqlite::types::Type;
use rusqlite::{ErrorCode, Row};
use sha2::{Digest as _, Sha256};

use crate::entry::Entry;
use crate::store::error::{Damage, StoreError};
use crate::store::{Authenticated, Client, ListedClient, StoredMessage};
use crate::types::{Chain, EntryType, HubId, Sequence};
use crate::wire::convert::entry_from_wire;
use crate::wire::generated::EntryMsg;
use crate::wire::json;

/// The columns that [`message`] and [`entry`] read, in their order.
macro_rules! message_columns {
    () => {
        "sequence, message"
    };
}
/// The columns that [`client`] reads, in its order.
macro_rules! client_columns {
    () => {
        "id, project, created_at, revoked_at"
    };
}
pub(super) use {client_columns, message_columns};

/// Writes that failed for want of room although the engine does not call it so: a quota or a file
/// size limit shows as a failed write (`SQLITE_IOERR_WRITE`).
const FAILED_WRITE: i32 = rusqlite::ffi::SQLITE_IOERR_WRITE;

/// What the engine's `source` means for the store at `path`.
pub(super) fn store_error(path: &Utf8Path, source: Arc<rusqlite::Error>) -> StoreError {
    use rusqlite::Error as E;

    let path = path.to_owned();
    match &*source {
        E::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => StoreError::Full { path, source },
            ErrorCode::SystemIoFailure if failure.extended_code == FAILED_WRITE => {
                StoreError::Full { path, source }
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Damaged {
                path,
                source: Damage::Content(source),
            },
            _ => StoreError::Unavailable { path, source },
        },
        // A value that cannot be, or a row that has to be there and is not.
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..)
        | E::QueryReturnedNoRows
        | E::Utf8Error(..) => StoreError::Damaged {
            path,
            source: Damage::Content(source),
        },
        _ => StoreError::Unavailable { path, source },
    }
}

/// What the engine says when it meets `error` of the operating system: for steps that fail on
/// purpose.
pub(super) fn failed(error: std::io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull => rusqlite::ffi::SQLITE_FULL,
        _ => rusqlite::ffi::SQLITE_IOERR_FSYNC,
    };
    let code = rusqlite::ffi::Error::new(code);
    rusqlite::Error::SqliteFailure(code, Some(error.to_string()))
}

/// The first 64 bits of SHA-256 of an id. Ids are compared themselves once their hashes agree.
pub(super) fn id_hash(id: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// How a type is written down. The numbers are on disk: none is ever given another meaning.
pub(super) const fn type_code(entry_type: EntryType) -> i64 {
    match entry_type {
        EntryType::Decision => 1,
        EntryType::Learning => 2,
        EntryType::Convention => 3,
        EntryType::Task => 4,
    }
}

/// Column `index` of `row` as a type.
pub(super) fn entry_type(row: &Row<'_>, index: usize) -> rusqlite::Result<EntryType> {
    let code: i64 = row.get(index)?;
    EntryType::ALL
        .into_iter()
        .find(|entry_type| type_code(*entry_type) == code)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(index, code))
}

/// Column `index` of `row` as a number that is never negative.
pub(super) fn count(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

/// Column `index` of `row` as a sequence.
pub(super) fn sequence(row: &Row<'_>, index: usize) -> rusqlite::Result<Sequence> {
    count(row, index).map(Sequence::new)
}

/// Column `index` of `row` as the identity of a log.
pub(super) fn hub_id(row: &Row<'_>, index: usize) -> rusqlite::Result<HubId> {
    let text: String = row.get(index)?;
    text.parse().map_err(|error| unfit(index, error))
}

/// Column `index` of `row` as the rolling hash at an entry.
pub(super) fn chain(row: &Row<'_>, index: usize) -> rusqlite::Result<Chain> {
    row.get(index).map(Chain::from_bytes)
}

/// A sequence as a bound to search with: no stored sequence is larger than the largest `i64`.
pub(super) fn bound(sequence: Sequence) -> i64 {
    i64::try_from(sequence.get()).unwrap_or(i64::MAX)
}

/// A row of [`message_columns`], as it stands there.
pub(super) fn message<'a>(row: &'a Row<'_>) -> rusqlite::Result<StoredMessage<'a>> {
    let json = row.get_ref(1)?.as_str().map_err(|error| unfit(1, error))?;
    Ok(StoredMessage {
        sequence: sequence(row, 0)?,
        json,
    })
}

/// The entry that a row of [`message_columns`] is the message of.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let message = message(row)?;
    let read = json::from_slice::<EntryMsg>(message.json.as_bytes());
    let entry = entry_from_wire(read.map_err(|error| unfit(1, error))?);
    let entry = entry.map_err(|error| unfit(1, error))?;
    if entry.sequence == message.sequence {
        Ok(entry)
    } else {
        let found = bound(entry.sequence);
        Err(rusqlite::Error::IntegralValueOutOfRange(1, found))
    }
}

/// A row of [`client_columns`].
pub(super) fn client(row: &Row<'_>) -> rusqlite::Result<Client> {
    Ok(Client {
        id: row.get::<_, String>(0)?.parse().map_err(|e| unfit(0, e))?,
        project: row.get::<_, String>(1)?.parse().map_err(|e| unfit(1, e))?,
        created_at: row.get(2)?,
        revoked_at: row.get(3)?,
    })
}

/// A row of [`client_columns`], and behind them the expiry of the token that was shown.
pub(super) fn authenticated(row: &Row<'_>) -> rusqlite::Result<Authenticated> {
    Ok(Authenticated {
        client: client(row)?,
        expires_at: row.get(4)?,
    })
}

/// A row of [`client_columns`], and behind them entries, sighting and the times of a token.
pub(super) fn listed_client(row: &Row<'_>) -> rusqlite::Result<ListedClient> {
    Ok(ListedClient {
        client: client(row)?,
        entries: count(row, 4)?,
        last_seen_at: row.get(5)?,
        last_address: row.get(6)?,
        issued_at: row.get::<_, Option<i64>>(7)?.unwrap_or(0),
        expires_at: row.get(8)?,
    })
}

/// Text in column `index` that is not what it has to be.
pub(super) fn unfit<E: Error + Send + Sync + 'static>(index: usize, error: E) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
}
