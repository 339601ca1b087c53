//! The exit codes: the one table, repeated for people in `docs/reference/exit-codes.md`.

use std::process::ExitCode;

use serde::Serialize;

/// How a run of `ctx` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// Everything that was asked for was done.
    Done = 0,
    /// It failed, for a reason that has no code of its own.
    Failed = 1,
    /// Wrong usage: arguments or input that mean nothing here.
    Usage = 2,
    /// Busy: another process holds the lock.
    Busy = 3,
    /// The hub cannot be reached, or did not answer in time.
    Unreachable = 4,
    /// The hub refused the credentials.
    Refused = 5,
    /// Not set up: no context directory, or not registered.
    NotSetUp = 6,
    /// Local data is damaged: state, mirror, connection file or key.
    Damaged = 7,
}

impl Exit {
    const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Busy,
        Self::Unreachable,
        Self::Refused,
        Self::NotSetUp,
        Self::Damaged,
    ];

    /// The number that the process ends with.
    #[allow(
        clippy::as_conversions,
        reason = "the discriminants are the table; a cast is the only way to read them"
    )]
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// What another run of `ctx` ended with; [`Exit::Failed`] for a number that is not ours.
    pub(crate) fn from_code(code: i32) -> Self {
        Self::ALL
            .into_iter()
            .find(|exit| i32::from(exit.code()) == code)
            .unwrap_or(Self::Failed)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
