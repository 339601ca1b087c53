//! What a mirror says of itself, without taking its lock.

use std::collections::BTreeMap;

use ctx_config::paths::ContextDir;
use ctx_io::{LockStatus, lock};

use super::error::SyncError;
use super::mirror;
use super::recover;
use super::state::Recorded;
use crate::types::{EntryType, HubId, Sequence};

/// How far a project has mirrored.
#[derive(Debug)]
#[non_exhaustive]
pub struct MirrorStatus {
    /// The hub that the mirror was made from, if one has said who it is.
    pub hub_id: Option<HubId>,
    /// Up to where each type that was ever mirrored is.
    pub cursors: BTreeMap<EntryType, Sequence>,
    /// Bytes of each mirror file that is there.
    pub files: BTreeMap<EntryType, u64>,
    /// Who holds the sync lock.
    pub lock: LockStatus,
}

/// Reads how far the project at `context` has mirrored. Takes no lock and changes nothing; a sync
/// that runs meanwhile shows as it is at this moment.
///
/// # Errors
/// [`SyncError::NoContext`]; [`SyncError::State`] when the state cannot be used; what reading says.
pub fn status(context: &ContextDir) -> Result<MirrorStatus, SyncError> {
    if !context.path().is_dir() {
        return Err(SyncError::NoContext {
            path: context.path().to_owned(),
        });
    }
    let dir = context.mirror();
    let lock = lock::inspect(&dir.sync_lock())?;
    let mut files = BTreeMap::new();
    for entry_type in EntryType::ALL {
        let path = dir.path().join(entry_type.mirror_file());
        if let Some(facts) = mirror::look(&path)? {
            files.insert(entry_type, facts.length);
        }
    }
    let (hub_id, cursors) = match recover::read_file(&dir)? {
        Recorded::Nothing => (None, BTreeMap::new()),
        Recorded::Older(cursor) => (None, files.keys().map(|&of| (of, cursor)).collect()),
        Recorded::Current(state) => {
            let cursors = state
                .types
                .iter()
                .map(|(&of, recorded)| (of, recorded.cursor))
                .collect();
            (state.hub_id, cursors)
        }
    };
    Ok(MirrorStatus {
        hub_id,
        cursors,
        files,
        lock,
    })
}
