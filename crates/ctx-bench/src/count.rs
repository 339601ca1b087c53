//! The three hottest paths, to be counted by a tool that counts instructions.
//!
//! `cargo xtask count` runs each under callgrind with two numbers of rounds; the difference is what
//! the rounds between need, without what is done once. Nothing here is timed.

mod append;
mod page;
mod publish;

use std::process::ExitCode;

use camino::Utf8Path;
use clap::ValueEnum;
use ctx_hub::entry::{EntryDraft, EntryMeta};
use ctx_hub::types::{EntryId, EntryType};

use crate::Failure;
use crate::bench::CONTENT;
use crate::entries;

/// A path that is counted.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HotPath {
    /// Render 1,000 entries and append them to a mirror, committed
    Append,
    /// Publish an entry into the store
    Publish,
    /// Sync a page of 100 entries: a hub and its client in this process
    Page,
}

/// Runs `path` so many times, in a folder of its own.
pub(crate) fn run(path: HotPath, rounds: u64) -> Result<ExitCode, Failure> {
    let temp = tempfile::tempdir()?;
    let dir = Utf8Path::from_path(temp.path()).ok_or("the temporary folder is not UTF-8")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match path {
        HotPath::Append => append::run(dir, rounds)?,
        HotPath::Publish => runtime.block_on(publish::run(dir, rounds))?,
        HotPath::Page => runtime.block_on(page::run(dir, rounds))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The `number`th entry to publish.
fn draft(number: u64) -> Result<EntryDraft, Failure> {
    Ok(EntryDraft::new(
        EntryId::try_from(entries::id("new", number))?,
        type_of(number)?,
        entries::content(number, CONTENT),
        1_767_225_600,
        EntryMeta::default(),
    )?)
}

fn type_of(number: u64) -> Result<EntryType, Failure> {
    Ok(entries::type_of(number).parse()?)
}
