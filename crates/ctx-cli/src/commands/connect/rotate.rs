//! `ctx connect rotate`: another token in place of the one there is.

use std::io::{self, Write};

use ctx_config::limits;
use serde::Serialize;

use super::token;
use crate::args::RotateArgs;
use crate::commands::{Cx, convert};
use crate::error::CliError;
use crate::ui::{Report, when};

/// A token that was replaced.
#[derive(Debug, Serialize)]
pub(super) struct RotateReport {
    project: Option<String>,
    client_id: Option<String>,
    hub: String,
    /// Whether another process replaced it while this one waited for its turn.
    by_another: bool,
    /// When the new token expires, in Unix seconds; `null` when it does not.
    expires_at: Option<i64>,
    /// When the old one ends, in Unix seconds; `null` when that is not known.
    previous_ends_at: Option<i64>,
}

impl Report for RotateReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.by_another {
            writeln!(out, "another process has just replaced the token")?;
        } else {
            writeln!(out, "replaced the token")?;
        }
        match self.expires_at {
            Some(moment) => writeln!(out, "the new one expires {}", when(moment))?,
            None => writeln!(out, "the new one does not expire")?,
        }
        match self.previous_ends_at {
            Some(moment) => writeln!(out, "the old one ends {}", when(moment)),
            None => Ok(()),
        }
    }
}

/// Replaces the token.
///
/// # Errors
/// The project is not registered, another process changes the connection file for long, or the hub
/// cannot be reached or refuses: the token there was goes on.
pub(super) async fn run(args: &RotateArgs, cx: &Cx) -> Result<RotateReport, CliError> {
    let before = super::load(cx)?;
    let rotation = token::rotation(args.timeout, "ctx connect rotate", cx)?;
    let replaced = rotation
        .rotate(limits::CONNECTION_LOCK_WAIT)
        .await
        .map_err(|error| token::refused(convert::rotation(error), &before))?;
    let connection = replaced.connection;
    Ok(RotateReport {
        project: connection.project.as_ref().map(ToString::to_string),
        client_id: connection.client_id.as_ref().map(ToString::to_string),
        hub: connection.hub_addr.to_string(),
        by_another: replaced.by_another,
        expires_at: connection.lifetime.map(|life| life.expires_at),
        previous_ends_at: replaced.previous_ends_at,
    })
}
