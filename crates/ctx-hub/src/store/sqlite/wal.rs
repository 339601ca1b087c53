//! Keeping the write-ahead log short without making anybody wait for it.
//!
//! Moving the log into the database (a checkpoint) takes as long as there is log, and the engine
//! starts the log over only when a writer comes upon it wholly moved and nobody reading from it.
//! Doing all of it on the writer stalls every publish; doing all of it beside the writer never
//! catches up with one that is always busy, and the log grows without end. So both: a thread of
//! its own moves what there is, whenever the log has grown by [`limits::WAL_CHECKPOINT_PAGES`];
//! once it holds [`limits::WAL_LIMIT_PAGES`], the writer itself moves the rest, which by then is
//! only what came since the thread last looked.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use camino::Utf8Path;
use ctx_config::limits;
use rusqlite::Connection;

use super::{connection, file, rows};
use crate::store::error::StoreError;

/// How long emptying the log waits for readers, whose pages are read in far less.
const READERS_WAIT: Duration = Duration::from_millis(250);

/// The writer's side of the checkpoints.
pub(super) struct Checkpoints {
    /// Held while somebody moves the log: the engine lets only one do it, and turns away others.
    connection: Arc<Mutex<Connection>>,
    wake: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
    /// The length of the log, in pages, at which something is to be done next.
    next: u32,
}

impl Checkpoints {
    /// Prepares checkpoints of the store at `path` and starts their thread, which ends with this
    /// value.
    pub(super) fn start(path: &Utf8Path) -> Result<Self, StoreError> {
        let (mut checkpoints, woken) =
            Self::new(path).map_err(|error| rows::store_error(path, Arc::new(error)))?;
        let connection = Arc::clone(&checkpoints.connection);
        let thread = thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || {
                while let Ok(()) = woken.recv() {
                    report(checkpoint(&lock(&connection), "PASSIVE"));
                }
            })
            .map_err(file::io_error(path, "start the checkpoints of"))?;
        checkpoints.thread = Some(thread);
        Ok(checkpoints)
    }

    fn new(path: &Utf8Path) -> rusqlite::Result<(Self, Receiver<()>)> {
        let connection = connection::writer(path)?;
        connection.busy_timeout(READERS_WAIT)?;
        // One reminder is enough: a checkpoint moves everything that there is.
        let (wake, woken) = mpsc::sync_channel(1);
        let connection = Arc::new(Mutex::new(connection));
        let next = limits::WAL_CHECKPOINT_PAGES;
        Ok((
            Self {
                connection,
                wake,
                thread: None,
                next,
            },
            woken,
        ))
    }

    /// Has the log moved if it has grown enough. Called by the writer between two transactions.
    pub(super) fn after_commit(&mut self, writer: &Connection) {
        let pages = match checkpoint(writer, "NOOP") {
            Ok(pages) => pages,
            Err(error) => return report(Err(error)),
        };
        if pages < limits::WAL_CHECKPOINT_PAGES {
            // The log has been started over.
            self.next = limits::WAL_CHECKPOINT_PAGES;
        }
        if pages < self.next {
            return;
        }
        self.next = pages.saturating_add(limits::WAL_CHECKPOINT_PAGES);
        if pages >= limits::WAL_LIMIT_PAGES {
            report(checkpoint(&lock(&self.connection), "RESTART"));
        } else {
            self.wake.try_send(()).ok();
        }
    }

    /// Ends the thread and empties the log.
    pub(super) fn finish(self, writer: &Connection) -> rusqlite::Result<()> {
        let Self {
            connection,
            wake,
            thread,
            ..
        } = self;
        drop(wake);
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::warn!("the checkpoint thread panicked");
        }
        drop(connection);
        checkpoint(writer, "TRUNCATE").map(drop)
    }
}

/// Empties the log into the database, at its opening. The log is as good if that fails.
pub(super) fn empty(writer: &Connection) {
    report(checkpoint(writer, "TRUNCATE"));
}

/// Runs a checkpoint and answers how many pages the log has.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| {
            Ok(u32::try_from(row.get::<_, i64>(1)?).unwrap_or(0))
        })
}

