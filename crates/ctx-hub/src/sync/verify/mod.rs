//! What is wrong with a mirror, and how to mend it.
//!
//! [`verify`] reads and changes nothing, takes no lock and never takes a sync at work for damage;
//! [`repair`] mends what it finds.
//!
//! ```no_run
//! # async fn example(client: &ctx_hub::client::HubClient) -> Result<(), Box<dyn std::error::Error>> {
//! use ctx_config::paths::ContextDir;
//! use ctx_hub::sync::verify::verify;
//!
//! let context = ContextDir::new(".context");
//! let report = verify(&context, None, Some(client), &mut |_progress| {}).await?;
//! for finding in &report.findings {
//!     println!("{}: {}: {}", finding.path, finding.kind, finding.detail);
//! }
//! # Ok(())
//! # }
//! ```

mod expected;
mod file;
mod folder;
mod hub;
mod local;
mod pieces;
mod repair;
mod report;
mod snapshot;
#[cfg(test)]
mod tests;

pub use repair::{Mend, RepairReport, repair};
pub use report::{FileSummary, Finding, FindingKind, HubCheck, VerifyProgress, VerifyReport};

use ctx_config::paths::{ContextDir, UserDir};
use tokio::sync::mpsc;

use super::error::SyncError;
use super::source::Source;
use crate::client::HubClient;
use hub::{Answer, Question};
use local::Looked;

/// Who is told how far it has come.
type Listener<'a> = &'a mut (dyn FnMut(VerifyProgress) + Send);

/// Checks the mirror of the project at `context` against its state, and against `hub` if there is
/// one to ask; with `user`, also the connection file and its key.
///
/// Everything is read as it was together at one moment, without taking the lock; what a sync at
/// work has not committed is not looked at. Of the hub's entries 16 bytes each are kept, of a file
/// one entry. A hub that does not answer is told in the report, and the rest stands.
///
/// # Errors
/// [`SyncError::NoContext`], and [`SyncError::Io`] when the folder cannot be looked at. What is
/// wrong with the mirror is in the report.
pub async fn verify(
    context: &ContextDir,
    user: Option<&UserDir>,
    hub: Option<&HubClient>,
    on_progress: &mut (dyn FnMut(VerifyProgress) + Send),
) -> Result<VerifyReport, SyncError> {
    run(context, user, hub, on_progress).await
}

/// [`verify`] against any source.
async fn run<S: Source>(
    context: &ContextDir,
    user: Option<&UserDir>,
    hub: Option<&S>,
    on_progress: Listener<'_>,
) -> Result<VerifyReport, SyncError> {
    let (home, person) = (context.clone(), user.cloned());
    let looked = blocking(move || local::look(&home, person.as_ref())).await??;
    let mut answer = None;
    let mut failed = None;
    if let Some(hub) = hub
        && let Some(question) = looked.question()
    {
        match ask(hub, &question, &looked, on_progress).await {
            Ok(answered) => answer = Some(answered),
            Err(error) => failed = Some(error),
        }
    }
    let compared = answer.as_ref().map(|(answer, _)| answer.identity.clone());
    let (tell, mut told) = mpsc::channel(1);
    let mut reading = tokio::task::spawn_blocking(move || looked.check(answer, &tell));
    let checked = loop {
        tokio::select! {
            Some(progress) = told.recv() => on_progress(progress),
            done = &mut reading => break joined(done)?,
        }
    };
    let hub = match (compared, failed) {
        (Some(identity), _) => HubCheck::Compared(identity),
        (None, Some(error)) => HubCheck::Failed(Box::new(error)),
        (None, None) => HubCheck::NotAsked,
    };
    Ok(checked.into_report(hub))
}

/// Asks for what should be there, and for what the next sync would write behind each file.
async fn ask<S: Source>(
    hub: &S,
    question: &Question,
    looked: &Looked,
    on_progress: Listener<'_>,
) -> Result<(Answer, local::Next), SyncError> {
    let answer = hub::ask(hub, question, on_progress).await?;
    let mut next = local::Next::new();
    for (entry_type, cursor, length) in looked.tails() {
        let text = hub::text_after(hub, entry_type, cursor, length).await?;
        next.insert(entry_type, text);
    }
    Ok((answer, next))
}

/// Runs `job` where it may block.
async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SyncError> {
    joined(tokio::task::spawn_blocking(job).await)
}

fn joined<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, SyncError> {
    joined.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => std::io::Error::other("the runtime ended during a verification").into(),
    })
}
