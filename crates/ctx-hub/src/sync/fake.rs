//! A hub for tests that says and breaks what it is told, and a project to mirror it in.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::ContextDir;
use tokio::sync::watch;

use super::engine;
use super::error::SyncError;
use super::report::{SyncEvent, SyncOptions, SyncReport};
use super::samples;
use super::source::{Entries, Source};
use super::worker::Worker;
use crate::client::{ClientError, HubIdentity, Peer};
use crate::entry::Entry;
use crate::types::{EntryType, HubId, Sequence, TypeSet};

/// What a stream does once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It cannot be opened: the credentials are refused.
    Refused,
    /// It breaks after so many entries.
    After(usize),
    /// The hub ends it after so many entries, as if that were all.
    EndAfter(usize),
    /// A `listen` stream stays silent for its limit after so many entries.
    IdleAfter(usize),
}

#[derive(Debug)]
struct Log {
    entries: Vec<Entry>,
    id: Option<HubId>,
    says_head: bool,
    faults: VecDeque<Fault>,
    asked: Vec<(u64, TypeSet)>,
}

/// A hub.
#[derive(Clone, Debug)]
pub(super) struct FakeHub {
    log: Arc<Mutex<Log>>,
    published: watch::Sender<u64>,
}

impl FakeHub {
    /// A hub with `count` entries whose types take turns.
    pub(super) fn with(count: u64) -> Self {
        let log = Log {
            entries: Vec::new(),
            id: Some("00000000000000000000000000000001".parse().unwrap()),
            says_head: true,
            faults: VecDeque::new(),
            asked: Vec::new(),
        };
        let hub = Self {
            log: Arc::new(Mutex::new(log)),
            published: watch::Sender::new(0),
        };
        hub.publish(count);
        hub
    }

    fn log<T>(&self, with: impl FnOnce(&mut Log) -> T) -> T {
        with(&mut self.log.lock().unwrap())
    }

    /// Publishes `count` more entries.
    pub(super) fn publish(&self, count: u64) {
        let length = self.log(|log| {
            for _ in 0..count {
                let sequence = u64::try_from(log.entries.len()).unwrap() + 1;
                let turn = usize::try_from(sequence).unwrap() % EntryType::ALL.len();
                let content = format!("entry {sequence}\n---\n# <!--");
                log.entries
                    .push(samples::entry(sequence, EntryType::ALL[turn], &content));
            }
            log.entries.len()
        });
        self.published.send_replace(u64::try_from(length).unwrap());
    }

    /// Another hub answers at the address from now on.
    pub(super) fn swap(&self) {
        self.log(|log| log.id = Some("00000000000000000000000000000002".parse().unwrap()));
    }

    /// The hub is restored from a backup with `count` entries.
    pub(super) fn set_back(&self, count: usize) {
        self.log(|log| log.entries.truncate(count));
    }

    /// It is an older hub, which says neither who it is nor how far it reaches.
    pub(super) fn say_nothing(&self) {
        self.log(|log| (log.id, log.says_head) = (None, false));
    }

    /// What the next streams do, in order; those after them work.
    pub(super) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.log(|log| log.faults = faults.into_iter().collect());
    }

    /// What was asked for since the last time: after which sequence, and how many types.
    pub(super) fn asked(&self) -> Vec<(u64, usize)> {
        let asked = self.log(|log| std::mem::take(&mut log.asked));
        asked
            .into_iter()
            .map(|(since, types)| (since, types.iter().count()))
            .collect()
    }

    /// The whole text that a mirror file should have.
    pub(super) fn text(&self, entry_type: EntryType) -> String {
        let of_type = |entry: &&Entry| entry.entry_type == entry_type;
        self.log(|log| {
            log.entries
                .iter()
                .filter(of_type)
                .map(super::render::render)
                .collect()
        })
    }

    fn open(
        &self,
        types: &TypeSet,
        since: Sequence,
        live: bool,
    ) -> Result<FakeStream, ClientError> {
        let (identity, fault) = self.log(|log| {
            log.asked.push((since.get(), types.clone()));
            let head = Sequence::new(u64::try_from(log.entries.len()).unwrap());
            let head = Some(head).filter(|_| log.says_head);
            (
                HubIdentity {
                    id: log.id.clone(),
                    head,
                },
                log.faults.pop_front(),
            )
        });
        if fault == Some(Fault::Refused) {
            return Err(ClientError::Credentials {
                peer: peer(),
                message: "no".to_owned(),
            });
        }
        Ok(FakeStream {
            hub: self.clone(),
            news: self.published.subscribe(),
            identity,
            types: types.clone(),
            last: since,
            sent: 0,
            fault,
            live,
        })
    }
}

