//! A hub for tests that says and breaks what it is told, and a project to mirror it in.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::ContextDir;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::engine;
use super::error::SyncError;
use super::report::{SyncEvent, SyncOptions, SyncReport};
use super::samples;
use super::source::{Entries, Source};
use super::worker::Worker;
use crate::client::{ClientError, HubIdentity, Peer, StreamStart};
use crate::entry::{Entry, EntryDraft};
use crate::outbox::Publisher;
use crate::types::{Chain, EntryType, HubId, LogMark, Sequence, TypeSet};

/// What a stream does once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It cannot be opened: the credentials are refused.
    Refused,
    /// It cannot be opened: the hub takes no more for so many seconds.
    Limited(u64),
    /// It breaks after so many entries.
    After(usize),
    /// The hub ends it after so many entries, as if that were all.
    EndAfter(usize),
    /// It breaks after so many entries because the hub is restored from a backup with `left` of
    /// them, and publishes `again` others.
    Restored {
        after: usize,
        left: usize,
        again: u64,
    },
    /// The hub is restored so right after the stream has come to its end.
    EndRestored { left: usize, again: u64 },
    /// It stays silent after so many entries, for ever.
    SilentAfter(usize),
    /// A `listen` stream stays silent for its limit after so many entries.
    IdleAfter(usize),
}

#[derive(Debug)]
struct Log {
    entries: Vec<Entry>,
    id: Option<HubId>,
    says_head: bool,
    /// How often it was set back: what is published since is something else.
    restored: u32,
    faults: VecDeque<Fault>,
    asked: Vec<(u64, TypeSet)>,
}

impl Log {
    /// Stores an entry, with its rolling hash if the hub has one.
    fn push(&mut self, mut entry: Entry) {
        if self.says_head {
            let before = self.entries.last().map(|entry| entry.chain);
            entry.chain = Some(chain(&format!("{:?} {before:?} {entry:?}", self.id)));
        }
        self.entries.push(entry);
    }

    fn head(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    /// The hash up to `sequence`, of this log and no other.
    fn chain_at(&self, sequence: Sequence) -> Option<Chain> {
        let at = usize::try_from(sequence.get()).unwrap();
        let last = self.entries.get(at.checked_sub(1)?)?;
        last.chain
    }

    /// Whether the log is the one that a caller knows. An older hub does not look.
    fn is_known_as(&self, known: Option<LogMark>) -> bool {
        known.is_none_or(|mark| !self.says_head || self.chain_at(mark.sequence) == Some(mark.chain))
    }
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
            restored: 0,
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
                let sequence = log.head() + 1;
                let turn = usize::try_from(sequence).unwrap() % EntryType::ALL.len();
                let again = "again ".repeat(usize::try_from(log.restored).unwrap());
                let content = format!("entry {sequence} {again}\n---\n# <!--");
                log.push(samples::entry(sequence, EntryType::ALL[turn], &content));
            }
            log.head()
        });
        self.published.send_replace(length);
    }

    /// Stores an entry, unless its id is there already.
    fn take(&self, draft: &EntryDraft) -> Sequence {
        let (sequence, length) = self.log(|log| {
            let known = log.entries.iter().find(|entry| entry.id == *draft.id());
            if let Some(known) = known {
                return (known.sequence, log.head());
            }
            let next = log.head() + 1;
            let mut entry = samples::entry(next, draft.entry_type(), draft.content());
            entry.id = draft.id().clone();
            log.push(entry);
            (Sequence::new(next), log.head())
        });
        self.published.send_replace(length);
        sequence
    }

    /// Another hub answers at the address from now on.
    pub(super) fn swap(&self) {
        self.log(|log| log.id = Some("00000000000000000000000000000002".parse().unwrap()));
    }

    /// The hub is restored from a backup with `count` entries.
    pub(super) fn set_back(&self, count: usize) {
        self.log(|log| {
            log.entries.truncate(count);
            log.restored += 1;
        });
    }

    /// It is an older hub, which says neither who it is nor how far it reaches, has no hashes and
    /// does not look at those that it is given.
    pub(super) fn say_nothing(&self) {
        self.log(|log| {
            (log.id, log.says_head) = (None, false);
            for entry in &mut log.entries {
                entry.chain = None;
            }
        });
    }

    /// What the next streams do, in order; those after them work.
    pub(super) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.log(|log| log.faults = faults.into_iter().collect());
    }

    /// As [`FakeHub::fail`], but `count` streams work first.
    pub(super) fn fail_after(&self, count: usize, faults: impl IntoIterator<Item = Fault>) {
        let first = std::iter::repeat_n(Fault::After(usize::MAX), count);
        self.fail(first.chain(faults));
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
        start: StreamStart,
        live: bool,
    ) -> Result<FakeStream, ClientError> {
        let StreamStart { since, known } = start;
        let (identity, fault, is_known) = self.log(|log| {
            log.asked.push((since.get(), types.clone()));
            let head = Some(Sequence::new(log.head())).filter(|_| log.says_head);
            let identity = HubIdentity {
                id: log.id.clone(),
                head,
                chain: head.and_then(|head| log.chain_at(head)),
            };
            (identity, log.faults.pop_front(), log.is_known_as(known))
        });
        if !is_known {
            return Err(ClientError::OtherLog {
                peer: peer(),
                identity: Box::new(HubIdentity {
                    chain: None,
                    ..identity
                }),
            });
        }
        if fault == Some(Fault::Refused) {
            return Err(ClientError::Credentials {
                peer: peer(),
                message: "no".to_owned(),
            });
        }
        if let Some(Fault::Limited(seconds)) = fault {
            return Err(ClientError::Limited {
                peer: peer(),
                call: "Sync",
                message: "too much".to_owned(),
                wait: std::time::Duration::from_secs(seconds),
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

/// The hash of what `text` says.
fn chain(text: &str) -> Chain {
    let digest: [u8; 32] = Sha256::digest(text).into();
    Chain::from_bytes(*digest.first_chunk().unwrap())
}

fn broke() -> ClientError {
    ClientError::Unavailable {
        peer: peer(),
        call: "Sync",
        message: "it broke".to_owned(),
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

impl Publisher for FakeHub {
    async fn publish(&self, drafts: &[EntryDraft]) -> Result<Vec<Sequence>, ClientError> {
        Ok(drafts.iter().map(|draft| self.take(draft)).collect())
    }
}

impl Source for FakeHub {
    type Stream = FakeStream;

    async fn sync(&self, types: &TypeSet, start: StreamStart) -> Result<FakeStream, ClientError> {
        self.open(types, start, false)
    }

    async fn listen(&self, types: &TypeSet, start: StreamStart) -> Result<FakeStream, ClientError> {
        self.open(types, start, true)
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
                    return Err(broke());
                }
                Some(Fault::Restored { after, left, again }) if after == self.sent => {
                    self.hub.set_back(left);
                    self.hub.publish(again);
                    return Err(broke());
                }
                Some(Fault::EndAfter(count)) if count == self.sent => return Ok(None),
                Some(Fault::SilentAfter(count)) if count == self.sent => {
                    std::future::pending::<()>().await;
                }
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
                if let Some(Fault::EndRestored { left, again }) = self.fault.take() {
                    self.hub.set_back(left);
                    self.hub.publish(again);
                }
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

    /// As [`Project::names`]; `None` when there is no folder.
    pub(super) fn names_or_none(&self) -> Option<Vec<String>> {
        self.context.mirror().path().exists().then(|| self.names())
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
