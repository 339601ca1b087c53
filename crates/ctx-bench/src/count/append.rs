//! Render 1,000 entries and append them to a mirror.

use camino::Utf8Path;
use ctx_config::paths::ContextDir;
use ctx_hub::entry::{Entry, EntryMeta};
use ctx_hub::sync::{Batch, SyncOptions, load_state};
use ctx_hub::types::{EntryId, Sequence, TypeSet};

use crate::Failure;
use crate::bench::CONTENT;
use crate::entries;

/// Entries of a round.
const ENTRIES: u64 = 1_000;

/// Appends and commits a batch in each round.
pub(super) fn run(dir: &Utf8Path, rounds: u64) -> Result<(), Failure> {
    let mut session = load_state(&ContextDir::new(dir), &SyncOptions::default())?;
    for round in 0..rounds {
        let (next, applied) = session.apply(&batch(round * ENTRIES)?)?;
        if applied.values().sum::<u64>() != ENTRIES {
            return Err("not every entry was new".into());
        }
        session = next;
    }
    Ok(session.release()?)
}

/// The entries after the sequence `after`.
fn batch(after: u64) -> Result<Batch, Failure> {
    let entries = (after + 1..=after + ENTRIES).map(entry);
    Ok(Batch {
        types: TypeSet::all(),
        after: Sequence::new(after),
        entries: entries.collect::<Result<_, _>>()?,
        complete_to: Some(Sequence::new(after + ENTRIES)),
        chain: None,
    })
}

fn entry(number: u64) -> Result<Entry, Failure> {
    Ok(Entry {
        id: EntryId::try_from(entries::id("old", number))?,
        entry_type: super::type_of(number)?,
        content: entries::content(number, CONTENT),
        origin: "elsewhere".to_owned(),
        timestamp: 1_767_225_600,
        sequence: Sequence::new(number),
        meta: EntryMeta::default(),
        chain: None,
    })
}
