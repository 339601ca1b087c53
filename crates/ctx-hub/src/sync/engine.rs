//! One sync: lock, state, streams, batches, report.

use std::sync::Arc;

use ctx_config::limits;
use ctx_config::paths::ContextDir;
use futures_util::FutureExt as _;
use futures_util::future::try_join;

use super::error::{SyncError, SyncErrorKind};
use super::plan::{Batch, Pull, pulls};
use super::report::{SyncEvent, SyncOptions, SyncReport, add};
use super::session::{Applied, SyncSession, load_for_rebuild, load_state};
use super::source::{Entries, Source};
use super::worker::Worker;
use crate::client::backoff::Backoff;
use crate::client::{ClientError, ClientErrorKind, HubClient, HubIdentity};
use crate::entry::Entry;
use crate::outbox::Outbox;
use crate::types::{Sequence, TypeSet};

/// Who is told what happens.
pub(super) type Listener<'a> = &'a mut (dyn FnMut(SyncEvent) + Send);

/// Brings the mirror of the project at `context` up to date with what the hub has of `types`:
/// every entry once, in order.
///
/// Entries are committed in chunks of at most [`limits::SYNC_CHUNK_ENTRIES`] entries and about
/// [`limits::SYNC_CHUNK_BYTES`] bytes, and the next chunk is fetched while one is committed, so
/// memory does not grow with what there is to fetch. A stream
/// that breaks is resumed from what was committed, [`limits::RETRY_ATTEMPTS`] times without
/// progress; what was committed stays, whatever happens then. Files are written on the runtime's
/// blocking threads. A future that is dropped releases the lock as soon as the append under way,
/// if there is one, is over.
///
/// With [`SyncOptions::full`] the mirror is built anew beside the old one, which stays as it is
/// until the new one is complete.
///
/// What is queued in the project's [outbox](crate::outbox) is sent first. An outbox that cannot be
/// used, and a hub that takes no entries, stop nothing: they are told with [`SyncEvent::Outbox`] and
/// [`SyncEvent::OutboxUnusable`].
#[cfg_attr(feature = "server", doc = "")]
#[cfg_attr(feature = "server", doc = include_str!("example.md"))]
///
/// # Errors
/// Those of [`load_state`] and of [`SyncSession::apply`], [`SyncError::Diverged`] when the hub's log
/// is another one, and [`SyncError::Client`].
pub async fn sync(
    client: &HubClient,
    context: &ContextDir,
    types: &TypeSet,
    options: &SyncOptions,
    on_event: &mut (dyn FnMut(SyncEvent) + Send),
) -> Result<SyncReport, SyncError> {
    run(
        client,
        context,
        types,
        options,
        on_event,
        &mut Worker::default(),
    )
    .await
}

/// [`sync`] from any source, with file work on `worker`.
pub(super) async fn run<S: Source>(
    source: &S,
    context: &ContextDir,
    types: &TypeSet,
    options: &SyncOptions,
    on_event: Listener<'_>,
    worker: &mut Worker<SyncSession>,
) -> Result<SyncReport, SyncError> {
    let mut run = Run {
        source,
        on_event,
        worker,
        report: SyncReport::default(),
        told: 0,
    };
    let opened = run.open(context, types, options).await;
    let is_busy = |error: &SyncError| error.kind() == SyncErrorKind::Busy;
    // Whoever holds the lock sends what is queued; nothing else about the mirror is a reason not to.
    let sent = match &opened {
        Err(error) if is_busy(error) => Ok(0),
        _ => send_queued(source, context, &mut *run.on_event).await,
    };
    let (session, types) = opened?;
    run.report.sent = sent?;
    let session = run.pull_all(session, &types).await?;
    let session = run.close(session, &types, options).await?;
    let mut report = run.report;
    report.cursors = session.cursors();
    report.log = session.state().log;
    report.rebuilt = options.full;
    report.warnings = session.warnings().to_vec();
    report.set_aside.clone_from(&session.set_aside);
    session.release()?;
    Ok(report)
}

