//! The project's token on its way through a command: settled, renewed, warned of, refused.

use std::time::Duration;

use ctx_config::limits;
use ctx_hub::connection::{Connection, ConnectionError, ConnectionErrorKind};
use ctx_hub::lifetime::Lifetime;
use ctx_hub::rotation::{Rotation, RotationError};
use ctx_io::{FileLock, Holder, Wait};

use crate::args::TimeoutArgs;
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{age, on_one_line, when};

/// The project's connection, for a command that talks to the hub: a rotation that was broken off is
/// finished first, and a token that ends soon is warned of.
///
/// # Errors
/// There is no folder, the project is not registered, or the file cannot be opened. That the hub is
/// away, or refuses, is for the command to find.
pub(super) async fn open(
    timeout: TimeoutArgs,
    command: &str,
    cx: &Cx,
) -> Result<Connection, CliError> {
    let connection = settled(timeout, command, cx).await?;
    warn_of_end(&connection, cx);
    Ok(connection)
}

/// As [`open`], without a warning of the end.
pub(super) async fn settled(
    timeout: TimeoutArgs,
    command: &str,
    cx: &Cx,
) -> Result<Connection, CliError> {
    let connection = super::load(cx)?;
    if connection.next_token.is_none() {
        return Ok(connection);
    }
    let settled = rotation(timeout, command, cx)?.settle(connection).await;
    match settled.trouble {
        None => cx
            .screen
            .notice("finished a change of the token that was broken off"),
        // The command meets the same, and says so.
        Some(RotationError::Client(error)) if error.is_retryable() => {}
        Some(RotationError::Connection(error)) if error.kind() == ConnectionErrorKind::Busy => {}
        Some(error) => cx.screen.warning(
            &format!(
                "a change of the token is not finished: {}",
                on_one_line(&error)
            ),
            error.hint().as_deref(),
        ),
    }
    Ok(settled.connection)
}

/// The connection to go on with after the hub refused the token of `used`: that of another process,
/// which replaced it meanwhile. `None` when there is no other token.
pub(super) async fn after_refusal(
    used: &Connection,
    timeout: TimeoutArgs,
    command: &str,
    cx: &Cx,
) -> Option<Connection> {
    let found = settled(timeout, command, cx).await.ok()?;
    (found.token != used.token).then_some(found)
}

/// Replaces a token of which less than a third is left. That it cannot be replaced is told, and no
/// failure: it works still.
pub(super) async fn renewed(
    connection: Connection,
    timeout: TimeoutArgs,
    command: &str,
    cx: &Cx,
) -> Result<Connection, CliError> {
    let now = env::now();
    let wanted = |life: Lifetime| life.wants_another(now) && !life.is_over(now);
    if !connection.lifetime.is_some_and(wanted) {
        return Ok(connection);
    }
    let rotation = rotation(timeout, command, cx)?;
    match rotation.rotate(Duration::ZERO).await {
        Ok(replaced) => {
            cx.screen
                .notice("the token of this project was about to expire and has been replaced");
            Ok(replaced.connection)
        }
        Err(RotationError::Connection(error)) if error.kind() == ConnectionErrorKind::Busy => {
            super::load(cx)
        }
        Err(error) => {
            tracing::debug!(%error, "the token could not be replaced");
            let connection = super::load(cx)?;
            warn_of_end(&connection, cx);
            Ok(connection)
        }
    }
}

/// Says that a token ends soon.
fn warn_of_end(connection: &Connection, cx: &Cx) {
    let now = env::now();
    let Some(life) = connection.lifetime else {
        return;
    };
    if !life.is_over(now) && life.ends_soon(now) {
        let text = format!(
            "the token of this project expires in {}",
            age(life.left(now))
        );
        cx.screen
            .warning(&text, Some("replace it with `ctx connect rotate`"));
    }
}

/// What a refusal means when the token is known to have expired.
pub(super) fn refused(error: CliError, connection: &Connection) -> CliError {
    let now = env::now();
    match connection.lifetime {
        Some(life) if error.exit() == Exit::Refused && life.is_over(now) => {
            let project = connection.project.as_ref();
            let whom = project.map_or_else(
                || "CLIENT_ID".to_owned(),
                |name| format!("--project {}", name.as_str()),
            );
            error
                .during(format!(
                    "the token of this project expired {}",
                    when(life.expires_at)
                ))
                .hint(format!(
                    "have the hub's operator free the name with `ctx hub revoke {whom}`, then \
                     register again with `ctx connect register --force`"
                ))
        }
        _ => error,
    }
}

/// What replaces the token of this project.
pub(super) fn rotation(timeout: TimeoutArgs, command: &str, cx: &Cx) -> Result<Rotation, CliError> {
    Ok(Rotation {
        context: cx.context.clone(),
        user: cx.user_dir()?,
        timeouts: super::timeouts(timeout),
        command: command.to_owned(),
        version: env::VERSION.to_owned(),
    })
}

/// The lock of those who change the connection file.
///
/// # Errors
/// Another process holds it for long, or it cannot be taken.
pub(super) fn lock(command: &str, cx: &Cx) -> Result<FileLock, CliError> {
    let holder = Holder {
        command,
        version: env::VERSION,
    };
    Connection::lock(
        &cx.context,
        &holder,
        Wait::UpTo(limits::CONNECTION_LOCK_WAIT),
    )
    .map_err(convert::connection)
}

/// Lets go of the lock of those who change the connection file.
///
/// # Errors
/// Its file cannot be removed.
pub(super) fn release(lock: FileLock) -> Result<(), CliError> {
    lock.release()
        .map_err(|error| convert::connection(ConnectionError::from(error)))
}
