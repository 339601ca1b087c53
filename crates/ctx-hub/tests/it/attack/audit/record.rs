//! Every call is on record: who, from where, what, and what came of it.

use ctx_hub::server::audit::verify;
use ctx_hub::wire::method::{
    HUB_STATUS, LIST_CLIENTS, LISTEN, REGISTER, REVOKE_CLIENT, STATUS, SYNC,
};

use super::*;

#[tokio::test]
async fn every_call_has_its_line_before_its_answer() {
    let hub = TestHub::start();
    let dir = hub.data_dir();
    let peer = Peer::connect(&hub).await;
    let last = || lines(dir).pop().unwrap();
    assert_eq!(last().record.event, "started");
    assert_eq!(last().record.pid, Some(std::process::id()));

    let (id, token) = peer.register(&hub, "alpha").await;
    let line = last();
    let said = (
        &*line.record.event,
        line.record.call.as_deref(),
        line.record.code.as_deref(),
    );
    assert_eq!(said, ("call", Some("Register"), Some("OK")));
    assert_eq!(line.record.target.as_deref(), Some("alpha"));
    assert_eq!(line.record.address.as_deref(), Some("127.0.0.1"));
    assert_eq!(line.record.encrypted, Some(false));
    let intent = &lines(dir)[lines(dir).len() - 2];
    assert_eq!(
        intent.record.event, "intent",
        "announced before it was done"
    );
    assert_eq!(intent.record.change.as_deref(), Some("register"));
    assert_eq!(intent.record.id, line.record.id);
    assert_eq!(intent.record.address, line.record.address);

    assert_eq!(publish(&peer, &token, "e").await.code(), "0");
    let line = last().record;
    assert_eq!(line.call.as_deref(), Some("Publish"));
    assert_eq!(line.client.as_ref(), Some(&id));
    assert_eq!(line.project.as_deref(), Some("alpha"));
    assert_eq!((line.entries, line.bytes), (Some(1), Some(7)));
    assert_eq!(line.claimed_origin, None);
    assert!(line.micros.is_some());

    peer.json(STATUS, &token, "{}").await;
    assert_eq!(last().record.call.as_deref(), Some("Status"));
    let refused = peer.json(STATUS, "ctx_cli_wrong", "{}").await;
    assert_eq!(refused.code(), "16");
    let line = last();
    assert!(line.is_failure());
    assert_eq!(line.record.reason.as_deref(), Some("credentials"));
    assert_eq!(line.record.client, None);

    let local = Peer::connect_socket(&dir.admin_socket()).await;
    for path in [HUB_STATUS, LIST_CLIENTS] {
        local.call(path, JSON, None, "{}").await;
        let line = last().record;
        assert_eq!(line.door.as_deref(), Some("socket"));
        assert_eq!(path.rsplit('/').next(), line.call.as_deref());
    }
    let message = format!(r#"{{"client_id":"{id}"}}"#);
    local.call(REVOKE_CLIENT, JSON, None, message).await;
    let line = last().record;
    assert_eq!(line.target.as_ref(), Some(&id));
    assert_eq!(line.change.as_deref(), Some("revoke"));
    assert_eq!(verify(dir).unwrap().findings, []);
}

#[tokio::test]
async fn a_stream_has_a_line_when_it_is_opened_and_one_when_it_is_over() {
    let hub = TestHub::start();
    let dir = hub.data_dir();
    let peer = Peer::connect(&hub).await;
    let (id, token) = peer.register(&hub, "alpha").await;
    for n in 0..3 {
        publish(&peer, &token, &format!("e{n}")).await;
    }
    let messages = peer.json(SYNC, &token, "{}").await.messages;
    assert_eq!(messages.len(), 3);
    // Each with the five bytes that gRPC puts before it.
    let sent: usize = messages.iter().map(|message| 5 + message.len()).sum();
    let over = |lines: &[AuditLine]| !about(lines, "closed", "Sync").is_empty();
    let found = lines_until(dir, over).await;
    let opened = about(&found, "opened", "Sync")[0];
    let closed = about(&found, "closed", "Sync")[0];
    assert_eq!(opened.record.id, closed.record.id);
    assert_eq!(closed.record.client.as_ref(), Some(&id));
    assert_eq!(closed.record.code.as_deref(), Some("OK"));
    assert_eq!(
        (closed.record.entries, closed.record.bytes),
        (Some(3), u64::try_from(sent).ok())
    );

    // One whose client goes, and one whose client is revoked.
    let mut gone = peer.open(LISTEN, JSON, &token, "{}").await;
    gone.next().await.unwrap();
    assert_eq!(
        about(&lines(dir), "opened", "Listen").len(),
        1,
        "before the answer"
    );
    drop(gone);
    let over = |lines: &[AuditLine]| about(lines, "closed", "Listen").len() == 1;
    let found = lines_until(dir, over).await;
    let closed = &about(&found, "closed", "Listen")[0].record;
    assert_eq!(closed.reason.as_deref(), Some("gone"));
    let mut ended = peer
        .open(LISTEN, JSON, &token, r#"{"since_sequence":3}"#)
        .await;
    revoke(&peer, &hub, &id).await;
    ended.next().await.unwrap_err();
    let over = |lines: &[AuditLine]| about(lines, "closed", "Listen").len() == 2;
    let found = lines_until(dir, over).await;
    let closed = &about(&found, "closed", "Listen")[1].record;
    assert_eq!(closed.reason.as_deref(), Some("revoked"));
}

#[tokio::test]
async fn an_origin_that_is_not_the_caller_s_is_on_record_and_counts_for_nothing() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    for (n, (origin, claimed)) in [
        ("beta", Some("beta")),
        ("alpha", None),
        ("", None),
        ("Alpha", Some("Alpha")),
        ("be\x1b[31mta\n{", Some(r"be\u{1b}[31mta\u{a}{")),
    ]
    .into_iter()
    .enumerate()
    {
        let message = entry(&format!("e{n}"), origin, "content");
        assert_eq!(peer.json(PUBLISH, &token, &message).await.code(), "0");
        let line = lines(hub.data_dir()).pop().unwrap();
        assert_eq!(line.record.claimed_origin.as_deref(), claimed, "{origin:?}");
        assert_eq!(line.record.project.as_deref(), Some("alpha"));
    }
    let long = entry("long", &"x".repeat(100_000), "content");
    assert_eq!(peer.json(PUBLISH, &token, &long).await.code(), "0");
    let line = lines(hub.data_dir()).pop().unwrap();
    assert!(line.record.claimed_origin.unwrap().len() < 200);
    let all = peer.json(SYNC, &token, "{}").await;
    assert_eq!(all.messages.len(), 6);
    for text in all.texts() {
        let entry: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(entry["origin"], "alpha");
    }
}

#[tokio::test]
async fn a_call_that_its_caller_gave_up_is_on_record_for_it_may_have_happened() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    // Its message never comes to its end, and its caller goes.
    let begun = peer
        .begin_json(PUBLISH, &token, &entry("e", "", "content"))
        .await;
    drop(begun);
    let over = |lines: &[AuditLine]| !about(lines, "call", "Publish").is_empty();
    let found = lines_until(hub.data_dir(), over).await;
    let line = &about(&found, "call", "Publish")[0].record;
    assert_ne!(line.code.as_deref(), Some("OK"), "{line:?}");
}

