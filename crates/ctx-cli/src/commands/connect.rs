//! `ctx connect`: what a project does with its hub.

pub(super) mod listen;
mod move_to;
mod outbox;
pub(super) mod publish;
pub(super) mod register;
mod rotate;
mod status;
pub(super) mod subscribe;
pub(super) mod sync;
mod token;
mod unlock;
mod verify;

use ctx_hub::client::{HubClient, Timeouts};
use ctx_hub::connection::Connection;

use crate::args::{Connect, TimeoutArgs};
use crate::commands::{Cx, convert, route};
use crate::error::CliError;
use crate::exit::Exit;

/// Runs one of the commands and shows its report.
///
/// # Errors
/// What it failed with.
pub(super) async fn run(command: Connect, cx: &Cx) -> Result<Exit, CliError> {
    match command {
        Connect::Register(args) => cx.screen.show(&register::run(&args, cx).await?)?,
        Connect::Move(args) => cx.screen.show(&move_to::run(&args, cx).await?)?,
        Connect::Subscribe(args) => cx.screen.show(&subscribe::run(&args, cx)?)?,
        Connect::Publish(args) => cx.screen.show(&publish::run(&args, cx).await?)?,
        Connect::Sync(args) => cx.screen.show(&sync::run(&args, cx).await?)?,
        Connect::Listen(args) => listen::run(&args, cx).await?,
        Connect::Status(args) => return status::run(&args, cx).await,
        Connect::Rotate(args) => cx.screen.show(&rotate::run(&args, cx).await?)?,
        Connect::Unlock(args) => cx.screen.show(&unlock::run(&args, cx)?)?,
        Connect::Verify(args) => return verify::run(&args, cx).await,
    }
    Ok(Exit::Done)
}

/// The project's connection.
///
/// # Errors
/// There is no folder, the project is not registered, or the file cannot be opened.
fn load(cx: &Cx) -> Result<Connection, CliError> {
    cx.require_context()?;
    Connection::load(&cx.context, &cx.user_dir()?).map_err(convert::connection)
}

/// Dials the hub of `connection`, with its token.
///
/// # Errors
/// The hub cannot be reached.
async fn dial(connection: &Connection, timeouts: Timeouts, cx: &Cx) -> Result<HubClient, CliError> {
    let client = HubClient::connect(route::kept(connection, cx)?, timeouts)
        .await
        .map_err(convert::client)?;
    Ok(client.with_token(connection.token.clone()))
}

/// How long to wait for a hub: the usual, unless told otherwise.
pub(super) fn timeouts(args: TimeoutArgs) -> Timeouts {
    let mut timeouts = Timeouts::default();
    if let Some(limit) = args.timeout {
        timeouts.connect = timeouts.connect.min(limit);
        timeouts.call = limit;
        timeouts.sync_idle = limit;
    }
    timeouts
}
