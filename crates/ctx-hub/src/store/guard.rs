//! Who may open what lies in a data directory: one list, for the hub that starts and for whoever
//! looks through the directory.
//!
//! What the hub wrote and others may open is taken from them when the hub starts, with a notice: the
//! next backup tool or `cp` under another umask would otherwise keep the hub from starting, and
//! somebody would mend it in a hurry. A link in place of a file, and what belongs to another user,
//! are refused: their mode says nothing about who can change them.

use std::os::unix::fs::MetadataExt as _;

use camino::Utf8PathBuf;
use ctx_config::paths::DataDir;
use ctx_io::PathError;
use ctx_io::private::{self, Exposure};

use super::notice::Notice;
use super::sqlite;

/// The files of a hub that are its owner's alone. The files of an older hub are left as they are;
/// the directory is closed around them.
fn files(dir: &DataDir) -> Vec<Utf8PathBuf> {
    let mut files = sqlite::files(&dir.store());
    files.extend(sqlite::files(&dir.store_new()));
    files.extend([
        dir.marks(),
        dir.admin_token(),
        dir.lock(),
        dir.pid(),
        dir.log(),
        dir.tls_key(),
        dir.audit(),
    ]);
    files
}

/// Takes the data directory itself from everybody but its owner.
///
/// # Errors
/// [`PathError`]: it is a link, another user's, or the system refuses.
pub fn tighten_directory(dir: &DataDir) -> Result<Option<Notice>, PathError> {
    let path = dir.path();
    let mode = private::tighten(path)?;
    Ok(mode.map(|mode| Notice::Tightened {
        path: path.to_owned(),
        mode,
    }))
}

/// Takes the files of the hub from everybody but their owner.
///
/// # Errors
/// [`PathError`]: one of them is a link, another user's, or the system refuses.
pub fn tighten_files(dir: &DataDir) -> Result<Vec<Notice>, PathError> {
    let mut notices = Vec::new();
    for path in files(dir) {
        if let Some(mode) = private::tighten(&path)? {
            notices.push(Notice::Tightened { path, mode });
        }
    }
    Ok(notices)
}

/// What is wrong with who may open the directory and its files, which should be the directory's
/// owner's. Changes nothing; what cannot be looked at is left out.
pub(super) fn exposures(dir: &DataDir) -> Vec<(Utf8PathBuf, Exposure)> {
    let Ok(directory) = fs_err::metadata(dir.path()) else {
        return Vec::new();
    };
    let owner = directory.uid();
    let mut found = Vec::new();
    // Where the directory was reached through a link, that is somebody's choice.
    if let Ok(Some(exposure)) = private::exposure(dir.path(), owner)
        && exposure != Exposure::Symlink
    {
        found.push((dir.path().to_owned(), exposure));
    }
    for path in files(dir) {
        // What else stands in its place is told by whoever opens it.
        let is_dir = fs_err::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        if let Ok(Some(exposure)) = private::exposure(&path, owner)
            && !is_dir
        {
            found.push((path, exposure));
        }
    }
    found
}
