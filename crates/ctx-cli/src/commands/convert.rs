//! What the libraries fail with, as exit codes: the one place that maps them.

use ctx_hub::client::{ClientError, ClientErrorKind};
use ctx_hub::connection::{ConnectionError, ConnectionErrorKind};
use ctx_hub::outbox::PublishError;
use ctx_hub::rotation::RotationError;
use ctx_hub::server::settings::SettingsError;
use ctx_hub::server::{HubError, HubErrorKind};
use ctx_hub::store::backup::BackupError;
use ctx_hub::sync::{SyncError, SyncErrorKind};
use ctx_io::{LockError, PathError, ReadError, WriteError};

use crate::error::CliError;
use crate::exit::Exit;

/// A file that could not be replaced.
pub(super) fn write(error: WriteError) -> CliError {
    let hint = error.hint();
    CliError::of(Exit::Failed, error, hint)
}

/// A file that could not be read.
pub(super) fn read(error: ReadError) -> CliError {
    let hint = error.hint();
    CliError::of(Exit::Failed, error, hint)
}

/// A folder that could not be made or used.
pub(super) fn path(error: PathError) -> CliError {
    let hint = error.hint();
    CliError::of(Exit::Failed, error, hint)
}

/// A sync lock that was looked at or was to be removed.
pub(super) fn lock(error: LockError) -> CliError {
    let (exit, hint) = match &error {
        LockError::Held { .. } => (Exit::Busy, error.hint()),
        LockError::HeldByExistence { id, .. } => (Exit::Busy, Some(how_to_unlock(id))),
        _ => (Exit::Failed, error.hint()),
    };
    CliError::of(exit, error, hint)
}

fn how_to_unlock(id: &str) -> String {
    format!("make sure that no ctx uses it any more, then run `ctx connect unlock --id {id}`")
}

/// A call to a hub that failed.
pub(super) fn client(error: ClientError) -> CliError {
    let (exit, hint) = (of_client(error.kind()), error.hint());
    CliError::of(exit, error, hint)
}

/// A connection file that cannot be used.
pub(super) fn connection(error: ConnectionError) -> CliError {
    let exit = match error.kind() {
        ConnectionErrorKind::NotSetUp => Exit::NotSetUp,
        ConnectionErrorKind::Damaged => Exit::Damaged,
        ConnectionErrorKind::Busy => Exit::Busy,
        _ => Exit::Failed,
    };
    let hint = error.hint();
    CliError::of(exit, error, hint)
}

/// A token that was not replaced.
pub(super) fn rotation(error: RotationError) -> CliError {
    match error {
        RotationError::Connection(error) => connection(error),
        RotationError::Client(error) => client(error),
        other => {
            let hint = other.hint();
            CliError::of(Exit::Failed, other, hint)
        }
    }
}

/// A mirror that was not brought up to date.
pub(super) fn sync(error: SyncError) -> CliError {
    let exit = match error.kind() {
        SyncErrorKind::Busy => Exit::Busy,
        SyncErrorKind::NotSetUp => Exit::NotSetUp,
        SyncErrorKind::Damaged => Exit::Damaged,
        SyncErrorKind::Client(kind) => of_client(kind),
        _ => Exit::Failed,
    };
    let hint = match &error {
        SyncError::Lock(LockError::Held { .. }) => Some(
            "it brings in the same entries: let it be, or wait for it with --wait 30s".to_owned(),
        ),
        SyncError::Lock(LockError::HeldByExistence { id, .. }) => Some(how_to_unlock(id)),
        other => other.hint(),
    };
    CliError::of(exit, error, hint)
}

/// An entry that is neither at the hub nor queued.
pub(super) fn publish(error: PublishError) -> CliError {
    match error {
        PublishError::Client(error) => client(error),
        other => {
            let hint = other.hint();
            CliError::of(Exit::Failed, other, hint)
        }
    }
}

/// A hub that does not start, or did not end well.
pub(super) fn hub(error: HubError) -> CliError {
    let exit = match error.kind() {
        HubErrorKind::Busy => Exit::Busy,
        HubErrorKind::Usage => Exit::Usage,
        HubErrorKind::Damaged => Exit::Damaged,
        _ => Exit::Failed,
    };
    let hint = error.hint();
    CliError::of(exit, error, hint)
}

/// Settings that cannot be used.
pub(super) fn settings(error: SettingsError) -> CliError {
    let exit = match error {
        SettingsError::Read(_) => Exit::Failed,
        _ => Exit::Usage,
    };
    let hint = error.hint();
    CliError::of(exit, error, hint)
}

/// A backup that was not made, or of which nothing was made.
pub(super) fn backup(error: BackupError) -> CliError {
    let exit = if error.is_damage() {
        Exit::Damaged
    } else if error.is_usage() {
        Exit::Usage
    } else {
        Exit::Failed
    };
    let hint = error.hint();
    CliError::of(exit, error, hint)
}

fn of_client(kind: ClientErrorKind) -> Exit {
    match kind {
        ClientErrorKind::Unreachable => Exit::Unreachable,
        ClientErrorKind::Credentials | ClientErrorKind::Untrusted => Exit::Refused,
        ClientErrorKind::Usage => Exit::Usage,
        _ => Exit::Failed,
    }
}
