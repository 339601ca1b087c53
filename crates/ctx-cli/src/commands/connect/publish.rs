//! `ctx connect publish`: sends one entry.

use std::io::{self, Read as _, Write};

use ctx_config::limits;
use ctx_hub::entry::{EntryDraft, EntryMeta};
use ctx_hub::types::EntryId;
use serde::Serialize;

use crate::args::PublishArgs;
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Report;

/// An entry that the hub holds now, durably.
#[derive(Debug, Serialize)]
pub(crate) struct PublishReport {
    #[serde(rename = "type")]
    entry_type: &'static str,
    sequence: u64,
    id: String,
}

impl Report for PublishReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            entry_type,
            sequence,
            id,
        } = self;
        writeln!(out, "published {entry_type} {sequence} (id {id})")
    }
}

/// Sends the entry and waits until the hub has it.
///
/// # Errors
/// The text cannot be an entry, the project is not registered, or the hub does not take it.
pub(crate) async fn run(args: &PublishArgs, cx: &Cx) -> Result<PublishReport, CliError> {
    let connection = super::load(cx)?;
    let draft = draft(args, content(&args.text)?)?;
    let client = super::dial(&connection, super::timeouts(args.timeout)).await?;
    let sequences = client
        .publish(std::slice::from_ref(&draft))
        .await
        .map_err(convert::client)?;
    let [sequence] = sequences.as_slice() else {
        let address = &connection.hub_addr;
        return Err(CliError::new(
            Exit::Failed,
            format!("the hub at {address} did not say under which sequence it stored the entry"),
        ));
    };
    Ok(PublishReport {
        entry_type: draft.entry_type().as_str(),
        sequence: sequence.get(),
        id: draft.id().to_string(),
    })
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
