//! `ctx connect move`: the same hub, at another address or reached another way.

use std::io::{self, Write};

use ctx_hub::client::{HubClient, Route};
use ctx_hub::connection::Connection;
use serde::Serialize;

use crate::args::MoveArgs;
use crate::commands::{Cx, convert, route};
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Report;

/// A project that reaches its hub as was asked.
#[derive(Debug, Serialize)]
pub(super) struct MoveReport {
    hub: String,
    /// Where the hub was before.
    was: String,
    encrypted: bool,
}

impl Report for MoveReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { hub, was, .. } = self;
        if hub == was {
            writeln!(out, "the hub at {hub} is reached as asked")
        } else {
            writeln!(out, "moved from {was} to {hub}")
        }
    }
}

/// Asks the hub there whether it is the project's, and only then writes down how to reach it.
///
/// # Errors
/// The hub cannot be reached or is not trusted, refuses the token, or has another log than the
/// mirror was made from. Nothing is changed then.
pub(super) async fn run(args: &MoveArgs, cx: &Cx) -> Result<MoveReport, CliError> {
    let connection = super::load(cx)?;
    let was = connection.hub_addr.to_string();
    let route = route::asked(&args.hub, &args.trust, cx)?;
    make_sure(&route, &connection, args, cx).await?;
    // As it is now: somebody may have changed something else meanwhile.
    let connection = super::load(cx)?.moved(route);
    connection
        .save(&cx.context, &cx.user_dir()?)
        .map_err(convert::connection)?;
    let route = connection.route();
    Ok(MoveReport {
        encrypted: route.is_encrypted(),
        hub: route.address.to_string(),
        was,
    })
}

/// Makes sure that it is the hub that the project belongs to.
async fn make_sure(
    route: &Route,
    connection: &Connection,
    args: &MoveArgs,
    cx: &Cx,
) -> Result<(), CliError> {
    let mirror = ctx_hub::sync::status(&cx.context).map_err(convert::sync)?;
    let client = HubClient::connect(route, super::timeouts(args.timeout))
        .await
        .map_err(convert::client)?
        .with_token(connection.token.clone());
    let diverged = mirror.compare(&client).await.map_err(convert::client)?;
    let Some(how) = diverged else {
        return Ok(());
    };
    Err(CliError::new(
        Exit::Failed,
        format!(
            "the hub at {} has not the log that the mirror was made from: {how}",
            route.address
        ),
    )
    .hint("for another hub, register: `ctx connect register HUB --token TOKEN --force`"))
}
