//! Operators: on the admin socket, and from elsewhere with the admin token.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use ctx_hub::wire::method::{
    HUB_STATUS, LIST_CLIENTS, LISTEN, REVOKE_CLIENT, SHUTDOWN, STATUS, SYNC,
};

use super::hub::{TestHub, VERSION};
use super::peer::{Answer, JSON, Peer};

fn json(answer: &Answer) -> serde_json::Value {
    serde_json::from_str(answer.text()).unwrap()
}

/// A call on the admin socket, without credentials.
async fn ask(peer: &Peer, path: &str, message: &str) -> Answer {
    peer.call(path, JSON, None, message).await
}

#[tokio::test]
async fn whoever_may_open_the_socket_may_administer() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (id, token) = peer.register(&hub, "alpha").await;
    let (other, _) = peer.register(&hub, "beta").await;
    peer.publish(&token, "e", "c").await;
    let mut listening = peer
        .open(LISTEN, JSON, &token, r#"{"since_sequence":1}"#)
        .await;
    let local = Peer::connect_socket(&hub.data_dir().admin_socket()).await;

    let status = json(&ask(&local, HUB_STATUS, "{}").await);
    assert_eq!(status["version"], VERSION);
    assert_eq!(status["pid"], std::process::id());
    assert_eq!(
        status["addresses"],
        serde_json::json!([hub.socket_addr().to_string()])
    );
    assert_eq!(status["data_dir"], hub.data_dir().path().as_str());
    for (field, value) in [
        ("head", 1),
        ("total_entries", 1),
        ("connected_clients", 1),
        ("registered_clients", 2),
    ] {
        assert_eq!(status[field], value, "{field}");
    }
    assert_eq!(
        status["entries_by_type"],
        serde_json::json!({"learning": 1})
    );
    assert_eq!(
        status["entries_by_project"],
        serde_json::json!({"alpha": 1})
    );

    let clients = json(&ask(&local, LIST_CLIENTS, "{}").await);
    assert_eq!(clients["clients"][0]["client_id"], id);
    assert_eq!(clients["clients"][0]["project_name"], "alpha");
    assert_eq!(clients["clients"][0]["entries"], 1);
    assert_eq!(clients["clients"][1]["client_id"], other);
    assert_eq!(clients["clients"][1]["revoked_at"], 0);

    let revoke = format!(r#"{{"client_id":"{id}"}}"#);
    let revoked = ask(&local, REVOKE_CLIENT, &revoke).await;
    assert_eq!(revoked.text(), r#"{"project_name":"alpha"}"#);
    assert_eq!(listening.next().await.unwrap_err().0, "16");
    assert_eq!(peer.json(STATUS, &token, "{}").await.code(), "16");
    let clients = json(&ask(&local, LIST_CLIENTS, "{}").await);
    assert!(clients["clients"][0]["revoked_at"].as_i64().unwrap() > 0);
    for (message, code) in [("{}", "3"), (r#"{"client_id":"X"}"#, "3")] {
        assert_eq!(ask(&local, REVOKE_CLIENT, message).await.code(), code);
    }
    let unknown = format!(r#"{{"client_id":"{}"}}"#, "0".repeat(32));
    assert_eq!(ask(&local, REVOKE_CLIENT, &unknown).await.code(), "5");
    // The socket opens no door for projects.
    assert_eq!(ask(&local, SYNC, "{}").await.code(), "16");
}

#[tokio::test]
async fn from_elsewhere_the_admin_token_administers_but_does_not_stop_the_hub() {
    let hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (id, _) = peer.register(&hub, "alpha").await;
    let admin = hub.admin_token().expose();
    assert_eq!(
        json(&peer.json(HUB_STATUS, admin, "{}").await)["registered_clients"],
        1
    );
    let clients = json(&peer.json(LIST_CLIENTS, admin, "{}").await);
    assert_eq!(clients["clients"][0]["project_name"], "alpha");
    let answer = peer.json(SHUTDOWN, admin, "{}").await;
    assert_eq!(answer.code(), "7");
    assert_eq!(
        answer.message(),
        "shutdown is answered on the hub's admin socket only"
    );
    let revoke = format!(r#"{{"client_id":"{id}"}}"#);
    peer.json(REVOKE_CLIENT, admin, &revoke).await.text();
    assert_eq!(
        json(&peer.json(HUB_STATUS, admin, "{}").await)["registered_clients"],
        0
    );
}

#[tokio::test]
async fn shutdown_on_the_socket_is_answered_and_then_the_hub_is_gone() {
    let mut hub = TestHub::start();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let mut listening = peer.open(LISTEN, JSON, &token, "{}").await;
    let local = Peer::connect_socket(&hub.data_dir().admin_socket()).await;
    let answer = ask(&local, SHUTDOWN, "{}").await;
    assert_eq!(
        answer.text(),
        format!(r#"{{"pid":{}}}"#, std::process::id())
    );
    let (code, message) = listening.next().await.unwrap_err();
    assert_eq!((code.as_str(), message.as_str()), ("14", "hub is stopping"));
    let dir = hub.data_dir().clone();
    tokio::task::spawn_blocking(move || hub.wait())
        .await
        .unwrap()
        .unwrap();
    for gone in [dir.admin_socket(), dir.pid(), dir.lock()] {
        assert!(!gone.exists(), "{gone}");
    }
}

#[test]
fn the_socket_is_its_owner_s_alone() {
    let hub = TestHub::start();
    let mode = |path: &camino::Utf8Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    let dir = hub.data_dir();
    assert!(
        dir.admin_socket()
            .metadata()
            .unwrap()
            .file_type()
            .is_socket()
    );
    assert_eq!(mode(&dir.admin_socket()), 0o600);
    assert_eq!(mode(&dir.admin_token()), 0o600);
    assert_eq!(mode(dir.path()), 0o700);
}

#[cfg(feature = "client")]
mod with_our_client {
    use camino::Utf8Path;
    use ctx_hub::client::{AdminClient, ClientErrorKind, Timeouts};

    use super::*;

    #[tokio::test]
    async fn a_data_directory_may_be_as_deep_as_it_likes() {
        let temp = tempfile::tempdir().unwrap();
        let deep = Utf8Path::from_path(temp.path()).unwrap();
        let deep = deep.join("d".repeat(100)).join("e".repeat(100));
        let mut hub = TestHub::start_in(&deep);
        let socket = hub.data_dir().admin_socket();
        assert!(socket.as_str().len() > 200);
        let admin = AdminClient::connect_socket(&socket, Timeouts::default())
            .await
            .unwrap();
        let status = admin.hub_status().await.unwrap();
        assert_eq!(status.data_dir, deep);
        assert_eq!(admin.clients().await.unwrap(), []);
        assert_eq!(admin.shutdown().await.unwrap(), std::process::id());
        tokio::task::spawn_blocking(move || hub.wait())
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn our_client_administers_on_both_ways() {
        let hub = TestHub::start();
        let peer = Peer::connect(&hub).await;
        let (id, _) = peer.register(&hub, "alpha").await;
        let id: ctx_hub::types::ClientId = id.parse().unwrap();
        let timeouts = Timeouts::default();
        let token = hub.admin_token().clone();
        let remote = AdminClient::connect(&hub.address(), token, timeouts)
            .await
            .unwrap();
        let clients = remote.clients().await.unwrap();
        assert_eq!(
            (clients[0].id.clone(), clients[0].project.as_str()),
            (id.clone(), "alpha")
        );
        assert!(clients[0].created_at.is_some());
        assert_eq!(remote.revoke(&id).await.unwrap(), "alpha");
        let refused = remote.shutdown().await.unwrap_err();
        assert_eq!(refused.kind(), ClientErrorKind::Credentials, "{refused}");

        let socket = hub.data_dir().admin_socket();
        let local = AdminClient::connect_socket(&socket, timeouts)
            .await
            .unwrap();
        assert!(local.clients().await.unwrap()[0].revoked_at.is_some());
        assert_eq!(local.hub_status().await.unwrap().registered_clients, 0);
    }
}
