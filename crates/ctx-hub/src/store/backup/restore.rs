//! A data directory made of a backup.

use camino::Utf8Path;
use ctx_config::paths::{self, DataDir};
use ctx_io::{StagedDir, read_optional_limited};

use super::error::{BackupError, ManifestFault};
use super::manifest::{FileRecord, Manifest};
use super::{BackupProgress, files};
use crate::store::sqlite::verify;

/// Largest manifest that is read, in bytes.
const MANIFEST_MAX_BYTES: u64 = 65_536;

/// The files that a backup may hold. Anything else in a manifest is no name of ours.
const NAMES: [&str; 3] = [
    paths::STORE_FILE,
    paths::STORE_MARKS_FILE,
    paths::HUB_SETTINGS_FILE,
];

/// Makes the data directory `dir` of the backup at `from`, and answers what it holds.
///
/// Every file is compared with the manifest and the store looked through before anything appears.
/// `dir` must not exist or be empty, and its parent has to exist; it appears whole or not at all,
/// with mode 0700, as the property of whoever runs this. Nothing in `from` is changed. Blocks.
///
/// # Errors
/// [`BackupError::Manifest`] and [`BackupError::Altered`]: the backup is not what was made.
/// [`BackupError::Place`] when something is in `dir`, such as a hub. Others when the system refuses.
pub fn restore(
    from: &Utf8Path,
    dir: &DataDir,
    on_progress: &mut dyn FnMut(BackupProgress),
) -> Result<Manifest, BackupError> {
    let manifest = read_manifest(from)?;
    let staged = StagedDir::create(dir.path(), paths::PRIVATE_DIR_MODE)?;
    let new = DataDir::new(staged.path());
    let of = manifest.files.iter().map(|file| file.bytes).sum();
    let mut done = 0;
    for file in &manifest.files {
        on_progress(BackupProgress::Copying { done, of });
        take(from, file, staged.path())?;
        done += file.bytes;
    }
    let report = verify::verify_alone(&new, &mut |progress| {
        on_progress(BackupProgress::Checking(progress));
    })?;
    if !report.is_clean() {
        return Err(BackupError::unsound(from, report));
    }
    if !manifest.speaks_of(&report) {
        return Err(BackupError::Manifest {
            path: from.join(paths::BACKUP_MANIFEST_FILE),
            source: ManifestFault::AnotherStore,
        });
    }
    staged.place()?;
    Ok(manifest)
}

fn read_manifest(from: &Utf8Path) -> Result<Manifest, BackupError> {
    let path = from.join(paths::BACKUP_MANIFEST_FILE);
    let faulty = |source| BackupError::Manifest {
        path: path.clone(),
        source,
    };
    let bytes = read_optional_limited(&path, MANIFEST_MAX_BYTES)?;
    let bytes = bytes.ok_or_else(|| BackupError::NoBackup {
        path: from.to_owned(),
    })?;
    let manifest = Manifest::parse(&bytes).map_err(faulty)?;
    let mut names: Vec<&str> = manifest.files.iter().map(|file| &*file.name).collect();
    if let Some(name) = names.iter().find(|name| !NAMES.contains(name)) {
        let name = (*name).to_owned();
        return Err(faulty(ManifestFault::Name { name }));
    }
    names.sort_unstable();
    names.dedup();
    if names.len() != manifest.files.len() || !names.contains(&paths::STORE_FILE) {
        return Err(faulty(ManifestFault::Files));
    }
    Ok(manifest)
}

/// Copies one file, which has to be what the manifest says.
fn take(from: &Utf8Path, file: &FileRecord, to: &Utf8Path) -> Result<(), BackupError> {
    let path = from.join(&file.name);
    if files::copy(&path, &to.join(&file.name))? == *file {
        return Ok(());
    }
    Err(BackupError::Altered { path })
}
