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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use camino::Utf8Path;
    use ctx_config::paths::DataDir;

    use super::super::Audit;
    use super::*;
    use crate::server::settings::AuditSettings;

    fn dir() -> (tempfile::TempDir, DataDir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(Utf8Path::from_path(temp.path()).unwrap());
        (temp, dir)
    }

    fn state(dir: &DataDir) -> State {
        State::new(TrailFile::open(dir, AuditSettings::default()).unwrap())
    }

    fn is_written(state: &State) -> bool {
        let record = AuditRecord::new("call");
        state.write_at_once(&record).is_some()
    }

    #[test]
    fn a_call_writes_its_line_itself_only_when_nothing_is_in_its_way() {
        let (_temp, dir) = dir();
        let state = state(&dir);
        assert!(is_written(&state));

        state.waiting.store(1, Ordering::SeqCst);
        assert!(!is_written(&state), "it overtakes a line that waits");
        state.waiting.store(0, Ordering::SeqCst);
        state.failing.store(true, Ordering::SeqCst);
        assert!(!is_written(&state), "it overtakes what failed");
        state.failing.store(false, Ordering::SeqCst);
        let held = state.file();
        assert!(!is_written(&state), "two write at a time");
        drop(held);
        assert!(is_written(&state));

        state.close().unwrap();
        assert!(!is_written(&state), "it writes behind the end");
    }

    #[tokio::test]
    async fn a_line_that_a_call_wrote_itself_is_flushed_though_nobody_comes_after_it() {
        let (_temp, dir) = dir();
        let audit: Arc<Audit> = Audit::start(&dir, AuditSettings::default()).unwrap();
        // After the first one the thread has nothing to wait for but to be told.
        for _ in 0..3 {
            let since = Instant::now();
            assert!(audit.write(AuditRecord::new("call")).await);
            while audit.state.is_unflushed() {
                assert!(since.elapsed() < Duration::from_secs(30), "never flushed");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        audit.close().await.unwrap();
    }
}
