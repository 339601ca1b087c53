//! The state that a state file stands for: as it is, upgraded from an older one, or made again
//! from the mirror when it was lost.

use ctx_config::paths::MirrorDir;
use ctx_io::ReadError;
use fs_err::File;

use super::error::{MirrorFault, SyncError, damaged};
use super::mirror::{self, Survey};
use super::report::SyncWarning;
use super::state::{self, Recorded, STATE_MAX_BYTES, StateError, SyncState, TypeState};
use super::torn;
use crate::types::{EntryType, Sequence};

/// A state and how it was come by.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) state: SyncState,
    /// The file on disk says the same. While it does not, nothing may be appended.
    pub(super) recorded: bool,
    pub(super) warnings: Vec<SyncWarning>,
}

impl Loaded {
    /// Whether an entry was changed by hand.
    pub(super) fn has_edits(&self) -> bool {
        let edited = |warning: &SyncWarning| matches!(warning, SyncWarning::Edited { .. });
        self.warnings.iter().any(edited)
    }
}

/// What the state file of `dir` says, without looking at anything else.
pub(super) fn read_file(dir: &MirrorDir) -> Result<Recorded, SyncError> {
    let path = dir.state();
    let fail = |source| SyncError::State {
        path: path.clone(),
        source,
    };
    match ctx_io::read_optional_limited(&path, STATE_MAX_BYTES) {
        Ok(Some(bytes)) => state::read(&bytes).map_err(fail),
        Ok(None) => Ok(Recorded::Nothing),
        Err(ReadError::TooLarge { .. }) => Err(fail(StateError::TooLong)),
        Err(error) => Err(error.into()),
    }
}

/// Loads the state of the mirror in `dir`.
pub(super) fn load(dir: &MirrorDir) -> Result<Loaded, SyncError> {
    match read_file(dir)? {
        Recorded::Current(state) => Ok(Loaded {
            state,
            recorded: true,
            warnings: Vec::new(),
        }),
        Recorded::Older(cursor) => upgrade(dir, cursor),
        Recorded::Nothing => from_mirror(dir),
    }
}

/// One cursor for all types: it holds for those that have a file; a type without one may never
/// have been asked for, so it begins at the first entry.
fn upgrade(dir: &MirrorDir, cursor: Sequence) -> Result<Loaded, SyncError> {
    let mut state = SyncState::default();
    for entry_type in EntryType::ALL {
        let path = dir.path().join(entry_type.mirror_file());
        if let Some(facts) = mirror::look(&path)?.filter(|facts| facts.length > 0) {
            let of_type = TypeState {
                cursor,
                length: facts.length,
                modified_ns: None,
            };
            state.types.insert(entry_type, of_type);
        }
    }
    Ok(Loaded {
        state,
        ..Loaded::default()
    })
}

/// Every entry in a mirror file carries its sequence, which is enough to go on from.
pub(super) fn from_mirror(dir: &MirrorDir) -> Result<Loaded, SyncError> {
    let mut loaded = Loaded::default();
    for entry_type in EntryType::ALL {
        let path = dir.path().join(entry_type.mirror_file());
        let Some(facts) = mirror::look(&path)?.filter(|facts| facts.length > 0) else {
            continue;
        };
        let found = mirror::survey(File::open(&path)?, entry_type)?;
        if !is_complete(&found) {
            return Err(damaged(path, MirrorFault::Unrecorded));
        }
        let Survey {
            last,
            length,
            edited,
            ..
        } = found;
        if !edited.is_empty() {
            loaded.warnings.push(SyncWarning::Edited {
                path,
                sequences: edited,
            });
        }
        let of_type = TypeState {
            cursor: last,
            length,
            modified_ns: facts.modified_ns,
        };
        loaded.state.types.insert(entry_type, of_type);
    }
    if !loaded.state.types.is_empty() {
        loaded
            .warnings
            .push(SyncWarning::Recovered { path: dir.state() });
    }
    Ok(loaded)
}

/// Whether a file holds rising entries with comments, and behind them at most a torn one.
fn is_complete(survey: &Survey) -> bool {
    let Survey {
        last,
        older,
        foreign,
        disorder,
        ref rest,
        ..
    } = *survey;
    let torn = rest
        .iter()
        .position(|&byte| byte == 0)
        .map_or(rest.as_slice(), |nul| rest.get(..nul).unwrap_or_default());
    !older && !foreign && !disorder && torn::is_beginning(torn, last)
}
