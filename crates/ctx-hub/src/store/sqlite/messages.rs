//! The move of a store's entries from columns to messages, which SQL cannot write.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::{self, entry_columns};
use super::{rows, write};

/// One entry at a time: what is read stays small, and nothing is read while it is changed.
const NEXT: &str = concat!(
    "SELECT ",
    entry_columns!(),
    ", chain FROM entries_before WHERE sequence > ?1 ORDER BY sequence LIMIT 1"
);
const MOVED: &str = "DELETE FROM entries_before WHERE sequence = ?1";

/// Moves every entry, within somebody else's transaction; answers how many. Each leaves its place
/// at once, which those that follow are written to: the file becomes longer by what messages are
/// longer than columns.
pub(super) fn compute(connection: &Connection) -> rusqlite::Result<u64> {
    let mut next = connection.prepare(NEXT)?;
    let mut moved = connection.prepare(MOVED)?;
    let (mut last, mut entries) = (0, 0);
    while let Some(entry) = next.query_row([last], columns::entry).optional()? {
        last = rows::bound(entry.sequence);
        write::put(connection, &entry.view())?;
        moved.execute(params![last])?;
        entries += 1;
    }
    Ok(entries)
}
