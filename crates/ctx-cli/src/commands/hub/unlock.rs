//! `ctx hub unlock`: the lock of a data directory, shown, and removed when no hub holds it any more.

use ctx_config::paths::DataDir;
use ctx_io::LockError;

use crate::args::HubUnlockArgs;
use crate::commands::unlock::{UnlockReport, remove};
use crate::commands::{Cx, convert};
use crate::error::CliError;
use crate::exit::Exit;

/// Removes the lock if its holder is dead for sure, or if it is the one that was named.
///
/// # Errors
/// There is no data directory; a hub serves it; or nobody can tell and the lock was not named.
pub(super) fn run(args: &HubUnlockArgs, cx: &Cx) -> Result<UnlockReport, CliError> {
    let data = cx.env.data_dir(args.at.data_dir.as_deref())?;
    if !data.path().is_dir() {
        return Err(
            CliError::new(Exit::Usage, format!("{} holds no hub", data.path()))
                .hint("name the data directory of a hub with --data-dir"),
        );
    }
    let path = data.lock();
    let removed = remove(&path, args.id.as_deref()).map_err(|error| explained(&data, error))?;
    Ok(UnlockReport::new(path, removed))
}

fn explained(data: &DataDir, error: LockError) -> CliError {
    match &error {
        LockError::Held { .. } => {
            let hint = format!("stop it with `ctx hub stop --data-dir {}`", data.path());
            CliError::of(Exit::Busy, error, Some(hint))
        }
        LockError::HeldByExistence { id, .. } => {
            let hint = how_to_unlock(data, id);
            CliError::of(Exit::Busy, error, Some(hint))
        }
        _ => convert::lock(error),
    }
}

/// What to run about a lock of which nobody can tell whether its holder lives.
pub(super) fn how_to_unlock(data: &DataDir, id: &str) -> String {
    format!(
        "make sure that no hub uses {dir} any more, then run `ctx hub unlock --data-dir {dir} --id \
         {id}`",
        dir = data.path()
    )
}
