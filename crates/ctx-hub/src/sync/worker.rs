//! File work off the asynchronous threads, and never left alone: a future that is dropped in the
//! middle of it leaves the job where [`Worker::finish`] can wait for it.

use std::io;

use tokio::task::JoinHandle;

use super::error::SyncError;
use super::report::add;
use super::session::Applied;

/// What a job gives back: something, and what was appended.
pub(super) type Outcome<T> = Result<(T, Applied), SyncError>;

/// Runs one job at a time, and counts what all of them appended.
#[derive(Debug)]
pub(super) struct Worker<T> {
    job: Option<JoinHandle<Outcome<T>>>,
    applied: Applied,
}

impl<T> Default for Worker<T> {
    fn default() -> Self {
        Self {
            job: None,
            applied: Applied::new(),
        }
    }
}

impl<T: Send + 'static> Worker<T> {
    /// Runs `job` where it may block.
    pub(super) async fn run(
        &mut self,
        job: impl FnOnce() -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        self.job = Some(tokio::task::spawn_blocking(job));
        match self.finish().await {
            Some(outcome) => outcome,
            None => Err(io::Error::other("there is no job").into()),
        }
    }

    /// Waits for the job that runs, if one does: also for one whose caller went away.
    pub(super) async fn finish(&mut self) -> Option<Outcome<T>> {
        // It stays in its place while it is waited for, so that this may be dropped, too.
        let joined = self.job.as_mut()?.await;
        self.job = None;
        let outcome = match joined {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(io::Error::other("the runtime ended during a sync").into()),
            },
        };
        if let Ok((_, applied)) = &outcome {
            add(&mut self.applied, applied);
        }
        Some(outcome)
    }

    /// How many entries of each type were appended by all jobs.
    pub(super) const fn applied(&self) -> &Applied {
        &self.applied
    }
}
