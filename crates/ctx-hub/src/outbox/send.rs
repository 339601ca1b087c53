//! Sending what is queued: a batch, its acknowledgement, and only then the files.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::time::Duration;

use camino::Utf8PathBuf;
use ctx_config::{limits, paths};
use ctx_io::{atomic, ensure_private_dir, failpoint, sync_parent};
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::error::{OutboxError, Unusable};
use super::name::Name;
use super::{Outbox, read, strange_file};
use crate::client::backoff::Backoff;
use crate::client::{ClientError, ClientErrorKind, HubClient};
use crate::entry::EntryDraft;
use crate::types::{EntryId, Sequence};

/// Largest reason that is read back, in bytes.
const REASON_MAX_BYTES: u64 = 4_096;

/// What takes entries: a hub, or in tests something that refuses on demand.
pub(crate) trait Publisher: Sync {
    /// Publishes all of `drafts` or none, and answers their sequences.
    fn publish(
        &self,
        drafts: &[EntryDraft],
    ) -> impl Future<Output = Result<Vec<Sequence>, ClientError>> + Send;

    /// The same of entries that can wait where they are: a hub that takes no more for now is not
    /// waited for.
    fn send(
        &self,
        drafts: &[EntryDraft],
    ) -> impl Future<Output = Result<Vec<Sequence>, ClientError>> + Send {
        self.publish(drafts)
    }
}

impl Publisher for HubClient {
    async fn publish(&self, drafts: &[EntryDraft]) -> Result<Vec<Sequence>, ClientError> {
        Self::publish(self, drafts).await
    }

    async fn send(&self, drafts: &[EntryDraft]) -> Result<Vec<Sequence>, ClientError> {
        self.publish_now(drafts).await
    }
}

/// What became of the queued entries.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SendReport {
    /// What the hub holds now, in the order in which it was queued.
    pub sent: Vec<Sent>,
    /// What the hub refused for good; moved aside.
    pub refused: Vec<Refused>,
    /// Files that cannot be sent; left as they are.
    pub unusable: Vec<Unusable>,
    /// Why sending ended before everything was sent. The rest stays queued.
    pub stopped: Option<ClientError>,
}

impl SendReport {
    /// Whether there was nothing to do and nothing to tell.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sent.is_empty()
            && self.refused.is_empty()
            && self.unusable.is_empty()
            && self.stopped.is_none()
    }
}

/// A queued entry that the hub holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Its id.
    pub id: EntryId,
    /// The hub's sequence for it.
    pub sequence: Sequence,
}

/// A queued entry that a hub refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Its file, moved aside and otherwise as it was.
    pub path: Utf8PathBuf,
    /// What the hub said; empty when that was lost.
    pub reason: String,
}

/// Queued entries that are sent together.
#[derive(Debug, Default)]
struct Batch {
    names: Vec<Name>,
    drafts: Vec<EntryDraft>,
    unusable: Vec<Unusable>,
}

impl Outbox {
    /// Sends what is queued, oldest first, in batches of at most
    /// [`limits::OUTBOX_BATCH_ENTRIES`] entries and about [`limits::OUTBOX_BATCH_BYTES`] bytes, which
    /// is also what it takes of memory. Files are read and removed on the runtime's blocking threads.
    ///
    /// A future that is dropped, or a process that is killed, leaves in the outbox what was not
    /// acknowledged, and at most one batch that was: a hub that has an id does not store it again.
    /// Processes that send at the same time take turns; one that does not come to an end holds up
    /// the others for [`limits::OUTBOX_TURN_WAIT`], after which they send as well.
    ///
    /// # Errors
    /// The outbox could not be read, or something could not be removed from it or moved aside. That
    /// the hub cannot be reached is in [`SendReport::stopped`].
    pub async fn send(&self, client: &HubClient) -> Result<SendReport, OutboxError> {
        self.send_to(client).await
    }

    /// [`Outbox::send`] to anything.
    pub(crate) async fn send_to<P: Publisher>(&self, hub: &P) -> Result<SendReport, OutboxError> {
        self.send_in_turn(hub, limits::OUTBOX_TURN_WAIT).await
    }

