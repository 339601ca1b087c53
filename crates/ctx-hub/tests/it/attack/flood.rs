//! One client that takes more than its share: of entries, bytes, days and streams.
//!
//! Time stands still unless a test moves it, so every count here is exact.

use std::time::Duration;

use camino::Utf8Path;
use ctx_config::limits;
use ctx_config::paths::DataDir;
use ctx_hub::server::settings::Limits;
use ctx_hub::server::{HubConfig, ManualClock};
use ctx_hub::wire::method::{LISTEN, PUBLISH, SYNC};

use super::Guest;
use crate::server::hub::{TestHub, VERSION};
use crate::server::peer::{Answer, JSON, Peer, patient};

const OK: &str = "0";
const INVALID_ARGUMENT: &str = "3";
const RESOURCE_EXHAUSTED: &str = "8";

/// Noon of some day.
const NOON: i64 = 86_400 * 20_000 + 43_200;

fn hub(clock: &ManualClock, change: impl FnOnce(&mut Limits)) -> TestHub {
    TestHub::start_with(|config| {
        config.clock = clock.clone().into();
        change(&mut config.settings.limits);
    })
}

/// A publish of `count` entries whose contents have so many bytes.
fn publish(ids: &str, count: usize, bytes: usize) -> String {
    let content = "x".repeat(bytes);
    let entry = |n| format!(r#"{{"id":"{ids}-{n}","type":"task","content":"{content}"}}"#);
    let entries: Vec<String> = (0..count).map(entry).collect();
    format!(r#"{{"entries":[{}]}}"#, entries.join(","))
}

/// When a refused client may come back.
fn hint(answer: &Answer) -> Option<Duration> {
    let millis = answer.header("grpc-retry-pushback-ms")?.parse().unwrap();
    Some(Duration::from_millis(millis))
}

/// Publishes one entry after the other, whatever the hub says, and counts what it takes.
async fn flood(guest: &Guest, round: &str, times: usize) -> usize {
    let mut taken = 0;
    for n in 0..times {
        let message = publish(&format!("{}-{round}-{n}", guest.project()), 1, 10);
        let answer = guest.peer().json(PUBLISH, guest.token(), &message).await;
        if answer.code() == OK {
            taken += 1;
            continue;
        }
        assert_eq!(answer.code(), RESOURCE_EXHAUSTED, "{answer:?}");
        assert!(hint(&answer).is_some(), "{answer:?}");
        assert!(answer.messages.is_empty(), "{answer:?}");
    }
    taken
}

#[tokio::test]
async fn a_client_that_floods_is_limited_gains_nothing_by_going_on_and_disturbs_nobody() {
    let clock = ManualClock::at(NOON);
    let hub = hub(&clock, |limits| {
        limits.entries_per_second = 10;
        limits.entries_burst = 20;
    });
    let (flooder, guest) = (Guest::join(&hub).await, Guest::join(&hub).await);
    assert_eq!(flood(&flooder, "first", 200).await, 20);
    for round in 0..5 {
        guest.is_served().await;
        clock.advance(Duration::from_secs(1));
        // What comes back in a second, however often it was refused in it.
        let taken = flood(&flooder, &format!("round-{round}"), 100).await;
        assert_eq!(taken, 10, "round {round}");
    }
    // Whoever waits as long as it was told is served.
    let message = publish("patient", 5, 10);
    let refused = flooder
        .peer()
        .json(PUBLISH, flooder.token(), &message)
        .await;
    clock.advance(hint(&refused).unwrap());
    let message = publish("patient", 1, 10);
    let served = flooder
        .peer()
        .json(PUBLISH, flooder.token(), &message)
        .await;
    assert_eq!(served.code(), OK, "{served:?}");
}

#[tokio::test]
async fn many_connections_and_ids_that_are_stored_already_get_no_more() {
    let clock = ManualClock::at(NOON);
    let hub = hub(&clock, |limits| limits.entries_burst = 100);
    let flooder = Guest::join(&hub).await;
    let mut floods = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let peer = Peer::connect(&hub).await;
        let token = flooder.token().to_owned();
        floods.spawn(async move {
            let mut taken = 0;
            for _ in 0..50 {
                // The same entry each time: only the first one is stored.
                let answer = peer.json(PUBLISH, &token, &publish("same", 1, 10)).await;
                taken += usize::from(answer.code() == OK);
            }
            taken
        });
    }
    let taken: usize = floods.join_all().await.into_iter().sum();
    assert_eq!(taken, 100);
}

#[tokio::test]
async fn bytes_are_limited_as_entries_are() {
    let clock = ManualClock::at(NOON);
    let hub = hub(&clock, |limits| {
        limits.bytes_per_second = 1_000_000;
        limits.burst_bytes = 3_000_000;
    });
    let (flooder, guest) = (Guest::join(&hub).await, Guest::join(&hub).await);
    let publish = async |ids: &str| {
        let message = publish(ids, 1, 999_000);
        flooder
            .peer()
            .json(PUBLISH, flooder.token(), &message)
            .await
    };
    for ids in ["a", "b", "c"] {
        assert_eq!(publish(ids).await.code(), OK);
    }
    let refused = publish("d").await;
    assert_eq!(refused.code(), RESOURCE_EXHAUSTED, "{refused:?}");
    guest.is_served().await;
    clock.advance(hint(&refused).unwrap());
    assert_eq!(publish("d").await.code(), OK);
}

#[tokio::test]
async fn what_can_never_pass_is_refused_without_a_hint_and_nothing_is_charged() {
    let clock = ManualClock::at(NOON);
    let hub = hub(&clock, |limits| {
        limits.entries_burst = 10;
        limits.batch_entries = 20;
        limits.message_bytes = 65_536;
    });
    let guest = Guest::join(&hub).await;
    for (message, code, said) in [
        (
            publish("a", 11, 10),
            INVALID_ARGUMENT,
            "exceeds the 10 that this hub takes at once",
        ),
        (
            publish("b", 21, 10),
            INVALID_ARGUMENT,
            "publish exceeds 20 entries",
        ),
        (
            publish("c", 1, 70_000),
            RESOURCE_EXHAUSTED,
            "message exceeds 65536 bytes",
        ),
    ] {
        let answer = guest.peer().json(PUBLISH, guest.token(), &message).await;
        assert_eq!(answer.code(), code, "{answer:?}");
        assert!(answer.message().contains(said), "{}", answer.message());
        assert_eq!(hint(&answer), None);
    }
    let message = publish("d", 10, 10);
    let answer = guest.peer().json(PUBLISH, guest.token(), &message).await;
    assert_eq!(answer.code(), OK, "{answer:?}");
}

#[tokio::test]
async fn a_day_that_is_used_up_stays_so_over_a_restart_and_an_abrupt_end() {
    let clock = ManualClock::at(NOON);
    let temp = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(temp.path()).unwrap().join("data");
    let start = || {
        let mut config = HubConfig::new(DataDir::new(&path), VERSION);
        config.clock = clock.clone().into();
        config.settings.limits.daily_bytes = 2_097_152;
        TestHub::try_start(config).unwrap()
    };
    let mut hub = start();
    let (flooder, guest) = (Guest::join(&hub).await, Guest::join(&hub).await);
    let (token, other) = (flooder.token().to_owned(), guest.token().to_owned());
    let publish = async |hub: &TestHub, token: &str, ids: &str| {
        let message = publish(ids, 1, 1_000_000);
        Peer::connect(hub)
            .await
            .json(PUBLISH, token, &message)
            .await
    };
    for ids in ["a", "b"] {
        assert_eq!(publish(&hub, &token, ids).await.code(), OK);
    }
    for round in 0..3 {
        let refused = publish(&hub, &token, "c").await;
        assert_eq!(
            refused.code(),
            RESOURCE_EXHAUSTED,
            "round {round}: {refused:?}"
        );
        // At midnight.
        assert_eq!(hint(&refused), Some(Duration::from_secs(43_200)));
        match round {
            0 => hub.stop(),
            _ => hub.kill(),
        }
        hub = start();
    }
    for ids in ["d", "e"] {
        assert_eq!(publish(&hub, &other, ids).await.code(), OK);
    }
    clock.advance(Duration::from_secs(43_200));
    assert_eq!(publish(&hub, &token, "c").await.code(), OK);
}

#[tokio::test]
async fn streams_beyond_the_limits_are_refused_and_those_that_end_make_room() {
    let clock = ManualClock::at(NOON);
    let hub = hub(&clock, |limits| {
        limits.listeners_per_client = 3;
        limits.listeners = 5;
    });
    let (flooder, guest) = (Guest::join(&hub).await, Guest::join(&hub).await);
    guest.is_served().await;
    let refused = async |of: &Guest| {
        let answer = of.peer().json(LISTEN, of.token(), "{}").await;
        assert_eq!(answer.code(), RESOURCE_EXHAUSTED, "{answer:?}");
        assert_eq!(hint(&answer), Some(limits::LISTENER_RETRY));
    };
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(
            flooder
                .peer()
                .open(LISTEN, JSON, flooder.token(), "{}")
                .await,
        );
    }
    for _ in 0..100 {
        refused(&flooder).await;
    }
    // Another client has room, until all of them together have none.
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(guest.peer().open(LISTEN, JSON, guest.token(), "{}").await);
    }
    refused(&guest).await;
    // Those who listen already, publish and read notice nothing.
    guest.is_served().await;
    for stream in open.iter_mut().chain(&mut others) {
        assert_eq!(stream.next_sequence().await, 1);
    }
    drop(open);
    // The hub hears of it a moment later.
    let free = async {
        loop {
            let stream = guest.peer().open(LISTEN, JSON, guest.token(), "{}").await;
            if !stream.headers.contains_key("grpc-status") {
                return stream;
            }
        }
    };
    drop(patient(free).await);
}

#[tokio::test]
async fn syncs_that_are_not_read_are_limited_too() {
    let clock = ManualClock::at(NOON);
    let hub = hub(&clock, |limits| limits.syncs_per_client = 2);
    let (flooder, guest) = (Guest::join(&hub).await, Guest::join(&hub).await);
    let message = publish("large", 8, 500_000);
    let stored = guest.peer().json(PUBLISH, guest.token(), &message).await;
    assert_eq!(stored.code(), OK, "{stored:?}");
    let mut stuck = Vec::new();
    for _ in 0..2 {
        let peer = Peer::with_window(&hub, 1_024).await;
        stuck.push(peer.open(SYNC, JSON, flooder.token(), "{}").await);
    }
    let refused = flooder.peer().json(SYNC, flooder.token(), "{}").await;
    assert_eq!(refused.code(), RESOURCE_EXHAUSTED, "{refused:?}");
    assert_eq!(hint(&refused), Some(limits::SYNC_RETRY));
    guest.is_served().await;
}