fn peer() -> Peer {
    Peer::Address("127.0.0.1:1".parse().unwrap())
}

pub(super) struct FakeStream {
    hub: FakeHub,
    news: watch::Receiver<u64>,
    identity: HubIdentity,
    types: TypeSet,
    last: Sequence,
    sent: usize,
    fault: Option<Fault>,
    live: bool,
}

impl Source for FakeHub {
    type Stream = FakeStream;

    async fn sync(&self, types: &TypeSet, since: Sequence) -> Result<FakeStream, ClientError> {
        self.open(types, since, false)
    }

    async fn listen(&self, types: &TypeSet, since: Sequence) -> Result<FakeStream, ClientError> {
        self.open(types, since, true)
    }
}

impl Entries for FakeStream {
    fn identity(&self) -> &HubIdentity {
        &self.identity
    }

    async fn next(&mut self) -> Result<Option<Entry>, ClientError> {
        loop {
            match self.fault {
                Some(Fault::After(count)) if count == self.sent => {
                    let message = "it broke".to_owned();
                    return Err(ClientError::Unavailable {
                        peer: peer(),
                        call: "Sync",
                        message,
                    });
                }
                Some(Fault::EndAfter(count)) if count == self.sent => return Ok(None),
                Some(Fault::IdleAfter(count)) if count == self.sent => {
                    let after = std::time::Duration::ZERO;
                    return Err(ClientError::Idle {
                        peer: peer(),
                        after,
                    });
                }
                _ => {}
            }
            let wanted = |e: &&Entry| e.sequence > self.last && self.types.contains(e.entry_type);
            let found = self.hub.log(|log| log.entries.iter().find(wanted).cloned());
            if let Some(entry) = found {
                self.last = entry.sequence;
                self.sent += 1;
                return Ok(Some(entry));
            }
            if !self.live {
                return Ok(None);
            }
            self.news.changed().await.unwrap();
        }
    }
}

/// A project in a temporary directory.
pub(super) struct Project {
    pub(super) context: ContextDir,
    _temp: tempfile::TempDir,
}

impl Project {
    pub(super) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let context = ContextDir::new(Utf8Path::from_path(temp.path()).unwrap());
        Self {
            context,
            _temp: temp,
        }
    }

    pub(super) fn file(&self, entry_type: EntryType) -> Utf8PathBuf {
        self.context.mirror().path().join(entry_type.mirror_file())
    }

    /// The text of a mirror file; empty when there is none.
    pub(super) fn text(&self, entry_type: EntryType) -> String {
        fs::read_to_string(self.file(entry_type)).unwrap_or_default()
    }

    pub(super) async fn sync(
        &self,
        hub: &FakeHub,
        types: &TypeSet,
    ) -> Result<SyncReport, SyncError> {
        self.sync_as(hub, types, &SyncOptions::default()).await
    }

    pub(super) async fn full(
        &self,
        hub: &FakeHub,
        types: &TypeSet,
    ) -> Result<SyncReport, SyncError> {
        let options = SyncOptions {
            full: true,
            ..SyncOptions::default()
        };
        self.sync_as(hub, types, &options).await
    }

    async fn sync_as(
        &self,
        hub: &FakeHub,
        types: &TypeSet,
        options: &SyncOptions,
    ) -> Result<SyncReport, SyncError> {
        let mut ignore = |_: SyncEvent| {};
        let worker = &mut Worker::default();
        engine::run(hub, &self.context, types, options, &mut ignore, worker).await
    }

    /// The mirror is what `hub` says it should be, and nobody holds the lock.
    pub(super) fn assert_mirrors(&self, hub: &FakeHub, types: &TypeSet) {
        for entry_type in types.iter() {
            assert_eq!(self.text(entry_type), hub.text(entry_type), "{entry_type}");
        }
        assert!(!self.context.mirror().sync_lock().exists());
    }

    /// The names of all that is in the mirror's folder.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = self.context.mirror().path().read_dir_utf8().unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Puts `text` in the place of a file, as a person may.
    pub(super) fn put(&self, path: &Utf8Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "a test lays out what it finds later"
        )]
        fs::write(path, text).unwrap();
    }
}
