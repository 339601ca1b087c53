//! Connections for reading, a few of them, each used by one question at a time.

use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::limits;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{connection, rows};
use crate::store::error::StoreError;

/// The connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    path: Utf8PathBuf,
    free: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// A pool for the store at `path`; connections are opened when they are first needed.
    pub(super) fn new(path: &Utf8Path) -> Self {
        Self {
            path: path.to_owned(),
            free: Arc::new(Semaphore::new(limits::STORE_READERS)),
            idle: Arc::default(),
        }
    }

    /// Asks `question` on a thread that may block.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.free)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let readers = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = readers.take().and_then(|connection| {
                let answer = question(&connection);
                // A connection that failed may be the failure; the next question opens its own.
                if answer.is_ok() {
                    readers.idle().push(connection);
                }
                answer
            });
            drop(permit);
            answer.map_err(|error| rows::store_error(&readers.path, Arc::new(error)))
        });
        // The runtime is shutting down, or the question panicked.
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits for the questions under way, refuses later ones and closes the connections.
    pub(super) async fn close(&self) {
        let all = u32::try_from(limits::STORE_READERS).unwrap_or(u32::MAX);
        if let Ok(permits) = self.free.acquire_many(all).await {
            self.free.close();
            self.idle().clear();
            drop(permits);
        }
    }

    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.idle().pop();
        idle.map_or_else(|| connection::reader(&self.path), Ok)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
