//! Why a lock was not taken, kept or removed.

use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::record::{LockRecord, Why};
use crate::hint;
use crate::open::FileKind;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockStep {
    /// Looking at what the path names.
    Inspect,
    /// Creating the file under a temporary name.
    Create,
    /// Opening the file that is there.
    Open,
    /// Asking the operating system for its lock.
    Lock,
    /// Reading the owner record.
    Read,
    /// Writing the owner record.
    Write,
    /// Flushing the owner record to the disk.
    Sync,
    /// Moving the file into place.
    Publish,
    /// Removing the file.
    Remove,
}

impl std::fmt::Display for LockStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LockStep::Inspect => "look at the lock",
            LockStep::Create => "create the lock",
            LockStep::Open => "open the lock",
            LockStep::Lock => "ask the system for its lock on",
            LockStep::Read => "read the owner of the lock",
            LockStep::Write => "write the owner of the lock",
            LockStep::Sync => "flush the lock",
            LockStep::Publish => "put in place the lock",
            LockStep::Remove => "remove the lock",
        })
    }
}

/// Why a lock was not taken, kept or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// It is held, and its holder is known.
    #[error(
        "{path} is held by `{}`, process {} of {} on {}, {}{}{}",
        record.command, record.pid, record.user, record.host, how_long(*age),
        in_phase(record), after(*waited)
    )]
    Held {
        /// The lock.
        path: Utf8PathBuf,
        /// The holder.
        record: Box<LockRecord>,
        /// For how long it has been held; `None` when clocks disagree.
        age: Option<Duration>,
        /// For how long this contender waited.
        waited: Duration,
    },
    /// It is held by its existence: whether its holder still runs cannot be told.
    #[error("{path} exists, {}, and {why}{}", how_long(*age), after(*waited))]
    HeldByExistence {
        /// The lock.
        path: Utf8PathBuf,
        /// What to call it when telling to remove it.
        id: String,
        /// For how long it has been there; `None` when clocks disagree.
        age: Option<Duration>,
        /// Why nothing more is known.
        why: Why,
        /// For how long this contender waited.
        waited: Duration,
    },
    /// Something other than a regular file is at the path.
    #[error("{path} is {found}, not a lock file")]
    NotAFile {
        /// The path.
        path: Utf8PathBuf,
        /// What is there.
        found: FileKind,
    },
    /// Told to remove one lock, found another.
    #[error("{path} is the lock {found}, not {wanted}")]
    OtherId {
        /// The path.
        path: Utf8PathBuf,
        /// The id of the lock that is there.
        found: String,
        /// The id that was given.
        wanted: String,
    },
    /// The lock that was held is no longer at its path: someone removed or replaced it.
    #[error("{path} is no longer the lock that was taken")]
    Lost {
        /// The path.
        path: Utf8PathBuf,
    },
    /// A step failed.
    #[error("cannot {step} {path}")]
    Io {
        /// The lock.
        path: Utf8PathBuf,
        /// What was being done.
        step: LockStep,
        /// What the system said.
        source: io::Error,
    },
}

impl LockError {
    pub(super) fn at(
        path: &Utf8Path,
        step: LockStep,
    ) -> impl FnOnce(io::Error) -> LockError + use<> {
        let path = path.to_owned();
        move |source| LockError::Io { path, step, source }
    }

    /// The kind of the error: `AlreadyExists` when the lock is held, by whatever means.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            LockError::Held { .. } | LockError::HeldByExistence { .. } => {
                io::ErrorKind::AlreadyExists
            }
            LockError::NotAFile { .. } | LockError::OtherId { .. } => io::ErrorKind::InvalidInput,
            LockError::Lost { .. } => io::ErrorKind::Other,
            LockError::Io { source, .. } => source.kind(),
        }
    }

    /// What to do next, in words that suit every program; one with a command for it says so
    /// itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            LockError::Held { record, .. } => Some(format!(
                "wait for it, or end process {} on {}",
                record.pid, record.host
            )),
            LockError::HeldByExistence { id, .. } => Some(format!(
                "make sure that nothing uses it any more, then remove it by its id {id}"
            )),
            LockError::NotAFile { .. } => Some("move it away, then run it again".to_owned()),
            LockError::OtherId { .. } => {
                Some("the lock changed hands: look at it again".to_owned())
            }
            LockError::Lost { .. } => Some(
                "two may have run at the same time: check what they wrote, then run it again"
                    .to_owned(),
            ),
            LockError::Io { source, .. } => hint::for_io(source),
        }
    }
}

impl From<LockError> for io::Error {
    fn from(error: LockError) -> io::Error {
        io::Error::new(error.io_kind(), error)
    }
}

fn in_phase(record: &LockRecord) -> String {
    if record.phase.is_empty() {
        String::new()
    } else {
        format!(" ({})", record.phase)
    }
}

fn after(waited: Duration) -> String {
    if waited.is_zero() {
        String::new()
    } else {
        format!(", after waiting {}", spoken(waited))
    }
}

/// The clock of whoever took the lock may be another one, or may have been set since.
fn how_long(age: Option<Duration>) -> String {
    match age {
        Some(age) => format!("for {}", spoken(age)),
        None => "since a time that cannot be (clocks differ)".to_owned(),
    }
}

/// A duration in its two largest units.
fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, 0) => "less than a second".to_owned(),
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, _, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spoken_in_their_two_largest_units() {
        let spoken_seconds = |seconds| spoken(Duration::from_secs(seconds));
        assert_eq!(spoken(Duration::from_millis(999)), "less than a second");
        assert_eq!(spoken_seconds(59), "59 s");
        assert_eq!(spoken_seconds(60), "1 min 0 s");
        assert_eq!(spoken_seconds(3_600 + 61), "1 h 1 min");
        assert_eq!(spoken_seconds(2 * 86_400 + 3_599), "2 d 0 h");
    }

    #[test]
    fn an_io_error_keeps_the_kind_and_the_cause() {
        let source = io::Error::new(io::ErrorKind::StorageFull, "no space");
        let error = LockError::at(Utf8Path::new("d/l"), LockStep::Write)(source);
        assert_eq!(error.to_string(), "cannot write the owner of the lock d/l");
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<LockError>())
            .unwrap();
        assert!(inner.hint().is_some_and(|hint| hint.contains("space")));
        assert_eq!(
            std::error::Error::source(inner).unwrap().to_string(),
            "no space"
        );
    }
}
