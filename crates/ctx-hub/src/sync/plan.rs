//! What to pull, and what of a batch is new. Pure.

use std::collections::BTreeMap;

use super::error::Divergence;
use super::state::SyncState;
use crate::client::HubIdentity;
use crate::entry::Entry;
use crate::types::{Chain, EntryType, LogMark, Sequence, TypeSet};

/// One stream to ask a hub for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pull {
    /// Entries after this one,
    pub(super) since: Sequence,
    /// of these types, which all have that cursor.
    pub(super) types: TypeSet,
}

/// The streams that bring `types` up to date, the one that is furthest behind first.
pub(super) fn pulls(state: &SyncState, types: &TypeSet) -> Vec<Pull> {
    let mut groups: BTreeMap<Sequence, Vec<EntryType>> = BTreeMap::new();
    for entry_type in types.iter() {
        groups
            .entry(state.of(entry_type).cursor)
            .or_default()
            .push(entry_type);
    }
    groups
        .into_iter()
        .map(|(since, types)| Pull {
            since,
            types: types.into_iter().collect(),
        })
        .collect()
}

impl Divergence {
    /// In what respect `hub`, as far as it says, is not the log of a mirror in `state`.
    pub(super) fn between(state: &SyncState, hub: &HubIdentity) -> Option<Self> {
        if let (Some(mirrored), Some(found)) = (&state.hub_id, &hub.id)
            && mirrored != found
        {
            let (mirrored, found) = (mirrored.clone(), found.clone());
            return Some(Self::OtherHub { mirrored, found });
        }
        let mirrored = state.reached();
        let head = hub.head.filter(|head| *head < mirrored)?;
        Some(Self::SetBack { mirrored, head })
    }

    /// What it means that `hub` refused what a mirror in `state` knows of its log.
    pub(super) fn of_refusal(state: &SyncState, hub: &HubIdentity) -> Self {
        let known = state.reached();
        Self::between(state, hub).unwrap_or(Self::Rewritten { known })
    }
}

/// Everything that a hub has of some types between two sequences.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The types.
    pub types: TypeSet,
    /// The batch holds every entry of the types after this sequence …
    pub after: Sequence,
    /// … these, with rising sequences, …
    pub entries: Vec<Entry>,
    /// … up to the last of them, or up to here if that is further.
    pub complete_to: Option<Sequence>,
    /// The rolling hash of the hub's log up to `complete_to`, if the hub says it.
    pub chain: Option<Chain>,
}

impl Batch {
    /// The furthest place of the hub's log that the batch tells the hash of.
    pub(super) fn mark(&self) -> Option<LogMark> {
        let entry = self.entries.last();
        let last = entry.and_then(|entry| Some((entry.sequence, entry.chain?)));
        let end = self.complete_to.zip(self.chain);
        let furthest = last.into_iter().chain(end).max_by_key(|(at, _)| *at);
        // Of a log without entries there is nothing to know.
        let furthest = furthest.filter(|(at, _)| *at > Sequence::START);
        furthest.map(|(sequence, chain)| LogMark { sequence, chain })
    }

    /// The entries that were appended when `applied` of each type were: the last ones, since what
    /// a type has already is skipped.
    pub(super) fn into_new(self, applied: &BTreeMap<EntryType, u64>) -> Vec<Entry> {
        let mut left = applied.clone();
        let is_new = |entry: &Entry| match left.get_mut(&entry.entry_type) {
            Some(count @ 1..) => {
                *count -= 1;
                true
            }
            _ => false,
        };
        let mut new: Vec<Entry> = self.entries.into_iter().rev().filter(is_new).collect();
        new.reverse();
        new
    }
}

/// Why a batch cannot follow what is mirrored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Entries between the cursor and the batch are missing.
    #[error("{entry_type} entries are mirrored up to {cursor}, and the batch begins after {after}")]
    Gap {
        /// The type.
        entry_type: EntryType,
        /// Up to where it is mirrored.
        cursor: Sequence,
        /// Where the batch begins.
        after: Sequence,
    },
    /// Sequences do not rise from where the batch begins.
    #[error("entry {sequence} is out of order")]
    Order {
        /// The sequence out of order.
        sequence: Sequence,
    },
    /// An entry of a type that the batch is not of.
    #[error("entry {sequence} is a {entry_type}, which the batch is not of")]
    Type {
        /// Its sequence.
        sequence: Sequence,
        /// Its type.
        entry_type: EntryType,
    },
}

/// What a batch changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    /// What to append, by type; no list is empty.
    pub(super) new: BTreeMap<EntryType, Vec<&'a Entry>>,
    /// The cursors afterwards, of every type of the batch.
    pub(super) cursors: BTreeMap<EntryType, Sequence>,
}

