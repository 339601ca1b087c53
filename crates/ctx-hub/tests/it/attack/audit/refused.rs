//! What cannot be put on record is not done; operators can still find out; it heals by itself.

use std::process::Command;

use ctx_hub::client::AdminClient;
use ctx_hub::server::audit::verify;
use ctx_hub::server::open_offline;
use ctx_hub::wire::method::{HUB_STATUS, LIST_CLIENTS, REGISTER, SHUTDOWN, STATUS, SYNC};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::server::peer::PROTO;

const CHILD_DIR: &str = "CTX_TEST_AUDIT_FULL_DIR";

/// Puts a directory in place of the trail.
fn obstruct(dir: &DataDir) {
    fs_err::rename(dir.audit(), dir.path().join("aside")).unwrap();
    fs_err::create_dir(dir.audit()).unwrap();
}

/// `HealthCheckResponse` with status `SERVING`, and with `NOT_SERVING`.
const SERVING: &[u8] = &[0x08, 1];
const NOT_SERVING: &[u8] = &[0x08, 2];

/// Waits until the standard health service says so.
async fn health_becomes(peer: &Peer, wanted: &[u8]) {
    for _ in 0..3_000 {
        let path = "/grpc.health.v1.Health/Check";
        let answer = peer.call(path, PROTO, None, []).await;
        if answer.messages == [wanted] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the health never became {wanted:?}");
}

async fn works_again(peer: &Peer, token: &str) {
    for _ in 0..3_000 {
        let answer = peer.json(STATUS, token, "{}").await;
        if answer.code() == "0" {
            return;
        }
        assert_eq!(answer.code(), "14", "{answer:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it does not heal");
}

#[tokio::test]
async fn while_no_line_can_be_written_nothing_is_done_but_an_operator_can_ask_and_stop() {
    let mut hub = TestHub::start();
    let dir = hub.data_dir().clone();
    let peer = Peer::connect(&hub).await;
    let local = Peer::connect_socket(&dir.admin_socket()).await;
    let (id, token) = peer.register(&hub, "alpha").await;
    obstruct(&dir);

    // The first one may be done before anybody knows, and is told that it was not; so it is sent
    // again, and stored once.
    let answer = publish(&peer, &token, "first").await;
    assert_eq!(answer.code(), "14", "{answer:?}");
    assert!(answer.message().contains("record"), "{}", answer.message());
    assert!(answer.messages.is_empty());
    for n in 0..5 {
        assert_eq!(publish(&peer, &token, &format!("e{n}")).await.code(), "14");
        assert_eq!(peer.json(SYNC, &token, "{}").await.code(), "14");
        let admin = hub.admin_token().expose();
        let message = format!(r#"{{"admin_token":"{admin}","project_name":"p{n}"}}"#);
        assert_eq!(peer.call(REGISTER, JSON, None, message).await.code(), "14");
        assert_eq!(revoke(&peer, &hub, &id).await.code(), "14");
        assert_eq!(
            local.call(LIST_CLIENTS, JSON, None, "{}").await.code(),
            "14"
        );
        let status = local.call(HUB_STATUS, JSON, None, "{}").await;
        assert!(status.text().contains("audit trail"), "{status:?}");
    }
    health_becomes(&peer, NOT_SERVING).await;

    fs_err::remove_dir(dir.audit()).unwrap();
    works_again(&peer, &token).await;
    health_becomes(&peer, SERVING).await;
    // Nothing of it was done.
    let all = peer.json(SYNC, &token, "{}").await;
    assert!(all.messages.len() <= 1, "{all:?}");
    assert_eq!(
        publish(&peer, &token, "first").await.text(),
        r#"{"sequences":[1]}"#
    );
    let clients = local.call(LIST_CLIENTS, JSON, None, "{}").await;
    assert!(clients.text().contains(r#""revoked_at":0"#), "{clients:?}");
    assert!(!clients.text().contains("p0"), "{clients:?}");
    // And it says so: how many were refused, and that a file is gone.
    let found = lines(&dir);
    let resumed = found
        .iter()
        .find(|line| line.record.event == "resumed")
        .unwrap();
    assert!(resumed.record.refused.unwrap() >= 20, "{resumed:?}");
    let first = about(&found, "call", "Publish")[0];
    assert_eq!(first.record.code.as_deref(), Some("UNAVAILABLE"));
    assert_eq!(first.record.reason.as_deref(), Some("audit"));
    let report = verify(&dir).unwrap();
    assert!(!report.findings.is_empty(), "the moved file is missing");

    obstruct_again_and_stop(&mut hub, &dir, &local).await;
}

async fn obstruct_again_and_stop(hub: &mut TestHub, dir: &DataDir, local: &Peer) {
    fs_err::remove_file(dir.audit()).unwrap();
    fs_err::create_dir(dir.audit()).unwrap();
    assert_eq!(local.call(HUB_STATUS, JSON, None, "{}").await.code(), "0");
    assert_eq!(local.call(SHUTDOWN, JSON, None, "{}").await.code(), "0");
    // It ends, and says that its last lines were lost.
    hub.wait().unwrap_err();
}

#[tokio::test]
async fn a_change_that_cannot_be_announced_is_not_made_even_if_it_is_the_first_to_notice() {
    let hub = TestHub::start();
    let dir = hub.data_dir();
    let peer = Peer::connect(&hub).await;
    let local = Peer::connect_socket(&dir.admin_socket()).await;
    let (id, token) = peer.register(&hub, "alpha").await;
    let admin = hub.admin_token().expose();
    let message = format!(r#"{{"admin_token":"{admin}","project_name":"beta"}}"#);
    for change in ["register", "revoke"] {
        obstruct(dir);
        let answer = match change {
            "register" => peer.call(REGISTER, JSON, None, message.clone()).await,
            _ => revoke(&peer, &hub, &id).await,
        };
        assert_eq!(answer.code(), "14", "{change}: {answer:?}");
        fs_err::remove_dir(dir.audit()).unwrap();
        works_again(&peer, &token).await;
        let clients = local.call(LIST_CLIENTS, JSON, None, "{}").await;
        let text = clients.text();
        assert!(!text.contains("beta"), "{text}");
        assert!(text.contains(r#""revoked_at":0"#), "{text}");
    }
}

#[tokio::test]
async fn a_trail_that_is_removed_is_begun_anew_and_that_is_seen() {
    let hub = TestHub::start();
    let dir = hub.data_dir();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    fs_err::remove_file(dir.audit()).unwrap();
    assert_eq!(publish(&peer, &token, "e").await.code(), "0");
    let found = lines(dir);
    assert_eq!(found[0].record.damage.as_deref(), Some("missing"));
    assert!(found[0].n > 1);
    assert_eq!(about(&found, "call", "Publish").len(), 1);
    // The same with what it holds cut off.
    let file = fs_err::OpenOptions::new()
        .write(true)
        .open(dir.audit())
        .unwrap();
    file.set_len(20).unwrap();
    assert_eq!(publish(&peer, &token, "f").await.code(), "0");
    let report = verify(dir).unwrap();
    let details: Vec<_> = report.findings.iter().map(|found| &found.detail).collect();
    assert!(details.iter().any(|d| d.ends_with(": cut")), "{details:?}");
}

#[tokio::test]
async fn a_hub_whose_trail_cannot_be_opened_does_not_start() {
    let mut hub = TestHub::start();
    let dir = hub.data_dir().clone();
    hub.stop();
    obstruct(&dir);
    let error = TestHub::try_start_in(dir.path()).err().unwrap();
    assert!(error.to_string().contains("audit trail"), "{error}");
    fs_err::remove_dir(dir.audit()).unwrap();
    let aside = dir.path().join("aside");
    let newer = fs_err::read_to_string(&aside)
        .unwrap()
        .replace("\"v\":1", "\"v\":2");
    let mut file = fs_err::OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(dir.audit());
    std::io::Write::write_all(file.as_mut().unwrap(), newer.as_bytes()).unwrap();
    let error = TestHub::try_start_in(dir.path()).err().unwrap();
    assert_eq!(
        fs_err::read_to_string(dir.audit()).unwrap(),
        newer,
        "never written"
    );
    assert!(error.hint().unwrap().contains("version"), "{error}");
}

#[tokio::test]
async fn a_change_with_no_hub_running_is_on_record_or_not_made() {
    let mut hub = TestHub::start();
    let dir = hub.data_dir().clone();
    let peer = Peer::connect(&hub).await;
    let (alpha, _) = peer.register(&hub, "alpha").await;
    let (beta, _) = peer.register(&hub, "beta").await;
    drop(peer);
    hub.stop();
    let offline = open_offline(&dir).await.unwrap();
    offline
        .revoke(&alpha.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let found = lines(&dir);
    let [.., intent, done] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (&*intent.record.event, &*done.record.event),
        ("intent", "call")
    );
    assert_eq!(done.record.door.as_deref(), Some("offline"));
    assert_eq!(done.record.target.as_ref(), Some(&alpha));
    assert_eq!(done.record.code.as_deref(), Some("OK"));
    obstruct(&dir);
    offline.revoke(&beta.parse().unwrap()).await.unwrap_err();
    let clients = offline.clients().await.unwrap();
    let live = clients.iter().filter(|client| client.revoked_at.is_none());
    assert_eq!(
        live.map(|client| &*client.project).collect::<Vec<_>>(),
        ["beta"]
    );
    offline.close().await.unwrap();
}

/// A role for a process whose files may not grow beyond half a megabyte.
#[tokio::test]
async fn child_meets_the_limit() {
    let Ok(dir) = std::env::var(CHILD_DIR) else {
        return;
    };
    let hub = TestHub::start_in(camino::Utf8Path::new(&dir));
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    let mut answered = 0;
    loop {
        let calls = (0..32).map(|_| peer.json(STATUS, &token, "{}"));
        let answers = futures_util::future::join_all(calls).await;
        let ok = answers.iter().filter(|answer| answer.code() == "0").count();
        answered += ok;
        if ok < answers.len() {
            break;
        }
        assert!(answered < 20_000, "the limit was never met");
    }
    assert_eq!(publish(&peer, &token, "e").await.code(), "14");
    let socket = hub.data_dir().admin_socket();
    let admin = AdminClient::connect_socket(&socket, Default::default())
        .await
        .unwrap();
    assert_eq!(admin.hub_status().await.unwrap().total_entries, 0);
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    let lifted = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Fsize, lifted).unwrap();
    works_again(&peer, &token).await;
    assert_eq!(publish(&peer, &token, "e").await.code(), "0");
    println!("answered {answered}");
}

#[tokio::test]
async fn a_disk_that_takes_no_line_refuses_calls_until_it_does() {
    let temp = tempfile::tempdir().unwrap();
    let dir = camino::Utf8Path::from_path(temp.path())
        .unwrap()
        .join("data");
    let output = Command::new("sh")
        // In blocks of 512 bytes. Without the trap the system ends who writes beyond.
        .args(["-c", "trap '' XFSZ; ulimit -S -f 1024; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "attack::audit::refused::child_meets_the_limit",
            "--nocapture",
        ])
        .env(CHILD_DIR, &dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    let answered = said
        .lines()
        .find_map(|line| line.rsplit_once("answered ")?.1.parse().ok());
    let answered: usize = answered.expect("the child says how many calls were answered");
    let dir = DataDir::new(dir);
    let found = lines(&dir);
    let calls = about(&found, "call", "Status");
    let ok = calls
        .iter()
        .filter(|line| line.record.code.as_deref() == Some("OK"));
    assert!(
        ok.count() > answered,
        "every answer is on record, and those after it healed"
    );
    let report = verify(&dir).unwrap();
    assert_eq!(
        report.findings,
        [],
        "what was half written was cut off again"
    );
}
