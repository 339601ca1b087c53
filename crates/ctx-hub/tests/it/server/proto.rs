//! The same paths in protobuf, and the standard services beside them.

use ctx_hub::wire::generated as wire;
use ctx_hub::wire::method::{HUB_STATUS, PUBLISH, REGISTER, STATUS, SYNC};
use prost::Message as _;

use super::hub::TestHub;
use super::peer::{Answer, JSON, PROTO, PROTO_LONG, Peer, frame};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// `HealthCheckResponse` with status `SERVING`, and with `NOT_SERVING`.
const SERVING: &[u8] = &[0x08, 1];
const NOT_SERVING: &[u8] = &[0x08, 2];

fn one<M: prost::Message + Default>(answer: &Answer) -> M {
    assert_eq!(answer.code(), "0", "{answer:?}");
    assert_eq!(answer.messages.len(), 1);
    M::decode(answer.messages[0].clone()).unwrap()
}

#[tokio::test]
async fn protobuf_is_answered_in_protobuf_under_both_of_its_names() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    for (content_type, project) in [(PROTO, "short"), (PROTO_LONG, "long")] {
        let request = wire::RegisterRequest {
            admin_token: hub.admin_token().expose().to_owned(),
            project_name: project.to_owned(),
            ..wire::RegisterRequest::default()
        };
        let answer = peer
            .call(REGISTER, content_type, None, request.encode_to_vec())
            .await;
        assert_eq!(answer.header("content-type"), Some(content_type));
        let token = one::<wire::RegisterResponse>(&answer).client_token;
        let token = Some(token.as_str());

        let entry = wire::PublishEntry {
            id: project.to_owned(),
            r#type: "convention".to_owned(),
            content: "ü\0".to_owned(),
            origin: "mallory".to_owned(),
            timestamp: -5,
            meta: Some(wire::EntryMeta {
                host: "h".to_owned(),
                ..Default::default()
            }),
        };
        let request = wire::PublishRequest {
            entries: vec![entry],
        };
        let answer = peer
            .call(PUBLISH, content_type, token, request.encode_to_vec())
            .await;
        let sequence = one::<wire::PublishResponse>(&answer).sequences[0];

        let request = wire::SyncRequest {
            types: vec![],
            since_sequence: sequence - 1,
            ..wire::SyncRequest::default()
        };
        let answer = peer
            .call(SYNC, content_type, token, request.encode_to_vec())
            .await;
        assert_eq!(answer.header("content-type"), Some(content_type));
        let entry: wire::EntryMsg = one(&answer);
        assert_eq!(
            (entry.content.as_str(), entry.origin.as_str()),
            ("ü\0", project)
        );
        assert_eq!((entry.timestamp, entry.sequence), (-5, sequence));
        assert_eq!(entry.meta.unwrap().host, "h");

        let answer = peer.call(STATUS, content_type, token, []).await;
        let status: wire::StatusResponse = one(&answer);
        assert_eq!(status.total_entries, sequence);

        let refused = peer.call(STATUS, content_type, None, []).await;
        assert_eq!(
            (refused.code(), refused.header("content-type")),
            ("16", Some(content_type))
        );
    }
}

#[tokio::test]
async fn what_one_encoding_publishes_the_other_reads() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    peer.publish(&token, "from-json", "tab\tand \"quotes\"")
        .await;
    let answer = peer.call(SYNC, PROTO, Some(&token), []).await;
    let entry: wire::EntryMsg = one(&answer);
    assert_eq!(
        (entry.id.as_str(), entry.content.as_str()),
        ("from-json", "tab\tand \"quotes\"")
    );
    let broken = peer.call(PUBLISH, PROTO, Some(&token), [0xff]).await;
    assert_eq!(broken.code(), "3", "{broken:?}");
}

#[tokio::test]
async fn the_standard_health_check_answers_for_the_hub_and_its_services() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    for service in ["", "ctx.hub.v1.CtxHub", "ctx.hub.v1.CtxHubAdmin"] {
        let answer = peer.call(HEALTH, PROTO, None, named(1, service)).await;
        assert_eq!(answer.code(), "0");
        assert_eq!(answer.messages, [SERVING], "{service}");
    }
    let answer = peer
        .call(HEALTH, PROTO, None, named(1, "somebody.Else"))
        .await;
    assert_eq!(answer.code(), "5");
}

