//! A hub's life: who may open its data directory, what survives a restart, how it ends.
#![expect(
    clippy::disallowed_methods,
    reason = "files are planted as others leave them"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use ctx_hub::server::{HubConfig, HubErrorKind, open_offline};
use ctx_hub::wire::method::{LISTEN, PUBLISH, STATUS, SYNC};
use tokio::task::JoinSet;

use super::hub::{TestHub, VERSION};
use super::peer::{JSON, Peer, patient};

/// A data directory that is not there yet.
fn data_dir(temp: &tempfile::TempDir) -> Utf8PathBuf {
    Utf8Path::from_path(temp.path()).unwrap().join("a/b/data")
}

#[test]
fn a_second_hub_on_the_same_data_directory_is_told_who_serves_it() {
    let hub = TestHub::start();
    let dir = hub.data_dir();
    let error = TestHub::try_start_in(dir.path()).err().expect("refused");
    assert_eq!(error.kind(), HubErrorKind::Busy);
    let pid = std::process::id();
    assert_eq!(
        error.to_string(),
        format!("{} is served by another hub, process {pid}", dir.path())
    );
    assert!(error.hint().unwrap().contains("ctx hub stop --data-dir"));
    assert_eq!(
        std::fs::read_to_string(dir.pid()).unwrap(),
        format!("{pid}\n")
    );
    // The refused one has not touched what is the first one's.
    assert!(dir.admin_socket().exists());
    std::os::unix::net::UnixStream::connect(dir.admin_socket()).unwrap();
}

