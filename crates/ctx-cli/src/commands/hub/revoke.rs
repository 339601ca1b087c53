//! `ctx hub revoke`: ends a client's tokens.

use std::io::{self, Write};

use serde::Serialize;

use super::target;
use crate::args::RevokeArgs;
use crate::commands::Cx;
use crate::error::CliError;
use crate::ui::{Report, printable};

/// A client whose tokens are worth nothing now.
#[derive(Debug, Serialize)]
pub(super) struct RevokeReport {
    client_id: String,
    project: String,
}

impl Report for RevokeReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let project = printable(&self.project);
        writeln!(out, "revoked client {} of {project}", self.client_id)
    }
}

/// Ends its tokens.
///
/// # Errors
/// There is no such client, the hub cannot be reached, or its store cannot be written.
pub(super) async fn run(args: &RevokeArgs, cx: &Cx) -> Result<RevokeReport, CliError> {
    let target = target::find(&args.target, cx).await?;
    let client = match (&args.client, &args.project) {
        (Some(client), _) => client.clone(),
        (None, Some(project)) => target.client_of(project).await?,
        (None, None) => return Err(CliError::usage("no client is named")),
    };
    let project = target.revoke(&client).await?;
    target.close().await?;
    Ok(RevokeReport {
        client_id: client.to_string(),
        project,
    })
}
