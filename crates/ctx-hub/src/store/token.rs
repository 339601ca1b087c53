//! What a store knows of tokens, and of who shows them.

use super::Client;
use crate::secret::TokenHash;
use crate::types::ClientId;

/// A token that is to be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its hash.
    pub hash: TokenHash,
    /// When it expires, in Unix seconds; `None` when it does not.
    pub expires_at: Option<i64>,
}

impl From<TokenHash> for NewToken {
    /// A token that does not expire.
    fn from(hash: TokenHash) -> Self {
        Self {
            hash,
            expires_at: None,
        }
    }
}

/// A client that has shown a token which lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Who it is.
    pub client: Client,
    /// When the token that it showed expires, in Unix seconds; `None` when it does not.
    pub expires_at: Option<i64>,
}

/// A token that took the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Whose tokens they are.
    pub client: Client,
    /// When the new one expires, in Unix seconds; `None` when it does not.
    pub expires_at: Option<i64>,
    /// When the one before it ends, in Unix seconds; `None` when there is none any more.
    pub previous_ends_at: Option<i64>,
}

/// A client, and what is known of it beside who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedClient {
    /// Who it is.
    pub client: Client,
    /// Entries of its project.
    pub entries: u64,
    /// When its newest token was issued, in Unix seconds; 0 when unknown.
    pub issued_at: i64,
    /// When its newest token expires, in Unix seconds; `None` when it does not.
    pub expires_at: Option<i64>,
    /// When it last called, in Unix seconds; `None` when it never did, as far as was noted.
    pub last_seen_at: Option<i64>,
    /// From where; `None` when that is not known.
    pub last_address: Option<String>,
}

/// A client that has called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Who it is.
    pub client: ClientId,
    /// When it called, in Unix seconds.
    pub at: i64,
    /// From where; `None` leaves what was noted before.
    pub address: Option<String>,
}

/// Why a token is not put in place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// The token that was shown does not live.
    #[error("the token has ended")]
    Ended,
    /// Another token has taken its place already.
    #[error("the token has been replaced by another one")]
    Replaced,
    /// The new token is known already, as something else than its successor.
    #[error("the new token is in use")]
    Taken,
    /// Too many tokens of the client live at this moment.
    #[error("too many tokens of the client live")]
    TooMany,
}