    /// [`Outbox::send`] to anything, waiting for a turn no longer than `patience`.
    pub(super) async fn send_in_turn<P: Publisher>(
        &self,
        hub: &P,
        patience: Duration,
    ) -> Result<SendReport, OutboxError> {
        let mut report = SendReport::default();
        let Some(_turn) = self.turn(patience).await? else {
            return Ok(report);
        };
        let mut passed = BTreeSet::new();
        loop {
            // Listed anew, because more may have been queued, and another may have sent some.
            let listing = self.waiting()?;
            for path in listing.strange {
                if passed.insert(path.clone()) {
                    report.unusable.push(strange_file(path));
                }
            }
            let mut names = listing.names.into_iter();
            let mut is_new = false;
            loop {
                let (batch, rest) = self.load(names, &passed).await?;
                names = rest;
                passed.extend(batch.unusable.iter().map(|unusable| unusable.path.clone()));
                report.unusable.extend(batch.unusable);
                if batch.drafts.is_empty() {
                    break;
                }
                is_new = true;
                if !self
                    .send_batch(hub, batch.names, batch.drafts, &mut report)
                    .await?
                {
                    return Ok(report);
                }
            }
            if !is_new {
                return Ok(report);
            }
        }
    }

    /// Sends entries and removes what was acknowledged; `false` when the hub takes no more.
    async fn send_batch<P: Publisher>(
        &self,
        hub: &P,
        names: Vec<Name>,
        drafts: Vec<EntryDraft>,
        report: &mut SendReport,
    ) -> Result<bool, OutboxError> {
        failpoint::reach("outbox.sending")?;
        match hub.send(&drafts).await {
            Ok(sequences) => {
                failpoint::reach("outbox.acknowledged")?;
                self.blocking(move |outbox| outbox.remove(&names)).await?;
                let ids = drafts.into_iter().map(|draft| draft.id().clone());
                let sent = ids.zip(sequences);
                let sent = sent.map(|(id, sequence)| Sent { id, sequence });
                report.sent.extend(sent);
            }
            Err(error) if is_of_the_entry(&error) && drafts.len() > 1 => {
                // One of them is to blame. The others are sent without it.
                for (name, draft) in names.into_iter().zip(drafts) {
                    let alone = self.send_batch(hub, vec![name], vec![draft], report);
                    if !Box::pin(alone).await? {
                        return Ok(false);
                    }
                }
            }
            Err(error) if is_of_the_entry(&error) => {
                let reason = error.to_string();
                for name in names {
                    let reason = reason.clone();
                    let aside = self.blocking(move |outbox| outbox.move_aside(&name, &reason));
                    report.refused.extend(aside.await?);
                }
            }
            Err(error) => {
                report.stopped = Some(error);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next batch of `names` without those that were `passed` over, and what is left of them.
    async fn load(
        &self,
        names: std::vec::IntoIter<Name>,
        passed: &BTreeSet<Utf8PathBuf>,
    ) -> Result<(Batch, std::vec::IntoIter<Name>), OutboxError> {
        let skip = passed.clone();
        self.blocking(move |outbox| Ok(outbox.read_batch(names, &skip)))
            .await
    }

    fn read_batch(
        &self,
        mut names: std::vec::IntoIter<Name>,
        passed: &BTreeSet<Utf8PathBuf>,
    ) -> (Batch, std::vec::IntoIter<Name>) {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.drafts.len() < limits::OUTBOX_BATCH_ENTRIES
            && bytes < limits::OUTBOX_BATCH_BYTES
            && let Some(name) = names.next()
        {
            let path = self.file(&name);
            if passed.contains(&path) {
                continue;
            }
            match read(&path) {
                // Another process has sent it.
                Ok(None) => {}
                Ok(Some((draft, _))) => {
                    bytes += draft.content().len();
                    batch.names.push(name);
                    batch.drafts.push(draft);
                }
                Err(why) => batch.unusable.push(Unusable { path, why }),
            }
        }
        (batch, names)
    }

    /// Removes the files of entries that were acknowledged, and flushes that: after a power cut they
    /// would only be sent again, but `status` would count them.
    fn remove(&self, names: &[Name]) -> Result<(), OutboxError> {
        for name in names {
            was_there(fs_err::remove_file(self.file(name)))?;
            failpoint::reach("outbox.removed")?;
        }
        if let Some(name) = names.last() {
            sync_parent(&self.file(name))?;
        }
        Ok(failpoint::reach("outbox.flushed")?)
    }

    /// Moves an entry to where it holds up nothing; `None` when another process was faster. The
    /// reason comes first, so that no entry stands there without one.
    fn move_aside(&self, name: &Name, reason: &str) -> Result<Option<Refused>, OutboxError> {
        let aside = self.dir.refused();
        ensure_private_dir(&aside, paths::PRIVATE_DIR_MODE)?;
        let mode = atomic::Mode::Exactly(paths::PRIVATE_FILE_MODE);
        let line = format!("{reason}\n");
        atomic::write(&aside.join(name.reason()), line.as_bytes(), mode)?;
        failpoint::reach("outbox.reason-written")?;
        let (from, path) = (self.file(name), aside.join(name.to_string()));
        if !was_there(fs_err::rename(&from, &path))? {
            return Ok(None);
        }
        failpoint::reach("outbox.moved-aside")?;
        sync_parent(&path)?;
        sync_parent(&from)?;
        failpoint::reach("outbox.set-aside")?;
        let reason = reason.to_owned();
        Ok(Some(Refused { path, reason }))
    }

    /// What is known of an entry that was moved aside.
    pub(super) fn refused(&self, name: &Name) -> Refused {
        let aside = self.dir.refused();
        let reason = ctx_io::read_optional_limited(&aside.join(name.reason()), REASON_MAX_BYTES);
        let reason = reason.ok().flatten().unwrap_or_default();
        Refused {
            path: aside.join(name.to_string()),
            reason: String::from_utf8_lossy(&reason).trim_end().to_owned(),
        }
    }

    /// Waits for the turn to send, and keeps it as long as what is returned; `None` when nothing is
    /// left to send.
    ///
    /// It is a lock of the kernel on the folder: it dies with its holder and leaves nothing behind.
    /// It spares the hub the same entries many times over and is nothing that correctness rests on,
    /// so where there is none, or its holder does not come to an end, we go on without it.
    async fn turn(&self, patience: Duration) -> Result<Option<Option<File>>, OutboxError> {
        let until = Instant::now() + patience;
        let mut pauses = Backoff::new(limits::RETRY_FIRST_PAUSE, limits::RECONNECT_FIRST_PAUSE);
        loop {
            let listing = self.waiting()?;
            if listing.litter {
                atomic::sweep(self.path());
            }
            if listing.names.is_empty() && listing.strange.is_empty() {
                return Ok(None);
            }
            let Ok(folder) = fs_err::File::open(self.path()) else {
                return Ok(Some(None));
            };
            let (folder, _) = folder.into_parts();
            match folder.try_lock() {
                Ok(()) => return Ok(Some(Some(folder))),
                Err(TryLockError::Error(_)) => return Ok(Some(None)),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(Some(None)),
                Err(TryLockError::WouldBlock) => sleep(pauses.pause()).await,
            }
        }
    }

    /// File work off the asynchronous threads.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Self) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let outbox = self.clone();
        match tokio::task::spawn_blocking(move || job(&outbox)).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(std::io::Error::other("the runtime ended").into()),
            },
        }
    }
}

