//! What should stand in a mirror file, at 16 bytes an entry, and which sequences were seen. Pure.

use std::collections::BTreeMap;

use crate::entry::Entry;
use crate::sync::render::digest;
use crate::types::Sequence;

/// The entries of one type that a hub has, up to the cursor.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Rising.
    sequences: Vec<u64>,
    /// The digest of each.
    digests: Vec<u64>,
}

impl Expected {
    /// Adds the next entry that the hub sent.
    pub(super) fn push(&mut self, entry: &Entry) {
        self.sequences.push(entry.sequence.get());
        self.digests.push(digest(entry));
    }

    /// Whether the hub has this very entry; `None` when it has none of its sequence.
    pub(super) fn is(&self, entry: &Entry) -> Option<bool> {
        let at = self.sequences.binary_search(&entry.sequence.get()).ok()?;
        Some(self.digests.get(at) == Some(&digest(entry)))
    }

    /// The runs of entries up to `last` that are not in `seen`: first, last and how many.
    pub(super) fn unseen(&self, seen: &Seen, last: Sequence) -> Vec<(Sequence, Sequence, u64)> {
        let mut runs: Vec<(Sequence, Sequence, u64)> = Vec::new();
        let mut goes_on = false;
        for sequence in self.sequences.iter().copied().map(Sequence::new) {
            if sequence > last {
                break;
            }
            let missing = !seen.has(sequence);
            match runs.last_mut() {
                Some((_, end, count)) if missing && goes_on => {
                    *end = sequence;
                    *count += 1;
                }
                _ if missing => runs.push((sequence, sequence, 1)),
                _ => {}
            }
            goes_on = missing;
        }
        runs
    }
}

/// A set of sequences, a bit each.
#[derive(Debug, Default)]
pub(super) struct Seen {
    words: BTreeMap<u64, u64>,
}

impl Seen {
    /// Adds one; false when it was there.
    pub(super) fn insert(&mut self, sequence: Sequence) -> bool {
        let (word, bit) = place(sequence);
        let word = self.words.entry(word).or_default();
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether it was added.
    pub(super) fn has(&self, sequence: Sequence) -> bool {
        let (word, bit) = place(sequence);
        self.words.get(&word).is_some_and(|word| word & bit != 0)
    }
}

const fn place(sequence: Sequence) -> (u64, u64) {
    (sequence.get() / 64, 1 << (sequence.get() % 64))
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::*;
    use crate::types::EntryType;

    #[test]
    fn runs_of_missing_entries_are_told_together() {
        let mut expected = Expected::default();
        for sequence in [1, 4, 5, 9, 130, 131, 200] {
            expected.push(&samples::entry(sequence, EntryType::Task, "x"));
        }
        let mut seen = Seen::default();
        for sequence in [1, 9] {
            assert!(seen.insert(Sequence::new(sequence)));
            assert!(!seen.insert(Sequence::new(sequence)));
        }
        let run = |from, to, count| (Sequence::new(from), Sequence::new(to), count);
        assert_eq!(
            expected.unseen(&seen, Sequence::new(131)),
            [run(4, 5, 2), run(130, 131, 2)]
        );
        let other = samples::entry(4, EntryType::Task, "y");
        assert_eq!(expected.is(&other), Some(false));
        assert_eq!(expected.is(&samples::entry(3, EntryType::Task, "x")), None);
    }
}