#[tokio::test]
async fn entries_of_every_size_survive_a_restart_and_so_do_tokens_and_the_hub_s_identity() {
    let mut hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    // A newline, a quote and a two-byte letter: one mebibyte of content, more on the wire.
    let large = "a\n\"ü<".repeat(1_048_576 / 6 + 1);
    let large = &large[..1_048_576 - 4];
    let middle = "y".repeat(70_000);
    for (id, content) in [("large", large), ("middle", middle.as_str()), ("empty", "")] {
        peer.publish(&token, id, content).await;
    }
    let before = peer.json(SYNC, &token, "{}").await;
    let identity = before.header("ctx-hub-id").unwrap().to_owned();
    drop(peer);
    hub = tokio::task::spawn_blocking(move || {
        hub.restart();
        hub
    })
    .await
    .unwrap();
    let peer = Peer::connect(&hub).await;
    let after = peer.json(SYNC, &token, "{}").await;
    assert_eq!(after.messages, before.messages);
    assert_eq!(after.header("ctx-hub-id"), Some(identity.as_str()));
    let value: serde_json::Value = serde_json::from_slice(&after.messages[0]).unwrap();
    assert_eq!(value["content"].as_str().unwrap(), large);
    assert_eq!(peer.publish(&token, "next", "c").await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_publishing_keeps_every_acknowledged_entry() {
    let mut hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let mut listening = peer.open(LISTEN, JSON, &token, "{}").await;
    let mut publishers = JoinSet::new();
    for publisher in 0..8 {
        let peer = Peer::connect(&hub).await;
        publishers.spawn(publish_until_refused(peer, token.clone(), publisher));
    }
    for expected in 1..=50 {
        assert_eq!(listening.next_sequence().await, expected);
    }
    let stopping = hub.begin_stop();
    let mut acknowledged = BTreeMap::new();
    while let Some(done) = patient(publishers.join_next()).await {
        acknowledged.extend(done.unwrap());
    }
    let mut heard = 50;
    let end = loop {
        match listening.next().await {
            Ok(message) => {
                heard += 1;
                let value: serde_json::Value = serde_json::from_slice(&message).unwrap();
                assert_eq!(value["sequence"], heard);
            }
            Err(end) => break end,
        }
    };
    assert_eq!(end, ("14".to_owned(), "hub is stopping".to_owned()));
    tokio::task::spawn_blocking(|| stopping.wait())
        .await
        .unwrap()
        .unwrap();

    hub = tokio::task::spawn_blocking(move || {
        hub.restart();
        hub
    })
    .await
    .unwrap();
    let peer = Peer::connect(&hub).await;
    let mut stored = BTreeMap::new();
    for message in peer.json(SYNC, &token, "{}").await.texts() {
        let value: serde_json::Value = serde_json::from_str(message).unwrap();
        let id = value["id"].as_str().unwrap().to_owned();
        assert_eq!(stored.insert(value["sequence"].as_u64().unwrap(), id), None);
    }
    assert!(acknowledged.len() >= 42, "{}", acknowledged.len());
    for (sequence, id) in &acknowledged {
        assert_eq!(
            stored.get(sequence),
            Some(id),
            "acknowledged, and not stored"
        );
    }
    // One at most a publisher was stored without its answer getting through.
    assert!(
        stored.len() - acknowledged.len() <= 8,
        "{} {}",
        stored.len(),
        acknowledged.len()
    );
}

#[tokio::test]
async fn a_call_under_way_when_the_hub_stops_is_answered_and_stored() {
    let mut hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let other = Peer::connect(&hub).await;
    let mut listening = other.open(LISTEN, JSON, &token, "{}").await;
    let entry = r#"{"entries":[{"id":"late","type":"task","content":"c"}]}"#;
    let begun = peer.begin_json(PUBLISH, &token, entry).await;
    // Frames of one connection arrive in order: once this is answered, the hub has the call.
    peer.json(STATUS, &token, "{}").await.text();
    let stopping = hub.begin_stop();
    let told = listening.next().await.unwrap_err();
    assert_eq!(told.0, "14", "the hub is draining");
    let answer = begun.finish().await;
    assert_eq!(answer.text(), r#"{"sequences":[1]}"#);
    tokio::task::spawn_blocking(|| stopping.wait())
        .await
        .unwrap()
        .unwrap();
    hub.restart();
    let peer = Peer::connect(&hub).await;
    let stored = peer.json(SYNC, &token, "{}").await;
    assert!(stored.texts()[0].contains(r#""id":"late""#));
}

/// Publishes one entry after the other until the hub is gone, and answers what was acknowledged.
async fn publish_until_refused(peer: Peer, token: String, publisher: u32) -> Vec<(u64, String)> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let id = format!("{publisher}-{number}");
        let entry = format!(r#"{{"entries":[{{"id":"{id}","type":"task","content":"c"}}]}}"#);
        match peer.try_json(PUBLISH, &token, &entry).await {
            Some(answer) if answer.code() == "0" => {
                let value: serde_json::Value = serde_json::from_slice(&answer.messages[0]).unwrap();
                acknowledged.push((value["sequences"][0].as_u64().unwrap(), id));
            }
            Some(answer) => {
                assert_eq!(answer.code(), "14", "{answer:?}");
                break;
            }
            None => break,
        }
    }
    acknowledged
}

#[tokio::test]
async fn a_connection_that_is_never_read_is_cut_off_when_the_drain_is_over() {
    let temp = tempfile::tempdir().unwrap();
    let mut config = HubConfig::new(DataDir::new(data_dir(&temp)), VERSION);
    config.drain = Duration::from_millis(200);
    let mut hub = TestHub::try_start(config).unwrap();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let content = "x".repeat(500_000);
    for number in 0..20 {
        peer.publish(&token, &number.to_string(), &content).await;
    }
    drop(peer);
    let stuck = Peer::connect(&hub).await;
    let mut stuck = stuck.open(LISTEN, JSON, &token, "{}").await;
    assert_eq!(stuck.next_sequence().await, 1);
    let stopping = hub.begin_stop();
    patient(tokio::task::spawn_blocking(|| stopping.wait()))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_connection_that_never_says_a_word_does_not_hold_up_the_stop() {
    let temp = tempfile::tempdir().unwrap();
    let mut config = HubConfig::new(DataDir::new(data_dir(&temp)), VERSION);
    config.drain = Duration::from_millis(200);
    let mut hub = TestHub::try_start(config).unwrap();
    let mute = std::net::TcpStream::connect(hub.socket_addr()).unwrap();
    let local = std::os::unix::net::UnixStream::connect(hub.data_dir().admin_socket()).unwrap();
    // Connections are accepted in order: this one is answered when the mute one is held.
    Peer::connect(&hub).await.register(&hub, "alpha").await;
    let stopping = hub.begin_stop();
    patient(tokio::task::spawn_blocking(|| stopping.wait()))
        .await
        .unwrap()
        .unwrap();
    drop((mute, local));
}

#[tokio::test]
async fn a_hub_that_is_cut_off_has_stored_what_it_acknowledged() {
    let mut hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let mut listening = peer.open(LISTEN, JSON, &token, "{}").await;
    for number in 1..=20 {
        assert_eq!(peer.publish(&token, &number.to_string(), "c").await, number);
    }
    assert_eq!(listening.next_sequence().await, 1);
    hub.kill();
    assert!(
        peer.try_json(STATUS, &token, "{}").await.is_none(),
        "it is gone"
    );
    hub.restart();
    let peer = Peer::connect(&hub).await;
    assert_eq!(peer.json(SYNC, &token, "{}").await.messages.len(), 20);
    assert_eq!(peer.publish(&token, "21", "c").await, 21);
}

#[test]
fn a_hub_that_ended_leaves_no_lock_no_socket_and_no_process_id() {
    let temp = tempfile::tempdir().unwrap();
    let mut hub = TestHub::start_in(&data_dir(&temp));
    let dir = hub.data_dir().clone();
    hub.stop();
    for gone in [dir.lock(), dir.admin_socket(), dir.pid()] {
        assert!(!gone.exists(), "{gone}");
    }
    assert!(dir.admin_token().exists());
    assert!(dir.store().exists());
}

#[test]
fn what_a_dead_hub_left_behind_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    let dir = DataDir::new(&path);
    std::fs::create_dir_all(format!("{}.new", dir.admin_socket())).unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.admin_socket()).unwrap());
    std::fs::write(dir.pid(), "1\n").unwrap();
    let hub = TestHub::start_in(&path);
    std::os::unix::net::UnixStream::connect(dir.admin_socket()).unwrap();
    let pid = std::fs::read_to_string(dir.pid()).unwrap();
    assert_eq!(pid, format!("{}\n", std::process::id()));
    drop(hub);
}

#[test]
fn what_is_no_socket_in_the_place_of_the_socket_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    let dir = DataDir::new(&path);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(dir.admin_socket(), "mine").unwrap();
    let error = TestHub::try_start_in(&path).err().expect("refused");
    assert_eq!(
        error.to_string(),
        format!("cannot open the admin socket {}", dir.admin_socket())
    );
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(why, "what is there is no socket: move it away");
    assert_eq!(std::fs::read(dir.admin_socket()).unwrap(), b"mine");
    assert!(!dir.lock().exists());
}

#[test]
fn a_hub_that_cannot_open_leaves_nothing_that_would_stop_the_next_one() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    let dir = DataDir::new(&path);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(dir.store(), "this is no database").unwrap();
    let error = TestHub::try_start_in(&path).err().expect("refused");
    assert_eq!(error.kind(), HubErrorKind::Damaged, "{error}");
    for gone in [dir.lock(), dir.admin_socket(), dir.pid()] {
        assert!(!gone.exists(), "{gone}");
    }
    std::fs::remove_file(dir.store()).unwrap();
    TestHub::start_in(&path);
}

