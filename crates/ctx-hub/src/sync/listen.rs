//! Staying with a hub: entries are mirrored as they arrive.

use std::convert::Infallible;
use std::sync::Arc;

use ctx_config::limits;
use ctx_config::paths::ContextDir;
use ctx_io::{LockRecord, Wait};
use futures_util::FutureExt as _;
use tokio::time::sleep;

use super::engine::{self, Chunk, smallest_cursor};
use super::error::SyncError;
use super::passing::{Patience, is_passing};
use super::plan::Batch;
use super::report::{ListenReport, SyncEvent, SyncOptions, SyncWarning, add};
use super::session::{Applied, SyncSession, load_state};
use super::source::{Entries, Source};
use super::watch::OutboxWatch;
use super::worker::Worker;
use crate::client::backoff::{Backoff, obeying};
use crate::client::{ClientError, HubClient, HubIdentity, StreamStart};
use crate::types::TypeSet;

/// Mirrors entries of `types` as they are published, until `shutdown` is over.
///
/// It begins with a sync, and so does every new connection. The lock is held while entries are
/// written, never while waiting for them; while somebody else holds it, arrived entries wait, at
/// most a chunk of them. A hub that cannot be reached or goes away is dialled again after a pause
/// that grows from [`limits::RECONNECT_FIRST_PAUSE`] to [`limits::RECONNECT_LONGEST_PAUSE`], for
/// ever; so is one while the disk is full, fails or is mounted read-only. What could not be written
/// whole is cut back, and comes again from the hub. To wait for a hub that is not there yet, give a
/// [`HubClient::lazy`]. [`SyncOptions::wait`] and [`SyncOptions::full`] play no part.
///
/// What is queued in the project's [outbox](crate::outbox) is sent first, after every new dial, and
/// within [`limits::OUTBOX_LOOK`] when it is queued while the listener runs.
///
/// When this returns, the lock is released and what was appended is committed. A future that is
/// dropped instead releases it as soon as the append under way is over.
///
/// # Errors
/// What no waiting would mend: refused credentials, [`SyncError::Diverged`], damaged files, and
/// what the file system refuses for want of a permission. Never that the hub is away, the lock held
/// or the disk full.
pub async fn listen(
    client: &HubClient,
    context: &ContextDir,
    types: &TypeSet,
    options: &SyncOptions,
    on_event: &mut (dyn FnMut(SyncEvent) + Send),
    shutdown: impl Future<Output = ()>,
) -> Result<ListenReport, SyncError> {
    run(client, context, types, options, on_event, shutdown).await
}

/// [`listen`] to any source.
pub(super) async fn run<S: Source>(
    source: &S,
    context: &ContextDir,
    types: &TypeSet,
    options: &SyncOptions,
    on_event: engine::Listener<'_>,
    shutdown: impl Future<Output = ()>,
) -> Result<ListenReport, SyncError> {
    let options = SyncOptions {
        wait: Wait::No,
        full: false,
        ..options.clone()
    };
    let mut listener = Listening {
        source,
        context,
        types,
        options,
        on_event,
        syncing: Worker::default(),
        committing: Worker::default(),
        under_way: None,
        outbox: OutboxWatch::new(),
        reconnects: 0,
    };
    let ended = tokio::select! {
        biased;
        () = shutdown => None,
        ended = listener.stay() => Some(ended),
    };
    match ended {
        Some(Err(error)) => Err(error),
        None => listener.finish().await,
    }
}

struct Listening<'a, 'b, S> {
    source: &'a S,
    context: &'a ContextDir,
    types: &'a TypeSet,
    options: SyncOptions,
    on_event: engine::Listener<'b>,
    /// Works for the syncs at the beginning of a connection.
    syncing: Worker<SyncSession>,
    /// Works for what arrives after them.
    committing: Worker<Noticed>,
    /// The batch that is being committed.
    under_way: Option<Arc<Batch>>,
    outbox: OutboxWatch,
    reconnects: u64,
}

impl<S: Source> Listening<'_, '_, S> {
    /// Connects, and connects again, until something happens that a new connection would not mend.
    async fn stay(&mut self) -> Result<Infallible, SyncError> {
        let mut pauses = long_pauses();
        loop {
            match self.follow(&mut pauses).await {
                // Nothing new for long: the connection may be dead without anybody knowing.
                Err(SyncError::Client(ClientError::Idle { .. })) => {}
                Err(error) if !is_passing(&error) => return Err(error),
                ended => {
                    let retry_in = match ended.as_ref().err().and_then(SyncError::retry_after) {
                        Some(wait) => obeying(wait).max(pauses.pause()),
                        None => pauses.pause(),
                    };
                    (self.on_event)(SyncEvent::Disconnected {
                        error: ended.err(),
                        retry_in,
                    });
                    sleep(retry_in).await;
                }
            }
            self.reconnects += 1;
        }
    }

