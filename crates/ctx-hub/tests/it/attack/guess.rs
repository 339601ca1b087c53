//! Guessing tokens, and asking without one: what it costs, and what a stranger is told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ctx_config::limits;
use ctx_hub::secret::{AdminToken, ClientToken};
use ctx_hub::server::ManualClock;
use ctx_hub::wire::method::{
    HUB_STATUS, LIST_CLIENTS, LISTEN, PUBLISH, REGISTER, REVOKE, REVOKE_CLIENT, STATUS, SYNC,
};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::{Guest, still_serves};
use crate::server::hub::TestHub;
use crate::server::peer::{Answer, JSON, PROTO, Peer, frame};

const OK: &str = "0";
const PERMISSION_DENIED: &str = "7";
const RESOURCE_EXHAUSTED: &str = "8";
const UNAUTHENTICATED: &str = "16";

/// Failed attempts that the hubs of these tests allow at once.
const BURST: usize = 30;

fn hub(clock: &ManualClock) -> TestHub {
    TestHub::start_with(|config| {
        config.clock = clock.clone().into();
        config.settings.limits.failures_burst = 30;
        config.settings.limits.failures_per_minute = 6;
    })
}

/// A connection from another address of this machine.
async fn from(address: &str, hub: &TestHub) -> Peer {
    let socket = TcpSocket::new_v4().unwrap();
    let local: SocketAddr = format!("{address}:0").parse().unwrap();
    socket.bind(local).unwrap();
    Peer::over(socket.connect(hub.socket_addr()).await.unwrap()).await
}

