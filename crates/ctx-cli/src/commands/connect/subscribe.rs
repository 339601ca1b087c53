//! `ctx connect subscribe`: which types of entries to mirror.

use std::io::{self, Write};

use ctx_hub::types::{EntryType, TypeSet};
use serde::Serialize;

use super::token;
use crate::args::SubscribeArgs;
use crate::commands::{Cx, convert};
use crate::error::CliError;
use crate::ui::{Report, list};

/// What is mirrored from now on.
#[derive(Debug, Serialize)]
pub(crate) struct SubscribeReport {
    types: Vec<&'static str>,
    /// Types that were not mirrored before; their entries arrive with the next sync.
    added: Vec<&'static str>,
}

impl Report for SubscribeReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "subscribed to {}", list(&self.types))
    }
}

/// Keeps the choice beside the token.
///
/// # Errors
/// The project is not registered, or its connection file cannot be opened or replaced.
pub(crate) fn run(args: &SubscribeArgs, cx: &Cx) -> Result<SubscribeReport, CliError> {
    cx.require_context()?;
    let lock = token::lock("ctx connect subscribe", cx)?;
    let mut connection = super::load(cx)?;
    let types: TypeSet = if args.all {
        TypeSet::all()
    } else {
        args.types.iter().copied().collect()
    };
    let added = types.iter().filter(|one| !connection.types.contains(*one));
    let report = SubscribeReport {
        types: types.iter().map(EntryType::as_str).collect(),
        added: added.map(EntryType::as_str).collect(),
    };
    connection.types = types;
    connection
        .save(&cx.context, &cx.user_dir()?)
        .map_err(convert::connection)?;
    token::release(lock)?;
    Ok(report)
}
