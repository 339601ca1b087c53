//! Tests of the store.

use std::ops::ControlFlow;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use ctx_hub::entry::{Entry, EntryDraft, EntryMeta};
use ctx_hub::store::{
    Client, Notice, PageQuery, Quota, SqliteStore, Store, StoreError, StoredMessage,
};
use ctx_hub::types::{Chain, EntryId, EntryType, Sequence, TypeSet};

mod backup;
mod chain;
#[macro_use]
mod conformance;
mod crash;
mod full;
pub(crate) mod import;
mod lost;
mod open;
mod upgrade;

mod sqlite {
    store_conformance!(super::Fresh::new());
}

/// A new store in a directory of its own.
struct Fresh {
    data: DataDir,
    store: Arc<dyn Store>,
    _dir: tempfile::TempDir,
}

impl Fresh {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(Utf8Path::from_path(dir.path()).unwrap());
        let store = Arc::new(open(&data));
        Self {
            data,
            store,
            _dir: dir,
        }
    }

    /// The same store with another clock, once it is closed.
    fn open_with(&self, clock: ctx_hub::clock::Clock) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open_with(&self.data, clock).unwrap().0)
    }

    /// Closes the store and opens it again.
    async fn reopen(&mut self) {
        self.store.close().await.unwrap();
        self.store = Arc::new(open(&self.data));
    }
}

/// An empty data directory.
fn empty_dir() -> (tempfile::TempDir, DataDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    (dir, DataDir::new(path))
}

fn open(data: &DataDir) -> SqliteStore {
    SqliteStore::open(data).unwrap().0
}

/// Why opening fails.
fn refused(data: &DataDir) -> StoreError {
    match SqliteStore::open(data) {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error,
    }
}

/// Every entry has the hash that follows from the one before it; answers the hash of the last.
async fn chained(store: &dyn Store) -> Chain {
    let mut chain = Chain::genesis(store.hub_id());
    for entry in everything(store).await {
        chain = chain.after(&entry);
        assert_eq!(entry.chain, Some(chain), "at {}", entry.sequence);
        assert_eq!(store.chain_at(entry.sequence).await.unwrap(), Some(chain));
    }
    chain
}

fn notices(data: &DataDir) -> Vec<Notice> {
    SqliteStore::open(data).unwrap().1
}

/// Waits until `done`, for ever so long but not for ever.
fn eventually(what: &str, done: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !done() {
        assert!(started.elapsed().as_secs() < 60, "never came: {what}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn id(text: &str) -> EntryId {
    EntryId::try_from(text.to_owned()).unwrap()
}

fn draft(text: &str, entry_type: EntryType, content: &str) -> EntryDraft {
    let meta = EntryMeta {
        host: "machine".to_owned(),
        ..EntryMeta::default()
    };
    EntryDraft::new(
        id(text),
        entry_type,
        content.to_owned(),
        1_700_000_000,
        meta,
    )
    .unwrap()
}

/// A client that need not be registered: the store is told who publishes.
fn client(project: &str) -> Client {
    Client {
        id: ctx_hub::types::ClientId::random().unwrap(),
        project: project.parse().unwrap(),
        created_at: 0,
        revoked_at: None,
    }
}

fn query(types: TypeSet) -> PageQuery {
    PageQuery {
        since: Sequence::START,
        until: None,
        types,
        max_entries: usize::MAX,
        max_bytes: usize::MAX,
    }
}

/// The messages of a page.
async fn messages(store: &dyn Store, query: PageQuery) -> Vec<String> {
    let (tell, told) = std::sync::mpsc::channel();
    let each = move |message: StoredMessage<'_>| {
        tell.send(message.json.to_owned()).unwrap();
        ControlFlow::Continue(())
    };
    store.visit(query, Box::new(each)).await.unwrap();
    told.iter().collect()
}

async fn everything(store: &dyn Store) -> Vec<Entry> {
    store.page(query(TypeSet::all())).await.unwrap()
}

fn numbers(sequences: impl IntoIterator<Item = Sequence>) -> Vec<u64> {
    sequences.into_iter().map(Sequence::get).collect()
}

fn sequences(entries: &[Entry]) -> Vec<u64> {
    numbers(entries.iter().map(|entry| entry.sequence))
}
