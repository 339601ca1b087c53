//! What to do next about an error of the operating system.

use std::io;

/// The next step for an I/O error, where there is one to offer.
pub(crate) fn for_io(error: &io::Error) -> Option<String> {
    let text = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space on that disk, then run it again"
        }
        io::ErrorKind::FileTooLarge => "raise the limit on file sizes (ulimit -f)",
        io::ErrorKind::PermissionDenied => {
            "check who owns the file and its directory, and their modes"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is mounted read-only: remount it for writing"
        }
        io::ErrorKind::NotFound => "a directory above it does not exist: create it first",
        _ => return None,
    };
    Some(text.to_owned())
}
