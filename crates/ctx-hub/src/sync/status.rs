//! What a mirror says of itself, without taking its lock.

use std::collections::BTreeMap;

use ctx_config::paths::ContextDir;
use ctx_io::{LockStatus, lock};

use super::error::{Divergence, SyncError};
use super::mirror;
use super::recover;
use super::state::{Recorded, SyncState};
use crate::client::{ClientError, HubClient, StreamStart};
use crate::types::{EntryType, HubId, Sequence, TypeSet};

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
    state: SyncState,
}

impl MirrorStatus {
    /// Asks a hub whether its log is the one that the mirror was made from; `None` means that
    /// nothing speaks against it. Fetches no entry.
    ///
    /// # Errors
    /// What every call can fail with.
    pub async fn compare(&self, client: &HubClient) -> Result<Option<Divergence>, ClientError> {
        let start = StreamStart {
            // Behind every entry: only the answer counts.
            since: Sequence::new(u64::MAX),
            known: self.state.log,
        };
        match client.sync(&TypeSet::all(), start).await {
            Ok(stream) => Ok(Divergence::between(&self.state, stream.identity())),
            Err(ClientError::OtherLog { identity, .. }) => {
                Ok(Some(Divergence::of_refusal(&self.state, &identity)))
            }
            Err(error) => Err(error),
        }
    }
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
    let (state, cursors) = match recover::read_file(&dir)? {
        Recorded::Nothing => (SyncState::default(), BTreeMap::new()),
        Recorded::Older(cursor) => {
            let cursors = files.keys().map(|&of| (of, cursor)).collect();
            (SyncState::default(), cursors)
        }
        Recorded::Current(state) => {
            let types = state.types.iter();
            let cursors = types.map(|(&of, recorded)| (of, recorded.cursor)).collect();
            (state, cursors)
        }
    };
    Ok(MirrorStatus {
        hub_id: state.hub_id.clone(),
        cursors,
        files,
        lock,
        state,
    })
}
