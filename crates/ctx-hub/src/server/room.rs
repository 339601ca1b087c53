//! Room for what waits to be stored.
//!
//! The store's queue is bounded in number; this bounds it in bytes. A publish that finds no room is
//! refused and not kept waiting: what waits is in memory, and that is what there is too much of.

use std::sync::Arc;

use ctx_config::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::entry::EntryDraft;

/// What an entry takes besides its content, in bytes, roughly.
const OVERHEAD_BYTES: usize = 512;

/// The answer when there is none.
pub(super) const BUSY: &str = "the hub has too much to store at this moment; send it again";

/// Room for what waits to be stored.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

/// Room that is taken, until this is dropped.
#[derive(Debug)]
#[must_use = "the room is given back as soon as this is dropped"]
pub(super) struct Taken(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(limits::WRITE_QUEUE_BYTES)))
    }
}

impl Room {
    /// Takes room for `drafts`; `UNAVAILABLE` when there is none at this moment, which a client
    /// may answer by sending them again.
    pub(super) fn take(&self, drafts: &[EntryDraft]) -> Result<Taken, Status> {
        let bytes = drafts
            .iter()
            .map(|draft| draft.content().len().saturating_add(OVERHEAD_BYTES))
            .fold(0, usize::saturating_add);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.0).try_acquire_many_owned(permits);
        taken.map(Taken).map_err(|_| {
            tracing::warn!(bytes, "no room for more publishes");
            Status::unavailable(BUSY)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::EntryMeta;
    use crate::types::{EntryId, EntryType};

    /// A publish of so many MiB.
    fn drafts(count: usize) -> Vec<EntryDraft> {
        let draft = |_| {
            let id = EntryId::random().unwrap();
            let content = "x".repeat(limits::ENTRY_CONTENT_MAX_BYTES);
            EntryDraft::new(id, EntryType::Task, content, 0, EntryMeta::default()).unwrap()
        };
        (0..count).map(draft).collect()
    }

    #[test]
    fn publishes_beyond_the_bytes_that_may_wait_are_refused_until_others_are_stored() {
        let room = Room::default();
        let publish = drafts(8);
        let mut waiting = Vec::new();
        let refused = loop {
            match room.take(&publish) {
                Ok(taken) => waiting.push(taken),
                Err(refused) => break refused,
            }
            assert!(
                waiting.len() * 8 * limits::ENTRY_CONTENT_MAX_BYTES <= limits::WRITE_QUEUE_BYTES,
                "{} publishes wait",
                waiting.len()
            );
        };
        assert_eq!(refused.code(), tonic::Code::Unavailable);
        // What is small still finds some.
        drop(room.take(&drafts(1)).unwrap());
        waiting.pop();
        drop(room.take(&publish).unwrap());
    }
}
