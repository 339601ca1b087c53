//! A hub that takes no more for now: the client waits, or says when, and does not go on asking.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use ctx_config::limits;
use ctx_config::paths::ContextDir;
use ctx_config::wire::RETRY_AFTER_HEADER;
use ctx_hub::client::{ClientError, ClientErrorKind, HubClient, Timeouts};
use ctx_hub::entry::{EntryDraft, EntryMeta};
use ctx_hub::outbox::{Delivery, Outbox, WhenAway};
use ctx_hub::server::ManualClock;
use ctx_hub::sync::{SyncEvent, SyncOptions, sync};
use ctx_hub::types::{EntryId, EntryType, Sequence, TypeSet};

use super::peer::{Peer, Reply};
use super::{client, in_time, patient};
use crate::server::hub::TestHub;

const RESOURCE_EXHAUSTED: u8 = 8;

/// What a hub answers that takes no more, with what it says of when it will.
fn limited(hint: &str) -> Reply {
    Reply::failed_at_once(RESOURCE_EXHAUSTED, "too much").header(RETRY_AFTER_HEADER, hint)
}

fn stored(sequence: u64) -> Reply {
    Reply::message(&format!(r#"{{"sequences":[{sequence}]}}"#))
}

fn draft(id: &str) -> EntryDraft {
    let id = EntryId::try_from(id.to_owned()).unwrap();
    let meta = EntryMeta::default();
    EntryDraft::new(id, EntryType::Task, "text".to_owned(), 1, meta).unwrap()
}

/// Asserts that so many requests came, and no more.
async fn saw(peer: &mut Peer, requests: usize) {
    for _ in 0..requests {
        in_time(peer.seen()).await;
    }
    assert!(peer.saw_no_more());
}

#[tokio::test]
async fn a_hint_within_the_time_of_the_call_is_waited_out_and_the_call_repeated() {
    let mut peer = Peer::start([limited("150"), limited("100"), stored(7)]).await;
    let client = client(&peer, patient()).await;
    let began = Instant::now();
    let sequences = in_time(client.publish(&[draft("a")])).await.unwrap();
    assert_eq!(sequences, [Sequence::new(7)]);
    // No upper bound: the machine may be busy. No less than it was told, though.
    assert!(began.elapsed() >= Duration::from_millis(250));
    saw(&mut peer, 3).await;
}

#[tokio::test]
async fn a_hint_beyond_it_is_told_and_the_hub_is_left_alone() {
    // A year is cut to what a client bears.
    for hint in ["3600000", "31536000000", "99999999999999999999999"] {
        let mut peer = Peer::start([limited(hint), stored(1)]).await;
        // There is more time than this test has, and less than the hub asks for: the call says so
        // at once.
        let timeouts = Timeouts {
            call: limits::RETRY_HINT_LONGEST / 2,
            ..patient()
        };
        let client = client(&peer, timeouts).await;
        for _ in 0..5 {
            let error = in_time(client.publish(&[draft("a")])).await.unwrap_err();
            assert_eq!(error.kind(), ClientErrorKind::Unreachable);
            assert!(error.is_retryable());
            let wait = error.retry_after().unwrap();
            assert!(wait <= limits::RETRY_HINT_LONGEST, "{wait:?}");
            assert!(wait > limits::RETRY_HINT_LONGEST / 2, "{wait:?}");
            let said = error.to_string();
            assert!(
                said.ends_with("takes no more of publish for now: too much"),
                "{said}"
            );
            let hint = error.hint().unwrap();
            assert!(hint.starts_with("try again in "), "{hint}");
        }
        saw(&mut peer, 1).await;
    }
}

#[tokio::test]
async fn what_is_no_hint_is_as_if_there_were_none() {
    for garbage in ["-1", "soon", "", "1.5"] {
        let mut peer = Peer::start([limited(garbage), stored(1)]).await;
        let client = client(&peer, patient()).await;
        let error = in_time(client.publish(&[draft("a")])).await.unwrap_err();
        assert!(matches!(error, ClientError::Rejected { .. }), "{error:?}");
        saw(&mut peer, 1).await;
        in_time(client.publish(&[draft("a")])).await.unwrap();
    }
}

#[tokio::test]
async fn one_call_that_is_limited_holds_up_no_other() {
    let peer = Peer::start([limited("3600000"), stored(1)]).await;
    let client = client(&peer, patient()).await;
    in_time(client.status()).await.unwrap_err();
    in_time(client.publish(&[draft("a")])).await.unwrap();
}

/// What a hub of ours says, end to end: a publish over the limit is queued, its project still mirrors
/// what others publish, and what is queued goes when the hub said.
#[tokio::test]
async fn what_a_hub_takes_no_more_of_is_queued_and_reading_goes_on() {
    let clock = ManualClock::at(0);
    let hub = TestHub::start_with(|config| {
        config.clock = clock.clone().into();
        config.settings.limits.entries_per_second = 1;
        config.settings.limits.entries_burst = 100;
    });
    let register = async |project: &str| {
        let timeouts = Timeouts::default();
        let client = HubClient::connect(&hub.address(), timeouts).await.unwrap();
        let project = project.parse().unwrap();
        client
            .register(hub.admin_token(), &project)
            .await
            .unwrap()
            .token
    };
    let (busy, other) = (register("busy").await, register("other").await);
    let dial = async |token: &ctx_hub::secret::ClientToken| {
        let timeouts = Timeouts::default();
        let client = HubClient::connect(&hub.address(), timeouts).await?;
        Ok::<_, ClientError>(client.with_token(token.clone()))
    };
    let all: Vec<EntryDraft> = (0..100).map(|n| draft(&format!("burst-{n}"))).collect();
    let client = dial(&busy).await.unwrap();
    in_time(client.publish(&all)).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let context = ContextDir::new(Utf8Path::from_path(dir.path()).unwrap());
    let outbox = Outbox::of(&context);
    for n in 0..40 {
        outbox.queue(&draft(&format!("queued-{n}"))).unwrap();
    }
    let published = outbox
        .publish(&draft("last"), WhenAway::Queue, dial(&busy))
        .await;
    let Ok(Delivery::Queued { queued, why }) = published.delivery else {
        panic!("{published:?}");
    };
    assert_eq!(queued.waiting, 41);
    // Before the message is read, the hub can only say when there will be room for something.
    assert_eq!(why.retry_after(), Some(Duration::from_secs(1)));

    let guest = dial(&other).await.unwrap();
    in_time(guest.publish(&[draft("of the other")]))
        .await
        .unwrap();
    let client = dial(&busy).await.unwrap();
    let mut stopped = false;
    let mut on_event = |event: SyncEvent| {
        if let SyncEvent::Outbox(report) = event {
            stopped |= report.stopped.is_some();
        }
    };
    let (types, options) = (TypeSet::all(), SyncOptions::default());
    let report = in_time(sync(&client, &context, &types, &options, &mut on_event))
        .await
        .unwrap();
    assert_eq!((report.total(), report.sent), (101, 0));
    assert!(stopped, "it was told that entries stay queued");

    clock.advance(Duration::from_secs(41));
    let client = dial(&busy).await.unwrap();
    let report = in_time(outbox.send(&client)).await.unwrap();
    assert_eq!(report.sent.len(), 41, "{report:?}");
    assert!(outbox.is_empty().unwrap());
}