/// Sends what is queued, and tells what became of it; how many entries the hub holds now.
///
/// # Errors
/// That the hub cannot be reached, or does not know us: nothing else that is asked of it would go
/// better. Whatever else it has against an entry is told.
pub(super) async fn send_queued<S: Source>(
    source: &S,
    context: &ContextDir,
    on_event: Listener<'_>,
) -> Result<u64, SyncError> {
    let mut report = match Outbox::of(context).send_to(source).await {
        Ok(report) => report,
        Err(error) => {
            on_event(SyncEvent::OutboxUnusable(error));
            return Ok(0);
        }
    };
    let sent = u64::try_from(report.sent.len()).unwrap_or(u64::MAX);
    // A hub that takes no more entries for now may still give some.
    let is_told = |error: &mut ClientError| {
        error.kind() == ClientErrorKind::Rejected || error.retry_after().is_some()
    };
    let (told, ends) = match report.stopped.take_if(is_told) {
        Some(told) => (Some(told), None),
        None => (None, report.stopped.take()),
    };
    report.stopped = told;
    if !report.is_empty() {
        on_event(SyncEvent::Outbox(report));
    }
    match ends {
        Some(error) => Err(error.into()),
        None => Ok(sent),
    }
}

struct Run<'a, 'b, S> {
    source: &'a S,
    on_event: Listener<'b>,
    worker: &'a mut Worker<SyncSession>,
    report: SyncReport,
    /// How many warnings have been told.
    told: usize,
}

/// How a stream went on after some entries.
enum Then {
    /// There is more.
    More,
    /// That was all.
    End,
    /// It broke.
    Broke(ClientError),
}

impl<S: Source> Run<'_, '_, S> {
    /// Takes the lock and checks what is there. A rebuild is also of the types that have a file, so
    /// that none is left over from the old mirror.
    async fn open(
        &mut self,
        context: &ContextDir,
        types: &TypeSet,
        options: &SyncOptions,
    ) -> Result<(SyncSession, TypeSet), SyncError> {
        let (context, asked, options) = (context.clone(), types.clone(), options.clone());
        let opened = self.worker.run(move || {
            let session = if options.full {
                load_for_rebuild(&context, &options)?
            } else {
                let mut session = load_state(&context, &options)?;
                session.check(&asked)?;
                session
            };
            Ok((session, Applied::new()))
        });
        let (mut session, _) = opened.await?;
        session.pulling()?;
        if let Some(dead) = session.took_over() {
            self.report.took_over = Some(dead.clone());
            (self.on_event)(SyncEvent::TookOver(dead.clone()));
        }
        self.tell(&session);
        let types = types.iter().chain(session.present.iter()).collect();
        Ok((session, types))
    }

    async fn pull_all(
        &mut self,
        mut session: SyncSession,
        types: &TypeSet,
    ) -> Result<SyncSession, SyncError> {
        for pull in pulls(session.state(), types) {
            session = self.pull(session, pull).await?;
        }
        Ok(session)
    }

    /// Pulls until the end, dialling again when a stream breaks.
    async fn pull(
        &mut self,
        mut session: SyncSession,
        pull: Pull,
    ) -> Result<SyncSession, SyncError> {
        let mut after = pull.since;
        let mut pauses = short_pauses();
        let mut tries = 1;
        loop {
            // Opening a stream is already tried more than once by the client.
            let opened = self.source.sync(&pull.types, session.start(after)).await;
            let stream = opened.map_err(|error| match error {
                ClientError::OtherLog { identity, .. } => session.refused_by(&identity),
                other => other.into(),
            })?;
            session.check_hub(stream.identity())?;
            let resumed_at = after;
            let broke;
            (session, broke) = self.drain(stream, session, &pull, &mut after).await?;
            let Some(error) = broke else {
                return Ok(session);
            };
            if after > resumed_at {
                tries = 0;
                pauses = short_pauses();
            }
            // A hub that does not answer has had its time, and one that wants to be left alone is.
            let hopeless = !error.is_retryable()
                || matches!(
                    error,
                    ClientError::Timeout { .. } | ClientError::Limited { .. }
                );
            if hopeless || tries >= limits::RETRY_ATTEMPTS {
                return Err(error.into());
            }
            tries += 1;
            tokio::time::sleep(pauses.pause()).await;
        }
    }