fn register(token: &str, project: &str) -> String {
    format!(r#"{{"admin_token":"{token}","project_name":"{project}"}}"#)
}

async fn guess(peer: &Peer, path: &str) -> Answer {
    let token = ClientToken::random().unwrap();
    peer.json(path, token.expose(), "{}").await
}

fn hint(answer: &Answer) -> Option<Duration> {
    let millis = answer.header("grpc-retry-pushback-ms")?.parse().unwrap();
    Some(Duration::from_millis(millis))
}

#[tokio::test]
async fn a_thousand_guesses_are_looked_at_as_often_as_an_address_may_fail() {
    let clock = ManualClock::at(0);
    let hub = hub(&clock);
    // Somebody who works from the same address, and somebody who works from another one.
    let neighbour = from("127.0.0.2", &hub).await;
    let (_, token) = neighbour.register(&hub, "neighbour").await;
    let guest = Guest::join(&hub).await;

    let guesser = from("127.0.0.2", &hub).await;
    let mut looked_at = 0;
    for n in 0..1_000 {
        let path = [STATUS, PUBLISH, SYNC, LISTEN, HUB_STATUS, LIST_CLIENTS][n % 6];
        let answer = guess(&guesser, path).await;
        match answer.code() {
            UNAUTHENTICATED => looked_at += 1,
            RESOURCE_EXHAUSTED => assert!(hint(&answer).is_some(), "{answer:?}"),
            other => panic!("{other}: {answer:?}"),
        }
        assert_eq!(answer.header("ctx-hub-id"), None);
    }
    assert_eq!(looked_at, BURST);

    // A token that is good is not looked at either, where it never proved itself.
    let newcomer = from("127.0.0.2", &hub).await;
    let answer = newcomer.json(STATUS, guest.token(), "{}").await;
    assert_eq!(answer.code(), RESOURCE_EXHAUSTED, "{answer:?}");
    // Whoever worked from there before works on; everybody elsewhere notices nothing.
    neighbour.publish(&token, "after", "").await;
    guest.is_served().await;
    still_serves(&hub).await;

    clock.advance(hint(&answer).unwrap());
    let answer = newcomer.json(STATUS, guest.token(), "{}").await;
    assert_eq!(answer.code(), OK, "{answer:?}");
}

#[tokio::test]
async fn guesses_at_the_admin_token_are_counted_with_the_others() {
    let clock = ManualClock::at(0);
    let hub = hub(&clock);
    let guesser = from("127.0.0.3", &hub).await;
    let mut codes = Vec::new();
    for _ in 0..BURST {
        let wrong = AdminToken::random().unwrap();
        let message = register(wrong.expose(), "mine");
        codes.push(
            guesser
                .call(REGISTER, JSON, None, message)
                .await
                .code()
                .to_owned(),
        );
    }
    codes.dedup();
    assert_eq!(codes, [PERMISSION_DENIED]);
    // Now the right one is not looked at, in whichever call.
    let right = hub.admin_token().expose();
    let revoke = format!(r#"{{"admin_token":"{right}","client_id":"x"}}"#);
    for (path, token, message) in [
        (REGISTER, None, register(right, "mine")),
        (REVOKE, None, revoke),
        (LIST_CLIENTS, Some(right), "{}".to_owned()),
        (REVOKE_CLIENT, Some(right), "{}".to_owned()),
    ] {
        let answer = guesser.call(path, JSON, token, message).await;
        assert_eq!(answer.code(), RESOURCE_EXHAUSTED, "{path}: {answer:?}");
    }
    still_serves(&hub).await;
    // On its own machine nobody has to prove anything, and nobody can be shut out.
    let socket = Peer::connect_socket(&hub.data_dir().admin_socket()).await;
    let answer = socket.call(LIST_CLIENTS, JSON, None, "{}").await;
    assert_eq!(answer.code(), OK, "{answer:?}");
}

#[tokio::test]
async fn guesses_that_are_made_all_at_once_are_paid_for_afterwards() {
    let clock = ManualClock::at(0);
    let hub = hub(&clock);
    let mut guesses = JoinSet::new();
    for _ in 0..4 {
        let peer = from("127.0.0.4", &hub).await;
        for _ in 0..250 {
            let peer = peer.clone();
            guesses.spawn(async move { guess(&peer, STATUS).await.code() == UNAUTHENTICATED });
        }
    }
    let looked_at = guesses
        .join_all()
        .await
        .into_iter()
        .filter(|was| *was)
        .count();
    assert!(looked_at >= BURST, "{looked_at}");
    // However many slipped through together: they are owed, up to a bound.
    let owed = u32::try_from(looked_at - BURST).unwrap() * Duration::from_secs(10);
    let owed = owed.min(limits::FAILURES_LONGEST_WAIT);
    clock.advance(owed);
    let peer = from("127.0.0.4", &hub).await;
    assert_eq!(guess(&peer, STATUS).await.code(), RESOURCE_EXHAUSTED);
    clock.advance(Duration::from_secs(10));
    assert_eq!(guess(&peer, STATUS).await.code(), UNAUTHENTICATED);
}

/// Everything that an answer says, but when.
fn said(answer: &Answer) -> String {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    format!(
        "{} {headers:?} {:?} {:?}",
        answer.http, answer.messages, answer.trailers
    )
}

#[tokio::test]
async fn a_stranger_is_told_nothing_of_who_is_there() {
    let hub = TestHub::start_with(|config| config.settings.limits.failures_burst = 0);
    let guest = Guest::join(&hub).await;
    guest.is_served().await;
    let gone = Guest::join(&hub).await;
    let right = hub.admin_token().expose();
    let revoke =
        |token: &str, id: &str| format!(r#"{{"admin_token":"{token}","client_id":"{id}"}}"#);
    let revoked = gone
        .peer()
        .call(REVOKE, JSON, None, revoke(right, gone.id()))
        .await;
    assert_eq!(revoked.code(), OK, "{revoked:?}");

    let stranger = Peer::connect(&hub).await;
    let wrong = AdminToken::random().unwrap();
    let wrong = wrong.expose();
    // Projects that are there, were there, never were, and cannot be.
    let mut answers = BTreeSet::new();
    for project in [guest.project(), gone.project(), "never", ""] {
        for token in [wrong, "", guest.token()] {
            let message = register(token, project);
            answers.insert(said(&stranger.call(REGISTER, JSON, None, message).await));
        }
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    let mut answers = BTreeSet::new();
    for id in [guest.id(), gone.id(), "never", ""] {
        answers.insert(said(
            &stranger.call(REVOKE, JSON, None, revoke(wrong, id)).await,
        ));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    // Credentials of every kind but the right one, in every call.
    let unknown = ClientToken::random().unwrap();
    for (path, good) in [
        (PUBLISH, Some(right)),
        (SYNC, Some(right)),
        (LISTEN, Some(right)),
        (STATUS, Some(right)),
        (HUB_STATUS, None),
        (LIST_CLIENTS, None),
        (REVOKE_CLIENT, None),
    ] {
        let mut answers = BTreeSet::new();
        let tokens = [
            None,
            Some(""),
            Some(unknown.expose()),
            Some(gone.token()),
            Some(wrong),
        ];
        // The credentials of one kind are no good for the other.
        let other = good.unwrap_or(guest.token());
        for token in tokens.into_iter().chain([Some(other)]) {
            let answer = stranger.call(path, JSON, token, "{}").await;
            assert_eq!(answer.code(), UNAUTHENTICATED, "{path}");
            answers.insert(said(&answer));
        }
        assert_eq!(answers.len(), 1, "{path}: {answers:#?}");
    }
}

#[tokio::test]
async fn health_and_reflection_tell_that_a_hub_is_there_and_nothing_about_it() {
    let clock = ManualClock::at(0);
    let hub = hub(&clock);
    let guest = Guest::join(&hub).await;
    guest.is_served().await;
    let stranger = Peer::connect(&hub).await;
    let path = "/grpc.health.v1.Health/Check";
    let headers = [("content-type", PROTO)];
    let answer = stranger.raw(path, &headers, frame(b"")).await;
    assert_eq!(answer.code(), OK, "{answer:?}");
    // Field 1, SERVING.
    assert_eq!(answer.messages, [&[8, 1][..]]);
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    // Field 7: list the services.
    let answer = stranger.raw(path, &headers, frame(&[58, 0])).await;
    assert_eq!(answer.code(), OK, "{answer:?}");
    let said = format!("{answer:?}");
    assert!(said.contains("ctx.hub.v1.CtxHub"), "{said}");
    for secret in [guest.project(), guest.id(), "ctx-hub-id"] {
        assert!(!said.contains(secret), "{said}");
    }
}
