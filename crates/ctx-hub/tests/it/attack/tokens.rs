//! A token in wrong hands: what it is worth after it was ended, replaced or has expired, and what
//! becomes of the streams that it opened.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use ctx_hub::clock::ManualClock;
use ctx_hub::secret::{ClientToken, TokenHash};
use ctx_hub::server::settings::{HumanDuration, Settings};
use ctx_hub::wire::method::{
    LIST_CLIENTS, LISTEN, PUBLISH, REVOKE_CLIENT, ROTATE_TOKEN, STATUS, SYNC,
};
use serde_json::Value;

use super::raw::Raw;
use super::{Guest, still_serves};
use crate::server::hub::TestHub;
use crate::server::peer::{Answer, JSON, PATIENCE, Peer};

/// When the clock of a hub begins.
const START: i64 = 1_700_000_000;
/// How long a token that was replaced goes on.
const OVERLAP: i64 = 600;
/// What nobody who shows a worthless token is told more than.
const REFUSED: &str = "invalid or missing credentials";

/// A clock that a test moves on.
struct Hand {
    clock: ManualClock,
    at: AtomicI64,
}

impl Hand {
    /// Moves it on to so many seconds after the beginning.
    fn at(&self, seconds: i64) {
        let by = seconds - self.at.swap(seconds, Ordering::SeqCst);
        self.clock
            .advance(Duration::from_secs(by.try_into().unwrap()));
    }
}

/// A hub whose tokens live so long, and its clock.
fn hub_with(ttl: Option<i64>) -> (TestHub, Hand) {
    let hand = Hand {
        clock: ManualClock::at(START),
        at: AtomicI64::new(0),
    };
    let hub = TestHub::start_with(|config| {
        config.clock = hand.clock.clone().into();
        let mut settings = Settings::default();
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        settings.tokens.ttl = ttl.map(|ttl| HumanDuration::new(seconds(ttl)));
        settings.tokens.overlap = HumanDuration::new(seconds(OVERLAP));
        config.settings = settings;
    });
    (hub, hand)
}

fn document(answer: &Answer) -> Value {
    assert_eq!(answer.code(), "0", "{answer:?}");
    serde_json::from_slice(&answer.messages[0]).unwrap()
}

