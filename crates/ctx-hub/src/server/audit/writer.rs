//! The one thread that writes the trail. Lines that wait for it at the same time share a write.
//!
//! When a write fails, everybody who waits for one is told so, and so is every call from then on
//! before it does anything, until a write succeeds again; the thread tries that by itself. What
//! could not be written is kept, as far as there is room for it, and written then.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Instant;

use ctx_config::limits;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::error::AuditError;
use super::line::{self, AuditRecord};
use super::state::State;
use crate::server::status::report;

/// What the thread is told.
pub(super) enum Message {
    Line(Box<Job>),
    /// A call wrote its line itself, and it has to be flushed.
    Written,
    /// Write what is there, flush, and end.
    Close(oneshot::Sender<Result<(), AuditError>>),
}

/// A line that waits to be written.
pub(super) struct Job {
    pub(super) record: AuditRecord,
    /// Told whether it was written.
    pub(super) answer: Option<oneshot::Sender<bool>>,
    /// Its place in the queue.
    pub(super) slot: Option<OwnedSemaphorePermit>,
}

/// The thread's own.
pub(super) struct Writer {
    state: Arc<State>,
    flushed: Instant,
    failing: Option<Failing>,
}

/// A trail that cannot be written.
struct Failing {
    since: String,
    tried: Instant,
    backlog: Vec<AuditRecord>,
    lost: u64,
}

impl Writer {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self {
            state,
            flushed: Instant::now(),
            failing: None,
        }
    }

    /// Writes until it is told to end, or until nobody is left to tell it anything.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let mut group = Vec::new();
            let mut end = self.gather(messages, &mut group);
            if end.is_some() {
                // What was sent before the end is written; there is nothing behind it.
                group.extend(messages.try_iter().filter_map(Message::line));
            }
            let sent = group.len();
            if let Some(end) = &mut end {
                let counted = self.state.strangers().take(Instant::now(), end.is_some());
                group.extend(counted.into_iter().map(Job::posted));
            }
            self.serve(group);
            self.state.waiting.fetch_sub(sent, Ordering::SeqCst);
            self.look_after();
            if let Some(answer) = end {
                let closed = self.close();
                answer.map(|answer| answer.send(closed).ok());
                return;
            }
        }
    }

    /// Waits for lines, and takes those that are there. The end, when it has come.
    fn gather(
        &self,
        messages: &Receiver<Message>,
        group: &mut Vec<Job>,
    ) -> Option<Option<oneshot::Sender<Result<(), AuditError>>>> {
        let mut next = match self.due() {
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => messages.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        loop {
            match next {
                Ok(Message::Line(job)) => group.push(*job),
                Ok(Message::Written) => {}
                Ok(Message::Close(answer)) => return Some(Some(answer)),
                Err(RecvTimeoutError::Disconnected) => return Some(None),
                Err(RecvTimeoutError::Timeout) => return None,
            }
            if group.len() >= limits::AUDIT_GROUP {
                return None;
            }
            next = messages.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            });
        }
    }

    /// When something has to be done, lines or not.
    fn due(&self) -> Option<Instant> {
        let retry = self.failing.as_ref().map(|f| f.tried + limits::AUDIT_RETRY);
        let flush = self.state.is_unflushed() && self.failing.is_none();
        let flush = flush.then(|| self.flushed + limits::AUDIT_FLUSH);
        let strangers = self.state.strangers().due();
        [retry, flush, strangers].into_iter().flatten().min()
    }

    /// Writes the lines of `group` together and tells whoever waits.
    fn serve(&mut self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        if self.failing.is_none() {
            match self.state.write(group.iter().map(|job| &job.record)) {
                Ok(()) => {
                    for job in group {
                        job.settle(true);
                    }
                    return;
                }
                Err(error) => self.fail(&error),
            }
        }
        for job in group {
            self.keep(job);
        }
    }

    /// Flushes, tries again what failed, and tells what was counted, each when it is due.
    fn look_after(&mut self) {
        let now = Instant::now();
        let counted = self.state.strangers().take(now, false);
        self.serve(counted.into_iter().map(Job::posted).collect());
        match &self.failing {
            Some(failing) if now >= failing.tried + limits::AUDIT_RETRY => self.try_again(),
            None if self.state.is_unflushed() && now >= self.flushed + limits::AUDIT_FLUSH => {
                self.flushed = now;
                if let Err(error) = self.state.flush() {
                    self.fail(&error);
                }
            }
            _ => {}
        }
    }

    fn fail(&mut self, error: &AuditError) {
        tracing::error!(
            error = report(error),
            "the audit trail cannot be written: calls are refused until it can"
        );
        self.failing = Some(Failing {
            since: line::time(Timestamp::now()),
            tried: Instant::now(),
            backlog: Vec::new(),
            lost: 0,
        });
    }

    /// Keeps a line that could not be written, and tells whoever waits that it was not.
    fn keep(&mut self, job: Job) {
        let Some(failing) = &mut self.failing else {
            return;
        };
        let mut record = job.record.clone();
        let waited = job.answer.is_some();
        job.settle(false);
        if record.event == "intent" {
            // What it announces is not done, and the call's own line says so.
            return;
        }
        if waited {
            // What was answered in the end.
            record.code = Some(Cow::Borrowed("UNAVAILABLE"));
            record.reason = Some(Cow::Borrowed("audit"));
            if record.event == "opened" {
                record.event = Cow::Borrowed("call");
            }
        }
        if failing.backlog.len() < limits::AUDIT_BACKLOG {
            failing.backlog.push(record);
        } else {
            failing.lost = failing.lost.saturating_add(1);
        }
    }

    /// Writes and flushes what was kept, behind a line that tells of it.
    fn try_again(&mut self) {
        let Some(failing) = &mut self.failing else {
            return;
        };
        let refused = self.state.refused.swap(0, Ordering::SeqCst);
        let resumed = AuditRecord {
            since: Some(failing.since.clone()),
            refused: (refused > 0).then_some(refused),
            lost: (failing.lost > 0).then_some(failing.lost),
            ..AuditRecord::new("resumed")
        };
        let records = std::iter::once(&resumed).chain(&failing.backlog);
        let written = self.state.write(records);
        failing.tried = Instant::now();
        if written.is_err() {
            self.state.refused.fetch_add(refused, Ordering::SeqCst);
            return;
        }
        failing.backlog.clear();
        failing.lost = 0;
        if self.state.flush().is_ok() {
            self.flushed = Instant::now();
            self.failing = None;
            self.state.failing.store(false, Ordering::SeqCst);
            tracing::warn!(refused, "the audit trail can be written again");
        }
    }

    fn close(&mut self) -> Result<(), AuditError> {
        if self.failing.is_some() {
            self.try_again();
        }
        if self.failing.is_some() {
            let path = self.state.path().to_owned();
            return Err(AuditError::Unwritten { path });
        }
        self.state.close()
    }
}

/// Without the thread nothing is flushed: no call writes its line itself then, and all are refused.
impl Drop for Writer {
    fn drop(&mut self) {
        self.state.drop_file();
    }
}

impl Message {
    fn line(self) -> Option<Job> {
        match self {
            Self::Line(job) => Some(*job),
            Self::Written | Self::Close(_) => None,
        }
    }
}

impl Job {
    /// A line that nobody waits for.
    fn posted(record: AuditRecord) -> Self {
        Self {
            record,
            answer: None,
            slot: None,
        }
    }

    fn settle(self, written: bool) {
        if let Some(answer) = self.answer {
            // Whoever asked may have gone; what is written stays.
            answer.send(written).ok();
        }
        drop(self.slot);
    }
}
