//! `ctx connect status`: the hub, the project, the mirror, its lock, and what is queued.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use ctx_hub::client::HubStatus;
use ctx_hub::connection::Connection;
use ctx_hub::sync::{Divergence, MirrorStatus};
use ctx_hub::types::{EntryType, TypeSet};
use ctx_io::{LockRecord, LockStatus};
use serde::Serialize;

use super::outbox::OutboxReport;
use super::token;
use crate::args::StatusArgs;
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{ErrorDocument, Report, Table, age, list, when};

/// What is known here, and what the hub says if it does.
#[derive(Debug, Serialize)]
struct StatusReport {
    /// Unknown when an older `ctx` registered it.
    project: Option<String>,
    client_id: Option<String>,
    token: TokenReport,
    hub: String,
    subscribed: Vec<&'static str>,
    /// How far each subscribed type is mirrored.
    cursors: BTreeMap<&'static str, u64>,
    hub_status: Option<HubReport>,
    lock: LockReport,
    outbox: OutboxReport,
    /// Why the hub says nothing.
    error: Option<crate::ui::ErrorBody>,
}

/// What is known here of the project's token.
#[derive(Debug, Serialize)]
struct TokenReport {
    /// Unix seconds; `null` when it does not expire, as far as is known here.
    expires_at: Option<i64>,
    /// By the clock of this machine.
    expired: bool,
    /// A change of the token was broken off and not finished yet.
    changing: bool,
}

impl TokenReport {
    fn of(connection: &Connection) -> Self {
        let life = connection.lifetime;
        Self {
            expires_at: life.map(|life| life.expires_at),
            expired: life.is_some_and(|life| life.is_over(env::now())),
            changing: connection.next_token.is_some(),
        }
    }

    fn text(&self) -> String {
        let changing = match self.changing {
            true => ", a change of it is not finished",
            false => "",
        };
        match self.expires_at {
            None => format!("does not expire{changing}"),
            Some(moment) if self.expired => format!("expired {}{changing}", when(moment)),
            Some(moment) => format!("expires {}{changing}", when(moment)),
        }
    }
}

/// What the hub says.
#[derive(Debug, Serialize)]
struct HubReport {
    hub_id: Option<String>,
    /// The last sequence; `null` when an older hub does not say.
    head: Option<u64>,
    /// By how many sequences the mirror is behind at most; `null` when that cannot be told.
    lag: Option<u64>,
    /// In what respect the hub's log is not the one that the mirror was made from; `null` when
    /// nothing speaks against it.
    diverged: Option<String>,
    total_entries: u64,
    entries_by_type: BTreeMap<String, u64>,
    listening: u32,
}

/// The sync lock.
#[derive(Debug, Serialize)]
struct LockReport {
    /// `free`, `held`, `stale` (the next sync takes it over) or `unverified`.
    state: &'static str,
    id: Option<String>,
    /// `null` when clocks disagree.
    age_seconds: Option<u64>,
    record: Option<Box<LockRecord>>,
    #[serde(skip)]
    text: String,
}

impl Report for StatusReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::default();
        table.row(["project", self.project.as_deref().unwrap_or("unknown")]);
        table.row(["client", self.client_id.as_deref().unwrap_or("unknown")]);
        table.row(["token", &self.token.text()]);
        let answers = match &self.error {
            None => String::new(),
            Some(error) => format!(" ({})", error.short()),
        };
        table.row(["hub", &format!("{}{answers}", self.hub)]);
        table.row(["subscribed", &list(&self.subscribed)]);
        let cursor = |(name, cursor): (&&str, &u64)| format!("{name} {cursor}");
        table.row(["mirrored to", &list(self.cursors.iter().map(cursor))]);
        if let Some(hub) = &self.hub_status {
            table.row(["hub is at", &hub.position()]);
            table.row(["entries", &hub.entries()]);
        }
        table.row(["sync lock", &self.lock.text]);
        table.row(["outbox", &self.outbox.text()]);
        table.write(out)
    }
}

impl HubReport {
    fn of(answer: &Answer, mirror: &MirrorStatus, types: &TypeSet) -> Self {
        let Answer { status, diverged } = answer;
        let head = status.identity.head;
        let reached = |entry_type| mirror.cursors.get(&entry_type).copied().unwrap_or_default();
        let furthest = types.iter().map(reached).min();
        let lag = head
            .zip(furthest)
            .filter(|_| diverged.is_none())
            .map(|(head, reached)| head.get().saturating_sub(reached.get()));
        Self {
            hub_id: status.identity.id.as_ref().map(ToString::to_string),
            head: head.map(ctx_hub::types::Sequence::get),
            lag,
            diverged: diverged.as_ref().map(ToString::to_string),
            total_entries: status.total_entries,
            entries_by_type: status.by_type.clone(),
            listening: status.connected_clients,
        }
    }