#[tokio::test]
async fn whoever_watches_the_health_sees_the_hub_stop_and_does_not_hold_it_up() {
    let mut hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let mut watching = peer
        .open(WATCH, PROTO, "nobody", named(1, "ctx.hub.v1.CtxHub"))
        .await;
    assert_eq!(watching.next().await.unwrap(), SERVING);
    let stopping = hub.begin_stop();
    assert_eq!(watching.next().await.unwrap(), NOT_SERVING);
    assert_eq!(watching.next().await.unwrap_err().0, "0");
    tokio::task::spawn_blocking(|| stopping.wait())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_written_to_is_told_by_the_health_and_so_is_its_recovery() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let mut watching = peer
        .open(WATCH, PROTO, "nobody", named(1, "ctx.hub.v1.CtxHub"))
        .await;
    assert_eq!(watching.next().await.unwrap(), SERVING);

    // Somebody holds the store: the hub waits a while for them, and gives up.
    let other = rusqlite::Connection::open(hub.data_dir().store()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let publish = wire::PublishRequest {
        entries: vec![wire::PublishEntry {
            id: "one".to_owned(),
            r#type: "task".to_owned(),
            ..Default::default()
        }],
    };
    let publish = publish.encode_to_vec();
    let refused = peer
        .call(PUBLISH, PROTO, Some(&token), publish.clone())
        .await;
    assert_eq!(refused.code(), "14", "{refused:?}");
    assert_eq!(watching.next().await.unwrap(), NOT_SERVING);
    let whole = peer.call(HEALTH, PROTO, None, named(1, "")).await;
    assert_eq!(whole.messages, [NOT_SERVING]);
    let service = named(1, "ctx.hub.v1.CtxHubAdmin");
    let admin = peer.call(HEALTH, PROTO, None, service).await;
    assert_eq!(admin.messages, [SERVING], "administration goes on");
    let status = status(&hub, &peer).await;
    assert!(status.troubles[0].contains("cannot be used"), "{status:?}");

    // Nobody publishes, and it finds out by itself.
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(watching.next().await.unwrap(), SERVING);
    assert_eq!(self::status(&hub, &peer).await.troubles, [""; 0]);
    let stored = peer.call(PUBLISH, PROTO, Some(&token), publish).await;
    assert_eq!(one::<wire::PublishResponse>(&stored).sequences, [1]);
}

async fn status(hub: &TestHub, peer: &Peer) -> wire::HubStatusResponse {
    let token = hub.admin_token();
    let token = Some(token.expose());
    one(&peer.call(HUB_STATUS, PROTO, token, Vec::new()).await)
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let headers = [("content-type", PROTO)];
    // ServerReflectionRequest { list_services: "" }
    let answer = peer.raw(REFLECTION, &headers, frame(&named(7, ""))).await;
    let listed = String::from_utf8_lossy(&answer.messages[0]).into_owned();
    for service in [
        "ctx.hub.v1.CtxHub",
        "ctx.hub.v1.CtxHubAdmin",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    ] {
        assert!(listed.contains(service), "{service}: {listed}");
    }
    // ServerReflectionRequest { file_containing_symbol: … }
    let symbol = named(4, "ctx.hub.v1.EntryMsg");
    let answer = peer.raw(REFLECTION, &headers, frame(&symbol)).await;
    let described = String::from_utf8_lossy(&answer.messages[0]).into_owned();
    for word in ["PublishEntry", "since_sequence", "ListClients"] {
        assert!(described.contains(word), "{word}");
    }
}

#[tokio::test]
async fn operators_are_answered_in_both_encodings() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let token = Some(hub.admin_token().expose());
    let answer = peer.call(HUB_STATUS, PROTO, token, []).await;
    let status: wire::HubStatusResponse = one(&answer);
    assert_eq!(status.addresses, [hub.socket_addr().to_string()]);
    let answer = peer.call(HUB_STATUS, JSON, token, "{}").await;
    assert!(
        answer
            .text()
            .contains(&format!(r#""hub_id":"{}""#, status.hub_id))
    );
}

/// A message whose field `number` is the text `value`.
fn named(number: u8, value: &str) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, u8::try_from(value.len()).unwrap()];
    bytes.extend_from_slice(value.as_bytes());
    bytes
}
