//! The mark of a lock file: a bit of its mode, by which it is known as ours without a record.
//!
//! A record that is not flushed may be gone after a power cut while the name stays: an empty file,
//! zeros, or half a line. Such a file must not pass for the lock of an older program, which nobody
//! may break. Flushing it costs more than everything else that a lock does, so it carries a mark
//! where the file system keeps its own books: in the mode, from the call that creates it. Name and
//! mode are in one inode and one journal, so whoever finds the name finds the mark.
//!
//! The mark says that whoever made the file has the operating system's lock on it for as long as
//! it lives. So who is granted that lock on a marked file knows that its maker is dead, whatever
//! became of the record. It is the sticky bit: on a regular file it means nothing to Linux, no
//! older program sets it, and no umask takes it away. Where it does not stay on (file systems
//! without modes, systems that keep it for directories), and where there are no locks of the
//! operating system, the record is flushed before the lock is visible.

use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::Utf8Path;

use crate::failpoint;
use crate::temp::TempFile;

const PRIVATE: u32 = 0o600;
const MARK: u32 = 0o1000;

/// A temporary file for `lock`, and whether it has the mark.
pub(super) fn create(lock: &Utf8Path) -> io::Result<(TempFile, bool)> {
    let temp = TempFile::create_as(lock, PRIVATE | MARK)?;
    let stayed = match failpoint::reach_at("lock.marked", lock) {
        // As where the file system has no modes.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => false,
        reached => reached.map(|()| is_on(temp.metadata()))?,
    };
    if stayed && !temp.is_os_locked() {
        // It would say what is not so.
        temp.file()
            .set_permissions(Permissions::from_mode(PRIVATE))?;
    }
    let marked = stayed && temp.is_os_locked();
    Ok((temp, marked))
}

pub(super) fn is_on(metadata: &Metadata) -> bool {
    metadata.mode() & MARK != 0
}

/// How every record begins.
const BEGINNING: &[u8] = b"{\"format\":";

/// Whether `tail`, the end of a file without a readable record, is what a power cut leaves of one:
/// nothing, zeros, or the beginning of a line. What somebody else wrote into a file of ours is not.
pub(super) fn is_remains(tail: &[u8]) -> bool {
    let begun = BEGINNING.iter().zip(tail).all(|(ours, is)| ours == is);
    tail.contains(&0) || begun && !tail.contains(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_of_a_record_is_remains_and_what_others_write_is_not() {
        let holder = crate::Holder {
            command: "test",
            version: "0",
        };
        let record = super::super::LockRecord::new(&holder, true).unwrap();
        let line = record.to_line().unwrap();
        for end in 0..line.len() {
            let torn = &line[..end];
            assert!(is_remains(torn), "{torn:?}");
            assert!(is_remains(&[torn, &[0; 4]].concat()), "{torn:?}");
        }
        assert!(!is_remains(&line));
        for other in [&b"lock"[..], b"lock\n", b"4711", b"4711\n", b"{}", b"\n"] {
            assert!(!is_remains(other), "{other:?}");
        }
    }
}