    /// Applies a stream that begins after `after`, chunk by chunk, moving `after` along; says what
    /// broke it, if it did not end. With its end the cursors are at the hub's head, although what
    /// came last there may be of other types: so groups of types meet, and nothing is asked for
    /// twice.
    async fn drain(
        &mut self,
        mut stream: S::Stream,
        mut session: SyncSession,
        pull: &Pull,
        after: &mut Sequence,
    ) -> Result<(SyncSession, Option<ClientError>), SyncError> {
        let mut chunk = gather(&mut stream).await;
        loop {
            let (entries, then) = chunk;
            let last = entries.last().map_or(*after, |entry| entry.sequence);
            let ended = matches!(then, Then::End);
            let HubIdentity { head, chain, .. } = *stream.identity();
            let batch = Batch {
                types: pull.types.clone(),
                after: *after,
                entries,
                complete_to: head.filter(|_| ended),
                chain,
            };
            *after = last;
            let applied = self.apply(session, batch);
            match then {
                // The next chunk arrives while this one is written. It is not touched before this
                // one is committed, and what fails here does not wait for it.
                Then::More => {
                    let next = gather(&mut stream).map(Ok);
                    (session, chunk) = try_join(applied, next).await?;
                }
                Then::End => return Ok((applied.await?, None)),
                Then::Broke(error) => return Ok((applied.await?, Some(error))),
            }
        }
    }

    async fn apply(
        &mut self,
        session: SyncSession,
        batch: Batch,
    ) -> Result<SyncSession, SyncError> {
        let batch = Arc::new(batch);
        let shared = Arc::clone(&batch);
        let (session, applied) = self.worker.run(move || session.apply(&shared)).await?;
        self.tell(&session);
        let entries = Arc::unwrap_or_clone(batch).into_new(&applied);
        if !entries.is_empty() {
            add(&mut self.report.new_entries, &applied);
            (self.on_event)(SyncEvent::Chunk {
                entries,
                total: self.report.total(),
            });
        }
        Ok(session)
    }

    async fn close(
        &mut self,
        session: SyncSession,
        types: &TypeSet,
        options: &SyncOptions,
    ) -> Result<SyncSession, SyncError> {
        if !options.full {
            return Ok(session);
        }
        let types = types.clone();
        let swap = move || session.finish_rebuild(&types).map(|s| (s, Applied::new()));
        Ok(self.worker.run(swap).await?.0)
    }

    fn tell(&mut self, session: &SyncSession) {
        for warning in session.warnings().iter().skip(self.told) {
            (self.on_event)(SyncEvent::Warning(warning.clone()));
        }
        self.told = session.warnings().len();
    }
}

/// Pauses while somebody waits.
pub(super) fn short_pauses() -> Backoff {
    Backoff::new(limits::RETRY_FIRST_PAUSE, limits::RECONNECT_FIRST_PAUSE)
}

/// The next chunk of a stream, and how it goes on.
async fn gather(stream: &mut impl Entries) -> (Vec<Entry>, Then) {
    let mut chunk = Chunk::default();
    while !chunk.is_full() {
        match stream.next().await {
            Ok(Some(entry)) => chunk.push(entry),
            Ok(None) => return (chunk.entries, Then::End),
            Err(error) => return (chunk.entries, Then::Broke(error)),
        }
    }
    (chunk.entries, Then::More)
}

/// Entries that are applied and committed together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) entries: Vec<Entry>,
    /// Of content and all that may be long beside it.
    bytes: usize,
}

impl Chunk {
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= limits::SYNC_CHUNK_ENTRIES || self.bytes >= limits::SYNC_CHUNK_BYTES
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let Entry {
            id,
            content,
            origin,
            meta,
            ..
        } = &entry;
        let meta = meta.fields().map(|(_, value)| value);
        let texts = [id.as_str(), content, origin].into_iter().chain(meta);
        self.bytes += texts.map(str::len).sum::<usize>();
        self.entries.push(entry);
    }
}

/// The smallest cursor of `types`.
pub(super) fn smallest_cursor(report: &SyncReport, types: &TypeSet) -> Sequence {
    let cursors = types
        .iter()
        .map(|of| report.cursors.get(&of).copied().unwrap_or_default());
    cursors.min().unwrap_or_default()
}

#[cfg(test)]
mod tests;
