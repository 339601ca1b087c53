//! `ctx hub invitations`: every invitation, and the end of one.

use std::io::{self, Write};

use ctx_hub::client::InvitationInfo;
use ctx_hub::types::InvitationId;
use serde::Serialize;

use super::target;
use crate::args::{Invitations, InvitationsArgs, TargetArgs};
use crate::commands::Cx;
use crate::env;
use crate::error::CliError;
use crate::ui::{Report, Table, printable, when};

/// The invitations, oldest first.
#[derive(Debug, Serialize)]
struct InvitationsReport {
    invitations: Vec<Row>,
}

/// An invitation that is worth nothing now.
#[derive(Debug, Serialize)]
struct EndReport {
    invitation_id: String,
    project: String,
}

/// An invitation.
#[derive(Debug, Serialize)]
struct Row {
    invitation_id: String,
    project: String,
    /// `open`, `used`, `expired` or `ended`.
    state: &'static str,
    uses: u32,
    used: u32,
    uses_left: u32,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    expires_at: i64,
    /// Unix seconds; `null` unless it was ended.
    ended_at: Option<i64>,
}

impl Row {
    fn of(info: InvitationInfo) -> Self {
        let now = env::now();
        Self {
            invitation_id: info.id.to_string(),
            state: info.state(now).as_str(),
            uses_left: info.uses_left(now),
            project: info.project,
            uses: info.uses,
            used: info.used,
            created_at: info.created_at,
            expires_at: info.expires_at,
            ended_at: info.ended_at,
        }
    }
}

impl Report for InvitationsReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.invitations.is_empty() {
            return writeln!(out, "no project was ever invited");
        }
        let mut table = Table::default();
        table.row(["INVITATION", "PROJECT", "USES LEFT", "EXPIRES", "STATE"]);
        for row in &self.invitations {
            table.row([
                &row.invitation_id,
                &printable(&row.project),
                &row.uses_left.to_string(),
                &when(row.expires_at),
                row.state,
            ]);
        }
        table.write(out)
    }
}

impl Report for EndReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let project = printable(&self.project);
        writeln!(out, "ended invitation {} of {project}", self.invitation_id)
    }
}

/// Lists the invitations, or ends one.
///
/// # Errors
/// There is no such invitation, the hub cannot be reached, or its store cannot be read or written.
pub(super) async fn run(args: &InvitationsArgs, cx: &Cx) -> Result<(), CliError> {
    match &args.action {
        Some(Invitations::End(end)) => {
            let report = finish(&end.invitation, &end.target, cx).await?;
            cx.screen.show(&report)
        }
        None => {
            let target = target::find(&args.target, cx).await?;
            let found = target.invitations().await?;
            target.close().await?;
            cx.screen.show(&InvitationsReport {
                invitations: found.into_iter().map(Row::of).collect(),
            })
        }
    }
}

async fn finish(id: &InvitationId, args: &TargetArgs, cx: &Cx) -> Result<EndReport, CliError> {
    let target = target::find(args, cx).await?;
    let ended = target.end_invitation(id).await?;
    target.close().await?;
    Ok(EndReport {
        invitation_id: ended.id.to_string(),
        project: ended.project,
    })
}
