//! Which tokens live, remembered from one call to the next.
//!
//! Every call shows a token, and to look it up takes a thread that may block: two changes of threads
//! before the call begins. What was found is kept until somebody registers, rotates or revokes; the
//! writer forgets all of it once that is on the disk and before it is answered. So whoever was told
//! of a change can rely on it, as if each call asked the database.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ctx_config::limits;

use crate::secret::TokenHash;
use crate::store::Authenticated;

/// The tokens that are known to live, at most [`limits::KNOWN_TOKENS`] of them.
#[derive(Debug, Default)]
pub(super) struct KnownTokens(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How often everything was forgotten.
    age: u64,
    tokens: HashMap<TokenHash, Authenticated>,
}

/// What is known of a token.
pub(super) enum Look {
    /// It lives.
    Lives(Authenticated),
    /// The database has to be asked; what it says may be kept with this.
    Unknown(Begun),
}

/// When a question to the database was begun: what it finds counts until something is forgotten.
#[derive(Clone, Copy)]
pub(super) struct Begun(u64);

impl KnownTokens {
    /// Looks for `token` at the time `now`, in Unix seconds.
    pub(super) fn look(&self, token: &TokenHash, now: i64) -> Look {
        let known = self.lock();
        let found = known.tokens.get(token);
        let lives = |found: &&Authenticated| found.expires_at.is_none_or(|end| end > now);
        match found.filter(lives) {
            Some(found) => Look::Lives(found.clone()),
            None => Look::Unknown(Begun(known.age)),
        }
    }

    /// Keeps what was found of `token`, unless something has been forgotten since it was `begun`: it
    /// may have been read before the change.
    pub(super) fn learn(&self, begun: Begun, token: TokenHash, found: &Authenticated) {
        let mut known = self.lock();
        if known.age != begun.0 {
            return;
        }
        if known.tokens.len() >= limits::KNOWN_TOKENS {
            known.tokens.clear();
        }
        known.tokens.insert(token, found.clone());
    }

    /// Forgets everything, and what is being read at this moment.
    pub(super) fn forget(&self) {
        let mut known = self.lock();
        known.age += 1;
        known.tokens.clear();
    }

    /// Every change is whole when the lock is released, whoever panics.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClientToken;
    use crate::store::Client;
    use crate::types::ClientId;

    fn found(expires_at: Option<i64>) -> Authenticated {
        Authenticated {
            client: Client {
                id: ClientId::random().unwrap(),
                project: "alpha".parse().unwrap(),
                created_at: 0,
                revoked_at: None,
            },
            expires_at,
        }
    }

    fn begun(tokens: &KnownTokens, token: &TokenHash) -> Begun {
        match tokens.look(token, 0) {
            Look::Unknown(begun) => begun,
            Look::Lives(_) => panic!("it is known"),
        }
    }

    fn lives(tokens: &KnownTokens, token: &TokenHash, now: i64) -> bool {
        matches!(tokens.look(token, now), Look::Lives(_))
    }

    #[test]
    fn a_known_token_lives_until_it_expires_or_is_forgotten() {
        let tokens = KnownTokens::default();
        let token = ClientToken::random().unwrap().hash();
        tokens.learn(begun(&tokens, &token), token.clone(), &found(Some(10)));
        assert!(lives(&tokens, &token, 9));
        assert!(!lives(&tokens, &token, 10));
        tokens.forget();
        assert!(!lives(&tokens, &token, 9));
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let tokens = KnownTokens::default();
        let token = ClientToken::random().unwrap().hash();
        let begun = begun(&tokens, &token);
        tokens.forget();
        tokens.learn(begun, token.clone(), &found(None));
        assert!(!lives(&tokens, &token, 0));
    }

    #[test]
    fn there_is_a_bound_to_what_is_known() {
        let tokens = KnownTokens::default();
        for _ in 0..limits::KNOWN_TOKENS + 10 {
            let token = ClientToken::random().unwrap().hash();
            tokens.learn(begun(&tokens, &token), token.clone(), &found(None));
            assert!(lives(&tokens, &token, 0));
        }
        assert!(tokens.lock().tokens.len() <= limits::KNOWN_TOKENS);
    }
}
