//! A new store, empty or with what an older hub left.

use std::sync::Arc;

use camino::Utf8Path;
use ctx_config::paths::DataDir;
use ctx_io::failpoint;
use rusqlite::{Connection, ErrorCode, Transaction};

use super::write::Tip;
use super::{connection, file, now, rows, schema, write};
use crate::store::error::{ImportFault, StoreError};
use crate::store::import::{Entries, OldFiles};
use crate::store::notice::Notice;
use crate::types::{Chain, HubId, Sequence};

const LOG: &str =
    "INSERT INTO log (one, hub_id, head, created_at, chain) VALUES (1, ?1, ?2, ?3, ?4)";

/// Makes the store of `dir` under a name of its own and gives it its place once it is whole. Until
/// then nothing stands there: whatever stops this, the next call starts over.
pub(super) fn create(dir: &DataDir) -> Result<Vec<Notice>, StoreError> {
    let building = dir.store_new();
    file::remove(&building)?;
    let made = file::create_private(&building)
        .and_then(|()| build(dir, &building))
        .and_then(|notices| file::publish(&building, &dir.store()).map(|()| notices));
    if made.is_err()
        && let Err(error) = file::remove(&building)
    {
        tracing::warn!(error = %error, "an unfinished store stays behind");
    }
    made
}

fn build(dir: &DataDir, building: &Utf8Path) -> Result<Vec<Notice>, StoreError> {
    let failed = |error| rows::store_error(building, Arc::new(error));
    let hub_id = HubId::random().map_err(|source| StoreError::Random { source })?;
    let mut notices = Vec::new();

    let mut connection = connection::builder(building).map_err(failed)?;
    connection
        .pragma_update(None, "application_id", schema::APPLICATION_ID)
        .and_then(|()| schema::migrate(&mut connection, schema::MIGRATIONS))
        .map_err(failed)?;
    let transaction = connection.transaction().map_err(failed)?;
    let mut tip = Tip {
        head: Sequence::START,
        chain: Chain::genesis(&hub_id),
        commits: 0,
    };
    let created_at = match OldFiles::find(dir)? {
        Some(old) => import(&transaction, &old, &mut tip, &failed, &mut notices)?,
        None => now(),
    };
    let (head, chain) = (rows::bound(tip.head), tip.chain.to_bytes());
    let log = rusqlite::params![hub_id.as_str(), head, created_at, chain];
    transaction.execute(LOG, log).map_err(failed)?;
    failpoint::reach("store.filling").map_err(|error| failed(rows::failed(error)))?;
    transaction.commit().map_err(failed)?;
    failpoint::reach("store.filled").map_err(|error| failed(rows::failed(error)))?;
    finish(connection).map_err(failed)?;
    Ok(notices)
}

/// Leaves the database as one that is written through a write-ahead log.
fn finish(connection: Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}

/// Takes over what an older hub left, which `tip` is the end of afterwards; answers when it was
/// made.
fn import(
    transaction: &Transaction<'_>,
    old: &OldFiles,
    tip: &mut Tip,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
    notices: &mut Vec<Notice>,
) -> Result<i64, StoreError> {
    let meta = old.meta()?;
    let clients = import_clients(transaction, old, failed)?;
    let mut entries = old.entries()?;
    let count = import_entries(transaction, &mut entries, tip, failed)?;
    notices.push(Notice::Imported {
        path: old.path().to_owned(),
        entries: count,
        clients,
    });
    notices.extend(entries.into_notice());
    tip.head = tip.head.max(meta.sequence_counter);
    Ok(meta.created_at.unwrap_or_else(now))
}

/// Stores the entries under the sequences that they have; answers how many.
fn import_entries(
    transaction: &Transaction<'_>,
    entries: &mut Entries,
    tip: &mut Tip,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Result<u64, StoreError> {
    let mut tally = write::Tally::new();
    let mut count = 0;
    while let Some(entry) = entries.next()? {
        write::insert(transaction, tip, entry.view()).map_err(failed)?;
        *tally.entry((entry.origin, entry.entry_type)).or_default() += 1;
        count += 1;
    }
    write::count(transaction, &tally).map_err(failed)?;
    Ok(count)
}

/// Registers the clients under the ids that they have, each with the hash of its token.
fn import_clients(
    transaction: &Transaction<'_>,
    old: &OldFiles,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Result<u64, StoreError> {
    let mut count = 0;
    for client in old.clients()? {
        // When it registered is not known.
        let token = client.token.clone().into();
        match write::register(transaction, &client.id, &client.project, &token, 0) {
            Ok(true) => count += 1,
            Ok(false) => {
                let project = client.project.as_str().to_owned();
                return Err(old.client_fault(ImportFault::TwoClients { project }));
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                let id = client.id.as_str().to_owned();
                return Err(old.client_fault(ImportFault::NotItsOwn { id }));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(count)
}
