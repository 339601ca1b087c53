//! Backups of a hub's data directory, with the hub running or not, and what is made of them again.
//!
//! [`back_up`] makes a directory that appears whole or not at all: the store as it was at one moment,
//! what remembers how far it had got, the settings if there are any, and a [`Manifest`] that says
//! what it is and how to tell that it is whole. It was looked through before it appears.
//! [`restore`] makes a data directory of it.
//!
//! A backup never holds the admin token: the store knows it by its hash. Nor does it hold keys of
//! certificates, unless that is asked for.

mod error;
mod files;
mod manifest;
mod restore;

pub use error::{BackupError, ManifestFault};
pub use manifest::{FileRecord, Manifest};
pub use restore::restore;

use camino::Utf8Path;
use ctx_config::paths::{self, DataDir};
use ctx_io::StagedDir;
use ctx_io::atomic::{self, Mode};

use super::sqlite::{copy, verify};
use super::verify::StoreProgress;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupProgress {
    /// The store is copied.
    Copying {
        /// Bytes by now.
        done: u64,
        /// Bytes in all.
        of: u64,
    },
    /// The copy is looked through.
    Checking(StoreProgress),
}

/// Makes a backup of the data directory `dir` at `to`, and answers what it holds.
///
/// Blocks for as long as copying the store and reading the copy take; memory does not grow with the
/// log. Works beside a hub, from another process too: publishers go on, and the hub's write-ahead log
/// grows until the store is copied. Nothing in `dir` is created or changed.
///
/// `to` must not exist or be an empty directory, and its parent has to exist; it gets mode 0700, and
/// what is in it 0600. Whatever ends this, also a kill, nothing stands at `to` that is not whole.
///
/// # Errors
/// [`BackupError::NoHub`] when `dir` has no store, [`BackupError::Inside`] when `to` lies in it,
/// [`BackupError::Unsound`] when there is something wrong with the copy, and so with the store;
/// [`BackupError::Place`] when `to` is taken; others when the system refuses or there is no room.
pub fn back_up(
    dir: &DataDir,
    to: &Utf8Path,
    on_progress: &mut dyn FnMut(BackupProgress),
) -> Result<Manifest, BackupError> {
    if !dir.store().exists() {
        let data_dir = dir.path().to_owned();
        return Err(BackupError::NoHub { data_dir });
    }
    refuse_inside(dir, to)?;
    let staged = StagedDir::create(to, paths::PRIVATE_DIR_MODE)?;
    let copy = DataDir::new(staged.path());
    let copied = copy::copy(dir, &copy, &mut |done, of| {
        on_progress(BackupProgress::Copying { done, of });
    })?;
    let report = verify::verify_alone(&copy, &mut |progress| {
        on_progress(BackupProgress::Checking(progress));
    })?;
    if !report.is_clean() {
        return Err(BackupError::unsound(dir.path(), report));
    }
    let mut records = Vec::new();
    for path in [copy.store(), copy.marks()] {
        records.extend(files::record(&path)?);
    }
    // Often put in place by a link, and nothing that a link could give away.
    if let Ok(settings) = dir.settings().canonicalize_utf8() {
        records.push(files::copy(&settings, &copy.settings())?);
    }
    let manifest = Manifest::of(&copied, &report, records);
    let path = staged.path().join(paths::BACKUP_MANIFEST_FILE);
    let mode = Mode::Exactly(paths::PRIVATE_FILE_MODE);
    atomic::write(&path, &manifest.to_json(), mode)?;
    staged.place()?;
    Ok(manifest)
}

/// Refuses to put a backup into what is backed up: whoever loses the one loses the other.
fn refuse_inside(dir: &DataDir, to: &Utf8Path) -> Result<(), BackupError> {
    let real = |path: &Utf8Path| path.canonicalize_utf8().ok();
    let parent = to.parent().filter(|parent| !parent.as_str().is_empty());
    let (Some(data), Some(parent)) = (
        real(dir.path()),
        real(parent.unwrap_or_else(|| Utf8Path::new("."))),
    ) else {
        return Ok(());
    };
    if parent.starts_with(&data) {
        return Err(BackupError::Inside {
            path: to.to_owned(),
            data_dir: dir.path().to_owned(),
        });
    }
    Ok(())
}
