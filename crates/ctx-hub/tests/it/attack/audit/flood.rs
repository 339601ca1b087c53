//! A stranger cannot fill the disk, nor push what matters out of the trail.

use ctx_config::limits;
use ctx_hub::wire::method::{PUBLISH, REGISTER, STATUS};

use super::*;

#[tokio::test]
async fn ten_thousand_failures_of_a_stranger_are_a_few_lines_and_a_number() {
    let mut hub = patient_hub();
    let begun = std::time::Instant::now();
    let guess = r#"{"admin_token":"ctx_adm_guess","project_name":"x"}"#;
    let mut tries = tokio::task::JoinSet::new();
    let mut peers = Vec::new();
    for _ in 0..10 {
        peers.push(Peer::connect(&hub).await);
    }
    for n in 0..100 {
        let peer = peers[n % peers.len()].clone();
        tries.spawn(async move {
            for n in 0..100 {
                match n % 3 {
                    0 => peer.json(STATUS, "ctx_cli_guess", "{}").await,
                    1 => peer.json(PUBLISH, "ctx_cli_guess", "{}").await,
                    _ => peer.call(REGISTER, JSON, None, guess).await,
                };
            }
        });
    }
    while let Some(tried) = tries.join_next().await {
        tried.unwrap();
    }
    let windows = begun.elapsed().as_secs() / limits::AUDIT_STRANGER_WINDOW.as_secs() + 2;
    hub.stop();
    let found = lines(hub.data_dir());
    let failures: Vec<_> = found.iter().filter(|line| line.is_failure()).collect();
    let alone = u64::from(limits::AUDIT_STRANGER_LINES) + 1;
    assert!(
        failures.len() as u64 <= windows * alone,
        "{} lines in {windows} windows",
        failures.len()
    );
    // None is forgotten.
    let suppressed = failures.iter().filter_map(|line| line.record.suppressed);
    let own = failures.iter().filter(|line| line.record.event == "call");
    assert_eq!(suppressed.sum::<u64>() + own.count() as u64, 10_000);
    // Who has shown who they are is not counted with the others.
    let peer_lines = found.iter().filter(|line| line.record.client.is_some());
    assert_eq!(peer_lines.count(), 0);
}

#[tokio::test]
async fn a_stranger_s_failures_take_no_line_from_those_of_a_client() {
    let hub = patient_hub();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    for _ in 0..50 {
        peer.json(STATUS, "ctx_cli_guess", "{}").await;
        let refused = peer.json(PUBLISH, &token, r#"{"entries":[{}]}"#).await;
        assert_eq!(refused.code(), "3");
    }
    let found = lines(hub.data_dir());
    let own = about(&found, "call", "Publish");
    assert_eq!(own.len(), 50);
    assert!(
        own.iter()
            .all(|line| line.record.reason.as_deref() == Some("invalid"))
    );
    assert_eq!(
        about(&found, "call", "Status").len(),
        limits::AUDIT_STRANGER_LINES as usize
    );
}

#[tokio::test]
async fn an_address_that_is_refused_for_its_failures_is_on_record() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    for _ in 0..=limits::ADDRESS_FAILURES_BURST {
        peer.json(STATUS, "ctx_cli_guess", "{}").await;
    }
    let found = lines(hub.data_dir());
    let limited = found
        .iter()
        .find(|line| line.record.event == "address_limited");
    let limited = limited.expect("a line");
    assert_eq!(limited.record.address.as_deref(), Some("127.0.0.1"));
    assert!(limited.is_failure());
}
