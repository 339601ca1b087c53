//! What was acknowledged, and what listeners were given: exactly once, in order, the same for all.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Deserialize;

/// The log as it must be.
#[derive(Default)]
pub(crate) struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The message of each sequence, from 1, as the first listener got it.
    seen: Vec<Option<Seen>>,
    /// The sequence that each id was acknowledged under.
    acknowledged: BTreeMap<String, u64>,
    verdict: Verdict,
}

struct Seen {
    message: Bytes,
    id: String,
}

/// What was wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) different: u64,
    /// The first few, in words.
    pub(crate) violations: Vec<String>,
}

impl Verdict {
    fn say(&mut self, text: String) {
        if self.violations.len() < 20 {
            self.violations.push(text);
        }
    }
}

/// What matters of an entry.
#[derive(Deserialize)]
struct Entry {
    id: String,
    sequence: u64,
}

impl Ledger {
    /// Takes note that listener `who`, which has everything up to `cursor`, got `message`; answers
    /// its new cursor.
    pub(crate) fn received(&self, who: usize, cursor: u64, message: &Bytes) -> u64 {
        let mut inner = self.lock();
        let expected = cursor + 1;
        let Ok(index) = usize::try_from(cursor) else {
            return cursor;
        };
        if inner.seen.len() <= index {
            inner.seen.resize_with(index + 1, || None);
        }
        let known = inner.seen.get(index).and_then(Option::as_ref);
        if known.is_some_and(|seen| seen.message == *message) {
            return expected;
        }
        let is_first = known.is_none();
        let Ok(Entry { id, sequence }) = serde_json::from_slice(message) else {
            inner.verdict.different += 1;
            let said = format!("listener {who}: no entry after {cursor}");
            inner.verdict.say(said);
            return expected;
        };
        if sequence == expected && is_first {
            let message = message.clone();
            if let Some(place) = inner.seen.get_mut(index) {
                *place = Some(Seen { message, id });
            }
            return expected;
        }
        let said = format!("listener {who}: sequence {sequence} after {cursor}");
        inner.verdict.say(said);
        if sequence <= cursor {
            inner.verdict.duplicated += 1;
            return cursor;
        }
        if sequence == expected {
            inner.verdict.different += 1;
        }
        inner.verdict.lost += sequence - expected;
        sequence
    }

    /// Takes note that the hub acknowledged `id`.
    pub(crate) fn acknowledged(&self, id: String, sequence: u64) {
        let mut inner = self.lock();
        match inner.acknowledged.insert(id.clone(), sequence) {
            Some(before) if before != sequence => {
                inner.verdict.duplicated += 1;
                let said = format!("{id} was acknowledged as {before} and as {sequence}");
                inner.verdict.say(said);
            }
            _ => {}
        }
    }

    /// The last sequence that was acknowledged.
    pub(crate) fn head(&self) -> u64 {
        let inner = self.lock();
        inner.acknowledged.values().copied().max().unwrap_or(0)
    }

    /// How many ids were acknowledged.
    pub(crate) fn entries(&self) -> usize {
        self.lock().acknowledged.len()
    }

    /// A violation of another kind.
    pub(crate) fn violation(&self, text: String) {
        self.lock().verdict.say(text);
    }

    /// What was wrong. After a run that came to its end, compares what was acknowledged with what
    /// was seen; otherwise much has not been seen that is not lost.
    pub(crate) fn verdict(&self, is_complete: bool) -> Verdict {
        let inner = self.lock();
        let mut verdict = inner.verdict.clone();
        if !is_complete {
            return verdict;
        }
        let mut stored: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (sequence, seen) in (1..).zip(&inner.seen) {
            if let Some(seen) = seen {
                stored.entry(&seen.id).or_default().push(sequence);
            }
        }
        for (id, sequence) in &inner.acknowledged {
            match stored.remove(id.as_str()).as_deref() {
                Some([one]) if one == sequence => {}
                Some([one]) => {
                    verdict.different += 1;
                    verdict.say(format!("{id}: acknowledged as {sequence}, stored as {one}"));
                }
                Some(many) => {
                    verdict.duplicated += 1;
                    verdict.say(format!("{id}: stored as {many:?}"));
                }
                None => {
                    verdict.lost += 1;
                    verdict.say(format!("{id}: acknowledged as {sequence}, stored nowhere"));
                }
            }
        }
        for (id, sequences) in stored {
            verdict.different += 1;
            verdict.say(format!(
                "{id}: stored as {sequences:?}, published by nobody"
            ));
        }
        verdict
    }

    /// Every change is whole when the lock is released, whoever panics.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
