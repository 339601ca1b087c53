//! Peers that hold a connection and draw things out, and peers that open too many.

use ctx_hub::server::settings::{Connections, HumanDuration};
use ctx_hub::wire::method::{LISTEN, PUBLISH, REGISTER, STATUS, SYNC};
use std::time::Duration;

use super::raw::{PREFACE, Raw, block, call, frame, kind};
use super::{Guest, still_serves};
use crate::server::hub::TestHub;
use crate::server::peer::{self, JSON, Peer, patient};

/// Settings in which a hub loses its patience soon. Longer than whoever behaves needs to begin.
const SOON: Duration = Duration::from_secs(3);

/// The setting for the window that a peer opens for each stream.
const INITIAL_WINDOW: u16 = 4;

/// A hub with other settings, which closes nobody for a ping that is not answered.
pub(super) fn hub(change: impl FnOnce(&mut Connections)) -> TestHub {
    TestHub::start_with(|config| {
        let connections = &mut config.settings.connections;
        connections.ping_interval = HumanDuration::new(Duration::from_secs(600));
        change(connections);
    })
}

pub(super) const fn soon() -> HumanDuration {
    HumanDuration::new(SOON)
}

/// Sends `bytes` one at a time, with a pause after each, until the hub has closed.
async fn trickled(raw: &mut Raw, bytes: &[u8]) {
    for byte in bytes {
        if raw.send(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(SOON / 10).await;
    }
    panic!("all of it was taken");
}

#[tokio::test]
async fn whoever_never_comes_to_a_call_is_closed() {
    let hub = hub(|settings| settings.first_call = soon());
    let guest = Guest::join(&hub).await;
    let address = hub.socket_addr();
    let silent = |bytes: Vec<u8>| async move {
        let mut raw = Raw::dial(address).await;
        raw.send(&bytes).await.unwrap();
        raw.closed().await;
    };
    let headers = call(STATUS, None, &[]);
    let greeting = [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat();
    let mut half_a_frame = greeting.clone();
    half_a_frame.extend(frame(kind::HEADERS, 0, 1, &headers));
    half_a_frame.truncate(half_a_frame.len() - 10);
    let mut half_the_headers = greeting.clone();
    half_the_headers.extend(frame(kind::HEADERS, 0, 1, &headers));
    let drawn_out = [greeting.clone(), vec![0; 200]].concat();
    tokio::join!(
        silent(Vec::new()),
        silent(PREFACE[..10].to_vec()),
        silent(PREFACE.to_vec()),
        silent(greeting),
        silent(half_a_frame),
        silent(half_the_headers),
        async {
            let mut raw = Raw::dial(address).await;
            trickled(&mut raw, &drawn_out).await;
        },
        async {
            // Signs of life are no calls.
            let mut raw = Raw::greeted(address).await;
            while raw.ping().await.is_ok() {
                tokio::time::sleep(SOON / 10).await;
            }
        },
        guest.is_served(),
    );
    guest.is_served().await;
}

#[tokio::test]
async fn a_connection_without_calls_is_closed_politely_and_one_with_an_open_stream_stays() {
    let hub = hub(|settings| settings.idle = soon());
    let listening = Peer::connect(&hub).await;
    let (_, token) = listening.register(&hub, "listens").await;
    let mut stream = listening.open(LISTEN, JSON, &token, "{}").await;

    let mut raw = Raw::greeted(hub.socket_addr()).await;
    raw.call(1, STATUS, Some(&token), "{}").await.unwrap();
    raw.end_of(1).await.unwrap();
    assert_eq!(raw.closed().await, Some(0), "GOAWAY, and no error");

    let sequence = listening.publish(&token, "later", "x").await;
    assert_eq!(stream.next_sequence().await, sequence);
}

#[tokio::test]
async fn an_answer_that_is_not_read_ends_its_connection_and_waiting_for_news_does_not() {
    let hub = hub(|settings| settings.stalled = soon());
    let guest = Guest::join(&hub).await;
    let (peer, token) = (guest.peer(), guest.token());
    let sequence = peer.publish(token, "first", &"x".repeat(100_000)).await;
    let mut waiting = peer.open(LISTEN, JSON, token, "{}").await;
    assert_eq!(waiting.next_sequence().await, sequence);

    let address = hub.socket_addr();
    let unread = |path: &'static str, window: u32| async move {
        let mut raw = Raw::dial(address).await;
        raw.greet(&[(INITIAL_WINDOW, window)]).await.unwrap();
        raw.call(1, path, Some(token), "{}").await.unwrap();
        raw.closed().await;
    };
    tokio::join!(
        unread(STATUS, 0),
        unread(SYNC, 0),
        unread(LISTEN, 0),
        unread(LISTEN, 20_000)
    );
    let next = peer.publish(token, "second", "x").await;
    assert_eq!(waiting.next_sequence().await, next);
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_closed_whatever_it_has_open() {
    let hub = hub(|settings| {
        settings.ping_interval = HumanDuration::new(Duration::from_millis(500));
        settings.ping_timeout = soon();
    });
    let guest = Guest::join(&hub).await;
    let token = Some(guest.token());
    let listening = || async {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        raw.call(1, LISTEN, token, "{}").await.unwrap();
        raw
    };
    let mute = async { listening().await.closed().await };
    // Headers that are never whole: whatever comes in between would be no answer to a ping.
    let drawn_out = async {
        let mut raw = listening().await;
        let headers = frame(kind::HEADERS, 0, 3, &call(STATUS, token, &[]));
        trickled(&mut raw, &headers).await;
    };
    tokio::join!(mute, drawn_out);
    guest.is_served().await;
}

#[tokio::test]
async fn a_message_that_does_not_arrive_is_given_up_and_nothing_of_it_is_stored() {
    let hub = hub(|settings| {
        settings.message = soon();
        settings.publish = soon();
    });
    let guest = Guest::join(&hub).await;
    let (peer, token) = (guest.peer(), guest.token());
    let entry = r#"{"entries":[{"id":"never","type":"learning","content":"x"}]}"#;
    let stopped = |path: &'static str, message: &'static str| async move {
        let answer = peer
            .begin_json(path, token, message)
            .await
            .abandoned()
            .await;
        assert_eq!(answer.code(), "4", "{answer:?}");
        assert!(answer.message().contains("did not arrive"), "{answer:?}");
    };
    let nothing = async {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        raw.headers(1, &call(REGISTER, None, &[]), false)
            .await
            .unwrap();
        raw.end_of(1).await.unwrap();
    };
    let drawn_out = async {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        raw.headers(1, &call(PUBLISH, Some(token), &[]), false)
            .await
            .unwrap();
        for byte in peer::frame(entry.as_bytes()).iter().cycle().take(1_000) {
            if raw.data(1, &[*byte], false).await.is_err() {
                break;
            }
            tokio::time::sleep(SOON / 30).await;
            if raw.came(kind::HEADERS, 1).await {
                return;
            }
        }
        panic!("it was given all the time in the world");
    };
    tokio::join!(
        stopped(PUBLISH, entry),
        stopped(STATUS, "{}"),
        stopped(LISTEN, "{}"),
        nothing,
        drawn_out
    );
    let stored = peer.json(SYNC, token, "{}").await;
    assert!(stored.texts().is_empty(), "{stored:?}");
    guest.is_served().await;
}

#[tokio::test]
async fn of_two_thousand_connections_from_one_address_as_many_stay_as_one_may_have() {
    const MOST: usize = 50;
    let hub = hub(|settings| settings.per_address = MOST);
    // Another door, which has places of its own.
    let io = tokio::net::UnixStream::connect(hub.data_dir().admin_socket())
        .await
        .unwrap();
    let operator = Guest::join_over(io, &hub).await;
    let guest = Guest::join(&hub).await;
    let mut held = Vec::new();
    for n in 0..2_000 {
        let mut raw = Raw::dial(hub.socket_addr()).await;
        if raw.greet(&[]).await.is_ok() && raw.next().await.is_some() {
            held.push(raw);
        }
        if n % 500 == 0 {
            guest.is_served().await;
        }
    }
    assert_eq!(held.len(), MOST - 1, "and the guest");
    guest.is_served().await;
    operator.is_served().await;

    // Places are given back.
    drop(held);
    patient(async {
        loop {
            let mut raw = Raw::dial(hub.socket_addr()).await;
            if raw.greet(&[]).await.is_ok() && raw.next().await.is_some() {
                break;
            }
        }
    })
    .await;
    still_serves(&hub).await;
}

#[cfg(feature = "client")]
#[tokio::test]
async fn our_client_is_refused_like_by_a_hub_that_is_away_and_gets_in_when_there_is_a_place() {
    use ctx_hub::client::{HubClient, Timeouts};
    const MOST: usize = 4;
    let hub = hub(|settings| settings.per_address = MOST);
    let mut held = Vec::new();
    while held.len() < MOST {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        raw.next().await.unwrap();
        held.push(raw);
    }
    let project = "late".parse().unwrap();
    let client = HubClient::lazy(hub.address(), Timeouts::default()).unwrap();
    let refused = client.register(hub.admin_token(), &project).await;
    let refused = refused.unwrap_err();
    assert!(refused.is_retryable(), "{refused:?}");
    drop(held);
    patient(async { while client.register(hub.admin_token(), &project).await.is_err() {} }).await;
}

#[tokio::test]
async fn streams_that_take_no_token_are_bounded_for_each_address() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let watch = block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Watch"),
        (":authority", "hub.test"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]);
    let mut open = 0;
    let mut all = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        for stream in (1..400).step_by(4) {
            raw.headers(stream, &watch, false).await.unwrap();
            raw.data(stream, &peer::frame(b""), true).await.unwrap();
            let answered =
                |frame: &super::raw::Frame| frame.kind == kind::HEADERS && frame.stream == stream;
            let answer = raw.until(answered).await.unwrap();
            open += usize::from(!answer.ends(stream));
        }
        all.push(raw);
    }
    assert_eq!(open, ctx_config::limits::OPEN_CALLS_OF_ADDRESS);
    guest.is_served().await;
    still_serves(&hub).await;
    drop(all);
}
