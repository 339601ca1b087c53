//! `[tokens]`: how long what clients prove themselves with is worth something.

use std::time::Duration;

use ctx_config::limits;
use serde::{Deserialize, Serialize};

use super::{HumanDuration, Invalid, Section};

/// How long what clients prove themselves with is worth something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Tokens {
    /// How long a token lives that is issued from now on; `None`: until its client is revoked. What
    /// was issued before stays as it is.
    pub ttl: Option<HumanDuration>,
    /// How long a token that was replaced goes on.
    pub overlap: HumanDuration,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            ttl: None,
            overlap: HumanDuration::new(limits::TOKEN_OVERLAP),
        }
    }
}

impl Section for Tokens {
    fn validate(&self) -> Result<(), Invalid> {
        match self.ttl {
            Some(ttl) if ttl.get() < Duration::from_secs(1) => Err(Invalid::new(
                "ttl",
                "has to be at least a second, as \"90d\"",
            )),
            _ => Ok(()),
        }
    }
}