/// A checkpoint that failed is tried again when the log has grown; no entry depends on it.
fn report(checkpoint: rusqlite::Result<u32>) {
    if let Err(error) = checkpoint {
        tracing::warn!(error = %error, "checkpoint failed");
    }
}

fn lock(connection: &Mutex<Connection>) -> std::sync::MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database in a directory of its own, its writer, and checkpoints without their thread.
    fn log() -> (tempfile::TempDir, Connection, Checkpoints, Receiver<()>) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("log");
        file::create_private(&path).unwrap();
        let writer = connection::writer(&path).unwrap();
        writer
            .execute_batch("CREATE TABLE filler (x BLOB)")
            .unwrap();
        let (checkpoints, woken) = Checkpoints::new(&path).unwrap();
        (dir, writer, checkpoints, woken)
    }

    /// Commits a little more than `pages` pages.
    fn fill(writer: &Connection, pages: u32) {
        writer
            .execute("INSERT INTO filler VALUES (zeroblob(4096 * ?1))", [pages])
            .unwrap();
    }

    #[test]
    fn the_thread_is_woken_each_time_the_log_has_grown_by_so_many_pages() {
        let (_dir, writer, mut checkpoints, woken) = log();
        fill(&writer, 100);
        checkpoints.after_commit(&writer);
        assert!(woken.try_recv().is_err());
        for _ in 0..2 {
            fill(&writer, limits::WAL_CHECKPOINT_PAGES);
            checkpoints.after_commit(&writer);
            assert!(woken.try_recv().is_ok());
            checkpoints.after_commit(&writer);
            assert!(woken.try_recv().is_err());
        }
    }

    #[test]
    fn a_log_that_nobody_moves_stays_below_its_limit_and_one_transaction() {
        const STEP: u32 = 250;
        let (_dir, writer, mut checkpoints, _woken) = log();
        let mut longest = 0;
        for _ in 0..100 {
            fill(&writer, STEP);
            checkpoints.after_commit(&writer);
            longest = longest.max(checkpoint(&writer, "NOOP").unwrap());
        }
        assert!(
            longest >= limits::WAL_LIMIT_PAGES,
            "{longest}: the limit was never reached"
        );
        assert!(longest < limits::WAL_LIMIT_PAGES + STEP + 100, "{longest}");
    }

    #[test]
    fn a_reader_in_the_way_delays_the_checkpoint_and_stops_no_writer() {
        let (dir, writer, mut checkpoints, _woken) = log();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("log");
        let reader = connection::reader(&path).unwrap();
        let snapshot = reader.unchecked_transaction().unwrap();
        let count = "SELECT count(*) FROM filler";
        let seen: i64 = snapshot.query_row(count, [], |row| row.get(0)).unwrap();

        fill(&writer, limits::WAL_LIMIT_PAGES);
        checkpoints.after_commit(&writer);
        fill(&writer, 1);
        assert!(checkpoint(&writer, "NOOP").unwrap() > limits::WAL_LIMIT_PAGES);
        let still: i64 = snapshot.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(seen, still);

        drop(snapshot);
        fill(&writer, limits::WAL_CHECKPOINT_PAGES);
        checkpoints.after_commit(&writer);
        fill(&writer, 1);
        assert!(checkpoint(&writer, "NOOP").unwrap() < 100);
    }

    #[test]
    fn a_log_that_one_transaction_made_long_gives_its_space_back() {
        let (dir, writer, mut checkpoints, _woken) = log();
        let file = file::wal(&Utf8Path::from_path(dir.path()).unwrap().join("log"));
        let length = || fs_err::metadata(&file).unwrap().len();
        fill(&writer, 2 * limits::WAL_LIMIT_PAGES);
        assert!(length() > connection::LOG_KEPT_BYTES.unsigned_abs());
        checkpoints.after_commit(&writer);
        fill(&writer, 1);
        assert!(length() <= connection::LOG_KEPT_BYTES.unsigned_abs());
    }
}
