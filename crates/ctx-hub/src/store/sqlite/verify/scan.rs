//! What the database holds, row by row, in one snapshot.

use std::collections::BTreeMap;

use camino::Utf8Path;
use ctx_config::paths::DataDir;
use rusqlite::{Connection, Row};

use super::super::columns::{self, entry_columns};
use super::super::marks::Marks;
use super::super::rows::{self, message_columns};
use super::super::{read, schema};
use super::folder::Kept;
use super::report::{StoreFindingKind as Kind, StoreProgress, StoreReport};
use crate::entry::Entry;
use crate::types::{Chain, EntryType, Sequence};
use crate::wire::json;

/// Faults of its pages that the engine lists before it gives up.
const PAGE_FAULTS: u32 = 100;
/// Progress is told each time so many entries were read.
const TELL_EVERY: u64 = 1_000;

/// Every entry as its message, and what is searched for.
const MESSAGES: Rows = Rows {
    sql: concat!(
        "SELECT ",
        message_columns!(),
        ", type, chain, id_hash FROM entries ORDER BY sequence"
    ),
    entry: rows::entry,
    message: Some(1),
    entry_type: 2,
    chain: 3,
    id_hash: 4,
};
/// Every entry as a column for each field.
const COLUMNS: Rows = Rows {
    sql: concat!(
        "SELECT ",
        entry_columns!(),
        ", chain, id_hash FROM entries ORDER BY sequence"
    ),
    entry: columns::entry,
    message: None,
    entry_type: 2,
    chain: 10,
    id_hash: 11,
};
/// The same while there was no rolling hash.
const COLUMNS_WITHOUT_CHAIN: Rows = Rows {
    sql: concat!(
        "SELECT ",
        entry_columns!(),
        ", NULL, id_hash FROM entries ORDER BY sequence"
    ),
    ..COLUMNS
};
/// The format from which on entries have a rolling hash.
const CHAIN_FORMAT: u32 = 2;
/// The format from which on entries are kept as their messages.
const MESSAGES_FORMAT: u32 = 7;
/// The format from which on commits are counted.
const COMMITS_FORMAT: u32 = 3;
/// The format from which on the admin token's hash and invitations are kept.
const ADMIN_FORMAT: u32 = 5;
const COUNTS: &str = "SELECT origin, type, entries FROM counts";
/// Days of clients that there never were.
const STRAY_USAGE: &str = "SELECT count(*) FROM usage WHERE client NOT IN (SELECT id FROM clients)";
/// Length of the hash of a token, in bytes.
pub(super) const TOKEN_HASH_BYTES: i64 = 32;

/// How many entries there are of a project and a type.
type Tally = BTreeMap<(String, EntryType), u64>;

/// How the entries of a format are read, and in which columns what is searched for stands.
struct Rows {
    sql: &'static str,
    entry: fn(&Row<'_>) -> rusqlite::Result<Entry>,
    message: Option<usize>,
    entry_type: usize,
    chain: usize,
    id_hash: usize,
}

impl Rows {
    /// How those of `format` are.
    const fn of(format: u32) -> &'static Self {
        if format >= MESSAGES_FORMAT {
            &MESSAGES
        } else if format >= CHAIN_FORMAT {
            &COLUMNS
        } else {
            &COLUMNS_WITHOUT_CHAIN
        }
    }
}

/// Who is told how far it has come.
pub(super) type Listener<'a> = &'a mut dyn FnMut(StoreProgress);

/// What the log says of itself.
#[derive(Default)]
struct End {
    format: u32,
    genesis: Option<Chain>,
    head: Option<Sequence>,
    /// The hash at the last entry.
    tip: Option<Chain>,
}

/// How far the entries have been read.
struct Walk {
    last: Sequence,
    /// The hash at the last one, as it says; `None` when it cannot be told.
    chain: Option<Chain>,
    tally: Tally,
}

/// Looks through the database.
pub(super) struct Scan<'a> {
    pub(super) path: &'a Utf8Path,
    pub(super) report: &'a mut StoreReport,
    /// Where what was acknowledged is remembered, unless a hub goes on writing there.
    pub(super) acknowledged: Option<&'a DataDir>,
    /// What the store says of the admin token, once it was read.
    pub(super) admin: Kept,
}

