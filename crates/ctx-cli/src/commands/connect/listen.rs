//! `ctx connect listen`: stays, and mirrors entries as they arrive.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::pin::pin;

use ctx_hub::client::HubClient;
use ctx_hub::entry::Entry;
use ctx_hub::sync::{SyncEvent, SyncOptions};
use serde::Serialize;
use tokio::sync::Notify;

use super::token;
use crate::args::ListenArgs;
use crate::commands::{Cx, convert, route};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::signals;
use crate::ui::{Report, on_one_line, printable};

/// What stands in locks.
const COMMAND: &str = "ctx connect listen";

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

/// Listens until told to end, or until nobody reads any more. A hub that is not there yet is waited
/// for.
///
/// # Errors
/// What no waiting mends: refused credentials, a damaged mirror, another hub.
pub(super) async fn run(args: &ListenArgs, cx: &Cx) -> Result<(), CliError> {
    super::load(cx)?;
    let ended = signals::told_to_end()?;
    let options = SyncOptions {
        command: COMMAND.to_owned(),
        version: env::VERSION.to_owned(),
        ..SyncOptions::default()
    };
    let unread = Notify::new();
    let mut failed = None;
    let mut told = Told::default();
    let mut on_event = |event: SyncEvent| {
        if let Err(error) = told.tell(event, cx) {
            failed.get_or_insert(error);
            unread.notify_one();
        } else if cx.screen.is_closed() {
            unread.notify_one();
        }
    };
    let mut shutdown = pin!(async {
        tokio::select! {
            () = ended => {}
            () = unread.notified() => {}
        }
    });
    let mut connection = tokio::select! {
        opened = token::open(args.timeout, COMMAND, cx) => opened?,
        () = shutdown.as_mut() => return Ok(()),
    };
    loop {
        let route = route::kept(&connection, cx)?;
        let client = HubClient::lazy(route, super::timeouts(args.timeout))
            .map_err(convert::client)?
            .with_token(connection.token.clone());
        let listened = ctx_hub::sync::listen(
            &client,
            &cx.context,
            &connection.types,
            &options,
            &mut on_event,
            shutdown.as_mut(),
        )
        .await;
        let error = match listened.map_err(convert::sync) {
            Ok(_) => return failed.map_or(Ok(()), Err),
            Err(error) if error.exit() == Exit::Refused => error,
            Err(error) => return Err(error),
        };
        // The stream ends with its token: when another process has replaced that, this one goes on
        // with the other.
        let other = tokio::select! {
            other = token::after_refusal(&connection, args.timeout, COMMAND, cx) => other,
            () = shutdown.as_mut() => return Ok(()),
        };
        match other {
            Some(other) => connection = other,
            None => return Err(token::refused(error, &connection)),
        }
    }
}

/// What was said, so that trouble that lasts is said once.
#[derive(Debug, Default)]
struct Told {
    /// Why there is no connection.
    away: Option<String>,
    /// What is wrong with the outbox.
    outbox: BTreeSet<String>,
}

impl Told {
    fn tell(&mut self, event: SyncEvent, cx: &Cx) -> Result<(), CliError> {
        match event {
            SyncEvent::Chunk { entries, .. } => entries
                .iter()
                .try_for_each(|entry| cx.screen.show(&Arrived::of(entry)))?,
            SyncEvent::Connected => {
                self.away = None;
                cx.screen.notice("listening");
            }
            SyncEvent::Disconnected { error, .. } => {
                let ended = || "the hub ended the stream".to_owned();
                let why = error.map_or_else(ended, |error| on_one_line(&error));
                if self.away.as_ref() != Some(&why) {
                    cx.screen.notice(&format!("{why}; trying again"));
                    self.away = Some(why);
                }
            }
            SyncEvent::Outbox(mut report) => {
                if !report.sent.is_empty() {
                    self.outbox.clear();
                }
                let mut is_new = |text: String| self.outbox.insert(text);
                report.unusable.retain(|one| is_new(on_one_line(one)));
                report.stopped.take_if(|error| !is_new(on_one_line(error)));
                super::outbox::tell(&report, cx);
            }
            SyncEvent::OutboxUnusable(error) => {
                if self.outbox.insert(on_one_line(&error)) {
                    super::outbox::warn_trouble(&error, cx);
                }
            }
            other => super::sync::tell(other, cx),
        }
        Ok(())
    }
}
