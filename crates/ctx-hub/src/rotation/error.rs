//! Why a token was not replaced.

use std::io;

use crate::client::ClientError;
use crate::connection::ConnectionError;

/// A token that was not replaced. The connection file holds the tokens that may work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The connection file cannot be used, or another process holds its lock.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The hub cannot be reached, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// A step that was made to fail.
    #[error("the token could not be replaced")]
    Step(#[source] io::Error),
    /// The program ends.
    #[error("the program is about to end")]
    Interrupted,
}

impl RotationError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connection(error) => error.hint(),
            Self::Client(error) => error.hint(),
            Self::Random(_) | Self::Step(_) | Self::Interrupted => None,
        }
    }
}