/// Every call that a client may make, and what it says there.
fn calls() -> [(&'static str, String); 5] {
    let entry = r#"{"entries":[{"id":"stolen","type":"task","content":"x","timestamp":1}]}"#;
    let hash = ClientToken::random().unwrap().hash().to_hex();
    [
        (PUBLISH, entry.to_owned()),
        (STATUS, "{}".to_owned()),
        (SYNC, "{}".to_owned()),
        (LISTEN, "{}".to_owned()),
        (ROTATE_TOKEN, format!(r#"{{"new_token_hash":"{hash}"}}"#)),
    ]
}

/// Asserts that a token is worth nothing, whatever is asked with it, and that nothing tells why.
async fn is_worthless(hub: &TestHub, token: &str) {
    let peer = Peer::connect(hub).await;
    let mut answers = Vec::new();
    for shown in [token, ClientToken::random().unwrap().expose()] {
        for (path, message) in calls() {
            let answer = peer.json(path, shown, &message).await;
            assert_eq!((answer.code(), answer.message().as_str()), ("16", REFUSED));
            let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            answers.push((path, names));
        }
    }
    let (this, unknown) = answers.split_at(calls().len());
    assert_eq!(this, unknown, "it differs from a token that never was");
}

/// Puts a new token in place of `old`, as its owner does.
async fn rotate(hub: &TestHub, old: &str) -> (String, Value) {
    let new = ClientToken::random().unwrap();
    let answer = rotate_to(hub, old, &new.hash()).await;
    (new.expose().to_owned(), document(&answer))
}

async fn rotate_to(hub: &TestHub, shown: &str, new: &TokenHash) -> Answer {
    let message = format!(r#"{{"new_token_hash":"{}"}}"#, new.to_hex());
    let peer = Peer::connect(hub).await;
    peer.json(ROTATE_TOKEN, shown, &message).await
}

async fn admin(hub: &TestHub, path: &str, message: &str) -> Answer {
    let peer = Peer::connect_socket(&hub.data_dir().admin_socket()).await;
    peer.call(path, JSON, None, message).await
}

async fn revoke(hub: &TestHub, client: &str) {
    let message = format!(r#"{{"client_id":"{client}"}}"#);
    document(&admin(hub, REVOKE_CLIENT, &message).await);
}

/// What an operator sees of a client.
async fn listed(hub: &TestHub, client: &str) -> Value {
    let clients = document(&admin(hub, LIST_CLIENTS, "{}").await);
    let clients = clients["clients"].as_array().unwrap().clone();
    let mut own = clients.into_iter().filter(|one| one["client_id"] == client);
    own.next().unwrap()
}

/// Asks until a client has so many streams open.
async fn until_streams(hub: &TestHub, client: &str, streams: u64) {
    let begun = Instant::now();
    while listed(hub, client).await["open_streams"] != streams {
        assert!(begun.elapsed() < PATIENCE, "never {streams} streams");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_token_that_was_ended_is_worth_nothing_on_every_call() {
    let (hub, _) = hub_with(None);
    let guest = Guest::join(&hub).await;
    let (new, _) = rotate(&hub, guest.token()).await;
    // Both live, during the overlap; one revocation ends both.
    revoke(&hub, guest.id()).await;
    for token in [guest.token(), &new] {
        is_worthless(&hub, token).await;
    }
    assert_eq!(listed(&hub, guest.id()).await["state"], "revoked");
    still_serves(&hub).await;
}

#[tokio::test]
async fn a_token_that_expired_is_worth_nothing_on_every_call() {
    let (hub, hand) = hub_with(Some(1_000));
    let guest = Guest::join(&hub).await;
    guest.is_served().await;
    assert_eq!(listed(&hub, guest.id()).await["state"], "live");
    assert_eq!(listed(&hub, guest.id()).await["expires_at"], START + 1_000);
    hand.at(901);
    assert_eq!(listed(&hub, guest.id()).await["state"], "expiring");
    hand.at(1_000);
    is_worthless(&hub, guest.token()).await;
    assert_eq!(listed(&hub, guest.id()).await["state"], "expired");
    still_serves(&hub).await;
}

#[tokio::test]
async fn a_leaked_token_goes_on_for_the_overlap_and_makes_no_other_token() {
    let (hub, hand) = hub_with(None);
    let guest = Guest::join(&hub).await;
    let (new, answer) = rotate(&hub, guest.token()).await;
    assert_eq!(answer["previous_ends_at"], START + OVERLAP);

    // The thief is as late as can be.
    hand.at(OVERLAP - 1);
    guest.is_served().await;
    let own = ClientToken::random().unwrap();
    let refused = rotate_to(&hub, guest.token(), &own.hash()).await;
    assert_eq!(refused.code(), "9", "{refused:?}");
    is_worthless(&hub, own.expose()).await;
    // What the owner did, done again by whoever: the overlap does not begin anew.
    let hash = TokenHash::of(&new);
    let again = document(&rotate_to(&hub, guest.token(), &hash).await);
    assert_eq!(again["previous_ends_at"], START + OVERLAP);

    hand.at(OVERLAP);
    is_worthless(&hub, guest.token()).await;
    guest.peer().publish(&new, "still-there", "x").await;
}

#[tokio::test]
async fn who_replaces_a_stolen_token_first_is_noticed_by_its_owner() {
    let (hub, _) = hub_with(None);
    let guest = Guest::join(&hub).await;
    let (stolen, _) = rotate(&hub, guest.token()).await;
    let own = ClientToken::random().unwrap();
    let answer = rotate_to(&hub, guest.token(), &own.hash()).await;
    assert_eq!(answer.code(), "9", "{answer:?}");
    assert_eq!(
        answer.message(),
        "the token has been replaced by another one"
    );
    revoke(&hub, guest.id()).await;
    is_worthless(&hub, &stolen).await;
}

#[tokio::test]
async fn a_hash_that_is_none_or_another_s_replaces_nothing() {
    let (hub, _) = hub_with(None);
    let (guest, other) = (Guest::join(&hub).await, Guest::join(&hub).await);
    let others = TokenHash::of(other.token()).to_hex();
    for hash in ["", "0", &others.to_uppercase(), &others] {
        let message = format!(r#"{{"new_token_hash":"{hash}"}}"#);
        let answer = guest
            .peer()
            .json(ROTATE_TOKEN, guest.token(), &message)
            .await;
        assert_eq!(answer.code(), "3", "{answer:?}");
    }
    guest.is_served().await;
    other.is_served().await;
}

#[tokio::test]
async fn streams_of_a_revoked_client_end_whatever_token_opened_them() {
    let (hub, _) = hub_with(None);
    let (guest, other) = (Guest::join(&hub).await, Guest::join(&hub).await);
    let mut old = guest.peer().open(LISTEN, JSON, guest.token(), "{}").await;
    let (new, _) = rotate(&hub, guest.token()).await;
    let mut young = guest.peer().open(LISTEN, JSON, &new, "{}").await;
    // On the same connection, as behind a proxy.
    let mut others = guest.peer().open(LISTEN, JSON, other.token(), "{}").await;
    assert_eq!(listed(&hub, guest.id()).await["open_streams"], 2);
    revoke(&hub, guest.id()).await;
    for stream in [&mut old, &mut young] {
        let (code, message) = stream.next().await.unwrap_err();
        assert_eq!((code.as_str(), message.as_str()), ("16", REFUSED));
    }
    // Who reads keeps the connection: nothing else on it is harmed.
    until_streams(&hub, guest.id(), 0).await;
    let sequence = other.peer().publish(other.token(), "after", "x").await;
    assert_eq!(others.next_sequence().await, sequence);
}

#[tokio::test]
async fn a_stream_that_is_not_read_ends_with_a_revocation_too() {
    let (hub, _) = hub_with(None);
    let guest = Guest::join(&hub).await;
    let content = "x".repeat(200_000);
    for number in 0..5 {
        let id = format!("large-{number}");
        guest.peer().publish(guest.token(), &id, &content).await;
    }
    // Whole windows full are sent and none is widened: the hub cannot send the end of the stream.
    let mut stuck = Raw::greeted(hub.socket_addr()).await;
    for (stream, path) in [(1, LISTEN), (3, SYNC)] {
        let token = Some(guest.token());
        stuck.call(stream, path, token, "{}").await.unwrap();
    }
    until_streams(&hub, guest.id(), 2).await;
    let (new, _) = rotate(&hub, guest.token()).await;
    revoke(&hub, guest.id()).await;
    until_streams(&hub, guest.id(), 0).await;
    stuck.closed().await;
    is_worthless(&hub, &new).await;
    still_serves(&hub).await;
}

#[tokio::test]
async fn streams_end_with_the_token_that_opened_them() {
    let (hub, hand) = hub_with(Some(1_000));
    let guest = Guest::join(&hub).await;
    let mut old = guest.peer().open(LISTEN, JSON, guest.token(), "{}").await;
    hand.at(100);
    let (new, answer) = rotate(&hub, guest.token()).await;
    assert_eq!(answer["expires_at"], START + 1_100);
    let mut young = guest.peer().open(LISTEN, JSON, &new, "{}").await;
    // A stream of the old token goes on until the overlap is over, and not longer.
    let first = guest.peer().publish(&new, "during", "x").await;
    assert_eq!(old.next_sequence().await, first);
    hand.at(100 + OVERLAP);
    assert_eq!(old.next().await.unwrap_err().0, "16");
    assert_eq!(young.next_sequence().await, first);
    hand.at(1_100);
    assert_eq!(young.next().await.unwrap_err().0, "16");
}

#[tokio::test]
async fn a_stream_that_is_not_read_ends_with_its_token() {
    let (hub, hand) = hub_with(Some(1_000));
    let guest = Guest::join(&hub).await;
    let content = "x".repeat(200_000);
    for number in 0..5 {
        let id = format!("large-{number}");
        guest.peer().publish(guest.token(), &id, &content).await;
    }
    let mut stuck = Raw::greeted(hub.socket_addr()).await;
    let token = Some(guest.token());
    stuck.call(1, LISTEN, token, "{}").await.unwrap();
    until_streams(&hub, guest.id(), 1).await;
    hand.at(1_000);
    until_streams(&hub, guest.id(), 0).await;
    stuck.closed().await;
}

#[tokio::test]
async fn a_publish_that_is_held_back_until_its_token_ended_stores_nothing() {
    let (hub, hand) = hub_with(Some(1_000));
    let (guest, late) = (Guest::join(&hub).await, Guest::join(&hub).await);
    let (_, message) = calls()[0].clone();
    let expired = guest
        .peer()
        .begin_json(PUBLISH, guest.token(), &message)
        .await;
    let revoked = late
        .peer()
        .begin_json(PUBLISH, late.token(), &message)
        .await;
    // Both are in: the tokens lived when the calls began.
    for client in [guest.id(), late.id()] {
        let begun = Instant::now();
        while listed(&hub, client).await["last_seen_at"] == 0 {
            assert!(begun.elapsed() < PATIENCE, "never seen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    revoke(&hub, late.id()).await;
    hand.at(1_000);
    // Longer than a message may be on its way without another look at its token.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for held_back in [expired, revoked] {
        let answer = held_back.finish().await;
        assert_eq!((answer.code(), answer.message().as_str()), ("16", REFUSED));
    }
    let reader = Guest::join(&hub).await;
    let stored = reader.peer().json(SYNC, reader.token(), "{}").await;
    assert!(stored.messages.is_empty(), "{stored:?}");
}

#[tokio::test]
async fn an_operator_sees_who_calls_when_and_from_where() {
    let (mut hub, hand) = hub_with(None);
    let guest = Guest::join(&hub).await;
    assert_eq!(listed(&hub, guest.id()).await["last_seen_at"], 0);
    hand.at(50);
    guest.is_served().await;
    let row = listed(&hub, guest.id()).await;
    assert_eq!(row["last_seen_at"], START + 50);
    assert_eq!(row["last_address"], "127.0.0.1");
    assert_eq!(
        (&row["entries"], &row["state"]),
        (&1.into(), &"live".into())
    );
    let stream = guest.peer().open(LISTEN, JSON, guest.token(), "{}").await;
    hand.at(60);
    let row = listed(&hub, guest.id()).await;
    assert_eq!(
        (&row["last_seen_at"], &row["open_streams"]),
        (&(START + 60).into(), &1.into())
    );
    drop(stream);
    until_streams(&hub, guest.id(), 0).await;
    // Written down when the hub stops.
    hub.stop();
    let data = hub.data_dir().clone();
    let offline = ctx_hub::server::open_offline(&data).await.unwrap();
    let found = offline.clients().await.unwrap().remove(0);
    assert!(found.last_seen_at >= Some(START + 50), "{found:?}");
    assert_eq!(found.last_address.as_deref(), Some("127.0.0.1"));
    offline.close().await.unwrap();
}