/// Whether something was there to be removed or moved: another process may have been faster.
fn was_there(done: std::io::Result<()>) -> Result<bool, OutboxError> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the hub will never take the entry, whatever becomes of the hub.
///
/// Hubs say `RESOURCE_EXHAUSTED` both of a message that is too large, which is the entry's fault,
/// and of a full disk, which is not; they are told apart by the words.
fn is_of_the_entry(error: &ClientError) -> bool {
    match error {
        ClientError::Rejected { code, message, .. } => match code {
            Code::InvalidArgument | Code::OutOfRange => true,
            Code::ResourceExhausted => is_too_large(message),
            _ => false,
        },
        _ => false,
    }
}

/// The words of our hub, and of an older one.
fn is_too_large(message: &str) -> bool {
    message.starts_with("message exceeds ") || message.contains("received message larger than max")
}

/// Whether the trouble is the hub's or the way's, and passes without the publisher changing
/// anything: then an entry is queued. A hub without room is there, but its operator frees some
/// space sooner or later, and the publisher can do nothing about it.
pub(super) fn is_of_the_hub(error: &ClientError) -> bool {
    match error {
        ClientError::Rejected {
            code: Code::ResourceExhausted,
            message,
            ..
        } => !is_too_large(message),
        other => other.kind() == ClientErrorKind::Unreachable,
    }
}
