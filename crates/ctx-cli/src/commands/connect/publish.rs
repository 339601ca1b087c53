//! `ctx connect publish`: sends one entry, or queues it.

use std::io::{self, Read as _, Write};

use camino::Utf8PathBuf;
use ctx_config::limits;
use ctx_hub::client::HubClient;
use ctx_hub::entry::{EntryDraft, EntryMeta};
use ctx_hub::outbox::{Delivery, Outbox, WhenAway};
use ctx_hub::types::EntryId;
use serde::Serialize;

use super::token;
use crate::args::PublishArgs;
use crate::commands::{Cx, convert, route};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{ErrorBody, ErrorDocument, Report, count, on_one_line};

/// An entry that the hub holds now, or that waits for it; durably.
#[derive(Debug, Serialize)]
pub(crate) struct PublishReport {
    #[serde(rename = "type")]
    entry_type: &'static str,
    /// The hub's sequence for it; `null` when it is queued.
    sequence: Option<u64>,
    id: String,
    /// Whether it waits for the hub.
    queued: bool,
    /// Why it does.
    reason: Option<ErrorBody>,
    /// How many entries wait, this one included.
    waiting: usize,
    /// How many that waited were sent before it.
    sent: usize,
    #[serde(skip)]
    outbox: Utf8PathBuf,
}

impl Report for PublishReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            entry_type,
            id,
            outbox,
            ..
        } = self;
        if let Some(sequence) = self.sequence {
            return writeln!(out, "published {entry_type} {sequence} (id {id})");
        }
        writeln!(out, "queued {entry_type} (id {id})")?;
        let waiting = u64::try_from(self.waiting).unwrap_or(u64::MAX);
        let entries = count(waiting, "entry waits", "entries wait");
        writeln!(
            out,
            "{entries} in {outbox} for the next publish, sync or listen that reaches the hub"
        )
    }
}

/// Sends the entry and waits until the hub has it, or queues it.
///
/// # Errors
/// The text cannot be an entry, the project is not registered, or the hub does not take it and it
/// cannot be queued.
pub(crate) async fn run(args: &PublishArgs, cx: &Cx) -> Result<PublishReport, CliError> {
    // Said before the hub is asked for anything.
    super::load(cx)?;
    let draft = draft(args, content(&args.text)?)?;
    let connection = token::open(args.timeout, "ctx connect publish", cx).await?;
    let outbox = Outbox::of(&cx.context);
    let when_away = if args.no_queue {
        WhenAway::Fail
    } else {
        WhenAway::Queue
    };
    let route = route::kept(&connection, cx)?;
    let dial = async {
        let timeouts = super::timeouts(args.timeout);
        let client = HubClient::connect(route, timeouts).await?;
        Ok(client.with_token(connection.token.clone()))
    };
    let published = outbox.publish(&draft, when_away, dial).await;
    super::outbox::tell(&published.before, cx);
    if let Some(error) = &published.trouble {
        super::outbox::warn_trouble(error, cx);
    }
    let sent = published.before.sent.len();
    let delivery = published
        .delivery
        .map_err(|error| token::refused(convert::publish(error), &connection))?;
    Ok(report(&draft, &outbox, delivery, sent, cx))
}

/// What became of `draft`; and says why it is queued, if it is.
fn report(
    draft: &EntryDraft,
    outbox: &Outbox,
    delivery: Delivery,
    sent: usize,
    cx: &Cx,
) -> PublishReport {
    let mut report = PublishReport {
        entry_type: draft.entry_type().as_str(),
        sequence: None,
        id: draft.id().to_string(),
        queued: false,
        reason: None,
        waiting: 0,
        sent,
        outbox: outbox.path().to_owned(),
    };
    match delivery {
        Delivery::Queued { queued, why } => {
            cx.screen.notice(&on_one_line(&why));
            report.queued = true;
            report.waiting = queued.waiting;
            report.reason = Some(ErrorDocument::body(&convert::client(why)));
        }
        Delivery::Stored { sequence } => report.sequence = Some(sequence.get()),
    }
    report
}

fn draft(args: &PublishArgs, content: String) -> Result<EntryDraft, CliError> {
    let id = match &args.id {
        Some(id) => id.clone(),
        None => EntryId::random().map_err(|error| {
            CliError::new(Exit::Failed, "cannot make an id for the entry").because(error)
        })?,
    };
    let meta = EntryMeta {
        host: ctx_io::process::host(),
        tool: format!("ctx {}", env::VERSION),
        ..EntryMeta::default()
    };
    EntryDraft::new(id, args.entry_type, content, env::now(), meta)
        .map_err(|error| CliError::of(Exit::Usage, error, None))
}

/// The text that was given, or what standard input holds.
fn content(text: &str) -> Result<String, CliError> {
    let (source, content) = match text {
        "-" => ("standard input", from_stdin()?),
        text => ("the text", text.to_owned()),
    };
    let limit = limits::ENTRY_CONTENT_MAX_BYTES;
    if content.len() > limit {
        let size = content.len();
        return Err(CliError::usage(format!(
            "{source} has {size} bytes, more than the {limit} that an entry can hold"
        )));
    }
    if content.trim().is_empty() {
        return Err(CliError::usage(format!("{source} is empty"))
            .hint("an entry says something: give a text, or - to read it from standard input"));
    }
    Ok(content)
}

/// Reads no more than it takes to know that it is too much.
fn from_stdin() -> Result<String, CliError> {
    let limit = limits::ENTRY_CONTENT_MAX_BYTES;
    let enough = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(enough)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            CliError::new(Exit::Failed, "cannot read standard input").because(error)
        })?;
    if bytes.len() > limit {
        return Err(CliError::usage(format!(
            "standard input has more than the {limit} bytes that an entry can hold"
        ))
        .hint("publish the gist, and where the rest can be found"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        CliError::usage(format!("standard input is not UTF-8 (from byte {at} on)"))
            .hint("an entry is text: convert it to UTF-8 first, as with iconv")
    })
}