#[test]
fn a_file_without_an_admin_token_is_refused_while_it_would_decide_and_one_is_taken_over() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    let dir = DataDir::new(&path);
    std::fs::create_dir_all(&path).unwrap();
    let token = ctx_hub::secret::AdminToken::random().unwrap();
    let put = |text: &str, mode: u32| {
        std::fs::write(dir.admin_token(), text).unwrap();
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.admin_token(), mode).unwrap();
    };
    for text in ["", "\n", "ctx_adm_", "hello"] {
        put(text, 0o600);
        let error = TestHub::try_start_in(&path).err().expect("refused");
        assert_eq!(error.kind(), HubErrorKind::Damaged, "{text:?}");
        assert_eq!(
            error.to_string(),
            format!("{} holds no admin token", dir.admin_token())
        );
    }
    // An older hub's file: the token, with or without a line end, and whoever could read it.
    put(&format!("{}\n", token.expose()), 0o644);
    let mut hub = TestHub::start_in(&path);
    assert!(*hub.admin_token() == token);
    let mode = dir.admin_token().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    hub.stop();
    // From then on the file decides nothing.
    put("hello", 0o600);
    TestHub::start_in(&path);
}

#[test]
fn a_data_directory_that_is_something_else_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let file = Utf8Path::from_path(temp.path()).unwrap().join("file");
    std::fs::write(&file, "").unwrap();
    let error = TestHub::try_start_in(&file).err().expect("refused");
    assert!(error.to_string().contains(file.as_str()), "{error}");
    let beneath = file.join("data");
    assert!(TestHub::try_start_in(&beneath).is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"");
}

#[tokio::test]
async fn with_no_hub_running_the_store_itself_is_administered() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    let dir = DataDir::new(&path);
    let error = open_offline(&dir).await.unwrap_err();
    assert_eq!(error.kind(), HubErrorKind::Usage);
    assert!(!path.exists(), "looking creates nothing");

    let mut hub = TestHub::start_in(&path);
    let error = open_offline(&dir).await.unwrap_err();
    assert_eq!(error.kind(), HubErrorKind::Busy);
    let peer = Peer::connect(&hub).await;
    let (id, token) = peer.register(&hub, "alpha").await;
    peer.publish(&token, "e", "c").await;
    drop(peer);
    hub = tokio::task::spawn_blocking(move || {
        hub.stop();
        hub
    })
    .await
    .unwrap();

    let offline = open_offline(&dir).await.unwrap();
    let status = offline.status().await.unwrap();
    assert_eq!(
        (status.pid, status.total_entries, status.registered_clients),
        (0, 1, 1)
    );
    let clients = offline.clients().await.unwrap();
    assert_eq!(
        (clients[0].id.as_str(), clients[0].entries),
        (id.as_str(), 1)
    );
    assert_eq!(
        TestHub::try_start_in(&path).err().unwrap().kind(),
        HubErrorKind::Busy
    );
    let revoked = offline.revoke(&clients[0].id).await.unwrap();
    assert_eq!(revoked.as_deref(), Some("alpha"));
    let unknown = ctx_hub::types::ClientId::random().unwrap();
    assert_eq!(offline.revoke(&unknown).await.unwrap(), None);
    offline.close().await.unwrap();
    assert!(!dir.lock().exists());

    hub.restart();
    let peer = Peer::connect(&hub).await;
    assert_eq!(peer.json(STATUS, &token, "{}").await.code(), "16");
}
