//! Tokens that expire and are replaced, and who was seen.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ctx_hub::clock::ManualClock;
use ctx_hub::ctx_config::limits;
use ctx_hub::secret::{ClientToken, TokenHash};
use ctx_hub::store::{NewToken, Rotated, Sighting, TokenFault};

use super::super::*;

/// When the clock begins.
const START: i64 = 1_000_000;

/// A store whose time a test moves.
struct Timed {
    fresh: Fresh,
    clock: ManualClock,
    now: AtomicI64,
}

impl Timed {
    async fn new(fresh: Fresh) -> Self {
        let mut timed = Self {
            fresh,
            clock: ManualClock::at(START),
            now: AtomicI64::new(0),
        };
        timed.reopen().await;
        timed
    }

    async fn reopen(&mut self) {
        self.fresh.store.close().await.unwrap();
        self.fresh.store = self.fresh.open_with(self.clock.clone().into());
    }

    /// Moves the time on to so many seconds after the beginning.
    fn at(&self, seconds: i64) {
        let by = seconds - self.now.swap(seconds, Ordering::SeqCst);
        self.clock
            .advance(Duration::from_secs(by.try_into().unwrap()));
    }

    async fn lives(&self, token: &TokenHash) -> bool {
        let found = self.fresh.store.authenticate(token.clone()).await;
        found.unwrap().is_some()
    }

    /// Replaces `old`, which ends after `overlap` seconds.
    async fn rotate(
        &self,
        old: &TokenHash,
        new: NewToken,
        overlap: i64,
    ) -> Result<Rotated, TokenFault> {
        let ends_at = START + self.now.load(Ordering::SeqCst) + overlap;
        let rotated = self.fresh.store.rotate(old.clone(), new, ends_at).await;
        rotated.map_err(|error| match error {
            StoreError::Token(fault) => fault,
            other => panic!("{other:?}"),
        })
    }
}

fn hash() -> TokenHash {
    ClientToken::random().unwrap().hash()
}

/// A token that expires so many seconds after the beginning.
fn until(seconds: i64) -> NewToken {
    NewToken {
        hash: hash(),
        expires_at: Some(START + seconds),
    }
}

pub(in crate::store) async fn a_token_lives_until_its_expiry_and_not_longer(fresh: Fresh) {
    let mut timed = Timed::new(fresh).await;
    let (short, long) = (until(10), hash());
    let store = Arc::clone(&timed.fresh.store);
    let register = |name: &str, token: NewToken| store.register(name.parse().unwrap(), token);
    register("alpha", short.clone()).await.unwrap();
    register("beta", long.clone().into()).await.unwrap();
    drop(store);
    timed.at(9);
    let shown = timed.fresh.store.authenticate(short.hash.clone()).await;
    assert_eq!(shown.unwrap().unwrap().expires_at, short.expires_at);
    timed.at(10);
    for _ in 0..2 {
        assert!(!timed.lives(&short.hash).await, "it has expired");
        timed.reopen().await;
    }
    timed.at(1 << 30);
    assert!(timed.lives(&long).await, "it does not expire");
    // The name stays taken: a name that freed itself could be taken by others.
    let again = timed
        .fresh
        .store
        .register("alpha".parse().unwrap(), hash().into());
    let again = again.await.unwrap_err();
    assert!(
        matches!(again, StoreError::ProjectExists { .. }),
        "{again:?}"
    );
}

pub(in crate::store) async fn a_replaced_token_goes_on_for_the_overlap_and_is_replaced_once(
    fresh: Fresh,
) {
    let mut timed = Timed::new(fresh).await;
    let (old, new) = (hash(), until(1_000));
    let registered = timed
        .fresh
        .store
        .register("alpha".parse().unwrap(), old.clone().into());
    let client = registered.await.unwrap();
    let rotated = timed.rotate(&old, new.clone(), 60).await.unwrap();
    let expected = Rotated {
        client: client.clone(),
        expires_at: new.expires_at,
        previous_ends_at: Some(START + 60),
    };
    assert_eq!(rotated, expected);
    timed.reopen().await;

    // The same again changes nothing, not even later; nor does the new one in place of itself.
    timed.at(30);
    assert_eq!(timed.rotate(&old, new.clone(), 60).await.unwrap(), expected);
    assert_eq!(
        timed.rotate(&new.hash, new.clone(), 60).await.unwrap(),
        expected
    );
    // Whoever has the old one makes no other token of it.
    let other = hash();
    let refused = timed.rotate(&old, other.clone().into(), 60).await;
    assert_eq!(refused.unwrap_err(), TokenFault::Replaced);
    assert!(!timed.lives(&other).await);

    timed.at(59);
    assert!(timed.lives(&old).await && timed.lives(&new.hash).await);
    timed.at(60);
    assert!(!timed.lives(&old).await && timed.lives(&new.hash).await);
    let late = timed.rotate(&old, new.clone(), 60).await;
    assert_eq!(late.unwrap_err(), TokenFault::Ended);
    let listed = timed.fresh.store.clients().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].issued_at, listed[0].expires_at),
        (START, new.expires_at)
    );
}

