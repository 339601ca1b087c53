//! How much room a disk has.

use std::io;

use camino::Utf8Path;

/// How many bytes this user may still write to the file system that holds `path`.
///
/// # Errors
/// There is nothing at `path`, or the system does not say.
pub fn free_bytes(path: &Utf8Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path.as_std_path())?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_room_and_what_is_not_there_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(temp.path()).unwrap();
        assert!(free_bytes(path).unwrap() > 0);
        let error = free_bytes(&path.join("gone")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
