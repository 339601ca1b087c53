//! Why a round could not go on.

use std::io;

/// A round that ended before it could be judged; always a failure of that round.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Something did not end, or did not come, within the bound of every wait.
    #[error("wedged: {0}")]
    Wedged(String),
    /// A process answered what it never should.
    #[error("{0}")]
    Broken(String),
    /// This machine does not permit what the scenario does; no fault of the program.
    #[error("not possible here: {0}")]
    Impossible(String),
    /// A file of the round could not be read or written; the source names it.
    #[error("a file of the round")]
    Io(#[from] io::Error),
}

impl Trouble {
    /// The trouble and its cause on one line.
    pub(crate) fn explain(&self) -> String {
        match self {
            Self::Io(cause) => format!("{self}: {cause}"),
            other => other.to_string(),
        }
    }
}
