//! A full sync: the new mirror is built beside the old one and then takes its place. Every step of
//! the swap may be repeated, so whoever holds the lock next can finish it.

use std::io::{BufReader, ErrorKind};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{self, MirrorDir};
use ctx_io::{atomic, failpoint, refuse_symlink, sync_parent};
use fs_err::File;
use jiff::Timestamp;

use super::error::SyncError;
use super::mirror::{self, LAST_BYTES};
use super::recover;
use super::segments::Segments;
use super::state::{Recorded, StateError, SyncState};
use super::torn;
use crate::types::{EntryType, TypeSet};

/// The types that have a mirror file in `home`.
pub(super) fn files(home: &MirrorDir) -> Result<TypeSet, SyncError> {
    let look = |of: EntryType| mirror::look(&home.path().join(of.mirror_file()));
    let present = EntryType::ALL.into_iter().filter_map(|of| match look(of) {
        Ok(facts) => facts.map(|_| Ok(of)),
        Err(error) => Some(Err(error)),
    });
    present.collect()
}

/// Replaces the state file of `dir`, durably.
pub(super) fn write_state(dir: &MirrorDir, state: &SyncState) -> Result<(), SyncError> {
    let path = dir.state();
    let bytes = state.to_json().map_err(|error| SyncError::State {
        path: path.clone(),
        source: error.into(),
    })?;
    let mode = atomic::Mode::Keep {
        otherwise: paths::SHARED_FILE_MODE,
    };
    Ok(atomic::write(&path, &bytes, mode)?)
}

/// Finishes a full sync that was interrupted when it was complete, and says what it set aside;
/// sweeps one that was not.
pub(super) fn settle(home: &MirrorDir) -> Result<Option<Vec<Utf8PathBuf>>, SyncError> {
    let dir = home.rebuild();
    refuse_symlink(dir.path())?;
    match fs_err::symlink_metadata(dir.path()) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    match recover::read_file(&dir) {
        Ok(Recorded::Current(state)) if state.complete => swap(home, state).map(Some),
        Err(
            error @ SyncError::State {
                source: StateError::Newer { .. },
                ..
            },
        ) => Err(error),
        Ok(_) | Err(SyncError::State { .. }) => {
            fs_err::remove_dir_all(dir.path())?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Puts the complete mirror of the rebuild folder, described by `state`, in the place of the one in
/// `home`; answers the old files that were kept because they hold something else.
pub(super) fn swap(home: &MirrorDir, state: SyncState) -> Result<Vec<Utf8PathBuf>, SyncError> {
    let dir = home.rebuild();
    let mut set_aside = Vec::new();
    for (entry_type, of_type) in &state.types {
        let old = home.path().join(entry_type.mirror_file());
        let new = dir.path().join(entry_type.mirror_file());
        let has_new = mirror::look(&new)?.is_some();
        let has_old = mirror::look(&old)?.is_some_and(|facts| facts.length > 0);
        let keep = match (has_old, has_new) {
            (false, _) => false,
            (true, true) => !is_covered(&old, &new)?,
            // Either there is nothing to replace it, or its successor has taken its place already.
            (true, false) => of_type.length == 0,
        };
        if keep {
            set_aside.push(move_aside(&old)?);
            failpoint::reach_at("rebuild.set-aside", &old)?;
        }
        if has_new {
            fs_err::rename(&new, &old)?;
            failpoint::reach_at("rebuild.moved", &old)?;
        }
    }
    // The renames are durable before the state that relies on them is written.
    sync_parent(&home.state())?;
    failpoint::reach("rebuild.durable")?;
    write_state(
        home,
        &SyncState {
            complete: false,
            ..state
        },
    )?;
    failpoint::reach("rebuild.committed")?;
    fs_err::remove_dir_all(dir.path())?;
    failpoint::reach("rebuild.swept")?;
    Ok(set_aside)
}

/// Whether every piece of `old` is also in `new`, in that order; of a torn append at the end of
/// `old` it is enough that a piece of `new` begins so.
fn is_covered(old: &Utf8Path, new: &Utf8Path) -> Result<bool, SyncError> {
    let mut old = Segments::new(BufReader::new(File::open(old)?));
    let mut new = Segments::new(BufReader::new(File::open(new)?));
    let mut next = old.next()?;
    while let Some(piece) = next {
        next = old.next()?;
        let is_torn = next.is_none() && !piece.ends_with(LAST_BYTES);
        let written = torn::written(&piece);
        if is_torn && written.is_empty() {
            break;
        }
        loop {
            match new.next()? {
                Some(other) if other == piece || (is_torn && other.starts_with(written)) => break,
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }
    Ok(true)
}

/// Moves `path` to a free name beside it.
pub(super) fn move_aside(path: &Utf8Path) -> Result<Utf8PathBuf, SyncError> {
    let free = aside(path);
    fs_err::rename(path, &free)?;
    Ok(free)
}

/// A free name beside `path` for what is kept of it.
pub(super) fn aside(path: &Utf8Path) -> Utf8PathBuf {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let base = format!("{path}{}{now}", paths::SET_ASIDE_MARK);
    let mut free = Utf8PathBuf::from(&base);
    let mut number = 2;
    while fs_err::symlink_metadata(&free).is_ok() {
        free = Utf8PathBuf::from(format!("{base}-{number}"));
        number += 1;
    }
    free
}

#[cfg(test)]
mod tests;
