//! `ctx connect listen`: stays, and mirrors entries as they arrive.

use std::io::{self, Write};
use std::pin::pin;

use ctx_hub::entry::Entry;
use ctx_hub::sync::{SyncEvent, SyncOptions};
use serde::Serialize;
use tokio::sync::Notify;

use crate::args::ListenArgs;
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::signals;
use crate::ui::{Report, printable};

/// An entry that is in the mirror now.
#[derive(Debug, Serialize)]
struct Arrived<'a> {
    sequence: u64,
    #[serde(rename = "type")]
    entry_type: &'static str,
    origin: &'a str,
    id: &'a str,
    timestamp: i64,
    content: &'a str,
}

impl<'a> Arrived<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self {
            sequence: entry.sequence.get(),
            entry_type: entry.entry_type.as_str(),
            origin: &entry.origin,
            id: entry.id.as_str(),
            timestamp: entry.timestamp,
            content: &entry.content,
        }
    }
}

impl Report for Arrived<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let title = self.content.lines().find(|line| !line.trim().is_empty());
        writeln!(
            out,
            "{} {} from {}: {}",
            self.sequence,
            self.entry_type,
            printable(self.origin),
            printable(title.unwrap_or_default().trim())
        )
    }
}

/// Listens until told to end, or until nobody reads any more.
///
/// # Errors
/// What dialling again cannot mend: refused credentials, a damaged mirror, a full disk.
pub(super) async fn run(args: &ListenArgs, cx: &Cx) -> Result<(), CliError> {
    let connection = super::load(cx)?;
    let mut ended = pin!(signals::told_to_end()?);
    let client = tokio::select! {
        dialled = super::dial(&connection, super::timeouts(args.timeout)) => dialled?,
        () = &mut ended => return Ok(()),
    };
    let options = SyncOptions {
        command: "ctx connect listen".to_owned(),
        version: env::VERSION.to_owned(),
        ..SyncOptions::default()
    };
    let unread = Notify::new();
    let mut failed = None;
    let mut on_event = |event: SyncEvent| {
        if let Err(error) = tell(event, cx) {
            failed.get_or_insert(error);
            unread.notify_one();
        } else if cx.screen.is_closed() {
            unread.notify_one();
        }
    };
    let shutdown = async {
        tokio::select! {
            () = ended => {}
            () = unread.notified() => {}
        }
    };
    let listened = ctx_hub::sync::listen(
        &client,
        &cx.context,
        &connection.types,
        &options,
        &mut on_event,
        shutdown,
    )
    .await;
    listened.map_err(convert::sync)?;
    failed.map_or(Ok(()), Err)
}

fn tell(event: SyncEvent, cx: &Cx) -> Result<(), CliError> {
    match event {
        SyncEvent::Chunk { entries, .. } => entries
            .iter()
            .try_for_each(|entry| cx.screen.show(&Arrived::of(entry))),
        SyncEvent::Connected => {
            cx.screen.notice("listening");
            Ok(())
        }
        SyncEvent::Disconnected { error, retry_in } => {
            let seconds = retry_in.as_secs_f32();
            let why = error.map_or("the hub ended the stream".to_owned(), |e| e.to_string());
            cx.screen
                .notice(&format!("{why}; trying again in {seconds:.1} s"));
            Ok(())
        }
        other => {
            super::sync::tell(other, cx);
            Ok(())
        }
    }
}
