//! Who is calling: the one place where credentials are checked.
//!
//! Nothing here compares tokens themselves: only their SHA-256 hashes, and those in constant time
//! or through the store's index of hashes, where the time it takes says nothing about a token.

use ctx_config::wire::{AUTHORIZATION, BEARER_PREFIX};
use http::HeaderMap;
use subtle::ConstantTimeEq as _;
use tonic::Status;

use super::status;
use crate::secret::TokenHash;
use crate::store::{Client, Store};

/// What the hub keeps of its admin token.
#[derive(Debug)]
pub(super) struct AdminKey(TokenHash);

impl AdminKey {
    pub(super) fn new(hash: TokenHash) -> Self {
        Self(hash)
    }

    /// Checks the admin token that came in a message.
    pub(super) fn check_message(&self, presented: &str) -> Result<(), Status> {
        if self.matches(presented) {
            Ok(())
        } else {
            Err(Status::permission_denied(status::INVALID_ADMIN_TOKEN))
        }
    }

    /// Checks the admin token that came as credentials.
    pub(super) fn check_bearer(&self, headers: &HeaderMap) -> Result<(), Status> {
        match bearer(headers) {
            Some(presented) if self.matches(presented) => Ok(()),
            _ => Err(status::unauthenticated()),
        }
    }

    fn matches(&self, presented: &str) -> bool {
        TokenHash::of(presented)
            .as_bytes()
            .ct_eq(self.0.as_bytes())
            .into()
    }
}

/// A client that has proved itself, and what it proved itself with.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) client: Client,
    token: TokenHash,
}

/// The live client whose token came as credentials.
pub(super) async fn caller(store: &dyn Store, headers: &HeaderMap) -> Result<Caller, Status> {
    let presented = bearer(headers).ok_or_else(status::unauthenticated)?;
    let token = TokenHash::of(presented);
    let client = live(store, token.clone()).await?;
    Ok(Caller { client, token })
}

/// Checks that the caller's token has not been ended since.
pub(super) async fn check_again(store: &dyn Store, caller: &Caller) -> Result<(), Status> {
    live(store, caller.token.clone()).await.map(drop)
}

async fn live(store: &dyn Store, token: TokenHash) -> Result<Client, Status> {
    let found = store.authenticate(token).await.map_err(status::of_store)?;
    found.ok_or_else(status::unauthenticated)
}

/// What is presented as credentials, as far as it may be remembered.
pub(super) fn presented(headers: &HeaderMap) -> Option<TokenHash> {
    bearer(headers).map(TokenHash::of)
}

/// The token of the one `authorization: Bearer …` header. Two headers are none: which of them is
/// meant would be a guess.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()?.strip_prefix(BEARER_PREFIX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::secret::AdminToken;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_bearer_token_is_read_from_exactly_one_header_with_the_exact_prefix() {
        assert_eq!(bearer(&headers(&["Bearer t"])), Some("t"));
        for wrong in [&[][..], &["t"], &["bearer t"], &["Basic t"], &["Bearer"]] {
            assert_eq!(bearer(&headers(wrong)), None, "{wrong:?}");
        }
        assert_eq!(bearer(&headers(&["Bearer t", "Bearer t"])), None);
    }

    #[test]
    fn only_the_hub_s_own_admin_token_passes() {
        let token = AdminToken::random().unwrap();
        let key = AdminKey::new(token.hash());
        assert!(key.check_message(token.expose()).is_ok());
        let longer = format!("{}0", token.expose());
        let shorter = &token.expose()[..71];
        let other = AdminToken::random().unwrap();
        for wrong in ["", "ctx_adm_", &longer, shorter, other.expose()] {
            let status = key.check_message(wrong).unwrap_err();
            assert_eq!(status.code(), tonic::Code::PermissionDenied);
            assert_eq!(status.message(), "invalid admin token");
        }
    }
}
