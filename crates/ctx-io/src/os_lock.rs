//! The operating system's lock on an open file: the kernel drops it when the process dies.

use std::fs::{File, TryLockError};
use std::io;

use rustix::io::Errno;

use crate::failpoint;

/// The answer of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OsLock {
    /// It is ours until the file is closed.
    Granted,
    /// Someone else has it: another process, or another open of the file in this one.
    Refused,
    /// This file system has no such locks.
    Unsupported,
}

/// Asks for the lock that one alone can have.
pub(crate) fn try_exclusive(file: &File) -> io::Result<OsLock> {
    answer(|| file.try_lock())
}

/// Asks for the lock that many can have, as long as nobody has the exclusive one. For looking:
/// two who look do not take each other for a holder.
pub(crate) fn try_shared(file: &File) -> io::Result<OsLock> {
    answer(|| file.try_lock_shared())
}

fn answer(ask: impl Fn() -> Result<(), TryLockError>) -> io::Result<OsLock> {
    #[cfg(test)]
    if test_seam::unsupported() {
        return Ok(OsLock::Unsupported);
    }
    loop {
        let asked = failpoint::reach("os-lock.try").map_err(TryLockError::Error);
        return match asked.and_then(|()| ask()) {
            Ok(()) => Ok(OsLock::Granted),
            Err(TryLockError::WouldBlock) => Ok(OsLock::Refused),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {
                continue;
            }
            // Of a step that fails on purpose; from the system it comes as the case above.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(OsLock::Refused)
            }
            Err(TryLockError::Error(error)) if is_unsupported(&error) => Ok(OsLock::Unsupported),
            Err(TryLockError::Error(error)) => Err(error),
        };
    }
}

/// ENOLCK is what network file systems say whose lock service is off.
fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || matches!(
            Errno::from_io_error(error),
            Some(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS)
        )
}

/// Lets a unit test run as if its file system had no locks.
#[cfg(test)]
pub(crate) mod test_seam {
    use std::cell::Cell;

    thread_local! {
        static UNSUPPORTED: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn unsupported() -> bool {
        UNSUPPORTED.get()
    }

    /// Runs `body` in a world without OS locks, on this thread only.
    pub(crate) fn without_os_locks<T>(body: impl FnOnce() -> T) -> T {
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                UNSUPPORTED.set(false);
            }
        }
        UNSUPPORTED.set(true);
        let _reset = Reset;
        body()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_mean_no_locks_here_are_told_from_real_ones() {
        for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS] {
            assert!(is_unsupported(&io::Error::from(errno)), "{errno}");
        }
        for errno in [Errno::IO, Errno::BADF, Errno::ACCESS] {
            assert!(!is_unsupported(&io::Error::from(errno)), "{errno}");
        }
    }

    #[test]
    fn two_opens_of_one_file_in_one_process_contend() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let open = || {
            std::fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .read(true)
                .open(&path)
                .unwrap()
        };
        let (a, b, c) = (open(), open(), open());
        assert_eq!(try_shared(&a).unwrap(), OsLock::Granted);
        assert_eq!(try_shared(&b).unwrap(), OsLock::Granted);
        assert_eq!(try_exclusive(&c).unwrap(), OsLock::Refused);
        drop((a, b));
        assert_eq!(try_exclusive(&c).unwrap(), OsLock::Granted);
    }
}
