//! Administration, over the network and over a socket.

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use ctx_hub::client::{AdminClient, ClientError, ClientErrorKind};
use ctx_hub::secret::AdminToken;
use tokio::net::UnixListener;

use super::peer::{Peer, Reply};
use super::{in_time, patient};

const ID: &str = "0123456789abcdef0123456789abcdef";

fn health() -> Reply {
    Reply::message(&format!(
        r#"{{"hub_id":"{ID}","version":"1.2","pid":7,"addresses":["a:1"],"head":3,"entries_by_type":{{"task":3}}}}"#
    ))
}

/// A data directory whose socket has a path of `bytes` bytes.
fn data_dir(root: &Utf8Path, bytes: usize) -> DataDir {
    let name = DataDir::new("").admin_socket().as_str().len();
    let padding = bytes - root.as_str().len() - name - 2;
    let path: Utf8PathBuf = root.join("d".repeat(padding));
    std::fs::create_dir_all(&path).unwrap();
    let data_dir = DataDir::new(path);
    assert_eq!(data_dir.admin_socket().as_str().len(), bytes);
    data_dir
}

#[tokio::test]
async fn a_hub_is_administered_through_its_socket_without_credentials() {
    let temp = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(temp.path()).unwrap();
    let socket = data_dir(root, 107).admin_socket();
    let clients = format!(
        r#"{{"clients":[{{"client_id":"{ID}","project_name":"p","created_at":1,"revoked_at":0,"entries":2}}]}}"#
    );
    let script = [
        health(),
        Reply::message(&clients),
        Reply::message(r#"{"project_name":"p"}"#),
        Reply::message(r#"{"pid":7}"#),
        Reply::message(r#"{"clients":null}"#),
    ];
    let mut peer = Peer::start_on(UnixListener::bind(&socket).unwrap(), script);
    let admin = AdminClient::connect_socket(&socket, patient())
        .await
        .unwrap();

    let health = in_time(admin.hub_status()).await.unwrap();
    assert_eq!(
        (health.hub_id.as_str(), health.pid, health.head.get()),
        (ID, 7, 3)
    );
    assert_eq!(
        (health.version.as_str(), health.entries_by_type["task"]),
        ("1.2", 3)
    );
    let clients = in_time(admin.clients()).await.unwrap();
    assert_eq!(
        (clients[0].id.as_str(), clients[0].project.as_str()),
        (ID, "p")
    );
    assert_eq!(
        (clients[0].created_at, clients[0].revoked_at),
        (Some(1), None)
    );
    assert_eq!(in_time(admin.revoke(&clients[0].id)).await.unwrap(), "p");
    assert_eq!(in_time(admin.shutdown()).await.unwrap(), 7);
    assert_eq!(in_time(admin.clients()).await.unwrap(), []);

    for (call, message) in [
        ("HubStatus", "{}".to_owned()),
        ("ListClients", "{}".to_owned()),
        ("RevokeClient", format!(r#"{{"client_id":"{ID}"}}"#)),
        ("Shutdown", "{}".to_owned()),
    ] {
        let seen = peer.seen().await;
        assert_eq!(seen.path, format!("/ctx.hub.v1.CtxHubAdmin/{call}"));
        assert_eq!(seen.message(), message);
        assert_eq!(seen.header("content-type"), Some("application/grpc+json"));
        assert_eq!(seen.header("authorization"), None);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_socket_whose_path_the_system_does_not_take_is_reached() {
    let temp = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(temp.path()).unwrap();
    let socket = data_dir(root, 200).admin_socket();
    // Bound where the path is short enough, then given its long name.
    let short = root.join("s");
    let listener = UnixListener::bind(&short).unwrap();
    std::fs::hard_link(&short, &socket).unwrap();
    let mut peer = Peer::start_on(listener, [health()]);
    let admin = AdminClient::connect_socket(&socket, patient())
        .await
        .unwrap();
    assert_eq!(in_time(admin.hub_status()).await.unwrap().pid, 7);
    assert_eq!(peer.seen().await.path, "/ctx.hub.v1.CtxHubAdmin/HubStatus");
}

#[tokio::test]
async fn over_the_network_the_admin_token_goes_along() {
    let token = AdminToken::parse(&format!("ctx_adm_{}", "7".repeat(64))).unwrap();
    let script = [
        health(),
        Reply::failed(7, "no"),
        Reply::failed(5, "no such client"),
    ];
    let mut peer = Peer::start(script).await;
    let admin = AdminClient::connect(peer.address(), token.clone(), patient())
        .await
        .unwrap();
    in_time(admin.hub_status()).await.unwrap();
    let bearer = format!("Bearer {}", token.expose());
    assert_eq!(
        peer.seen().await.header("authorization"),
        Some(bearer.as_str())
    );
    assert!(!format!("{admin:?}").contains(&"7".repeat(8)));

    let error = in_time(admin.shutdown()).await.unwrap_err();
    assert_eq!(error.kind(), ClientErrorKind::Credentials);
    let error = in_time(admin.revoke(&ID.parse().unwrap()))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn where_no_hub_runs_the_socket_is_unreachable_and_says_what_to_do() {
    let temp = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(temp.path()).unwrap();
    let nothing = root.join("nothing");
    let stale = root.join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    for path in [
        nothing,
        stale,
        root.join("no-directory").join("x".repeat(120)),
    ] {
        let connected = in_time(AdminClient::connect_socket(&path, patient())).await;
        let error = connected.unwrap_err();
        assert!(
            matches!(error, ClientError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(path.as_str()), "{error}");
        assert!(error.hint().unwrap().contains("ctx hub start"), "{error:?}");
    }
}
