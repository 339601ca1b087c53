//! What a `Sync` or `Listen` stream sends: pages of the log, taken when the client asks for more.
//!
//! A stream holds one page and its place in the log, nothing else: no queue is filled on its
//! behalf, and no task runs ahead of its client. Only so many streams that are far behind, for all
//! of whom there is room, hold two longer pages, of which one is read while the other is sent.
//! What is new *wakes* the listeners; each then takes
//! what follows its own place, from the end of the log in memory (`recent`) or, when that does not
//! reach back so far, from the store. So there is no seam between history and live, a listener that
//! stops reading costs one page, and a publisher waits for nobody.
//!
//! tonic polls a stream while its client reads, and then perhaps never again. Nothing here may
//! wait in line for what others need: a turn would be given to somebody who does not take it.

use std::sync::Arc;
use std::time::Instant;
use std::vec;

use ctx_config::limits;
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::{Code, Status};

use super::audit::{self, Sent, StreamTrail};
use super::auth::Caller;
use super::encoding::Encoding;
use super::known::Known;
use super::outgoing::{Packed, Piece, Ready};
use super::recent::{Reading, Recent};
use super::status;
use super::streams::{Kind, OpenStream};
use crate::store::{PageQuery, Store};
use crate::types::{ClientId, Sequence, TypeSet};
use crate::wire::generated::{ListenRequest, SyncRequest};

/// One stream's place in the log.
pub(super) struct Feed {
    recent: Arc<Recent>,
    types: TypeSet,
    kind: Kind,
    /// Every matching entry up to here has been handed out or stands in `page`.
    read: Sequence,
    /// Everything up to here can be read.
    until: Sequence,
    head: watch::Receiver<Sequence>,
    encoding: Encoding,
    page: Page,
    /// The page behind `page`, if it is read already.
    ahead: Option<Reading>,
    /// What lets it read ahead, while it is far behind.
    runner: Option<OwnedSemaphorePermit>,
    open: OpenStream,
    record: Record,
}

/// What a stream is about to send.
enum Page {
    /// Read for this stream.
    Read(vec::IntoIter<Piece>),
    /// From the end of the log, where others take it as well.
    Shared(vec::IntoIter<Arc<Ready>>),
}

/// What a stream is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    types: TypeSet,
    since: Sequence,
    pub(super) known: Known,
}

impl Wanted {
    /// A `Sync`, as its message says.
    pub(super) fn sync(message: &SyncRequest) -> Result<Self, Status> {
        let SyncRequest {
            types,
            since_sequence,
            known_sequence,
            known_chain,
        } = message;
        let known = Known::read(*known_sequence, known_chain)?;
        Self::new(Kind::Sync, types, *since_sequence, known)
    }

    /// A `Listen`, as its message says.
    pub(super) fn listen(message: &ListenRequest) -> Result<Self, Status> {
        let ListenRequest {
            types,
            since_sequence,
            known_sequence,
            known_chain,
        } = message;
        let known = Known::read(*known_sequence, known_chain)?;
        Self::new(Kind::Listen, types, *since_sequence, known)
    }

    fn new(kind: Kind, types: &[String], since: u64, known: Known) -> Result<Self, Status> {
        Ok(Self {
            kind,
            types: TypeSet::from_wire(types).map_err(status::invalid)?,
            since: Sequence::new(since),
            known,
        })
    }
}

impl Feed {
    /// A feed from `wanted.since`. A `Sync` ends with the entry that is the last one now.
    pub(super) fn new(
        store: &dyn Store,
        recent: Arc<Recent>,
        wanted: Wanted,
        encoding: Encoding,
        open: OpenStream,
        caller: &Caller,
    ) -> Self {
        // What its caller published before is in it: `recent` may not have come so far.
        let until = *store.head().borrow();
        let head = recent.head(&caller.connection);
        Self {
            recent,
            types: wanted.types,
            kind: wanted.kind,
            read: wanted.since,
            until,
            head,
            encoding,
            page: Page::Shared(Vec::new().into_iter()),
            ahead: None,
            runner: None,
            open,
            record: Record::new(wanted.kind, caller.client.id.clone()),
        }
    }

    /// The head of the log when the feed was made.
    pub(super) fn head(&self) -> Sequence {
        self.until
    }

