//! Streams of entries.

use ctx_hub::client::{ClientError, ClientErrorKind, EntryStream, Timeouts, Violation};
use ctx_hub::entry::Entry;
use ctx_hub::types::{EntryType, Sequence, TypeSet};

use super::peer::{End, Peer, Reply, framed};
use super::{IMPATIENCE, client, in_time, patient};

const HUB_ID: &str = "0123456789abcdef0123456789abcdef";

fn entry(sequence: u64, entry_type: &str) -> String {
    format!(
        r#"{{"id":"id-{sequence}","type":"{entry_type}","content":"c","origin":"o","timestamp":1,"sequence":{sequence},"meta":{{}}}}"#
    )
}

fn since(sequence: u64) -> Sequence {
    Sequence::new(sequence)
}

fn tasks() -> TypeSet {
    [EntryType::Task].into_iter().collect()
}

async fn synced(reply: Reply, timeouts: Timeouts) -> (Peer, EntryStream) {
    let peer = Peer::start([reply]).await;
    let client = client(&peer, timeouts).await;
    let stream = in_time(client.sync(&tasks(), since(4))).await.unwrap();
    (peer, stream)
}

/// The sequences that come, and what ends them.
async fn drained(stream: &mut EntryStream) -> (Vec<u64>, Option<ClientError>) {
    let mut sequences = Vec::new();
    loop {
        match in_time(stream.next()).await {
            Ok(Some(Entry { sequence, .. })) => sequences.push(sequence.get()),
            Ok(None) => return (sequences, None),
            Err(error) => return (sequences, Some(error)),
        }
    }
}

/// What comes of a stream of these entries.
async fn outcome(reply: Reply) -> (Vec<u64>, Option<ClientError>) {
    let (_peer, mut stream) = synced(reply, patient()).await;
    drained(&mut stream).await
}

