//! The JSON of the protocol, byte by byte, as a peer sees it that is not our client.

use ctx_hub::wire::method::{LISTEN, PUBLISH, REGISTER, STATUS, SYNC};

use super::hub::TestHub;
use super::peer::{Answer, JSON, Peer};

/// An entry as older peers know it, and the rolling hash that stands behind that.
fn unchained(text: &(impl AsRef<[u8]> + ?Sized)) -> (String, &str) {
    let text = std::str::from_utf8(text.as_ref()).unwrap();
    let (entry, chain) = text.split_once(r#","chain":""#).unwrap();
    let chain = chain.strip_suffix(r#""}"#).unwrap();
    assert_eq!(chain.len(), 32);
    (format!("{entry}}}"), chain)
}

/// The entries of a stream as older peers know them.
fn entries(answer: &Answer) -> Vec<String> {
    let texts = answer.texts();
    texts.iter().map(|text| unchained(text).0).collect()
}

#[tokio::test]
async fn a_foreign_peer_registers_publishes_syncs_listens_and_reads_status() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;

    let register = format!(
        r#"{{"admin_token":"{}","project_name":"alpha"}}"#,
        hub.admin_token().expose()
    );
    let answer = peer.call(REGISTER, JSON, None, register).await;
    assert_eq!(answer.http, 200);
    assert_eq!(answer.header("content-type"), Some(JSON));
    let registered = answer.text();
    // {"client_id":"<32>","client_token":"ctx_cli_<64>"}
    let (id, token) = (&registered[14..46], &registered[64..136]);
    assert_eq!(
        registered,
        format!(r#"{{"client_id":"{id}","client_token":"{token}"}}"#)
    );
    assert!(
        id.bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    );
    assert!(token.starts_with("ctx_cli_"));
    let hub_id = answer.header("ctx-hub-id").unwrap().to_owned();
    assert_eq!(hub_id.len(), 32);
    let token = token.to_owned();

    let answer = peer.json(STATUS, &token, "{}").await;
    assert_eq!(
        answer.text(),
        r#"{"total_entries":0,"connected_clients":0,"entries_by_type":{},"entries_by_project":{}}"#
    );
    assert_eq!(answer.header("content-type"), Some(JSON));
    assert_eq!(answer.header("ctx-hub-head"), Some("0"));

    let one = r#"{"id":"e-1","type":"decision","content":"Use tabs\n<&> ü","origin":"mallory","timestamp":1700000000,"meta":{"display_name":"Ada","tool":"t"}}"#;
    let two = r#"{"id":"e-2","type":"task","content":"","origin":"","timestamp":-1,"meta":{}}"#;
    let answer = peer
        .json(PUBLISH, &token, &format!(r#"{{"entries":[{one},{two}]}}"#))
        .await;
    assert_eq!(answer.text(), r#"{"sequences":[1,2]}"#);
    assert_eq!(answer.header("ctx-hub-id"), Some(hub_id.as_str()));
    assert_eq!(answer.trailers.get("grpc-status").unwrap(), "0");

    let answer = peer
        .json(SYNC, &token, r#"{"types":null,"since_sequence":0}"#)
        .await;
    let stored_one = r#"{"id":"e-1","type":"decision","content":"Use tabs\n<&> ü","origin":"alpha","timestamp":1700000000,"sequence":1,"meta":{"display_name":"Ada","tool":"t"}}"#;
    let stored_two = r#"{"id":"e-2","type":"task","content":"","origin":"alpha","timestamp":-1,"sequence":2,"meta":{}}"#;
    assert_eq!(entries(&answer), [stored_one, stored_two]);
    let last = &answer.texts()[1];
    assert_eq!(answer.header("ctx-hub-chain"), Some(unchained(last).1));
    assert_eq!(answer.header("content-type"), Some(JSON));
    assert_eq!(answer.header("ctx-hub-head"), Some("2"));
    assert_eq!(answer.header("ctx-hub-id"), Some(hub_id.as_str()));
    assert_eq!(answer.trailers.get("grpc-status").unwrap(), "0");

    let answer = peer
        .json(SYNC, &token, r#"{"types":["task"],"since_sequence":0}"#)
        .await;
    assert_eq!(entries(&answer), [stored_two]);
    let answer = peer
        .json(SYNC, &token, r#"{"types":[],"since_sequence":2}"#)
        .await;
    assert_eq!(answer.texts(), [""; 0]);

    let request = r#"{"types":["task","decision"],"since_sequence":1}"#;
    let mut listening = peer.open(LISTEN, JSON, &token, request).await;
    assert_eq!(listening.headers.get("content-type").unwrap(), JSON);
    assert_eq!(listening.headers.get("ctx-hub-id").unwrap(), &hub_id);
    assert_eq!(listening.headers.get("ctx-hub-head").unwrap(), "2");
    assert_eq!(unchained(&listening.next().await.unwrap()).0, stored_two);
    assert_eq!(
        peer.publish(&token, "e-3", "not of a type asked for").await,
        3
    );
    let three =
        r#"{"id":"e-4","type":"decision","content":"live","origin":"","timestamp":0,"meta":null}"#;
    peer.json(PUBLISH, &token, &format!(r#"{{"entries":[{three}]}}"#))
        .await;
    assert_eq!(
        unchained(&listening.next().await.unwrap()).0,
        r#"{"id":"e-4","type":"decision","content":"live","origin":"alpha","timestamp":0,"sequence":4,"meta":{}}"#
    );

    let answer = peer.json(STATUS, &token, "{}").await;
    assert_eq!(
        answer.text(),
        r#"{"total_entries":4,"connected_clients":1,"entries_by_type":{"decision":2,"learning":1,"task":1},"entries_by_project":{"alpha":4}}"#
    );
    assert_eq!(answer.header("ctx-hub-head"), Some("4"));
}

#[tokio::test]
async fn arrays_that_older_peers_send_as_null_are_empty_and_unknown_fields_are_ignored() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    for empty in [
        "{}",
        r#"{"entries":null}"#,
        r#"{"entries":[]}"#,
        r#"{"more":[1,{}]}"#,
    ] {
        let answer = peer.json(PUBLISH, &token, empty).await;
        assert_eq!(answer.text(), r#"{"sequences":null}"#, "{empty}");
    }
    let entry =
        r#"{"id":"e","type":"task","content":"c","author":{"x":[]},"meta":{"host":"h","shoe":9}}"#;
    let message = format!(r#"{{"entries":[{entry}],"batch":"b"}}"#);
    assert_eq!(
        peer.json(PUBLISH, &token, &message).await.text(),
        r#"{"sequences":[1]}"#
    );
    for all in [
        "{}",
        r#"{"types":null}"#,
        r#"{"types":[],"since_sequence":null,"x":1}"#,
    ] {
        let answer = peer.json(SYNC, &token, all).await;
        assert_eq!(
            entries(&answer),
            [
                r#"{"id":"e","type":"task","content":"c","origin":"alpha","timestamp":0,"sequence":1,"meta":{"host":"h"}}"#
            ],
            "{all}"
        );
    }
}

#[tokio::test]
async fn an_id_is_stored_once_whoever_publishes_it_again() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, alpha) = peer.register(&hub, "alpha").await;
    let (_, beta) = peer.register(&hub, "beta").await;
    assert_eq!(peer.publish(&alpha, "same", "first").await, 1);
    assert_eq!(peer.publish(&alpha, "other", "x").await, 2);
    assert_eq!(peer.publish(&alpha, "same", "second").await, 1);
    assert_eq!(peer.publish(&beta, "same", "third").await, 1);
    let entry = |id: &str| format!(r#"{{"id":"{id}","type":"task","content":"t"}}"#);
    let message = format!(
        r#"{{"entries":[{},{},{}]}}"#,
        entry("n"),
        entry("same"),
        entry("n")
    );
    let answer = peer.json(PUBLISH, &beta, &message).await;
    assert_eq!(answer.text(), r#"{"sequences":[3,1,3]}"#);
    let stored = peer.json(SYNC, &beta, "{}").await;
    assert_eq!(stored.messages.len(), 3);
    assert!(stored.texts()[0].contains(r#""content":"first","origin":"alpha""#));
}

#[tokio::test]
async fn two_projects_see_each_other_s_entries_under_the_hub_s_own_word_for_their_origin() {
    let hub = TestHub::start();
    let (one, two) = (Peer::connect(&hub).await, Peer::connect(&hub).await);
    let (_, alpha) = one.register(&hub, "alpha").await;
    let (_, beta) = two.register(&hub, "größe 42").await;
    let claim = |id: &str| {
        format!(r#"{{"entries":[{{"id":"{id}","type":"task","content":"c","origin":"root"}}]}}"#)
    };
    one.json(PUBLISH, &alpha, &claim("a")).await.text();
    two.json(PUBLISH, &beta, &claim("b")).await.text();
    let expected = [
        r#"{"id":"a","type":"task","content":"c","origin":"alpha","timestamp":0,"sequence":1,"meta":{}}"#,
        r#"{"id":"b","type":"task","content":"c","origin":"größe 42","timestamp":0,"sequence":2,"meta":{}}"#,
    ];
    assert_eq!(entries(&one.json(SYNC, &alpha, "{}").await), expected);
    assert_eq!(entries(&two.json(SYNC, &beta, "{}").await), expected);
}
