//! Making directory entries durable.

use std::fs::File;
use std::io;

use camino::Utf8Path;
use rustix::io::Errno;

use crate::failpoint;

/// The directory that holds `path` (`.` for a bare name).
pub(crate) fn parent(path: &Utf8Path) -> &Utf8Path {
    match path.parent() {
        Some(parent) if !parent.as_str().is_empty() => parent,
        _ => Utf8Path::new("."),
    }
}

/// Flushes the directory that holds `path`, so that a name created or replaced in it survives a
/// power cut. File systems that cannot flush a directory say EINVAL or ENOTSUP; there is nothing
/// more to do on them.
pub(crate) fn sync_parent(path: &Utf8Path) -> io::Result<()> {
    flush(parent(path), path)
}

/// Flushes the directory at `path` itself, with the names that are in it.
pub(crate) fn sync(path: &Utf8Path) -> io::Result<()> {
    flush(path, path)
}

/// Flushes `directory`, for the sake of `path`.
fn flush(directory: &Utf8Path, path: &Utf8Path) -> io::Result<()> {
    let flush = || {
        failpoint::reach_at("fsync.dir", path)?;
        File::open(directory)?.sync_all()
    };
    match flush() {
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::INVAL | Errno::OPNOTSUPP)
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
