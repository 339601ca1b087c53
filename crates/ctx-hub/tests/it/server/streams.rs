//! Streams under load: no gap, no duplicate, nobody slowed down, and an end when there has to be
//! one.

use std::sync::Arc;

use ctx_hub::wire::method::{LISTEN, PUBLISH, REVOKE, STATUS, SYNC};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::hub::TestHub;
use super::peer::{JSON, Peer, patient};

/// Publishes `count` entries from each of `publishers` at once, each on its own connection.
async fn publish_at_once(
    hub: &TestHub,
    token: &str,
    round: usize,
    publishers: usize,
    count: usize,
) {
    let barrier = Arc::new(Barrier::new(publishers));
    let mut tasks = JoinSet::new();
    for publisher in 0..publishers {
        let (token, barrier) = (token.to_owned(), Arc::clone(&barrier));
        let peer = Peer::connect(hub).await;
        tasks.spawn(async move {
            barrier.wait().await;
            for number in 0..count {
                let id = format!("{round}-{publisher}-{number}");
                peer.publish(&token, &id, "c").await;
            }
        });
    }
    while let Some(done) = patient(tasks.join_next()).await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_sees_every_entry_once_and_in_order_while_sixteen_publish() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    for number in 1..=5 {
        assert_eq!(
            peer.publish(&token, &format!("before-{number}"), "c").await,
            number
        );
    }
    let total = 5 + 16 * 25;
    let mut early = peer.open(LISTEN, JSON, &token, "{}").await;
    let publishing = publish_at_once(&hub, &token, 0, 16, 25);
    let listening = async {
        for expected in 1..=100 {
            assert_eq!(early.next_sequence().await, expected);
        }
        // This one begins in the middle of the publishing, in the middle of the log.
        let late = Peer::connect(&hub).await;
        let mut late = late
            .open(LISTEN, JSON, &token, r#"{"since_sequence":50}"#)
            .await;
        for expected in 51..=total {
            assert_eq!(late.next_sequence().await, expected);
        }
        for expected in 101..=total {
            assert_eq!(early.next_sequence().await, expected);
        }
    };
    tokio::join!(publishing, listening);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_has_everything_is_woken_by_the_next_publish_every_time() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let mut listener = peer.open(LISTEN, JSON, &token, "{}").await;
    let mut expected = 0;
    for round in 0..100 {
        publish_at_once(&hub, &token, round, 4, 1).await;
        for _ in 0..4 {
            expected += 1;
            assert_eq!(listener.next_sequence().await, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_stops_reading_stops_nobody_and_gets_everything_later() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let stuck = Peer::connect(&hub).await;
    let mut stuck = stuck.open(LISTEN, JSON, &token, "{}").await;
    // 200 entries of 64 KiB are far more than the connection takes without being read.
    let content = "x".repeat(65_536);
    for number in 1..=200 {
        assert_eq!(
            peer.publish(&token, &number.to_string(), &content).await,
            number
        );
    }
    let other = Peer::connect(&hub).await;
    let mut other = other
        .open(LISTEN, JSON, &token, r#"{"since_sequence":199}"#)
        .await;
    assert_eq!(other.next_sequence().await, 200);
    for expected in 1..=200 {
        assert_eq!(stuck.next_sequence().await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_stop_reading_far_behind_keep_nobody_from_publishing_or_catching_up() {
    let mut hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    for batch in 0..3 {
        let entry = |n| {
            let id = format!("{batch}-{n}");
            let content = "x".repeat(100);
            format!(r#"{{"id":"{id}","type":"task","content":"{content}","timestamp":1}}"#)
        };
        let entries: Vec<String> = (0..1_000).map(entry).collect();
        let message = format!(r#"{{"entries":[{}]}}"#, entries.join(","));
        peer.json(PUBLISH, &token, &message).await.text();
    }
    // A hub that has just been started has none of that in memory.
    drop(peer);
    hub.restart();
    let peer = Peer::connect(&hub).await;
    // More than the store has readers, all of them near the beginning of the log, and each stuck
    // at another place: some of them while the next page is on its way to them.
    let mut opening = JoinSet::new();
    for step in 1..=64 {
        let stuck = Peer::with_window(&hub, step * 2_048).await;
        let token = token.clone();
        opening.spawn(async move { stuck.open(LISTEN, JSON, &token, "{}").await });
    }
    let stuck = opening.join_all().await;
    for number in 1..=20 {
        let id = format!("later-{number}");
        assert_eq!(peer.publish(&token, &id, "c").await, 3_000 + number);
    }
    let other = Peer::connect(&hub).await;
    let mut other = other.open(LISTEN, JSON, &token, "{}").await;
    for expected in 1..=3_020 {
        assert_eq!(other.next_sequence().await, expected);
    }
    for mut stuck in stuck {
        for expected in 1..=3_020 {
            assert_eq!(stuck.next_sequence().await, expected);
        }
    }
}

#[tokio::test]
async fn a_sync_holds_what_there_was_when_it_began_and_then_ends() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let content = "x".repeat(65_536);
    for number in 1..=60 {
        peer.publish(&token, &number.to_string(), &content).await;
    }
    // A stream that is not read takes all the room on its connection: it has one of its own.
    let reader = Peer::connect(&hub).await;
    let mut syncing = reader.open(SYNC, JSON, &token, "{}").await;
    assert_eq!(syncing.headers.get("ctx-hub-head").unwrap(), "60");
    assert_eq!(syncing.next_sequence().await, 1);
    for number in 61..=70 {
        peer.publish(&token, &number.to_string(), &content).await;
    }
    for expected in 2..=60 {
        assert_eq!(syncing.next_sequence().await, expected);
    }
    assert_eq!(syncing.next().await.unwrap_err().0, "0");
    let beyond = peer.json(SYNC, &token, r#"{"since_sequence":1000}"#).await;
    assert_eq!(
        (beyond.code(), beyond.header("ctx-hub-head")),
        ("0", Some("70"))
    );
    let end = format!(r#"{{"since_sequence":{}}}"#, u64::MAX);
    assert_eq!(peer.json(SYNC, &token, &end).await.texts(), [""; 0]);
}

#[tokio::test]
async fn revoking_a_client_ends_its_streams_and_nobody_else_s() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (id, alpha) = peer.register(&hub, "alpha").await;
    let (_, beta) = peer.register(&hub, "beta").await;
    let mut ended = peer.open(LISTEN, JSON, &alpha, "{}").await;
    let mut goes_on = peer.open(LISTEN, JSON, &beta, "{}").await;
    peer.publish(&alpha, "one", "c").await;
    assert_eq!(ended.next_sequence().await, 1);
    assert_eq!(goes_on.next_sequence().await, 1);

    let admin = hub.admin_token().expose();
    let revoke = format!(r#"{{"admin_token":"{admin}","client_id":"{id}"}}"#);
    peer.call(REVOKE, JSON, None, revoke).await.text();
    let (code, message) = ended.next().await.unwrap_err();
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("16", "invalid or missing credentials")
    );
    let again = peer.json(LISTEN, &alpha, "{}").await;
    assert_eq!(again.code(), "16");

    peer.publish(&beta, "two", "c").await;
    assert_eq!(goes_on.next_sequence().await, 2);
    let status = peer.json(STATUS, &beta, "{}").await;
    assert!(
        status.text().contains(r#""connected_clients":1"#),
        "{}",
        status.text()
    );
}

#[tokio::test]
async fn a_listener_that_goes_away_is_forgotten() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let count = async || {
        let answer = peer.json(STATUS, &token, "{}").await;
        let value: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        value["connected_clients"].as_u64().unwrap()
    };
    let listeners = [
        peer.open(LISTEN, JSON, &token, "{}").await,
        peer.open(LISTEN, JSON, &token, "{}").await,
    ];
    assert_eq!(count().await, 2);
    drop(listeners);
    patient(async {
        while count().await != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
