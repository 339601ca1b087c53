//! Publishing with an outbox: what is queued goes first, and what cannot go now is queued.

use super::error::{OutboxError, PublishError};
use super::send::{Publisher, SendReport, is_of_the_hub};
use super::{Outbox, Queued};
use crate::client::{ClientError, ClientErrorKind, HubClient};
use crate::entry::EntryDraft;
use crate::types::Sequence;

/// What to do with an entry that the hub cannot take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenAway {
    /// Queue it.
    Queue,
    /// Fail.
    Fail,
}

/// Where an entry is now.
#[derive(Debug)]
pub enum Delivery {
    /// At the hub, durably.
    Stored {
        /// Its sequence.
        sequence: Sequence,
    },
    /// In the outbox, durably.
    Queued {
        /// Where.
        queued: Queued,
        /// Why the hub did not take it.
        why: ClientError,
    },
}

/// What a publish did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Published {
    /// What became of the entries that were queued before.
    pub before: SendReport,
    /// Why the outbox could not be looked through, if so. The entry was published all the same.
    pub trouble: Option<OutboxError>,
    /// Where the entry is, or why it is nowhere.
    pub delivery: Result<Delivery, PublishError>,
}

impl Outbox {
    /// Publishes `draft` at the hub that `dial` connects to: first what is queued, then it. When the
    /// hub cannot be reached, does not answer, breaks off or has no room, or when what is queued
    /// before cannot be sent, the entry is queued behind it. The id is final, so an entry of which
    /// only the acknowledgement was lost is stored once.
    pub async fn publish(
        &self,
        draft: &EntryDraft,
        when_away: WhenAway,
        dial: impl Future<Output = Result<HubClient, ClientError>>,
    ) -> Published {
        self.deliver(draft, when_away, dial).await
    }

    /// [`Outbox::publish`] at anything.
    pub(super) async fn deliver<P: Publisher>(
        &self,
        draft: &EntryDraft,
        when_away: WhenAway,
        dial: impl Future<Output = Result<P, ClientError>>,
    ) -> Published {
        let hub = match dial.await {
            Ok(hub) => hub,
            Err(error) => {
                let passes = is_of_the_hub(&error);
                return Published {
                    before: SendReport::default(),
                    trouble: None,
                    delivery: self.put_off(draft, when_away, error, passes).await,
                };
            }
        };
        let (mut before, trouble) = match self.send_to(&hub).await {
            Ok(report) => (report, None),
            Err(error) => (SendReport::default(), Some(error)),
        };
        let delivery = match before.stopped.take() {
            Some(error) => {
                // Whatever it is that the hub has against an older entry, this one is behind it.
                let passes = is_of_the_hub(&error) || error.kind() == ClientErrorKind::Rejected;
                self.put_off(draft, when_away, error, passes).await
            }
            None => self.hand_over(draft, when_away, &hub).await,
        };
        Published {
            before,
            trouble,
            delivery,
        }
    }

    /// Publishes `draft`, or queues it.
    async fn hand_over<P: Publisher>(
        &self,
        draft: &EntryDraft,
        when_away: WhenAway,
        hub: &P,
    ) -> Result<Delivery, PublishError> {
        match hub.publish(std::slice::from_ref(draft)).await {
            Ok(sequences) => Ok(Delivery::Stored {
                sequence: sequences.first().copied().unwrap_or_default(),
            }),
            Err(error) => {
                let passes = is_of_the_hub(&error);
                self.put_off(draft, when_away, error, passes).await
            }
        }
    }

    /// Queues `draft` because of `why`, if that is wanted and `why` is one that `passes`.
    async fn put_off(
        &self,
        draft: &EntryDraft,
        when_away: WhenAway,
        why: ClientError,
        passes: bool,
    ) -> Result<Delivery, PublishError> {
        if when_away == WhenAway::Fail || !passes {
            return Err(why.into());
        }
        let draft = draft.clone();
        match self.blocking(move |outbox| outbox.queue(&draft)).await {
            Ok(queued) => Ok(Delivery::Queued { queued, why }),
            Err(source) => Err(PublishError::NotQueued { away: why, source }),
        }
    }
}