    /// One connection: catches up, then mirrors what arrives until the stream ends.
    async fn follow(&mut self, pauses: &mut Backoff) -> Result<(), SyncError> {
        let start = self.catch_up().await?;
        let mut after = start.since;
        let mut stream = self.source.listen(self.types, start).await?;
        // The head has been compared by the sync just now. The cursors may pass this one.
        let hub = HubIdentity {
            id: stream.identity().id.clone(),
            ..HubIdentity::default()
        };
        *pauses = long_pauses();
        (self.on_event)(SyncEvent::Connected);
        loop {
            let arrived = tokio::select! {
                biased;
                () = self.outbox.due() => None,
                arrived = arrived(&mut stream) => Some(arrived),
            };
            let Some((chunk, ended)) = arrived else {
                self.outbox
                    .look(self.source, self.context, &mut *self.on_event)
                    .await?;
                continue;
            };
            if let Some(last) = chunk.entries.last().map(|entry| entry.sequence) {
                let types = self.types.clone();
                let batch = Batch {
                    types,
                    after,
                    entries: chunk.entries,
                    complete_to: None,
                    chain: None,
                };
                self.commit(batch, &hub).await?;
                after = last;
            }
            if let Some(ended) = ended {
                return ended.map_err(SyncError::from);
            }
        }
    }

    /// Syncs, and answers from where to listen: the types may still differ by what was published
    /// meanwhile, and what a type has is skipped when it comes again.
    async fn catch_up(&mut self) -> Result<StreamStart, SyncError> {
        let mut patience = Patience::new();
        self.under_way = None;
        loop {
            let (context, types, options) = (self.context, self.types, &self.options);
            let on_event = &mut *self.on_event;
            let worker = &mut self.syncing;
            match engine::run(self.source, context, types, options, on_event, worker).await {
                Ok(report) => {
                    return Ok(StreamStart {
                        since: smallest_cursor(&report, self.types),
                        known: report.log,
                    });
                }
                Err(error) => patience.wait(error, &mut *self.on_event).await?,
            }
        }
    }

    /// Takes the lock, applies `batch`, releases the lock.
    async fn commit(&mut self, batch: Batch, hub: &HubIdentity) -> Result<(), SyncError> {
        let mut patience = Patience::new();
        let batch = Arc::new(batch);
        loop {
            let (context, options) = (self.context.clone(), self.options.clone());
            let (shared, hub) = (Arc::clone(&batch), hub.clone());
            self.under_way = Some(Arc::clone(&batch));
            let job = move || {
                let mut session = load_state(&context, &options)?;
                session.check_hub(&hub)?;
                let (session, applied) = session.apply(&shared)?;
                let took_over = session.took_over().cloned();
                let noticed = Noticed {
                    took_over,
                    warnings: session.warnings().to_vec(),
                };
                // Here, so that the lock never waits for the runtime to come round.
                session.release()?;
                Ok((noticed, applied))
            };
            match self.committing.run(job).await {
                Ok((noticed, applied)) => {
                    // The last one that has it gives its entries away.
                    drop(batch);
                    self.committed(noticed, &applied);
                    return Ok(());
                }
                Err(error) => patience.wait(error, &mut *self.on_event).await?,
            }
        }
    }

    /// Tells what was committed.
    fn committed(&mut self, noticed: Noticed, applied: &Applied) {
        let took_over = noticed.took_over.map(SyncEvent::TookOver);
        let warnings = noticed.warnings.into_iter().map(SyncEvent::Warning);
        took_over
            .into_iter()
            .chain(warnings)
            .for_each(&mut *self.on_event);
        let batch = self.under_way.take().map(Arc::unwrap_or_clone);
        let entries = batch
            .map(|batch| batch.into_new(applied))
            .unwrap_or_default();
        if !entries.is_empty() {
            let total = self.applied().values().sum();
            (self.on_event)(SyncEvent::Chunk { entries, total });
        }
    }

    fn applied(&self) -> Applied {
        let mut sum = self.syncing.applied().clone();
        add(&mut sum, self.committing.applied());
        sum
    }

    /// Ends after a shutdown: what was being written is written, counted and told, and the lock
    /// released.
    async fn finish(mut self) -> Result<ListenReport, SyncError> {
        if let Some(Ok((session, _))) = self.syncing.finish().await {
            session.release()?;
        }
        if let Some(Ok((noticed, applied))) = self.committing.finish().await {
            self.committed(noticed, &applied);
        }
        Ok(ListenReport {
            new_entries: self.applied(),
            reconnects: self.reconnects,
        })
    }
}

/// What a person should know of a commit.
#[derive(Debug)]
struct Noticed {
    took_over: Option<LockRecord>,
    warnings: Vec<SyncWarning>,
}

/// Pauses while a hub is away.
fn long_pauses() -> Backoff {
    Backoff::new(
        limits::RECONNECT_FIRST_PAUSE,
        limits::RECONNECT_LONGEST_PAUSE,
    )
}

/// Waits for an entry and takes along what is ready behind it, up to a chunk; also how the stream
/// ended, if it did.
async fn arrived(stream: &mut impl Entries) -> (Chunk, Option<Result<(), ClientError>>) {
    let mut chunk = Chunk::default();
    let mut next = Some(stream.next().await);
    while let Some(found) = next {
        match found {
            Ok(Some(entry)) => chunk.push(entry),
            Ok(None) => return (chunk, Some(Ok(()))),
            Err(error) => return (chunk, Some(Err(error))),
        }
        next = if chunk.is_full() {
            None
        } else {
            stream.next().now_or_never()
        };
    }
    (chunk, None)
}

#[cfg(test)]
mod tests;
