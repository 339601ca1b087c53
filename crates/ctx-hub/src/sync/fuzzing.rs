//! The state and the mirror for any bytes; see [`crate::fuzzing`].

use super::escape::{escape, is_break, unescape};
use super::parse::{Segment, classify};
use super::render::{HEADER, date, is_text_of, render, title};
use super::segments::Segments;
use super::state::{self as recorded, Recorded};
use super::torn;
use crate::entry::Entry;
use crate::fuzzing::{damaged, seed};
use crate::types::{EntryType, Sequence};
use crate::wire::convert::entry_from_wire;
use crate::wire::generated::{EntryMeta, EntryMsg};

/// Ends a field in the bytes that entries are made of; no UTF-8 holds it.
const FIELD: u8 = 0xff;
/// Fields of one entry.
const FIELDS: usize = 4;
/// Most entries that are made of bytes.
const ENTRIES: usize = 4;

/// The state file: what is accepted is written so that it reads back the same, and what was written
/// is no state once it is cut off.
pub fn state(bytes: &[u8]) {
    let Ok(Recorded::Current(read)) = recorded::read(bytes) else {
        return;
    };
    let Ok(written) = read.to_json() else {
        panic!("cannot be written: {read:?}");
    };
    match recorded::read(&written) {
        Ok(Recorded::Current(again)) => assert_eq!(again, read),
        other => panic!("{read:?} was written and read as {other:?}"),
    }
    // Behind the last brace only the line break is missing.
    let cut = 1 + usize::try_from(seed(bytes)).unwrap_or(0) % (written.len() - 2);
    assert!(recorded::read(written.get(..cut).unwrap_or_default()).is_err());
}

/// A mirror file: every byte of it is in one segment, each has an answer, and an entry that is said
/// to be ours is what we would write. A tail is ours when all but its end is whole entries of ours.
pub fn mirror_file(bytes: &[u8]) {
    const TYPE: EntryType = EntryType::Decision;
    let segments = segments(bytes);
    assert_eq!(segments.concat(), bytes);
    let mut last = Sequence::new(0);
    let mut rising = true;
    let is_ours = torn::is_ours(bytes, TYPE, last);
    let count = segments.len();
    for (number, segment) in (1..).zip(segments) {
        match classify(&segment, TYPE) {
            Segment::Ours(entry) => {
                assert!(is_text_of(&segment, &entry));
                assert_eq!(entry.entry_type, TYPE);
                rising &= entry.sequence > last;
                last = entry.sequence;
            }
            Segment::Edited(_) | Segment::Older => {
                assert!(segment.starts_with(HEADER.as_bytes()));
                rising &= number == count;
            }
            Segment::Foreign => rising &= number == count,
        }
    }
    // A NUL ends what was written; what follows was lost with the power.
    assert!(!is_ours || rising || bytes.contains(&0));
}

/// Entries made of any bytes: what is written reads back the same, to us and to a reader of the
/// older shape; nothing in them is taken for structure; damage makes no entry that was not there.
pub fn mirror_entries(bytes: &[u8]) {
    let entries = made_of(bytes);
    let text: String = entries.iter().map(render).collect();
    assert_eq!(ours(text.as_bytes()), entries);
    assert_eq!(segments(text.as_bytes()).len(), entries.len());
    as_an_older_reader(&text, &entries);
    for entry in &entries {
        assert_eq!(unescape(&escape(&entry.content)), entry.content);
    }
    for round in 0..4 {
        let damaged = damaged(text.as_bytes(), seed(bytes).rotate_left(round * 16));
        for found in ours(&damaged) {
            assert!(entries.contains(&found), "{found:?}");
        }
        if text.as_bytes().starts_with(&damaged) {
            assert!(torn::is_ours(
                &damaged,
                EntryType::Decision,
                Sequence::new(0)
            ));
        }
    }
}

fn segments(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut segments = Segments::new(bytes);
    std::iter::from_fn(|| segments.next().ok().flatten()).collect()
}

fn ours(bytes: &[u8]) -> Vec<Entry> {
    let of = |segment: Vec<u8>| match classify(&segment, EntryType::Decision) {
        Segment::Ours(entry) => Some(*entry),
        _ => None,
    };
    segments(bytes).into_iter().filter_map(of).collect()
}

/// A few entries with rising sequences.
#[allow(
    clippy::needless_update,
    reason = "what a later message holds as well is left empty"
)]
fn made_of(bytes: &[u8]) -> Vec<Entry> {
    let fields: Vec<String> = bytes
        .split(|byte| *byte == FIELD)
        .map(|field| String::from_utf8_lossy(field).into_owned())
        .collect();
    let mut sequence = 0;
    let entries = fields.chunks(FIELDS).take(ENTRIES).filter_map(|fields| {
        let field = |number: usize| fields.get(number).cloned().unwrap_or_default();
        let seed = seed(field(0).as_bytes());
        sequence += 1 + seed % 1_000;
        let message = EntryMsg {
            id: format!("{}i", field(1)),
            r#type: EntryType::Decision.as_str().to_owned(),
            content: field(0),
            origin: field(2),
            // Of any size: the larger the shift, the nearer to 1970.
            timestamp: seed.cast_signed() >> (seed % 64),
            sequence,
            meta: Some(EntryMeta {
                display_name: field(3),
                via: field(1),
                ..EntryMeta::default()
            }),
            ..EntryMsg::default()
        };
        entry_from_wire(message).ok()
    });
    entries.collect()
}

/// A reader that knows only the older shape, and begins a line wherever one might.
fn as_an_older_reader(text: &str, entries: &[Entry]) {
    let lines = || text.split(is_break).map(str::trim);
    let starting = |with: &str| lines().filter(|line| line.starts_with(with)).count();
    assert_eq!(starting("**Origin**:"), entries.len());
    assert_eq!(starting("---"), entries.len());
    assert_eq!(lines().filter(|line| *line == "---").count(), entries.len());
    let headers: Vec<&str> = lines().filter(|line| line.starts_with('#')).collect();
    let expected: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!(
                "{HEADER}{}] {}",
                date(entry.timestamp),
                title(&entry.content)
            )
        })
        .collect();
    assert_eq!(headers, expected);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_of_our_own_entries_is_read_as_ours() {
        let seed = include_bytes!("../../../../fuzz/seeds/mirror_file/ours");
        assert_eq!(ours(seed).len(), 2);
        assert!(torn::is_ours(seed, EntryType::Decision, Sequence::new(4)));
    }
}
