//! Flushing what was written to the disk.

use std::fs::File;
use std::io;

use camino::Utf8Path;

use crate::failpoint;

/// Flushes the content of `file`, which is or will be at `path`, and what is needed to read it.
pub(crate) fn data(file: &File, path: &Utf8Path) -> io::Result<()> {
    about_to(path)?;
    file.sync_data()
}

/// The same, and all that the file system knows of the file.
pub(crate) fn all(file: &File, path: &Utf8Path) -> io::Result<()> {
    about_to(path)?;
    file.sync_all()
}

fn about_to(path: &Utf8Path) -> io::Result<()> {
    failpoint::reach_at("fsync.file", path)
}
