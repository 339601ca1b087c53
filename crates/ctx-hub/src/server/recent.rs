//! The end of the log, kept in memory for everybody who listens.
//!
//! One task reads what is new from the store, once, and makes it into the message that every
//! listener is sent; listeners that keep up take it from here. Whoever is further behind than this
//! reaches reads the store itself, so what is left out here is never lost, only slower.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ctx_config::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tonic::Status;

use super::encoding::Encoding;
use super::line::Line;
use super::outgoing::{Packed, Packer, Ready};
use super::status;
use crate::store::{PageQuery, Store, StoreError, StoredMessage};
use crate::types::{Sequence, TypeSet};

/// The end of the log.
pub(super) struct Recent {
    store: Arc<dyn Store>,
    /// Read by every listener for every entry, by many of them at a time.
    end: RwLock<End>,
    /// Up to where listeners may read. Announced here and not by the store, so that the writer
    /// wakes one task and not every listener; and to one group of them after the other, so that
    /// whoever publishes does not stand in line behind all of them. Those of one connection are in
    /// the same group: what they are sent is then written to it together.
    heads: [watch::Sender<Sequence>; limits::WAKE_GROUPS],
    /// Connections that somebody listened on so far.
    connections: AtomicUsize,
    /// Pages that streams read from the store at a time. The store has more readers: whoever
    /// publishes is looked up by those, and must not wait for thousands that catch up.
    turns: Arc<Semaphore>,
    /// Streams that may take long pages, and read the next one while one is sent.
    runners: Arc<Semaphore>,
}

/// A page that is being read. It is let go of when nobody wants it any more.
pub(super) struct Reading(JoinSet<Result<Packed, Status>>);

/// Messages in order of their sequence: all that the log has after `since`, up to `until`.
struct End {
    since: Sequence,
    until: Sequence,
    messages: VecDeque<Arc<Ready>>,
    bytes: usize,
}

/// What a stream takes at once.
pub(super) struct Batch {
    pub(super) messages: Vec<Arc<Ready>>,
    /// Every matching entry up to here is in `messages` or was taken before.
    pub(super) read: Sequence,
}

