//! Where entries come from: a hub, or in tests something that breaks on demand.

use crate::client::{ClientError, EntryStream, HubClient, HubIdentity, StreamStart};
use crate::entry::Entry;
use crate::outbox::Publisher;
use crate::types::TypeSet;

/// What opens streams, and takes what is queued.
pub(super) trait Source: Publisher {
    /// What it opens.
    type Stream: Entries;

    /// Everything of `types` from `start` on, then the end.
    fn sync(
        &self,
        types: &TypeSet,
        start: StreamStart,
    ) -> impl Future<Output = Result<Self::Stream, ClientError>> + Send;

    /// Everything of `types` from `start` on, and what is published from now on.
    fn listen(
        &self,
        types: &TypeSet,
        start: StreamStart,
    ) -> impl Future<Output = Result<Self::Stream, ClientError>> + Send;
}

/// A stream of entries with rising sequences.
pub(super) trait Entries: Send {
    /// Which log answers.
    fn identity(&self) -> &HubIdentity;

    /// The next entry; dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Result<Option<Entry>, ClientError>> + Send;
}

impl Source for HubClient {
    type Stream = EntryStream;

    async fn sync(&self, types: &TypeSet, start: StreamStart) -> Result<EntryStream, ClientError> {
        Self::sync(self, types, start).await
    }

    async fn listen(
        &self,
        types: &TypeSet,
        start: StreamStart,
    ) -> Result<EntryStream, ClientError> {
        Self::listen(self, types, start).await
    }
}

impl Entries for EntryStream {
    fn identity(&self) -> &HubIdentity {
        Self::identity(self)
    }

    async fn next(&mut self) -> Result<Option<Entry>, ClientError> {
        Self::next(self).await
    }
}
