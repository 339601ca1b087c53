//! Who is calling: the one place where credentials are checked.
//!
//! Nothing here compares tokens themselves: only their SHA-256 hashes, and those in constant time
//! or through the store's index of hashes, where the time it takes says nothing about a token.

use std::net::IpAddr;
use std::time::Instant;

use ctx_config::limits;
use ctx_config::wire::{AUTHORIZATION, BEARER_PREFIX};
use http::HeaderMap;
use subtle::ConstantTimeEq as _;
use tonic::Status;

use super::line::Line;
use super::peer::Peer;
use super::status;
use crate::secret::TokenHash;
use crate::store::{Authenticated, Client, Store};

/// Whether an admin token is accepted. Its hash is asked of the store each time: the store alone
/// knows which one counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdminKey {
    is_accepted: bool,
}

impl AdminKey {
    pub(super) fn new(is_accepted: bool) -> Self {
        Self { is_accepted }
    }

    /// Whether any is accepted.
    pub(super) fn is_accepted(self) -> bool {
        self.is_accepted
    }

    /// Checks the admin token that came in a message.
    pub(super) async fn check_message(
        self,
        store: &dyn Store,
        presented: &str,
    ) -> Result<(), Status> {
        if self.matches(store, presented).await? {
            Ok(())
        } else {
            Err(Status::permission_denied(status::INVALID_ADMIN_TOKEN))
        }
    }

    /// Checks the admin token that came as credentials.
    pub(super) async fn check_bearer(
        self,
        store: &dyn Store,
        headers: &HeaderMap,
    ) -> Result<(), Status> {
        match bearer(headers) {
            Some(presented) if self.matches(store, presented).await? => Ok(()),
            _ => Err(status::unauthenticated()),
        }
    }

    async fn matches(self, store: &dyn Store, presented: &str) -> Result<bool, Status> {
        if !self.is_accepted {
            return Ok(false);
        }
        let Some(kept) = store.admin().await.map_err(status::of_store)? else {
            return Ok(false);
        };
        let presented = TokenHash::of(presented);
        Ok(presented.as_bytes().ct_eq(kept.hash.as_bytes()).into())
    }
}

/// A client that has proved itself, what it proved itself with, and over which connection.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) client: Client,
    pub(super) token: TokenHash,
    pub(super) address: Option<IpAddr>,
    pub(super) connection: Line,
    /// When it proved itself.
    since: Instant,
}

impl Caller {
    pub(super) fn new(
        client: Client,
        token: TokenHash,
        address: Option<IpAddr>,
        connection: Line,
    ) -> Self {
        Self {
            client,
            token,
            address,
            connection,
            since: Instant::now(),
        }
    }

    /// Checks that the caller's token still lives; answers when it expires.
    pub(super) async fn check_again(&self, store: &dyn Store) -> Result<Option<i64>, Status> {
        Ok(live(store, self.token.clone()).await?.expires_at)
    }

    /// The same, if its message took long: a token must not go on for as long as somebody takes to
    /// send what was begun with it.
    pub(super) async fn check_if_slow(&self, store: &dyn Store) -> Result<(), Status> {
        if self.since.elapsed() < limits::TOKEN_LOOK {
            return Ok(());
        }
        self.check_again(store).await.map(drop)
    }
}

/// The client whose token came as credentials, and lives.
pub(super) async fn caller(
    store: &dyn Store,
    headers: &HeaderMap,
    peer: Option<&Peer>,
) -> Result<Caller, Status> {
    let presented = bearer(headers).ok_or_else(status::unauthenticated)?;
    let token = TokenHash::of(presented);
    let shown = live(store, token.clone()).await?;
    let address = peer.and_then(|peer| peer.client_address(headers));
    let connection = peer.map(|peer| peer.line().clone()).unwrap_or_default();
    Ok(Caller::new(shown.client, token, address, connection))
}

async fn live(store: &dyn Store, token: TokenHash) -> Result<Authenticated, Status> {
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

    use ctx_config::paths::DataDir;

    use super::*;
    use crate::secret::AdminToken;
    use crate::store::SqliteStore;

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

    #[tokio::test]
    async fn only_the_admin_token_whose_hash_is_kept_passes_and_none_when_none_is_accepted() {
        let temp = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(temp.path()).unwrap();
        let (store, _) = SqliteStore::open(&DataDir::new(path)).unwrap();
        let (token, other) = (AdminToken::random().unwrap(), AdminToken::random().unwrap());
        let (on, off) = (AdminKey::new(true), AdminKey::new(false));
        let refused = on.check_message(&store, token.expose()).await;
        assert!(refused.is_err(), "none is kept yet");

        store.set_admin(token.hash()).await.unwrap();
        on.check_message(&store, token.expose()).await.unwrap();
        let longer = format!("{}0", token.expose());
        let shorter = &token.expose()[..71];
        for wrong in ["", "ctx_adm_", &longer, shorter, other.expose()] {
            let status = on.check_message(&store, wrong).await.unwrap_err();
            assert_eq!(status.code(), tonic::Code::PermissionDenied);
            assert_eq!(status.message(), "invalid admin token");
        }
        let status = off.check_message(&store, token.expose()).await.unwrap_err();
        assert_eq!(status.message(), "invalid admin token");

        store.set_admin(other.hash()).await.unwrap();
        on.check_message(&store, other.expose()).await.unwrap();
        on.check_message(&store, token.expose()).await.unwrap_err();
    }
}
