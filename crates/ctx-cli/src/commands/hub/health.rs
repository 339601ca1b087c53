//! `ctx hub status`: a hub's health and figures.

use std::collections::BTreeMap;
use std::io::{self, Write};

use ctx_hub::client::HubHealth;
use serde::Serialize;

use super::target;
use crate::args::HubStatusArgs;
use crate::commands::Cx;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{Report, Table, list, when};

/// What a hub says of itself, or its store in its stead.
#[derive(Debug, Serialize)]
struct HealthReport {
    running: bool,
    addresses: Vec<String>,
    /// Whether it speaks TLS.
    encrypted: bool,
    /// What clients pin, when it speaks TLS.
    fingerprint: Option<String>,
    /// Until when the certificate is valid, in Unix seconds.
    certificate_expires_at: Option<i64>,
    data_dir: String,
    hub_id: String,
    version: String,
    pid: Option<u32>,
    /// Unix seconds.
    started_at: Option<i64>,
    head: u64,
    total_entries: u64,
    listening: u32,
    registered_clients: u64,
    entries_by_type: BTreeMap<String, u64>,
    entries_by_project: BTreeMap<String, u64>,
    /// What keeps it from storing.
    troubles: Vec<String>,
}

impl HealthReport {
    fn of(health: HubHealth) -> Self {
        let running = health.pid != 0;
        Self {
            running,
            addresses: health.addresses,
            encrypted: health.encrypted,
            fingerprint: health.fingerprint.map(|it| it.to_string()),
            certificate_expires_at: health.certificate_expires_at,
            data_dir: health.data_dir,
            hub_id: health.hub_id.to_string(),
            version: health.version,
            pid: running.then_some(health.pid),
            started_at: running.then_some(health.started_at),
            head: health.head.get(),
            total_entries: health.total_entries,
            listening: health.connected_clients,
            registered_clients: health.registered_clients,
            entries_by_type: health.entries_by_type,
            entries_by_project: health.entries_by_project,
            troubles: health.troubles,
        }
    }
}

impl HealthReport {
    fn encryption(&self) -> String {
        match (self.encrypted, self.certificate_expires_at) {
            (true, Some(until)) => format!("TLS, the certificate expires {}", when(until)),
            (true, None) => "TLS".to_owned(),
            (false, _) => "no".to_owned(),
        }
    }
}

impl Report for HealthReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::default();
        match (self.pid, self.started_at) {
            (Some(pid), Some(started)) => {
                table.row([
                    "hub",
                    &format!("running, process {pid}, since {}", when(started)),
                ]);
                table.row(["address", &list(&self.addresses)]);
                table.row(["encrypted", &self.encryption()]);
                if let Some(fingerprint) = &self.fingerprint {
                    table.row(["fingerprint", fingerprint]);
                }
            }
            _ => table.row(["hub", "not running"]),
        }
        for trouble in &self.troubles {
            table.row(["trouble", trouble]);
        }
        table.row(["data directory", &self.data_dir]);
        table.row(["hub id", &self.hub_id]);
        table.row(["version", &self.version]);
        table.row([
            "entries",
            &format!("{}, the last is {}", self.total_entries, self.head),
        ]);
        table.row(["by type", &figures(&self.entries_by_type)]);
        table.row(["by project", &figures(&self.entries_by_project)]);
        let (live, listening) = (self.registered_clients, self.listening);
        table.row([
            "clients",
            &format!("{live} registered, {listening} listening"),
        ]);
        table.write(out)
    }
}

/// Shows the figures.
///
/// # Errors
/// The hub cannot be reached, or its store cannot be read.
pub(super) async fn run(args: &HubStatusArgs, cx: &Cx) -> Result<Exit, CliError> {
    let probe = args.exit_code;
    if probe && args.target.hub.is_none() {
        // A probe asks a hub that runs, or says that there is none; it opens no store, and keeps no
        // hub from starting.
        let data = cx.env.data_dir(args.target.data_dir.as_deref())?;
        if target::serving(&data)?.is_none() {
            let what = format!("no hub runs on {}", data.path());
            return Err(CliError::new(Exit::Unreachable, what));
        }
    }
    let target = target::find(&args.target, cx).await?;
    let health = target.health().await?;
    target.close().await?;
    let report = HealthReport::of(health);
    cx.screen.show(&report)?;
    Ok(match report.running {
        true if probe && !report.troubles.is_empty() => Exit::Failed,
        true => Exit::Done,
        false => Exit::Unreachable,
    })
}

fn figures(numbers: &BTreeMap<String, u64>) -> String {
    list(
        numbers
            .iter()
            .map(|(name, number)| format!("{number} {name}")),
    )
}