impl Recent {
    /// The end of `store`, which is empty at first.
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let head = *store.head().borrow();
        Self {
            store,
            end: RwLock::new(End::after(head)),
            heads: std::array::from_fn(|_| watch::Sender::new(head)),
            connections: AtomicUsize::new(0),
            turns: Arc::new(Semaphore::new(limits::STREAM_READERS)),
            runners: Arc::new(Semaphore::new(limits::LONG_PAGE_STREAMS)),
        }
    }

    /// Up to where a listener on `connection` may read: the head of its group, which is the next one
    /// for a connection that nobody listened on.
    pub(super) fn head(&self, connection: &Line) -> watch::Receiver<Sequence> {
        let next = || self.connections.fetch_add(1, Ordering::Relaxed) % limits::WAKE_GROUPS;
        let [first, others @ ..] = &self.heads;
        let group = connection.wake_group(next).checked_sub(1);
        let group = group.and_then(|group| others.get(group));
        group.unwrap_or(first).subscribe()
    }

    /// Keeps up with the store, until that is closed.
    pub(super) async fn follow(&self) {
        let mut stored = self.store.head();
        let mut known = self.end().until;
        loop {
            let until = *stored.borrow_and_update();
            while known < until {
                known = if self.has_listeners() {
                    self.advance(known, until).await
                } else {
                    self.skip(until)
                };
                self.announce(known).await;
            }
            if stored.changed().await.is_err() {
                return;
            }
        }
    }

    /// What comes next after `read`, up to `until`; `None` when it has to be read from the store.
    pub(super) fn after(&self, read: Sequence, until: Sequence, types: &TypeSet) -> Option<Batch> {
        let end = self.end();
        if read < end.since || read >= end.until {
            return None;
        }
        let until = until.min(end.until);
        let from = end.messages.partition_point(|m| m.sequence() <= read);
        let mut batch = Batch {
            messages: Vec::new(),
            read: until,
        };
        let mut bytes = 0;
        for message in end.messages.range(from..) {
            if message.sequence() > until {
                break;
            }
            if bytes >= limits::PAGE_BYTES || batch.messages.len() >= limits::PAGE_ENTRIES {
                return Some(batch);
            }
            batch.read = message.sequence();
            if types.contains(message.entry_type()) {
                bytes += message.bytes();
                batch.messages.push(Arc::clone(message));
            }
        }
        batch.read = until;
        Some(batch)
    }

    /// Leave to take long pages and to read ahead, while there is some to be had.
    pub(super) fn runner(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.runners).try_acquire_owned().ok()
    }

    /// Begins to read a page of the store, when it is this stream's turn, and to write it down in
    /// `encoding`.
    ///
    /// On a task of its own: a stream whose client does not read is not polled, and what is given
    /// to it meanwhile (a turn, a reader of the store) it would keep from everybody for as long.
    pub(super) fn page(&self, query: PageQuery, encoding: Encoding) -> Reading {
        let (store, turns) = (Arc::clone(&self.store), Arc::clone(&self.turns));
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            let turn = turns.acquire_owned().await;
            let _turn = turn.map_err(|_| status::of_store(StoreError::Closed))?;
            let packer = Arc::new(Mutex::new(Packer::new(encoding)));
            let packing = Arc::clone(&packer);
            let each = move |message: StoredMessage<'_>| lock(&packing).push(message);
            let visited = store.visit(query, Box::new(each)).await;
            visited.map_err(status::of_store)?;
            lock(&packer).finish()
        });
        Reading(reading)
    }

    /// Whether anybody would take what is new.
    fn has_listeners(&self) -> bool {
        self.heads.iter().any(|group| group.receiver_count() > 0)
    }

    /// Leaves out what is new up to `until`: whoever comes reads it from the store.
    fn skip(&self, until: Sequence) -> Sequence {
        *self.end_mut() = End::after(until);
        until
    }

    /// Adds the next page after `since`, up to `until`; answers how far that reaches.
    async fn advance(&self, since: Sequence, until: Sequence) -> Sequence {
        let query = PageQuery {
            since,
            until: Some(until),
            types: TypeSet::all(),
            max_entries: limits::PAGE_ENTRIES,
            max_bytes: limits::PAGE_BYTES,
        };
        match self.read(query).await {
            Ok(messages) => {
                let last = messages.last().map_or(until, Ready::sequence);
                self.end_mut().extend(messages, last);
                last
            }
            Err(error) => {
                // Listeners read the store themselves, and are told what is wrong with it.
                tracing::warn!(error = error.message(), "cannot read what is new");
                *self.end_mut() = End::after(until);
                until
            }
        }
    }

    /// The messages of a page.
    async fn read(&self, query: PageQuery) -> Result<Vec<Ready>, Status> {
        let kept = Arc::new(Mutex::new((Vec::new(), None)));
        let keeping = Arc::clone(&kept);
        let each = move |message: StoredMessage<'_>| {
            let (messages, failed) = &mut *lock(&keeping);
            match Ready::new(message) {
                Ok(ready) => {
                    messages.push(ready);
                    ControlFlow::Continue(())
                }
                Err(status) => {
                    *failed = Some(status);
                    ControlFlow::Break(())
                }
            }
        };
        let visited = self.store.visit(query, Box::new(each)).await;
        visited.map_err(status::of_store)?;
        let (messages, failed) = std::mem::take(&mut *lock(&kept));
        failed.map_or(Ok(messages), Err)
    }

    /// Tells the listeners. Between two groups everything else that is ready has its turn.
    async fn announce(&self, head: Sequence) {
        for group in &self.heads {
            group.send_replace(head);
            if group.receiver_count() > 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn end(&self) -> RwLockReadGuard<'_, End> {
        self.end.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_mut(&self) -> RwLockWriteGuard<'_, End> {
        self.end.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every change is whole when the lock is released, whoever panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reading {
    /// The page.
    ///
    /// # Errors
    /// The store cannot be read, or the hub stops.
    pub(super) async fn done(mut self) -> Result<Packed, Status> {
        match self.0.join_next().await {
            Some(Ok(page)) => page,
            // The runtime is shutting down.
            _ => Err(status::stopping()),
        }
    }
}

impl End {
    const fn after(since: Sequence) -> Self {
        Self {
            since,
            until: since,
            messages: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Adds what the log has up to `until`, and lets go of the oldest beyond the limit.
    fn extend(&mut self, messages: Vec<Ready>, until: Sequence) {
        self.until = until;
        for message in messages {
            self.bytes = self.bytes.saturating_add(message.bytes());
            self.messages.push_back(Arc::new(message));
        }
        while self.bytes > limits::RECENT_BYTES
            && let Some(oldest) = self.messages.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
            self.since = oldest.sequence();
        }
    }
}

#[cfg(test)]
impl Recent {
    /// How many more streams may read ahead.
    pub(super) fn runners_left(&self) -> usize {
        self.runners.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use ctx_config::paths::DataDir;

    use super::*;
    use crate::entry::{EntryDraft, EntryMeta};
    use crate::secret::ClientToken;
    use crate::store::{Client, SqliteStore};
    use crate::types::{EntryId, EntryType};

    struct Log {
        store: Arc<SqliteStore>,
        client: Client,
        _temp: tempfile::TempDir,
    }

    impl Log {
        async fn new() -> Self {
            let temp = tempfile::tempdir().unwrap();
            let dir = DataDir::new(Utf8Path::from_path(temp.path()).unwrap());
            let (store, _) = SqliteStore::open(&dir).unwrap();
            let token = ClientToken::random().unwrap().hash();
            let client = store
                .register("p".parse().unwrap(), token.into())
                .await
                .unwrap();
            Self {
                store: Arc::new(store),
                client,
                _temp: temp,
            }
        }

        /// Stores `count` entries of two types in turn.
        async fn store(&self, count: usize, bytes: usize) {
            for n in 0..count {
                let entry_type = [EntryType::Task, EntryType::Decision][n % 2];
                let content = "x".repeat(bytes);
                let id = EntryId::random().unwrap();
                let draft = EntryDraft::new(id, entry_type, content, 0, EntryMeta::default());
                let drafts = vec![draft.unwrap()];
                self.store.append(&self.client, drafts).await.unwrap();
            }
        }

        fn recent(&self) -> Recent {
            Recent::new(Arc::<SqliteStore>::clone(&self.store))
        }
    }

    /// Everything that `recent` gives after `since`.
    fn taken(recent: &Recent, since: u64, until: u64, types: &TypeSet) -> Option<Vec<u64>> {
        let mut read = Sequence::new(since);
        let mut sequences = Vec::new();
        while read < Sequence::new(until) {
            let batch = recent.after(read, Sequence::new(until), types)?;
            assert!(batch.read > read, "no way on from {read}");
            read = batch.read;
            sequences.extend(batch.messages.iter().map(|m| m.sequence().get()));
        }
        Some(sequences)
    }

    #[tokio::test]
    async fn what_is_new_is_given_and_nothing_is_claimed_that_is_not_known() {
        let log = Log::new().await;
        log.store(3, 10).await;
        let recent = log.recent();
        log.store(4, 10).await;
        let all = TypeSet::all();
        // Stored, and not read yet.
        assert_eq!(taken(&recent, 3, 7, &all), None);
        assert_eq!(
            recent
                .advance(Sequence::new(3), Sequence::new(6))
                .await
                .get(),
            6
        );
        assert_eq!(taken(&recent, 3, 6, &all).unwrap(), [4, 5, 6]);
        assert_eq!(taken(&recent, 4, 5, &all).unwrap(), [5]);
        assert_eq!(taken(&recent, 3, 7, &all), None, "7 is not known");
        assert_eq!(taken(&recent, 2, 6, &all), None, "3 is in the store alone");
        let tasks: TypeSet = [EntryType::Task].into_iter().collect();
        assert_eq!(taken(&recent, 3, 6, &tasks).unwrap(), [4, 6]);
    }

    #[tokio::test]
    async fn the_oldest_are_let_go_of_and_the_memory_stays_within_its_limit() {
        let log = Log::new().await;
        let recent = log.recent();
        let large = limits::ENTRY_CONTENT_MAX_BYTES;
        let count = limits::RECENT_BYTES / large + 4;
        log.store(count, large).await;
        let until = *log.store.head().borrow();
        let mut known = Sequence::new(0);
        while known < until {
            known = recent.advance(known, until).await;
            assert!(recent.end().bytes <= limits::RECENT_BYTES);
        }
        assert_eq!(taken(&recent, 0, until.get(), &TypeSet::all()), None);
        let since = recent.end().since.get();
        assert!(since > 0 && since < until.get());
        let all: Vec<u64> = (since + 1..=until.get()).collect();
        assert_eq!(
            taken(&recent, since, until.get(), &TypeSet::all()).unwrap(),
            all
        );
    }

    #[tokio::test]
    async fn listeners_of_one_connection_are_woken_together_and_connections_apart() {
        let log = Log::new().await;
        let recent = log.recent();
        let (one, other) = (Line::default(), Line::default());
        let together = [recent.head(&one), recent.head(&one)];
        let apart = recent.head(&other);
        assert!(together[0].same_channel(&together[1]));
        assert!(!together[0].same_channel(&apart));
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_read_sends_listeners_to_it_themselves() {
        let log = Log::new().await;
        let recent = log.recent();
        log.store(2, 10).await;
        log.store.close().await.unwrap();
        let head = recent.advance(Sequence::new(0), Sequence::new(2)).await;
        assert_eq!(head.get(), 2, "they are woken");
        assert_eq!(taken(&recent, 0, 2, &TypeSet::all()), None);
    }
}
