//! `ctx connect sync`: the mirror, up to date.

use std::collections::BTreeMap;
use std::io::{self, Write};

use camino::Utf8PathBuf;
use ctx_hub::connection::Connection;
use ctx_hub::sync::{SyncEvent, SyncOptions};
use ctx_hub::types::EntryType;
use ctx_io::Wait;
use serde::Serialize;

use super::token;
use crate::args::SyncArgs;
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::signals;
use crate::ui::{Report, count, list};

/// What stands in locks.
const COMMAND: &str = "ctx connect sync";

/// What a sync brought.
#[derive(Debug, Serialize)]
pub(crate) struct SyncReport {
    /// Entries that were not in the mirror before.
    pub(crate) new_entries: u64,
    /// The same by type.
    by_type: BTreeMap<&'static str, u64>,
    /// Queued entries that the hub holds now.
    sent: u64,
    /// How far the mirror has come, by type.
    cursors: BTreeMap<&'static str, u64>,
    /// Whether the mirror was built anew.
    rebuilt: bool,
    /// Files that were moved aside, because somebody had changed them.
    set_aside: Vec<Utf8PathBuf>,
    /// The dead process whose lock was taken over.
    took_over: Option<ctx_io::LockRecord>,
}

impl Report for SyncReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.rebuilt {
            writeln!(out, "the mirror was built anew")?;
        }
        for path in &self.set_aside {
            writeln!(out, "set aside {path}")?;
        }
        if self.new_entries == 0 {
            return writeln!(out, "nothing new");
        }
        let by_type = EntryType::ALL.iter().filter_map(|entry_type| {
            let name = entry_type.as_str();
            let number = self.by_type.get(name).filter(|number| **number > 0)?;
            Some(count(*number, name, &format!("{name}s")))
        });
        let total = count(self.new_entries, "new entry", "new entries");
        writeln!(out, "{total} ({})", list(by_type))
    }
}

/// Pulls what is new and commits it.
///
/// # Errors
/// The lock is held, the hub does not answer, or something here is damaged. What was committed
/// before stays; the next sync goes on from there.
pub(crate) async fn run(args: &SyncArgs, cx: &Cx) -> Result<SyncReport, CliError> {
    super::load(cx)?;
    let ended = signals::told_to_end()?;
    let options = SyncOptions {
        wait: args.wait.map_or(Wait::No, Wait::UpTo),
        command: COMMAND.to_owned(),
        version: env::VERSION.to_owned(),
        full: args.full,
    };
    let work = async {
        let connection = token::settled(args.timeout, COMMAND, cx).await?;
        let connection = token::renewed(connection, args.timeout, COMMAND, cx).await?;
        let refused = match attempt(&connection, args, &options, cx).await {
            Err(error) if error.exit() == Exit::Refused => error,
            done => return done,
        };
        // It may have been replaced while this one was at work, longer than the overlap.
        match token::after_refusal(&connection, args.timeout, COMMAND, cx).await {
            Some(other) => attempt(&other, args, &options, cx).await,
            None => Err(token::refused(refused, &connection)),
        }
    };
    let done = tokio::select! {
        done = work => done?,
        // Dropping the work releases the lock; the next sync goes on from what was committed.
        () = ended => return Err(CliError::new(Exit::Failed, "the sync was interrupted")
            .hint("run it again: it goes on from what is in the mirror")),
    };
    Ok(report(done))
}

/// One sync with the token of `connection`.
async fn attempt(
    connection: &Connection,
    args: &SyncArgs,
    options: &SyncOptions,
    cx: &Cx,
) -> Result<ctx_hub::sync::SyncReport, CliError> {
    let client = super::dial(connection, super::timeouts(args.timeout), cx).await?;
    let mut tell = |event: SyncEvent| tell(event, cx);
    ctx_hub::sync::sync(&client, &cx.context, &connection.types, options, &mut tell)
        .await
        .map_err(convert::sync)
}

fn report(done: ctx_hub::sync::SyncReport) -> SyncReport {
    let named = |(entry_type, number): (EntryType, u64)| (entry_type.as_str(), number);
    SyncReport {
        new_entries: done.total(),
        sent: done.sent,
        by_type: done.new_entries.into_iter().map(named).collect(),
        cursors: done
            .cursors
            .into_iter()
            .map(|(entry_type, cursor)| (entry_type.as_str(), cursor.get()))
            .collect(),
        rebuilt: done.rebuilt,
        set_aside: done.set_aside,
        took_over: done.took_over,
    }
}

/// Says what happens on the way and somebody should know.
pub(super) fn tell(event: SyncEvent, cx: &Cx) {
    match event {
        SyncEvent::TookOver(record) => cx.screen.notice(&format!(
            "took over the sync lock of `{}`, process {} on {}, which died",
            record.command, record.pid, record.host
        )),
        SyncEvent::Outbox(report) => super::outbox::tell(&report, cx),
        SyncEvent::OutboxUnusable(error) => super::outbox::warn_trouble(&error, cx),
        SyncEvent::Warning(warning) => cx.screen.warning(&warning.to_string(), None),
        _ => {}
    }
}