    fn position(&self) -> String {
        if let Some(how) = &self.diverged {
            return format!("not the log that the mirror was made from: {how}");
        }
        match (self.head, self.lag) {
            (Some(head), Some(0)) => format!("{head}, the mirror is up to date"),
            (Some(head), Some(lag)) => format!("{head}, the mirror is behind by up to {lag}"),
            _ => "unknown: it is an older hub".to_owned(),
        }
    }

    fn entries(&self) -> String {
        let by_type = self.entries_by_type.iter();
        let by_type = list(by_type.map(|(name, number)| format!("{number} {name}")));
        format!("{} at the hub ({by_type})", self.total_entries)
    }
}

impl LockReport {
    fn of(status: &LockStatus) -> Self {
        let whose = |record: &LockRecord, held| {
            let LockRecord {
                command, pid, host, ..
            } = record;
            format!("`{command}`, process {pid} on {host}, {}", how_long(held))
        };
        let (state, found, text) = match status {
            LockStatus::Held { record, age: held } => {
                let text = format!("held by {}", whose(record, *held));
                ("held", Some((record.lock_id.clone(), *held)), text)
            }
            LockStatus::Stale { record, age: held } => {
                let text = format!(
                    "left by {}; the next sync takes it over",
                    whose(record, *held)
                );
                ("stale", Some((record.lock_id.clone(), *held)), text)
            }
            LockStatus::Unrecorded { id, age: held } => {
                let text = format!(
                    "left by a holder whose record is lost, {}; the next sync takes it over",
                    how_long(*held)
                );
                ("stale", Some((id.clone(), *held)), text)
            }
            LockStatus::Unverified {
                id, age: held, why, ..
            } => {
                let text = format!("{id}, {}: {why}", how_long(*held));
                ("unverified", Some((id.clone(), *held)), text)
            }
            _ => ("free", None, "free".to_owned()),
        };
        let record = match status {
            LockStatus::Held { record, .. } | LockStatus::Stale { record, .. } => {
                Some(record.clone())
            }
            LockStatus::Unverified { record, .. } => record.clone(),
            _ => None,
        };
        Self {
            state,
            record,
            age_seconds: found
                .as_ref()
                .and_then(|(_, held)| *held)
                .map(|held| held.as_secs()),
            id: found.map(|(id, _)| id),
            text,
        }
    }
}

fn how_long(held: Option<Duration>) -> String {
    match held {
        Some(held) => format!("for {}", age(held)),
        None => "since a time that cannot be (clocks differ)".to_owned(),
    }
}

/// Shows what is known here, whether the hub answers or not.
///
/// # Errors
/// What is known here cannot be read. That the hub does not answer is in the report, and in the
/// exit code.
pub(super) async fn run(args: &StatusArgs, cx: &Cx) -> Result<Exit, CliError> {
    let connection = token::open(args.timeout, "ctx connect status", cx).await?;
    let mirror = ctx_hub::sync::status(&cx.context).map_err(convert::sync)?;
    let asked = ask(&connection, &mirror, args, cx).await;
    let asked = asked.map_err(|error| token::refused(error, &connection));
    let types = &connection.types;
    let cursors = types.iter().map(|of| {
        let cursor = mirror.cursors.get(&of).copied().unwrap_or_default();
        (of.as_str(), cursor.get())
    });
    let report = StatusReport {
        project: connection.project.as_ref().map(ToString::to_string),
        client_id: connection.client_id.as_ref().map(ToString::to_string),
        token: TokenReport::of(&connection),
        hub: connection.hub_addr.to_string(),
        subscribed: types.iter().map(EntryType::as_str).collect(),
        cursors: cursors.collect(),
        hub_status: asked
            .as_ref()
            .ok()
            .map(|answer| HubReport::of(answer, &mirror, types)),
        lock: LockReport::of(&mirror.lock),
        outbox: OutboxReport::look(cx),
        error: asked.as_ref().err().map(ErrorDocument::body),
    };
    cx.screen.show(&report)?;
    Ok(match asked {
        Ok(_) => Exit::Done,
        Err(error) => {
            cx.screen.error_text(&error);
            error.exit()
        }
    })
}

/// What a hub says of itself and of the mirror.
struct Answer {
    status: HubStatus,
    diverged: Option<Divergence>,
}

async fn ask(
    connection: &Connection,
    mirror: &MirrorStatus,
    args: &StatusArgs,
    cx: &Cx,
) -> Result<Answer, CliError> {
    let client = super::dial(connection, super::timeouts(args.timeout), cx).await?;
    let status = client.status().await.map_err(convert::client)?;
    let diverged = mirror.compare(&client).await.map_err(convert::client)?;
    Ok(Answer { status, diverged })
}
