//! The rolling hash of a log that was stored before there was one.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::{self, entry_columns};
use super::rows;
use crate::types::Chain;

const HUB: &str = "SELECT hub_id FROM log";
/// One entry at a time: what is read stays small, and nothing is read while it is changed.
const NEXT: &str = concat!(
    "SELECT ",
    entry_columns!(),
    ", NULL FROM entries WHERE sequence > ?1 ORDER BY sequence LIMIT 1"
);
const SET: &str = "UPDATE entries SET chain = ?2 WHERE sequence = ?1";
const TIP: &str = "UPDATE log SET chain = ?1";

/// Computes the hash at every entry and at the end, within somebody else's transaction. A new
/// store, which has no log yet, is left as it is.
pub(super) fn compute(connection: &Connection) -> rusqlite::Result<u64> {
    let hub = connection
        .query_row(HUB, [], |row| rows::hub_id(row, 0))
        .optional()?;
    let Some(hub) = hub else {
        return Ok(0);
    };
    let mut chain = Chain::genesis(&hub);
    let (mut last, mut entries) = (0, 0);
    let mut next = connection.prepare(NEXT)?;
    let mut set = connection.prepare(SET)?;
    while let Some(entry) = next.query_row([last], columns::entry).optional()? {
        chain = chain.after(&entry);
        last = rows::bound(entry.sequence);
        set.execute(params![last, chain.to_bytes()])?;
        entries += 1;
    }
    connection.execute(TIP, [chain.to_bytes()])?;
    Ok(entries)
}