    /// The messages; after an error there are none.
    pub(super) fn into_pieces(self) -> impl Stream<Item = Result<Piece, Status>> + Send {
        // What is moved in and out of the stream with each piece is short.
        stream::unfold(Some(Box::new(self)), |feed| async move {
            let mut feed = feed?;
            match feed.next().await {
                Ok(Some(piece)) => {
                    feed.record.sent.entries += piece.entries();
                    feed.record.sent.bytes += piece.bytes();
                    Some((Ok(piece), Some(feed)))
                }
                Ok(None) => {
                    feed.record.sent.outcome = Some((Code::Ok, None));
                    None
                }
                Err(status) => {
                    feed.record.sent.outcome = Some(audit::ending(&status));
                    Some((Err(status), None))
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Piece>, Status> {
        loop {
            if let Some(ending) = self.open.ending() {
                return Err(ending.status());
            }
            let piece = match &mut self.page {
                Page::Read(pieces) => pieces.next(),
                Page::Shared(ready) => Piece::of_ready(ready, self.encoding)?,
            };
            if piece.is_some() {
                return Ok(piece);
            }
            if self.read < self.until {
                self.turn_page().await?;
            } else if self.kind == Kind::Listen {
                self.wait().await?;
            } else {
                return Ok(None);
            }
        }
    }

    /// Takes the next page up to `until`.
    async fn turn_page(&mut self) -> Result<(), Status> {
        let reading = match self.ahead.take() {
            Some(reading) => reading,
            None => {
                if let Some(batch) = self.recent.after(self.read, self.until, &self.types) {
                    self.read = batch.read;
                    self.page = Page::Shared(batch.messages.into_iter());
                    return Ok(());
                }
                self.begin_page()
            }
        };
        let Packed { pieces, last } = reading.done().await?;
        // An empty page: nothing up to `until` is of the types asked for.
        self.read = last.unwrap_or(self.until);
        self.page = Page::Read(pieces);
        // Whoever is here with more to come is far behind.
        self.runner = match self.runner.take() {
            _ if self.read >= self.until => None,
            None => self.recent.runner(),
            runner => runner,
        };
        if self.runner.is_some() {
            self.ahead = Some(self.begin_page());
        }
        Ok(())
    }

    /// Begins to read the page behind `read`.
    fn begin_page(&self) -> Reading {
        let (max_entries, max_bytes) = match self.runner {
            Some(_) => (limits::LONG_PAGE_ENTRIES, limits::LONG_PAGE_BYTES),
            None => (limits::PAGE_ENTRIES, limits::PAGE_BYTES),
        };
        let query = PageQuery {
            since: self.read,
            until: Some(self.until),
            types: self.types.clone(),
            max_entries,
            max_bytes,
        };
        self.recent.page(query, self.encoding)
    }

    /// Waits until the log is longer than `until`. The head is looked at before anything is waited
    /// for: what has been announced since `until` was taken ends this at once.
    async fn wait(&mut self) -> Result<(), Status> {
        tokio::select! {
            ending = self.open.ended() => Err(ending.status()),
            longer = self.head.wait_for(|head| *head > self.until) => {
                self.until = *longer.map_err(|_closed| status::stopping())?;
                Ok(())
            }
        }
    }
}

/// The last line of a stream, in the audit trail and in the log, written however it ends.
struct Record {
    kind: Kind,
    client: ClientId,
    since: Instant,
    sent: Sent,
    trail: Option<StreamTrail>,
}

impl Record {
    fn new(kind: Kind, client: ClientId) -> Self {
        Self {
            kind,
            client,
            since: Instant::now(),
            sent: Sent::default(),
            trail: StreamTrail::of_call(),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(trail) = &self.trail {
            trail.closed(&self.sent);
        }
        // Without an outcome of ours it was the client that went away.
        tracing::debug!(
            method = ?self.kind,
            client = %self.client,
            code = ?self.sent.outcome.map_or(Code::Cancelled, |(code, _)| code),
            sent = self.sent.entries,
            duration = ?self.since.elapsed(),
            "stream ended"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use async_trait::async_trait;
    use camino::Utf8Path;
    use ctx_config::paths::DataDir;
    use futures_util::StreamExt as _;

    use super::super::line::Line;
    use super::super::streams::Streams;
    use super::*;
    use crate::entry::{Entry, EntryDraft, EntryMeta};
    use crate::secret::TokenHash;
    use crate::store::{
        AdminRecord, Authenticated, Client, InvitationRecord, ListedClient, NewInvitation,
        NewToken, Quota, Rotated, Sighting, SqliteStore, Statistics, StoreError, StoredMessage,
        Visitor,
    };
    use crate::types::{Chain, EntryId, EntryType, HubId, InvitationId, ProjectName};
    use crate::wire::json;

    /// A log in which something is stored at the worst moment: after a page was read, before the
    /// reader has it.
    struct Sly {
        id: HubId,
        head: watch::Sender<Sequence>,
        log: Mutex<Vec<Entry>>,
        /// How many more entries appear behind a reader's back.
        late: Mutex<u64>,
    }

    impl Sly {
        fn new(late: u64) -> Self {
            Self {
                id: HubId::random().unwrap(),
                head: watch::Sender::default(),
                log: Mutex::default(),
                late: Mutex::new(late),
            }
        }

        fn store(&self) {
            let mut log = self.log.lock().unwrap();
            let sequence = Sequence::new(self.head.borrow().get() + 1);
            log.push(Entry {
                id: EntryId::random().unwrap(),
                entry_type: EntryType::Task,
                content: String::new(),
                origin: String::new(),
                timestamp: 0,
                sequence,
                meta: EntryMeta::default(),
                chain: None,
            });
            self.head.send_replace(sequence);
        }
    }

    #[async_trait]
    impl Store for Sly {
        fn hub_id(&self) -> &HubId {
            &self.id
        }

        fn head(&self) -> watch::Receiver<Sequence> {
            self.head.subscribe()
        }

        async fn page(&self, query: PageQuery) -> Result<Vec<Entry>, StoreError> {
            let until = query.until.unwrap_or(Sequence::new(u64::MAX));
            let mut page = self.log.lock().unwrap().clone();
            page.retain(|entry| entry.sequence > query.since && entry.sequence <= until);
            let late = self.late.lock().unwrap().checked_sub(1);
            if let Some(left) = late {
                *self.late.lock().unwrap() = left;
                self.store();
            }
            Ok(page)
        }

        async fn visit(&self, query: PageQuery, mut each: Visitor) -> Result<(), StoreError> {
            for entry in self.page(query).await? {
                let mut json = Vec::new();
                json::write_entry(&mut json, &entry.view());
                let json = str::from_utf8(&json).unwrap();
                let sequence = entry.sequence;
                if each(StoredMessage { sequence, json }).is_break() {
                    break;
                }
            }
            Ok(())
        }

        async fn chain_at(&self, _: Sequence) -> Result<Option<Chain>, StoreError> {
            Ok(None)
        }

        async fn append_within(
            &self,
            _: &Client,
            _: Vec<EntryDraft>,
            _: Quota,
        ) -> Result<Vec<Sequence>, StoreError> {
            Err(StoreError::Closed)
        }

        async fn register(&self, _: ProjectName, _: NewToken) -> Result<Client, StoreError> {
            Err(StoreError::Closed)
        }

        async fn register_invited(
            &self,
            _: ProjectName,
            _: NewToken,
            _: TokenHash,
        ) -> Result<Client, StoreError> {
            Err(StoreError::Closed)
        }

        async fn is_invited(
            &self,
            _: ProjectName,
            _: TokenHash,
            _: TokenHash,
        ) -> Result<bool, StoreError> {
            Err(StoreError::Closed)
        }

        async fn admin(&self) -> Result<Option<AdminRecord>, StoreError> {
            Err(StoreError::Closed)
        }

        async fn set_admin(&self, _: TokenHash) -> Result<AdminRecord, StoreError> {
            Err(StoreError::Closed)
        }

        async fn invite(&self, _: NewInvitation) -> Result<(), StoreError> {
            Err(StoreError::Closed)
        }

        async fn invitations(&self) -> Result<Vec<InvitationRecord>, StoreError> {
            Err(StoreError::Closed)
        }

        async fn end_invitation(
            &self,
            _: InvitationId,
        ) -> Result<Option<InvitationRecord>, StoreError> {
            Err(StoreError::Closed)
        }

        async fn authenticate(&self, _: TokenHash) -> Result<Option<Authenticated>, StoreError> {
            Err(StoreError::Closed)
        }

        async fn rotate(&self, _: TokenHash, _: NewToken, _: i64) -> Result<Rotated, StoreError> {
            Err(StoreError::Closed)
        }

        async fn note_seen(&self, _: Vec<Sighting>) -> Result<(), StoreError> {
            Err(StoreError::Closed)
        }

        async fn revoke(&self, _: ClientId) -> Result<Option<Client>, StoreError> {
            Err(StoreError::Closed)
        }

        async fn clients(&self) -> Result<Vec<ListedClient>, StoreError> {
            Err(StoreError::Closed)
        }

        async fn statistics(&self) -> Result<Statistics, StoreError> {
            Err(StoreError::Closed)
        }

        fn trouble(&self) -> watch::Receiver<Option<Arc<str>>> {
            watch::channel(None).1
        }

        async fn probe(&self) -> Result<(), StoreError> {
            Ok(())
        }

        async fn close(&self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn feed_of(store: &dyn Store, recent: Arc<Recent>, kind: Kind, types: &[&str]) -> Feed {
        let client = Client {
            id: ClientId::random().unwrap(),
            project: "p".parse().unwrap(),
            created_at: 0,
            revoked_at: None,
        };
        let caller = Caller::new(client, TokenHash::of("t"), None, Line::default());
        let open = Arc::new(Streams::default()).open(&caller, kind).unwrap();
        let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
        let known = Known::read(0, "").unwrap();
        let wanted = Wanted::new(kind, &types, 0, known).unwrap();
        Feed::new(store, recent, wanted, Encoding::Json, open, &caller)
    }

    fn feed(store: &Arc<Sly>, kind: Kind, types: &[&str]) -> Feed {
        let dynamic: Arc<dyn Store> = Arc::<Sly>::clone(store);
        let recent = Arc::new(Recent::new(dynamic));
        let following = Arc::clone(&recent);
        drop(tokio::spawn(async move { following.follow().await }));
        feed_of(&**store, recent, kind, types)
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), future)
            .await
            .expect("not woken")
    }

    #[tokio::test]
    async fn an_entry_stored_between_a_read_and_the_wait_wakes_the_listener() {
        let store = Arc::new(Sly::new(10));
        store.store();
        let mut pieces = Box::pin(feed(&store, Kind::Listen, &[]).into_pieces());
        let mut sequences = Vec::new();
        while sequences.len() < 11 {
            let piece = soon(pieces.next()).await.unwrap().unwrap();
            sequences.extend(piece.sequences());
        }
        assert_eq!(sequences, (1..=11).collect::<Vec<u64>>());
    }

    #[tokio::test]
    async fn a_sync_ends_at_the_head_that_it_announced() {
        let store = Arc::new(Sly::new(100));
        store.store();
        store.store();
        let feed = feed(&store, Kind::Sync, &[]);
        assert_eq!(feed.head(), Sequence::new(2));
        let pieces: Vec<_> = soon(feed.into_pieces().collect()).await;
        let pieces = pieces.into_iter().map(Result::unwrap);
        let sequences: Vec<u64> = pieces.flat_map(|piece| piece.sequences()).collect();
        assert_eq!(sequences, [1, 2]);
    }

    /// A store with `count` entries of 8 KiB.
    async fn long_log(count: u64) -> (tempfile::TempDir, Arc<SqliteStore>) {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(Utf8Path::from_path(temp.path()).unwrap());
        let (store, _) = SqliteStore::open(&dir).unwrap();
        let token = TokenHash::of("t").into();
        let client = store.register("p".parse().unwrap(), token).await.unwrap();
        let draft = |_| {
            let (id, content) = (EntryId::random().unwrap(), "x".repeat(8 * 1024));
            EntryDraft::new(id, EntryType::Task, content, 0, EntryMeta::default()).unwrap()
        };
        let drafts = (0..count).map(draft).collect();
        store.append(&client, drafts).await.unwrap();
        (temp, Arc::new(store))
    }

    #[tokio::test]
    async fn streams_that_read_ahead_miss_nothing_and_are_no_more_than_there_is_room_for() {
        let (_temp, store) = long_log(300).await;
        let dynamic: Arc<dyn Store> = Arc::<SqliteStore>::clone(&store);
        let recent = Arc::new(Recent::new(Arc::clone(&dynamic)));
        let streams = limits::LONG_PAGE_STREAMS + 4;
        let mut open = Vec::new();
        for _ in 0..streams {
            let feed = feed_of(&*store, Arc::clone(&recent), Kind::Sync, &[]);
            let mut pieces = Box::pin(feed.into_pieces());
            // Far enough to have turned a page, and then it does not read.
            let mut taken = Vec::new();
            while taken.len() < 20 {
                taken.extend(soon(pieces.next()).await.unwrap().unwrap().sequences());
            }
            open.push((pieces, taken));
        }
        assert_eq!(recent.runners_left(), 0);
        for (mut pieces, mut taken) in open {
            while let Some(piece) = soon(pieces.next()).await {
                taken.extend(piece.unwrap().sequences());
            }
            assert_eq!(taken, (1..=300).collect::<Vec<u64>>());
        }
        assert_eq!(recent.runners_left(), limits::LONG_PAGE_STREAMS);
    }
}
