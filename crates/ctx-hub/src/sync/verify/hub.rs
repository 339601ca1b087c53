//! What the hub has, fetched in one stream and kept as digests.

use std::collections::BTreeMap;

use ctx_config::limits;

use super::expected::Expected;
use super::report::VerifyProgress;
use crate::client::{ClientError, HubIdentity, StreamStart};
use crate::entry::Entry;
use crate::sync::engine::short_pauses;
use crate::sync::error::{Divergence, SyncError};
use crate::sync::render::render;
use crate::sync::source::{Entries, Source};
use crate::sync::state::SyncState;
use crate::types::{EntryType, Sequence, TypeSet};

/// Progress is told each time so many entries have come.
const TELL_EVERY: u64 = 1_000;

/// What is to be compared with the hub.
#[derive(Debug, Default)]
pub(super) struct Question {
    /// Each type that is mirrored, and up to where; `None` when no state says.
    pub(super) cursors: BTreeMap<EntryType, Option<Sequence>>,
    /// What the mirror knows of the hub's log.
    pub(super) state: SyncState,
}

/// What a hub answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) identity: HubIdentity,
    pub(super) expected: BTreeMap<EntryType, Expected>,
}

/// Fetches everything of the mirrored types up to their cursors. A stream that breaks is resumed.
pub(super) async fn ask<S: Source>(
    source: &S,
    question: &Question,
    on_progress: &mut (dyn FnMut(VerifyProgress) + Send),
) -> Result<Answer, SyncError> {
    let types: TypeSet = question.cursors.keys().copied().collect();
    let mut answer = Answer::default();
    for of in types.iter() {
        answer.expected.insert(of, Expected::default());
    }
    let (mut after, mut count, mut tries) = (Sequence::START, 0_u64, 0_u32);
    let mut pauses = short_pauses();
    loop {
        let mut stream = question.open(source, &types, after).await?;
        answer.identity = stream.identity().clone();
        let broke = loop {
            match stream.next().await {
                Ok(Some(entry)) if question.is_beyond(&entry) => return Ok(answer),
                Ok(Some(entry)) => {
                    (after, tries) = (entry.sequence, 0);
                    question.keep(&mut answer, &entry);
                    count += 1;
                    if count.is_multiple_of(TELL_EVERY) {
                        on_progress(VerifyProgress::Hub { entries: count });
                    }
                }
                Ok(None) => return Ok(answer),
                Err(error) => break error,
            }
        };
        tries += 1;
        let hopeless = !broke.is_retryable() || matches!(broke, ClientError::Timeout { .. });
        if hopeless || tries >= limits::RETRY_ATTEMPTS {
            return Err(broke.into());
        }
        tokio::time::sleep(pauses.pause()).await;
    }
}

/// The text of the entries of `entry_type` after `cursor`, as much as covers `length` bytes.
pub(super) async fn text_after<S: Source>(
    source: &S,
    entry_type: EntryType,
    cursor: Sequence,
    length: usize,
) -> Result<String, SyncError> {
    let types = [entry_type].into_iter().collect();
    let mut stream = source.sync(&types, cursor.into()).await?;
    let mut text = String::new();
    while text.len() < length
        && let Some(entry) = stream.next().await?
    {
        text.push_str(&render(&entry));
    }
    Ok(text)
}

impl Question {
    /// Opens a stream of the log that the mirror was made from.
    async fn open<S: Source>(
        &self,
        source: &S,
        types: &TypeSet,
        since: Sequence,
    ) -> Result<S::Stream, SyncError> {
        let known = self.state.log;
        let opened = source.sync(types, StreamStart { since, known }).await;
        let stream = opened.map_err(|error| match error {
            ClientError::OtherLog { identity, .. } => SyncError::Diverged {
                how: Divergence::of_refusal(&self.state, &identity),
            },
            other => other.into(),
        })?;
        match Divergence::between(&self.state, stream.identity()) {
            Some(how) => Err(SyncError::Diverged { how }),
            None => Ok(stream),
        }
    }

    /// The largest cursor, if all are known.
    fn reach(&self) -> Option<Sequence> {
        let cursors: Option<Vec<Sequence>> = self.cursors.values().copied().collect();
        cursors?.into_iter().max()
    }

    fn is_beyond(&self, entry: &Entry) -> bool {
        self.reach().is_some_and(|reach| entry.sequence > reach)
    }

    fn keep(&self, answer: &mut Answer, entry: &Entry) {
        let cursor = self.cursors.get(&entry.entry_type).copied().flatten();
        if cursor.is_none_or(|cursor| entry.sequence <= cursor)
            && let Some(expected) = answer.expected.get_mut(&entry.entry_type)
        {
            expected.push(entry);
        }
    }
}