fn violation(error: Option<ClientError>) -> Violation {
    match error {
        Some(ClientError::Protocol { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn sync_sends_its_cursor_and_types_and_reads_entries_to_the_end() {
    let reply = Reply::messages([entry(5, "task"), entry(9, "task")])
        .header("ctx-hub-id", HUB_ID)
        .header("ctx-hub-head", "12");
    let (mut peer, mut stream) = synced(reply, patient()).await;
    assert_eq!(stream.identity().id.as_ref().unwrap().as_str(), HUB_ID);
    assert_eq!(stream.identity().head, Some(Sequence::new(12)));
    let first = in_time(stream.next()).await.unwrap().unwrap();
    assert_eq!((first.id.as_str(), first.origin.as_str()), ("id-5", "o"));
    assert!(matches!(drained(&mut stream).await, (rest, None) if rest == [9]));
    assert!(
        matches!(in_time(stream.next()).await, Ok(None)),
        "the end stays the end"
    );

    let seen = peer.seen().await;
    assert_eq!(seen.path, "/ctx.hub.v1.CtxHub/Sync");
    assert_eq!(seen.message(), r#"{"types":["task"],"since_sequence":4}"#);
    assert_eq!(seen.header("content-type"), Some("application/grpc+json"));
    assert!(
        seen.header("authorization")
            .unwrap()
            .starts_with("Bearer ctx_cli_")
    );
    assert_eq!(
        seen.header("grpc-timeout"),
        None,
        "a deadline would end a long stream"
    );
}

#[tokio::test]
async fn all_types_are_asked_for_as_null() {
    let script = [Reply::messages::<&str>([]), Reply::messages::<&str>([])];
    let mut peer = Peer::start(script).await;
    let client = client(&peer, patient()).await;
    drop(
        in_time(client.sync(&TypeSet::all(), Sequence::START))
            .await
            .unwrap(),
    );
    assert_eq!(
        peer.seen().await.message(),
        r#"{"types":null,"since_sequence":0}"#
    );
    drop(
        in_time(client.listen(&TypeSet::all(), since(8)))
            .await
            .unwrap(),
    );
    let seen = peer.seen().await;
    assert_eq!(seen.path, "/ctx.hub.v1.CtxHub/Listen");
    assert_eq!(seen.message(), r#"{"types":null,"since_sequence":8}"#);
    assert_eq!(seen.header("grpc-timeout"), None);
}

#[tokio::test]
async fn no_types_are_refused_because_none_would_mean_all() {
    let mut peer = Peer::start([]).await;
    let client = client(&peer, patient()).await;
    let none = TypeSet::default();
    for opened in [
        in_time(client.sync(&none, Sequence::START)).await,
        in_time(client.listen(&none, Sequence::START)).await,
    ] {
        assert!(matches!(opened.unwrap_err(), ClientError::NoTypes));
    }
    assert!(peer.saw_no_more());
}

#[tokio::test]
async fn an_empty_stream_ends_at_once_however_its_end_is_written() {
    for reply in [Reply::messages::<&str>([]), Reply::failed_at_once(0, "")] {
        assert!(matches!(outcome(reply).await, (none, None) if none.is_empty()));
    }
}

#[tokio::test]
async fn an_older_hub_without_identity_is_read_all_the_same() {
    let (_peer, stream) = synced(Reply::message(&entry(5, "task")), patient()).await;
    assert_eq!(
        (&stream.identity().id, stream.identity().head),
        (&None, None)
    );
}

#[tokio::test]
async fn entries_of_a_type_nobody_knows_are_passed_over_and_counted() {
    let reply = Reply::messages([entry(5, "rumour"), entry(6, "task"), entry(7, "")]);
    let (_peer, mut stream) = synced(reply, patient()).await;
    assert!(matches!(drained(&mut stream).await, (read, None) if read == [6]));
    assert_eq!(stream.skipped(), 2);
    assert_eq!(stream.last(), since(7));
}

#[tokio::test]
async fn sequences_that_do_not_rise_from_the_cursor_are_a_violation() {
    for (sequences, good) in [
        (vec![4], vec![]),
        (vec![0], vec![]),
        (vec![5, 5], vec![5]),
        (vec![5, 8, 7], vec![5, 8]),
    ] {
        let reply = Reply::messages(sequences.iter().map(|s| entry(*s, "task")));
        let (read, error) = outcome(reply).await;
        assert_eq!(read, good);
        assert!(matches!(violation(error), Violation::OutOfOrder { .. }));
    }
    // Also those that are passed over have to rise.
    let reply = Reply::messages([entry(9, "rumour"), entry(6, "task")]);
    assert!(matches!(
        violation(outcome(reply).await.1),
        Violation::OutOfOrder { .. }
    ));
}

#[tokio::test]
async fn an_entry_that_was_not_asked_for_or_has_no_id_is_a_violation() {
    let reply = Reply::message(&entry(5, "decision"));
    assert!(matches!(
        violation(outcome(reply).await.1),
        Violation::TypeNotAsked { .. }
    ));
    let reply = Reply::message(r#"{"type":"task","sequence":5}"#);
    assert!(matches!(
        violation(outcome(reply).await.1),
        Violation::Value(_)
    ));
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_a_violation_after_the_good_ones() {
    let reply = Reply::messages([entry(5, "task"), "{\"id\":7}".to_owned()]);
    let (read, error) = outcome(reply).await;
    assert_eq!(read, [5]);
    let violation = violation(error);
    assert!(matches!(violation, Violation::Unreadable(_)));
    let cause = std::error::Error::source(&violation).unwrap().to_string();
    assert!(cause.contains("line 1 column 7"), "{cause}");
}

#[tokio::test]
async fn a_stream_that_ends_without_a_status_is_not_taken_for_whole() {
    let good = framed(entry(5, "task").as_bytes());
    let half = [good.as_slice(), &good[..9]].concat();
    for body in [&good, &half] {
        let (read, error) = outcome(Reply::message("").raw(body).end(End::Bare)).await;
        assert_eq!(read, [5]);
        let error = error.unwrap();
        assert!(matches!(error, ClientError::Gone { .. }), "{error:?}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_token_revoked_under_a_stream_is_refused_credentials() {
    let reply = Reply::message(&entry(5, "task"))
        .end(End::Trailers(super::peer::map(&[("grpc-status", "16")])));
    let (read, error) = outcome(reply).await;
    assert_eq!(read, [5]);
    assert_eq!(error.unwrap().kind(), ClientErrorKind::Credentials);
}

#[tokio::test]
async fn a_stream_that_is_reset_is_gone_and_worth_another_try() {
    for reason in [
        h2::Reason::CANCEL,
        h2::Reason::INTERNAL_ERROR,
        h2::Reason::NO_ERROR,
    ] {
        let reply = Reply::message(&entry(5, "task")).end(End::ResetLater(reason));
        let (peer, mut stream) = synced(reply, patient()).await;
        assert!(in_time(stream.next()).await.unwrap().is_some());
        peer.go();
        let error = in_time(stream.next()).await.unwrap_err();
        assert!(
            matches!(error, ClientError::Gone { .. }),
            "{reason:?}: {error:?}"
        );
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_hub_that_vanishes_under_a_stream_is_gone_and_worth_another_try() {
    let reply = Reply::message(&entry(5, "task")).end(End::Never);
    let (peer, mut stream) = synced(reply, patient()).await;
    assert!(in_time(stream.next()).await.unwrap().is_some());
    peer.cut();
    let error = in_time(stream.next()).await.unwrap_err();
    assert!(matches!(error, ClientError::Gone { .. }), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(error.kind(), ClientErrorKind::Unreachable);
}

#[tokio::test]
async fn a_sync_that_falls_silent_has_timed_out() {
    let timeouts = Timeouts {
        sync_idle: IMPATIENCE,
        ..patient()
    };
    let reply = Reply::message(&entry(5, "task")).end(End::Never);
    let (_peer, mut stream) = synced(reply, timeouts).await;
    let (_, error) = drained(&mut stream).await;
    let error = error.unwrap();
    assert!(
        matches!(
            error,
            ClientError::Timeout {
                after: IMPATIENCE,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_sync_that_does_not_begin_has_timed_out() {
    let timeouts = Timeouts {
        call: IMPATIENCE,
        ..patient()
    };
    let peer = Peer::start([Reply::message("").end(End::Mute)]).await;
    let client = client(&peer, timeouts).await;
    let error = in_time(client.sync(&tasks(), since(0))).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Timeout { call: "sync", .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_listen_that_does_not_begin_is_idle() {
    let timeouts = Timeouts {
        listen_idle: IMPATIENCE,
        ..patient()
    };
    let peer = Peer::start([Reply::message("").end(End::Mute)]).await;
    let client = client(&peer, timeouts).await;
    let error = in_time(client.listen(&tasks(), since(5)))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Idle {
                after: IMPATIENCE,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_listen_that_falls_silent_is_idle() {
    let timeouts = Timeouts {
        listen_idle: IMPATIENCE,
        ..patient()
    };
    let peer = Peer::start(vec![Reply::message(&entry(5, "task")).end(End::Never); 300]).await;
    let client = client(&peer, timeouts).await;
    let opened = async {
        loop {
            // On a busy machine the stream may begin too late: dial again, as the error asks.
            match client.listen(&tasks(), since(0)).await {
                Err(ClientError::Idle { .. }) => {}
                other => break other,
            }
        }
    };
    let mut stream = in_time(opened).await.unwrap();
    let (_, error) = drained(&mut stream).await;
    assert!(matches!(error, Some(ClientError::Idle { .. })), "{error:?}");
}

#[tokio::test]
async fn opening_a_stream_is_repeated_while_the_hub_is_unavailable() {
    let unavailable = || Reply::failed_at_once(14, "starting");
    let script = [
        unavailable(),
        Reply::messages::<&str>([]),
        unavailable(),
        unavailable(),
    ];
    let peer = Peer::start(
        script
            .into_iter()
            .chain([Reply::message(&entry(5, "task"))]),
    )
    .await;
    let client = client(&peer, patient()).await;
    let mut synced = in_time(client.sync(&tasks(), since(0))).await.unwrap();
    assert!(matches!(drained(&mut synced).await, (none, None) if none.is_empty()));
    let mut listened = in_time(client.listen(&tasks(), since(0))).await.unwrap();
    assert!(matches!(drained(&mut listened).await, (read, None) if read == [5]));
}

#[tokio::test]
async fn an_entry_that_an_older_hub_writes_six_times_as_large_is_read() {
    let content = "<".repeat(1_048_576);
    let escaped = "\\u003c".repeat(1_048_576);
    let large = entry(5, "task").replace("\"c\"", &format!("\"{escaped}\""));
    let (_peer, mut stream) = synced(Reply::message(&large), patient()).await;
    let read = in_time(stream.next()).await.unwrap().unwrap();
    assert!(read.content == content);
}

#[tokio::test]
async fn a_message_without_bound_is_refused_by_its_length_alone() {
    let mut frame = framed(b"{}");
    frame[1..5].copy_from_slice(&u32::MAX.to_be_bytes());
    let (_, error) = outcome(Reply::message("").raw(&frame).end(End::Never)).await;
    let error = error.unwrap();
    assert!(error.to_string().contains("too large"), "{error}");
    assert!(!error.is_retryable());
}