pub(in crate::store) async fn replacing_a_token_never_lets_it_live_longer(fresh: Fresh) {
    let timed = Timed::new(fresh).await;
    let old = until(10);
    let registered = timed
        .fresh
        .store
        .register("alpha".parse().unwrap(), old.clone());
    registered.await.unwrap();
    let new = until(5);
    let rotated = timed.rotate(&old.hash, new.clone(), 60).await.unwrap();
    assert_eq!(rotated.previous_ends_at, new.expires_at);
    timed.at(5);
    assert!(!timed.lives(&old.hash).await && !timed.lives(&new.hash).await);
}

pub(in crate::store) async fn a_revocation_ends_every_token_of_the_client(mut fresh: Fresh) {
    let (old, new, other) = (hash(), hash(), hash());
    let store = Arc::clone(&fresh.store);
    let registered = store.register("alpha".parse().unwrap(), old.clone().into());
    let client = registered.await.unwrap();
    let ends_at = i64::MAX;
    store
        .rotate(old.clone(), new.clone().into(), ends_at)
        .await
        .unwrap();
    store.revoke(client.id).await.unwrap();
    drop(store);
    for _ in 0..2 {
        for token in [&old, &new] {
            assert_eq!(fresh.store.authenticate(token.clone()).await.unwrap(), None);
            let rotated = fresh
                .store
                .rotate(token.clone(), other.clone().into(), ends_at);
            let error = rotated.await.unwrap_err();
            assert!(
                matches!(error, StoreError::Token(TokenFault::Ended)),
                "{error:?}"
            );
        }
        fresh.reopen().await;
    }
}

pub(in crate::store) async fn a_token_of_somebody_else_is_not_taken_over(fresh: Fresh) {
    let timed = Timed::new(fresh).await;
    let (alpha, beta) = (hash(), hash());
    for (name, token) in [("alpha", &alpha), ("beta", &beta)] {
        let registered = timed
            .fresh
            .store
            .register(name.parse().unwrap(), token.clone().into());
        registered.await.unwrap();
    }
    let refused = timed.rotate(&alpha, beta.clone().into(), 60).await;
    assert_eq!(refused.unwrap_err(), TokenFault::Taken);
    let nobody = timed.rotate(&hash(), hash().into(), 60).await;
    assert_eq!(nobody.unwrap_err(), TokenFault::Ended);
    let shown = timed.fresh.store.authenticate(beta).await.unwrap().unwrap();
    assert_eq!(shown.client.project.as_str(), "beta");
    assert_eq!(shown.expires_at, None);
}

pub(in crate::store) async fn tokens_of_a_client_are_bounded_and_ended_ones_forgotten(
    fresh: Fresh,
) {
    let timed = Timed::new(fresh).await;
    let mut newest = hash();
    let registered = timed
        .fresh
        .store
        .register("alpha".parse().unwrap(), newest.clone().into());
    registered.await.unwrap();
    for _ in 1..limits::CLIENT_MAX_LIVE_TOKENS {
        let next = hash();
        timed
            .rotate(&newest, next.clone().into(), 60)
            .await
            .unwrap();
        newest = next;
    }
    let refused = timed.rotate(&newest, hash().into(), 60).await;
    assert_eq!(refused.unwrap_err(), TokenFault::TooMany);
    assert!(timed.lives(&newest).await);
    timed.at(60);
    timed.rotate(&newest, hash().into(), 60).await.unwrap();
}

pub(in crate::store) async fn who_was_seen_is_kept_and_never_put_back(mut fresh: Fresh) {
    let registered = fresh
        .store
        .register("alpha".parse().unwrap(), hash().into());
    let client = registered.await.unwrap().id;
    let unknown = ctx_hub::types::ClientId::random().unwrap();
    let sighting = |client: &ctx_hub::types::ClientId, at, address: Option<&str>| Sighting {
        client: client.clone(),
        at,
        address: address.map(str::to_owned),
    };
    let seen = async |store: &Arc<dyn Store>| {
        let listed = store.clients().await.unwrap().remove(0);
        (listed.last_seen_at, listed.last_address)
    };
    assert_eq!(seen(&fresh.store).await, (None, None));
    let noted = vec![
        sighting(&unknown, 5, None),
        sighting(&client, 7, Some("192.0.2.1")),
    ];
    fresh.store.note_seen(noted).await.unwrap();
    fresh
        .store
        .note_seen(vec![sighting(&client, 9, None)])
        .await
        .unwrap();
    let earlier = vec![sighting(&client, 8, Some("192.0.2.2"))];
    fresh.store.note_seen(earlier).await.unwrap();
    fresh.reopen().await;
    let expected = (Some(9), Some("192.0.2.1".to_owned()));
    assert_eq!(seen(&fresh.store).await, expected);
}