/// What of `batch` is new to a mirror in `state`.
pub(super) fn plan<'a>(state: &SyncState, batch: &'a Batch) -> Result<Plan<'a>, BatchError> {
    for entry_type in batch.types.iter() {
        let cursor = state.of(entry_type).cursor;
        if cursor < batch.after {
            return Err(BatchError::Gap {
                entry_type,
                cursor,
                after: batch.after,
            });
        }
    }
    let mut new: BTreeMap<EntryType, Vec<&Entry>> = BTreeMap::new();
    let mut last = batch.after;
    for entry in &batch.entries {
        let (sequence, entry_type) = (entry.sequence, entry.entry_type);
        if sequence <= last {
            return Err(BatchError::Order { sequence });
        }
        if !batch.types.contains(entry_type) {
            return Err(BatchError::Type {
                sequence,
                entry_type,
            });
        }
        last = sequence;
        if sequence > state.of(entry_type).cursor {
            new.entry(entry_type).or_default().push(entry);
        }
    }
    let reached = last.max(batch.complete_to.unwrap_or_default());
    let cursors = batch
        .types
        .iter()
        .map(|entry_type| (entry_type, state.of(entry_type).cursor.max(reached)))
        .collect();
    Ok(Plan { new, cursors })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::super::state::TypeState;
    use super::*;
    use EntryType::{Convention, Decision, Learning, Task};

    fn state(cursors: &[(EntryType, u64)]) -> SyncState {
        let types = cursors.iter().map(|&(entry_type, cursor)| {
            let cursor = Sequence::new(cursor);
            (
                entry_type,
                TypeState {
                    cursor,
                    ..TypeState::default()
                },
            )
        });
        SyncState {
            types: types.collect(),
            ..SyncState::default()
        }
    }

    fn batch(after: u64, entries: &[(u64, EntryType)], complete_to: Option<u64>) -> Batch {
        Batch {
            types: [Decision, Task].into_iter().collect(),
            after: Sequence::new(after),
            entries: entries
                .iter()
                .map(|&(at, kind)| samples::entry(at, kind, "x"))
                .collect(),
            complete_to: complete_to.map(Sequence::new),
            chain: None,
        }
    }

    fn numbers(state: &SyncState, batch: &Batch) -> (Vec<u64>, Vec<u64>) {
        let plan = plan(state, batch).unwrap();
        let new = plan
            .new
            .values()
            .flatten()
            .map(|entry| entry.sequence.get())
            .collect();
        (
            new,
            plan.cursors.values().map(|cursor| cursor.get()).collect(),
        )
    }

    #[test]
    fn types_that_are_equally_far_share_a_stream_and_the_furthest_behind_comes_first() {
        let state = state(&[(Decision, 9), (Learning, 9), (Task, 4)]);
        let pulls = pulls(&state, &TypeSet::all());
        let expected = [
            (0, vec![Convention]),
            (4, vec![Task]),
            (9, vec![Decision, Learning]),
        ];
        let expected = expected.map(|(since, types)| Pull {
            since: Sequence::new(since),
            types: types.into_iter().collect(),
        });
        assert_eq!(pulls, expected);
    }

    #[test]
    fn a_type_that_is_not_asked_for_is_not_pulled() {
        let types = [Task].into_iter().collect();
        assert_eq!(pulls(&state(&[(Decision, 9)]), &types).len(), 1);
    }

    #[test]
    fn what_lies_up_to_a_type_s_own_cursor_is_skipped() {
        let state = state(&[(Decision, 5), (Task, 2)]);
        let batch = batch(
            2,
            &[(3, Decision), (4, Task), (5, Decision), (6, Decision)],
            None,
        );
        assert_eq!(numbers(&state, &batch), (vec![6, 4], vec![6, 6]));
    }

    #[test]
    fn a_cursor_moves_to_the_head_and_never_back() {
        let state = state(&[(Decision, 9), (Task, 2)]);
        assert_eq!(
            numbers(&state, &batch(2, &[], Some(7))),
            (vec![], vec![9, 7])
        );
        assert_eq!(
            numbers(&state, &batch(2, &[(8, Task)], Some(7))),
            (vec![8], vec![9, 8])
        );
        assert_eq!(numbers(&state, &batch(2, &[], None)), (vec![], vec![9, 2]));
    }

    #[test]
    fn a_batch_that_leaves_a_gap_or_is_out_of_order_is_refused() {
        let state = state(&[(Decision, 5), (Task, 5)]);
        for (batch, error) in [
            (
                batch(6, &[], None),
                "task entries are mirrored up to 5, and the batch begins after 6",
            ),
            (batch(5, &[(5, Task)], None), "entry 5 is out of order"),
            (
                batch(5, &[(7, Task), (7, Task)], None),
                "entry 7 is out of order",
            ),
            (
                batch(5, &[(7, Learning)], None),
                "entry 7 is a learning, which the batch is not of",
            ),
        ] {
            let found = plan(&state, &batch).unwrap_err().to_string();
            assert_eq!(found.replace("decision entries", "task entries"), error);
        }
    }
}
