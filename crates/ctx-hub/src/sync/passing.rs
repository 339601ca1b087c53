//! What a listener waits out.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use ctx_config::limits;
use tokio::time::{Instant, sleep};

use super::engine;
use super::error::{FileError, SyncError, SyncErrorKind};
use super::report::SyncEvent;
use crate::client::ClientError;
use crate::client::backoff::Backoff;

/// The number that systems give to an error of a disk; it has no kind of its own.
const EIO: i32 = 5;

/// Whether a new connection, later, may go better.
pub(super) fn is_passing(error: &SyncError) -> bool {
    match error {
        // Somebody rebuilt or removed the mirror meanwhile: a sync brings it back.
        SyncError::Batch(_) => true,
        // Or the hub was restored since the last sync: the next one finds out, and says so.
        SyncError::Client(ClientError::OtherLog { .. }) => true,
        SyncError::Client(error) => error.is_retryable(),
        other => other.kind() == SyncErrorKind::Busy || is_of_the_disk(other),
    }
}

/// Whether the disk is full, fails, or is mounted read-only: somebody heals that without us.
fn is_of_the_disk(error: &SyncError) -> bool {
    if error.kind() != SyncErrorKind::Io {
        return false;
    }
    let kind = error.io_kind();
    let is_named = matches!(
        kind,
        ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
            | ErrorKind::ReadOnlyFilesystem
    );
    is_named || has_eio(error)
}

fn has_eio(error: &SyncError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = match error {
        // It is shown as what it holds, so it is not among the causes.
        SyncError::Io(FileError::Other(error)) => Some(error),
        error => error.source(),
    };
    while let Some(cause) = next {
        let system = cause.downcast_ref::<io::Error>();
        if system.and_then(io::Error::raw_os_error) == Some(EIO) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Waits for a lock that somebody else holds, in pauses that a shutdown can end. (A wait in the
/// lock itself would hold a thread.)
pub(super) struct Patience {
    pauses: Backoff,
    until: Instant,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            pauses: engine::short_pauses(),
            until: Instant::now() + limits::LISTEN_LOCK_WAIT,
        }
    }

    /// Pauses when `error` says that the lock is held, and says so once in a while.
    pub(super) async fn wait(
        &mut self,
        error: SyncError,
        on_event: engine::Listener<'_>,
    ) -> Result<(), SyncError> {
        if error.kind() != SyncErrorKind::Busy {
            return Err(error);
        }
        let retry_in: Duration = self.pauses.pause();
        if Instant::now() >= self.until {
            self.until = Instant::now() + limits::LISTEN_LOCK_WAIT;
            on_event(SyncEvent::Disconnected {
                error: Some(error),
                retry_in,
            });
        }
        sleep(retry_in).await;
        Ok(())
    }
}
