//! The audit trail: what was called, by whom, from where, and what came of it.
//!
//! Every call of ours has a line in it, and so has whatever else an operator may be asked about
//! later. A line never holds what an entry says, nor a token.
//!
//! **What is not on record does not happen.** The line of a call is handed to the operating system
//! before its answer leaves; what changes who may do what is announced by a line of its own before
//! it is changed (`Audited`). While no line can be written, calls are refused before they do
//! anything, except that an operator on the admin socket may ask how the hub is, and stop it.
//!
//! | module | does |
//! |---|---|
//! | `line` | the format: one JSON document a line, numbered, with a rolling hash |
//! | `file`, `files` | the files: append, rotate, take over from a killed process |
//! | `state` | the trail, written by a call itself when nothing is in its way |
//! | `writer` | the one thread that writes otherwise; lines share writes and flushes |
//! | `call`, `current` | a call from its beginning to its line, and what is told about it meanwhile |
//! | `strangers` | bounds what those can make it write who have not shown who they are |
//! | `store` | a store that changes nothing that is not announced |
//! | `offline` | the same for commands when no hub runs |
//! | `read`, `verify` | reading it, following it, checking its hashes |

mod call;
mod current;
mod error;
mod file;
mod files;
mod line;
mod offline;
mod read;
mod state;
mod store;
mod strangers;
mod verify;
mod writer;

pub use error::AuditError;
pub use line::{AUDIT_FORMAT, AuditLine, AuditRecord};
pub use read::{AuditDamage, AuditReader, Found, Place};
pub use verify::{AuditFinding, AuditReport, verify};

pub(super) use call::{Asked, CallTrail, Sent, StreamTrail, ending};
pub(super) use current::{carry, event, tell};
pub(super) use line::bounded;
pub(super) use offline::{Change, on_record};
pub(super) use store::Audited;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ctx_config::limits;
use ctx_config::paths::DataDir;
use tokio::sync::{Semaphore, oneshot};

use file::TrailFile;
use state::State;
use writer::{Job, Message, Writer};

use super::incidents::Incident;
use super::settings::AuditSettings;

/// The audit trail of a running hub.
pub(super) struct Audit {
    messages: Sender<Message>,
    slots: Arc<Semaphore>,
    state: Arc<State>,
    calls: AtomicU64,
    path: camino::Utf8PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Opens the trail of `dir` and starts the thread that writes it.
    ///
    /// # Errors
    /// It cannot be opened, or a newer version wrote it.
    pub(super) fn start(dir: &DataDir, rotation: AuditSettings) -> Result<Arc<Self>, AuditError> {
        let path = dir.audit();
        let file = TrailFile::open(dir, rotation)?;
        let state = Arc::new(State::new(file));
        let (messages, received) = mpsc::channel();
        let writer = Writer::new(Arc::clone(&state));
        let thread = thread::Builder::new()
            .name("audit-writer".to_owned())
            .spawn(move || writer.run(&received))
            .map_err(AuditError::io("start the writer of", &path))?;
        Ok(Arc::new(Self {
            messages,
            slots: Arc::new(Semaphore::new(limits::AUDIT_QUEUE)),
            state,
            calls: AtomicU64::new(0),
            path,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Writes a line about something that is no call, and waits until it is the operating system's;
    /// whether it is.
    pub(super) async fn write(&self, record: AuditRecord) -> bool {
        self.write_line(record, false).await
    }

    /// Writes a line about somebody at `address` who has not got as far as a call. Nobody waits for
    /// it, and beyond a rate it is counted.
    pub(super) fn event(&self, event: Event, address: Option<IpAddr>) {
        // Whoever is limited has failed more often than there are lines for one address.
        let counted_as = address.filter(|_| event != Event::AddressLimited);
        if self.counts_alone(counted_as) {
            let (event, reason) = event.words();
            self.post(AuditRecord {
                reason: Some(reason.into()),
                door: Some("network".into()),
                address: address.map(|address| address.to_canonical().to_string()),
                ..AuditRecord::new(event)
            });
        }
    }

    /// Writes a line that nobody waits for.
    fn post(&self, record: AuditRecord) {
        let job = Job {
            record,
            answer: None,
            slot: None,
        };
        self.send(job);
    }

    /// Writes the line of a call that is about to be answered; whether it is the operating system's
    /// now.
    async fn write_line(&self, record: AuditRecord, is_exempt: bool) -> bool {
        if let Some(written) = self.state.write_at_once(&record) {
            if written.is_first {
                self.messages.send(Message::Written).ok();
            }
            return true;
        }
        let slot = match is_exempt {
            // Whoever has to find out what is wrong does not wait for a place in the queue.
            true => None,
            false => Arc::clone(&self.slots).acquire_owned().await.ok(),
        };
        let (answer, written) = oneshot::channel();
        let job = Job {
            record,
            answer: Some(answer),
            slot,
        };
        self.send(job) && written.await.unwrap_or(false)
    }

    fn send(&self, job: Job) -> bool {
        // Before it is sent: until it is written, nothing that comes later may overtake it.
        self.state.waiting.fetch_add(1, Ordering::SeqCst);
        self.messages.send(Message::Line(Box::new(job))).is_ok()
    }

    /// Whether a failure of a stranger at `address` gets a line of its own.
    fn counts_alone(&self, address: Option<IpAddr>) -> bool {
        self.state.strangers().count(address, Instant::now())
    }

    /// Whether lines can be written, as far as is known.
    pub(super) fn is_failing(&self) -> bool {
        self.state.failing.load(Ordering::SeqCst)
    }

    /// Writes what waits, flushes it and ends. Every line behind it is refused.
    ///
    /// # Errors
    /// The last lines could not be written or flushed.
    pub(super) async fn close(&self) -> Result<(), AuditError> {
        let (answer, closed) = oneshot::channel();
        if self.messages.send(Message::Close(answer)).is_err() {
            return Ok(());
        }
        let path = &self.path;
        let gone = || AuditError::Unwritten { path: path.clone() };
        closed.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Ends without waiting for anybody, and joins the thread: nobody writes the file any more when
    /// this returns. Blocks for as long as a write takes.
    pub(super) fn cut_off(&self) {
        let (answer, _) = oneshot::channel();
        self.messages.send(Message::Close(answer)).ok();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that panicked has said so, and writes no more either.
        drop(thread.take().map(JoinHandle::join));
    }
}

/// What is no call and is put on record all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A connection was refused, given up or closed for cause.
    Connection(Incident),
    /// An address has failed too often to prove who it is, and is refused for a while.
    AddressLimited,
}

impl Event {
    /// What happened, and why.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Connection(incident) => incident.words(),
            Self::AddressLimited => ("address_limited", "attempts"),
        }
    }
}

/// Ends the trail when it is dropped, however that comes.
#[must_use = "the trail ends as soon as this is dropped"]
pub(super) struct Ending(pub(super) Arc<Audit>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.cut_off();
    }
}
