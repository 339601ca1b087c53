//! Changes that a command makes to a data directory that no hub serves.

use std::borrow::Cow;
use std::future::Future;

use ctx_config::paths::DataDir;

use super::line::{AuditRecord, bounded};
use super::{Audit, Ending};
use crate::server::error::HubError;
use crate::server::settings::Settings;

/// A change that a command is about to make.
#[derive(Clone, Copy)]
pub(in crate::server) struct Change<'a> {
    /// The call that makes it where a hub runs.
    pub(in crate::server) call: &'static str,
    /// What is changed.
    pub(in crate::server) change: &'static str,
    /// Of what or whom.
    pub(in crate::server) target: &'a str,
}

/// Makes a change on record: announces it, makes it, and says what came of it. Nothing is changed
/// when it cannot be announced. The caller holds the lock of the directory. `is_found` tells whether
/// there was what was to be changed.
///
/// # Errors
/// [`HubError::Audit`] when the trail takes no line, and what the change fails with.
pub(in crate::server) async fn on_record<T>(
    dir: &DataDir,
    what: Change<'_>,
    is_found: impl FnOnce(&T) -> bool,
    work: impl Future<Output = Result<T, HubError>>,
) -> Result<T, HubError> {
    let failed = |source| HubError::Audit {
        data_dir: dir.path().to_owned(),
        source,
    };
    // Settings that are wrong keep a hub from starting, and nobody from ending a token.
    let settings = Settings::read(dir, None).unwrap_or_default();
    let trail = Ending(Audit::start(dir, settings.audit).map_err(failed)?);
    let record = AuditRecord {
        event: Cow::Borrowed("intent"),
        door: Some(Cow::Borrowed("offline")),
        call: Some(Cow::Borrowed(what.call)),
        change: Some(Cow::Borrowed(what.change)),
        target: Some(bounded(what.target)),
        ..AuditRecord::default()
    };
    let unwritten = || super::AuditError::Unwritten { path: dir.audit() };
    if !trail.0.write(record.clone()).await {
        return Err(failed(unwritten()));
    }
    let changed = work.await;
    let (code, reason) = match &changed {
        Ok(found) if is_found(found) => ("OK", None),
        Ok(_) => ("NOT_FOUND", Some("not_found")),
        Err(_) => ("INTERNAL", Some("store")),
    };
    let outcome = AuditRecord {
        event: Cow::Borrowed("call"),
        code: Some(Cow::Borrowed(code)),
        reason: reason.map(Cow::Borrowed),
        ..record
    };
    let written = trail.0.write(outcome).await;
    let closed = trail.0.close().await.map_err(failed);
    let changed = changed?;
    closed?;
    if written {
        Ok(changed)
    } else {
        Err(failed(unwritten()))
    }
}
