//! What the calls and the thread that writes share: the trail itself, and how it is with it.
//!
//! Lines go through the thread, where those that wait at the same time share a write. A line that
//! finds nobody in its way is written by the call itself: two changes of threads would cost more
//! than the write. The lock is only ever tried for that, so at most one call at a time stands still
//! with a disk that does.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::error::AuditError;
use super::file::TrailFile;
use super::line::AuditRecord;
use super::strangers::Strangers;

/// What the calls and the thread that writes share.
#[derive(Debug)]
pub(super) struct State {
    /// The trail cannot be written at this moment.
    pub(super) failing: AtomicBool,
    /// Calls that were refused for that.
    pub(super) refused: AtomicU64,
    /// Lines that were handed to the thread and are not written yet.
    pub(super) waiting: AtomicUsize,
    path: camino::Utf8PathBuf,
    /// `None` once the trail is closed.
    file: Mutex<Option<TrailFile>>,
    strangers: Mutex<Strangers>,
}

/// A line that was written by the call itself.
pub(super) struct Written {
    /// Everything before it had been flushed: the thread does not know yet that there is something
    /// to flush.
    pub(super) is_first: bool,
}

impl State {
    pub(super) fn new(file: TrailFile) -> Self {
        Self {
            failing: AtomicBool::default(),
            refused: AtomicU64::default(),
            waiting: AtomicUsize::default(),
            path: file.path().to_owned(),
            file: Mutex::new(Some(file)),
            strangers: Mutex::default(),
        }
    }

    /// Where the trail is.
    pub(super) fn path(&self) -> &camino::Utf8Path {
        &self.path
    }

    /// Writes `record` if nothing is in its way: no line waits, nobody writes or flushes, and the
    /// file goes on. Otherwise, and when it could not be written, it is the thread's.
    pub(super) fn write_at_once(&self, record: &AuditRecord) -> Option<Written> {
        let mut file = match self.file.try_lock() {
            Ok(file) => file,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let file = file.as_mut().filter(|file| !file.is_full())?;
        if self.failing.load(Ordering::SeqCst) || self.waiting.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let is_first = !file.is_unflushed();
        file.write([record]).ok().map(|()| Written { is_first })
    }

    /// Writes `records` together. When that fails, no call writes its line itself from then on.
    pub(super) fn write<'a>(
        &self,
        records: impl IntoIterator<Item = &'a AuditRecord>,
    ) -> Result<(), AuditError> {
        self.with_file(|file| file.write(records))
    }

    /// Makes what was written durable.
    pub(super) fn flush(&self) -> Result<(), AuditError> {
        self.with_file(TrailFile::flush)
    }

    /// Whether something was written since the last flush.
    pub(super) fn is_unflushed(&self) -> bool {
        self.file().as_ref().is_some_and(TrailFile::is_unflushed)
    }

    /// Makes everything durable; nothing is written behind it.
    pub(super) fn close(&self) -> Result<(), AuditError> {
        match self.file().take() {
            Some(mut file) => file.close(),
            None => Ok(()),
        }
    }

    /// Lets go of the file without looking after it.
    pub(super) fn drop_file(&self) {
        drop(self.file().take());
    }

    fn with_file(
        &self,
        work: impl FnOnce(&mut TrailFile) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let mut file = self.file();
        let done = match file.as_mut() {
            Some(file) => work(file),
            None => Err(AuditError::Unwritten {
                path: self.path.clone(),
            }),
        };
        if done.is_err() {
            // While the file is still held: a line behind this one may not come before it.
            self.failing.store(true, Ordering::SeqCst);
        }
        done
    }

    /// Every write is whole or cut back when the lock is released, whoever panics.
    fn file(&self) -> MutexGuard<'_, Option<TrailFile>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic elsewhere leaves the counts usable: at worst one failure is not in them.
    pub(super) fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
