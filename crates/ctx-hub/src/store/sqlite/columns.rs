//! Entries as formats 1 to 6 kept them: a column for each field. Only read, to be moved or verified.

use rusqlite::Row;

use super::rows::{self, unfit};
use crate::entry::{Entry, EntryMeta};
use crate::types::{Chain, EntryId};

/// The columns that [`entry`] reads first, in its order; the hash at the entry comes behind them.
macro_rules! entry_columns {
    () => {
        "sequence, id, type, origin, timestamp, display_name, host, tool, via, content"
    };
}
pub(super) use entry_columns;

/// A row of the columns, and the hash at the entry or `NULL` behind them.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        sequence: rows::sequence(row, 0)?,
        id: EntryId::try_from(row.get::<_, String>(1)?).map_err(|error| unfit(1, error))?,
        entry_type: rows::entry_type(row, 2)?,
        origin: row.get(3)?,
        timestamp: row.get(4)?,
        meta: EntryMeta {
            display_name: row.get(5)?,
            host: row.get(6)?,
            tool: row.get(7)?,
            via: row.get(8)?,
        },
        content: row.get(9)?,
        chain: row.get::<_, Option<_>>(10)?.map(Chain::from_bytes),
    })
}