impl Scan<'_> {
    /// Everything, from one snapshot.
    pub(super) fn run(
        &mut self,
        connection: &Connection,
        on_progress: Listener<'_>,
    ) -> rusqlite::Result<()> {
        let snapshot = connection.unchecked_transaction()?;
        let format = schema::format(&snapshot)?;
        if !(1..=schema::known()).contains(&format) {
            let what = format!(
                "has format {format}, and this version reads {}",
                schema::known()
            );
            self.found(Kind::Foreign, None, what);
            return Ok(());
        }
        on_progress(StoreProgress::Pages);
        self.pages(&snapshot);
        let end = self.end(&snapshot, format);
        let tally = self.entries(&snapshot, &end, on_progress);
        if let Some(tally) = tally {
            self.counts(&snapshot, tally);
        }
        self.clients(&snapshot);
        if format >= ADMIN_FORMAT {
            self.admin(&snapshot);
            self.invitations(&snapshot);
        }
        Ok(())
    }

    pub(super) fn found(
        &mut self,
        kind: Kind,
        sequence: Option<Sequence>,
        detail: impl Into<String>,
    ) {
        self.report.found(self.path, kind, sequence, detail);
    }

    /// What the engine says of its own pages, indexes and constraints.
    fn pages(&mut self, snapshot: &Connection) {
        let sql = format!("PRAGMA integrity_check({PAGE_FAULTS})");
        let faults = snapshot.prepare(&sql).and_then(|mut statement| {
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        });
        match faults {
            Ok(faults) => {
                let lines = faults.iter().flat_map(|fault| fault.lines());
                for fault in lines.filter(|fault| *fault != "ok" && !fault.starts_with("***")) {
                    self.found(Kind::Damaged, None, format!("the engine says: {fault}"));
                }
            }
            Err(error) => self.found(Kind::Damaged, None, format!("cannot be checked: {error}")),
        }
    }

    /// Where the log begins and ends, as it says itself.
    fn end(&mut self, snapshot: &Connection, format: u32) -> End {
        let mut end = End {
            format,
            ..End::default()
        };
        match read::log(snapshot) {
            Ok((hub_id, head)) => {
                end.genesis = Some(Chain::genesis(&hub_id));
                end.head = Some(head);
                self.report.hub_id = Some(hub_id);
                self.report.head = Some(head);
            }
            Err(error) => self.found(Kind::Head, None, format!("the log cannot be read: {error}")),
        }
        if format >= COMMITS_FORMAT && end.head.is_some() {
            match read::tip(snapshot) {
                Ok(tip) => {
                    end.tip = Some(tip.chain);
                    self.acknowledged(tip.commits);
                }
                Err(error) => {
                    self.found(Kind::Head, None, format!("the log cannot be read: {error}"));
                }
            }
        }
        end
    }

    /// Whether commits that had been acknowledged are missing.
    fn acknowledged(&mut self, commits: u64) {
        let (Some(dir), Some(hub_id)) = (self.acknowledged, &self.report.hub_id) else {
            return;
        };
        let what = match Marks::open(dir, hub_id) {
            Ok((_, mark)) if mark.commits <= commits => return,
            Ok((_, mark)) => format!(
                "is {} transactions behind what had been acknowledged: they are lost, with entries \
                 up to {}",
                mark.commits - commits,
                mark.head
            ),
            Err(error) => format!("what had been acknowledged cannot be told: {error}"),
        };
        self.found(Kind::Log, None, what);
    }

    /// Every entry in order; `None` when not all could be read.
    fn entries(
        &mut self,
        snapshot: &Connection,
        end: &End,
        on_progress: Listener<'_>,
    ) -> Option<Tally> {
        let mut walk = Walk {
            last: Sequence::START,
            chain: end.genesis.filter(|_| end.format >= CHAIN_FORMAT),
            tally: Tally::new(),
        };
        if let Err(error) = self.each_entry(snapshot, end, &mut walk, on_progress) {
            let last = walk.last;
            let what = format!("entries after {last} cannot be read: {error}");
            self.found(Kind::Damaged, Some(last), what);
            return None;
        }
        let (last, head) = (walk.last, end.head?);
        if last > head {
            let what = format!("the head is {head}, and entry {last} is there");
            self.found(Kind::Head, Some(last), what);
            return Some(walk.tally);
        }
        // The hash at the end is that of the last entry there ever was.
        let whole = end.tip.is_some() && end.tip == walk.chain;
        let beyond = Sequence::new(head.get().saturating_add(1));
        if !self.gap(last, beyond, whole) && end.tip.is_some() && !whole {
            let what = "the hash at the end of the log is not that of its last entry";
            self.found(Kind::Chain, Some(last), what);
        }
        Some(walk.tally)
    }

    fn each_entry(
        &mut self,
        snapshot: &Connection,
        end: &End,
        walk: &mut Walk,
        on_progress: Listener<'_>,
    ) -> rusqlite::Result<()> {
        let rows_of = Rows::of(end.format);
        let mut statement = snapshot.prepare(rows_of.sql)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let sequence = rows::sequence(row, 0)?;
            self.entry(rows_of, row, sequence, walk);
            walk.last = sequence;
            self.report.entries += 1;
            if self.report.entries.is_multiple_of(TELL_EVERY) {
                on_progress(StoreProgress::Entries {
                    read: self.report.entries,
                    head: end.head.unwrap_or(sequence).get(),
                });
            }
        }
        Ok(())
    }

    fn entry(&mut self, rows_of: &Rows, row: &Row<'_>, sequence: Sequence, walk: &mut Walk) {
        let last = walk.last;
        let entry = match (rows_of.entry)(row) {
            Ok(entry) => entry,
            Err(error) => {
                self.gap(last, sequence, false);
                // What it says of its hash is all that the next one can be compared with.
                walk.chain = walk
                    .chain
                    .and_then(|_| rows::chain(row, rows_of.chain).ok());
                let what = format!("no entry can be made of it: {error}");
                return self.found(Kind::Entry, Some(sequence), what);
            }
        };
        let expected = walk.chain.map(|chain| chain.after(&entry));
        let follows = expected.is_some() && expected == entry.chain;
        let gap = self.gap(last, sequence, follows);
        if expected.is_some() && !follows && !gap {
            let what = "its hash does not follow: it was changed, or what stood before it was";
            self.found(Kind::Chain, Some(sequence), what);
        }
        walk.chain = walk.chain.and(entry.chain);
        self.columns_beside(rows_of, row, &entry);
        *walk
            .tally
            .entry((entry.origin, entry.entry_type))
            .or_default() += 1;
    }

    /// How an entry is written, and what stands beside it to find it by, against what it says itself.
    fn columns_beside(&mut self, rows_of: &Rows, row: &Row<'_>, entry: &Entry) {
        let mut found = |what| self.found(Kind::Entry, Some(entry.sequence), what);
        if let Some(column) = rows_of.message {
            let mut written = Vec::new();
            json::write_entry(&mut written, &entry.view());
            let stored = row
                .get_ref(column)
                .ok()
                .and_then(|value| value.as_bytes().ok());
            if stored != Some(written.as_slice()) {
                found("says what it says in other words than its message was written in");
            }
        }
        let hash: rusqlite::Result<i64> = row.get(rows_of.id_hash);
        if hash.ok() != Some(rows::id_hash(entry.id.as_str())) {
            found("is not found by its id: the hash of the id is another one's");
        }
        let entry_type = rows::entry_type(row, rows_of.entry_type);
        if entry_type.ok() != Some(entry.entry_type) {
            found("is not found by its type: another one stands beside it");
        }
        let chain: rusqlite::Result<Option<_>> = row.get(rows_of.chain);
        if chain.ok() != Some(entry.chain.map(Chain::to_bytes)) {
            found("says another hash of the log than stands beside it");
        }
    }

    /// Whether `next` leaves sequences out behind `last`. Where the hash goes on over them
    /// (`whole`), they had no entry when the next one was stored: an older hub's log may have such
    /// holes, and a start that found entries lost leaves one.
    fn gap(&mut self, last: Sequence, next: Sequence, whole: bool) -> bool {
        let first = last.get().saturating_add(1);
        let count = next.get().saturating_sub(first);
        let what = match count {
            0 => return false,
            1 => "is not there".to_owned(),
            _ => {
                let to = next.get().saturating_sub(1);
                format!("and those up to {to} are not there ({count} sequences)")
            }
        };
        if whole {
            let note = format!(
                "sequence {first} {what}, and the log goes on over it: an older hub never had it, \
                 or it was lost, as an earlier start said"
            );
            self.report.notes.push(note);
        } else {
            self.found(Kind::Gap, Some(Sequence::new(first)), what);
        }
        true
    }

    /// The counters against what was counted.
    fn counts(&mut self, snapshot: &Connection, mut counted: Tally) {
        let kept = snapshot.prepare(COUNTS).and_then(|mut statement| {
            let rows = statement.query_map([], |row| {
                let key = (row.get::<_, String>(0)?, rows::entry_type(row, 1)?);
                Ok((key, rows::count(row, 2)?))
            })?;
            rows.collect::<rusqlite::Result<Tally>>()
        });
        let kept = match kept {
            Ok(kept) => kept,
            Err(error) => {
                return self.found(Kind::Count, None, format!("cannot be read: {error}"));
            }
        };
        for ((project, entry_type), kept) in kept {
            let key = (project, entry_type);
            let found = counted.remove(&key).unwrap_or_default();
            if found != kept {
                let (project, _) = key;
                let what =
                    format!("counts {kept} of {entry_type} of {project:?}, and holds {found}");
                self.found(Kind::Count, None, what);
            }
        }
        for ((project, entry_type), found) in counted {
            let what = format!("counts no {entry_type} of {project:?}, and holds {found}");
            self.found(Kind::Count, None, what);
        }
    }

    /// What clients have stored today belongs to one of them.
    pub(super) fn usage(&mut self, snapshot: &Connection) -> rusqlite::Result<()> {
        if !snapshot.table_exists(None, "usage")? {
            return Ok(());
        }
        let stray: i64 = snapshot.query_row(STRAY_USAGE, [], |row| row.get(0))?;
        if stray > 0 {
            let what = format!("the day is counted of {stray} clients that there never were");
            self.found(Kind::Client, None, what);
        }
        Ok(())
    }
}
