//! `ctx hub`: serves a hub and looks after it.

mod audit;
mod backup;
mod check;
mod clients;
mod daemon;
mod health;
mod invitations;
mod invite;
mod revoke;
mod service;
pub(super) mod start;
mod stop;
mod target;
mod token;
mod unlock;
mod verify;

use crate::args::{Hub, Token};
use crate::commands::Cx;
use crate::error::CliError;
use crate::exit::Exit;

/// Runs one of the commands and shows its report.
///
/// # Errors
/// What it failed with.
pub(super) async fn run(command: Hub, cx: &Cx) -> Result<Exit, CliError> {
    match command {
        Hub::Start(args) if args.check => cx.screen.show(&check::run(&args, cx)?)?,
        Hub::Start(args) if args.daemon => cx.screen.show(&daemon::run(&args, cx).await?)?,
        Hub::Start(args) => return start::run(&args, cx).await,
        Hub::Stop(args) => cx.screen.show(&stop::run(&args, cx).await?)?,
        Hub::Status(args) => return health::run(&args, cx).await,
        Hub::Clients(args) => cx.screen.show(&clients::run(&args, cx).await?)?,
        Hub::Invite(args) => cx.screen.show_once(&invite::run(&args, cx).await?)?,
        Hub::Invitations(args) => invitations::run(&args, cx).await?,
        Hub::Token(Token::Rotate(at)) => cx.screen.show_once(&token::rotate(&at, cx).await?)?,
        Hub::Unlock(args) => cx.screen.show(&unlock::run(&args, cx)?)?,
        Hub::Audit(args) => audit::run(&args, cx).await?,
        Hub::Verify(args) => return verify::run(&args, cx),
        Hub::Backup(args) => cx.screen.show(&backup::back_up(&args, cx)?)?,
        Hub::Restore(args) => cx.screen.show(&backup::restore(&args, cx)?)?,
        Hub::Revoke(args) => cx.screen.show(&revoke::run(&args, cx).await?)?,
    }
    Ok(Exit::Done)
}
