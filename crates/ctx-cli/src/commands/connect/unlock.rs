//! `ctx connect unlock`: the sync lock, shown, and removed when nobody holds it any more.

use crate::args::UnlockArgs;
use crate::commands::unlock::{UnlockReport, remove};
use crate::commands::{Cx, convert};
use crate::error::CliError;

/// Removes the sync lock if its holder is dead for sure, or if it is the one that was named.
///
/// # Errors
/// Its holder lives, or cannot be told and was not named; the message says who it is.
pub(crate) fn run(args: &UnlockArgs, cx: &Cx) -> Result<UnlockReport, CliError> {
    cx.require_context()?;
    let path = cx.context.mirror().sync_lock();
    let removed = remove(&path, args.id.as_deref()).map_err(convert::lock)?;
    Ok(UnlockReport::new(path, removed))
}
