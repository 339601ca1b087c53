//! `ctx hub clients`: every client that was ever registered.

use std::io::{self, Write};

use ctx_hub::client::ClientRecord;
use serde::Serialize;

use super::target;
use crate::args::TargetArgs;
use crate::commands::Cx;
use crate::error::CliError;
use crate::ui::{Report, Table, when};

/// The clients, oldest first.
#[derive(Debug, Serialize)]
pub(super) struct ClientsReport {
    clients: Vec<Row>,
}

/// A client.
#[derive(Debug, Serialize)]
struct Row {
    client_id: String,
    project: String,
    /// Unix seconds; `null` when unknown.
    registered_at: Option<i64>,
    /// Unix seconds; `null` while the token lives.
    revoked_at: Option<i64>,
    entries: u64,
}

impl Row {
    fn of(client: ClientRecord) -> Self {
        Self {
            client_id: client.id.to_string(),
            project: client.project,
            registered_at: client.created_at,
            revoked_at: client.revoked_at,
            entries: client.entries,
        }
    }
}

impl Report for ClientsReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.clients.is_empty() {
            return writeln!(out, "no client is registered");
        }
        let mut table = Table::default();
        table.row(["CLIENT", "PROJECT", "ENTRIES", "REGISTERED", "STATE"]);
        for row in &self.clients {
            let state = match row.revoked_at {
                Some(moment) => format!("revoked {}", when(moment)),
                None => "live".to_owned(),
            };
            table.row([
                &row.client_id,
                &row.project,
                &row.entries.to_string(),
                &when(row.registered_at.unwrap_or(0)),
                &state,
            ]);
        }
        table.write(out)
    }
}

/// Lists the clients.
///
/// # Errors
/// The hub cannot be reached, or its store cannot be read.
pub(super) async fn run(args: &TargetArgs, cx: &Cx) -> Result<ClientsReport, CliError> {
    let target = target::find(args, cx).await?;
    let clients = target.clients().await?;
    target.close().await?;
    Ok(ClientsReport {
        clients: clients.into_iter().map(Row::of).collect(),
    })
}
