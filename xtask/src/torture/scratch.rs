//! Files of an episode, written as a fault or a person would: in place, and flushed by nobody.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;

use super::trouble::Trouble;

const PRIVATE: u32 = 0o600;

/// Opens a file for writing, empty; one that is not there is made.
pub(crate) fn create(path: &Utf8Path) -> Result<File, Trouble> {
    let mut options = fs_err::File::options();
    let file = options.write(true).create(true).truncate(true).open(path)?;
    Ok(file.into_parts().0)
}

/// Writes a file in place; a new one is private.
pub(crate) fn put(path: &Utf8Path, content: &[u8]) -> Result<(), Trouble> {
    let is_new = !path.exists();
    create(path)?.write_all(content)?;
    if is_new {
        fs_err::set_permissions(path, Permissions::from_mode(PRIVATE))?;
    }
    Ok(())
}

/// Removes whatever stands there; nothing is fine.
pub(crate) fn remove(path: &Utf8Path) -> Result<(), Trouble> {
    match fs_err::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_dir() => Ok(fs_err::remove_dir_all(path)?),
        Ok(_) => Ok(fs_err::remove_file(path)?),
    }
}

/// Makes `to` hold copies of the files in `from`, and nothing else. Sockets are left out.
pub(crate) fn copy_files(from: &Utf8Path, to: &Utf8Path) -> Result<(), Trouble> {
    remove(to)?;
    fs_err::create_dir(to)?;
    fs_err::set_permissions(to, fs_err::metadata(from)?.permissions())?;
    for found in fs_err::read_dir(from)? {
        let found = found?;
        if found.file_type()?.is_file() {
            let name = found.file_name().to_string_lossy().into_owned();
            fs_err::copy(found.path(), to.join(name))?;
        }
    }
    Ok(())
}
