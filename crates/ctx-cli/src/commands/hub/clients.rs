//! `ctx hub clients`: every client that was ever registered.

use std::io::{self, Write};

use ctx_hub::client::ClientRecord;
use serde::Serialize;

use super::target;
use crate::args::TargetArgs;
use crate::commands::Cx;
use crate::error::CliError;
use crate::ui::{Report, Table, count, when};

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
    /// Unix seconds; `null` while nobody has ended its tokens.
    revoked_at: Option<i64>,
    entries: u64,
    /// Unix seconds; `null` when it never called, as far as was noted.
    last_seen_at: Option<i64>,
    /// From where; `null` when that is not known.
    last_address: Option<String>,
    /// Streams that it has open.
    open_streams: u32,
    /// When its newest token expires, in Unix seconds; `null` when it does not.
    expires_at: Option<i64>,
    /// `live`, `expiring`, `expired` or `revoked`.
    state: &'static str,
}

impl Row {
    fn of(client: ClientRecord) -> Self {
        Self {
            client_id: client.id.to_string(),
            project: client.project,
            registered_at: client.created_at,
            revoked_at: client.revoked_at,
            entries: client.entries,
            last_seen_at: client.last_seen_at,
            last_address: client.last_address,
            open_streams: client.open_streams,
            expires_at: client.expires_at,
            state: client.state.as_str(),
        }
    }

    /// From when on it is how it is.
    fn state(&self) -> String {
        match (self.state, self.revoked_at) {
            ("revoked", Some(moment)) => format!("revoked {}", when(moment)),
            (state, _) => state.to_owned(),
        }
    }

    /// When it was last heard of, and what it has open.
    fn seen(&self) -> String {
        match (self.last_seen_at, self.open_streams) {
            (None, _) => "never".to_owned(),
            (Some(moment), 0) => when(moment),
            (Some(_), streams) => format!("now, {}", count(streams.into(), "stream", "streams")),
        }
    }
}

impl Report for ClientsReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.clients.is_empty() {
            return writeln!(out, "no client is registered");
        }
        let mut table = Table::default();
        table.row([
            "CLIENT",
            "PROJECT",
            "ENTRIES",
            "REGISTERED",
            "LAST SEEN",
            "ADDRESS",
            "EXPIRES",
            "STATE",
        ]);
        for row in &self.clients {
            table.row([
                &row.client_id,
                &row.project,
                &row.entries.to_string(),
                &when(row.registered_at.unwrap_or(0)),
                &row.seen(),
                row.last_address.as_deref().unwrap_or("-"),
                &row.expires_at.map_or_else(|| "never".to_owned(), when),
                &row.state(),
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