#[tokio::test]
async fn a_hub_says_when_it_stops_and_the_next_one_goes_on_with_the_same_trail() {
    let mut hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    drop(peer);
    hub.restart();
    let peer = Peer::connect(&hub).await;
    publish(&peer, &token, "e").await;
    let found = lines(hub.data_dir());
    let events: Vec<&str> = found.iter().map(|line| &*line.record.event).collect();
    assert_eq!(
        events,
        [
            "begun", "started", "intent", "call", "stopped", "started", "call"
        ]
    );
    let numbers: Vec<u64> = found.iter().map(|line| line.n).collect();
    assert_eq!(numbers, (1..=7).collect::<Vec<u64>>());
    let settings = |n: usize| found[n].record.settings.clone().unwrap();
    assert_eq!(settings(1), settings(5));
    assert_eq!(settings(1).len(), 64);
    // Killed, it does not say so.
    hub.kill();
    hub.restart();
    assert_eq!(
        lines(hub.data_dir()).last().unwrap().record.event,
        "started"
    );
    assert_eq!(verify(hub.data_dir()).unwrap().findings, []);
    let message = r#"{"admin_token":"","project_name":"x"}"#;
    Peer::connect(&hub)
        .await
        .call(REGISTER, JSON, None, message)
        .await;
}
