//! Attacks on a hub that is a process of its own, so that its memory and its open files are counted
//! alone.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use ctx_hub::server::HubConfig;
use ctx_hub::server::settings::Settings;
use ctx_hub::wire::method::{HUB_STATUS, PUBLISH, REGISTER, SHUTDOWN};
use ctx_io::atomic;
use std::net::SocketAddr;

use super::raw::{Raw, call, frame, kind, settings};
use crate::server::hub::{TestHub, VERSION};
use crate::server::peer::{self, JSON, PATIENCE, Peer};

/// Set to the data directory in the process that is the hub.
const CHILD: &str = "CTX_TEST_ATTACKED_HUB";

/// What the process writes its address to.
const ADDRESS: &str = "address";

const MIB: usize = 1024 * 1024;

/// Not a test by itself: what the hub's process runs.
#[test]
fn a_hub_that_is_attacked() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let mut config = HubConfig::new(DataDir::new(&path), VERSION);
    config.settings = Settings::read(&config.data_dir, None).unwrap();
    let mut hub = TestHub::try_start(config).unwrap();
    put(
        &Utf8Path::new(&path).join(ADDRESS),
        &hub.socket_addr().to_string(),
    );
    hub.wait().unwrap();
}

/// Writes a file in one step.
fn put(path: &Utf8Path, text: &str) {
    atomic::write(path, text.as_bytes(), atomic::Mode::Exactly(0o644)).unwrap();
}

/// A hub in a process of its own.
struct HubProcess {
    child: Child,
    data_dir: DataDir,
    address: SocketAddr,
    _temp: tempfile::TempDir,
}

impl HubProcess {
    /// A hub with these settings, which may have `files` open.
    fn start(toml: &str, files: u32) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(temp.path().join("data")).unwrap();
        let data_dir = DataDir::new(&path);
        fs_err::create_dir(&path).unwrap();
        put(&data_dir.settings(), toml);
        let child = Command::new("sh")
            .args(["-c", r#"ulimit -n "$0" && exec "$@""#, &files.to_string()])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "attack::process::a_hub_that_is_attacked"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let address = wait_for(|| fs_err::read_to_string(path.join(ADDRESS)).ok());
        Self {
            child,
            data_dir,
            address: address.parse().unwrap(),
            _temp: temp,
        }
    }

    /// A client with its token, on a connection of its own.
    async fn join(&self, project: &str) -> (Peer, String) {
        let peer = Peer::dial(self.address).await;
        let token = fs_err::read_to_string(self.data_dir.admin_token()).unwrap();
        let message = format!(
            r#"{{"admin_token":"{}","project_name":"{project}"}}"#,
            token.trim()
        );
        let answer = peer.call(REGISTER, JSON, None, message).await;
        let value: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        (peer, value["client_token"].as_str().unwrap().to_owned())
    }

    /// The most memory that it ever had, in bytes.
    fn peak(&self) -> usize {
        let path = Utf8Path::new("/proc").join(self.child.id().to_string());
        let status = fs_err::read_to_string(path.join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<usize>().unwrap() * 1024
    }

    fn assert_peak_below(&self, most: usize) {
        let peak = self.peak();
        assert!(peak < most, "{} MiB of {}", peak / MIB, most / MIB);
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(there) = condition() {
            return there;
        }
        assert!(start.elapsed() < PATIENCE, "it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_hub_without_a_free_file_serves_whoever_is_connected_and_obeys_its_operator() {
    // As if all of them came through a proxy: only the number of files is in their way.
    let mut hub = HubProcess::start("[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n", 128);
    let (guest, token) = hub.join("guest").await;
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..300 {
        let mut raw = Raw::dial(hub.address).await;
        if raw.greet(&[]).await.is_ok() && raw.next().await.is_some() {
            held.push(raw);
        } else {
            refused += 1;
        }
    }
    assert!(
        refused >= 200,
        "{refused} were refused, {} are held",
        held.len()
    );
    guest
        .publish(&token, "meanwhile", &"x".repeat(100_000))
        .await;
    let operator = Peer::connect_socket(&hub.data_dir.admin_socket()).await;
    let status = operator.call(HUB_STATUS, JSON, None, "{}").await;
    assert!(status.text().contains("\"total_entries\":1"), "{status:?}");
    let answer = operator.call(SHUTDOWN, JSON, None, "{}").await;
    assert_eq!(answer.code(), "0", "{answer:?}");
    let ended = wait_for(|| hub.child.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    drop(held);
}

#[tokio::test]
async fn publishes_that_never_end_take_no_more_memory_than_one_client_may_have() {
    const CALLS: usize = 256;
    let hub = HubProcess::start("[connections]\npublish = \"8s\"\n", 1_024);
    let (guest, guest_token) = hub.join("guest").await;
    let (peer, token) = hub.join("hostile").await;
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", JSON), ("authorization", &bearer)];
    // Two MiB of each are sent, half a GiB in all.
    let message = peer::frame(&vec![b' '; 2 * MIB]);
    let mut begun = Vec::new();
    for _ in 0..CALLS {
        let most = message.slice(..message.len() - 1);
        begun.push(
            peer.begin_bytes(PUBLISH, &headers, most, Bytes::new())
                .await,
        );
    }
    guest.publish(&guest_token, "meanwhile", "x").await;
    let mut refused = 0;
    for begun in begun {
        let answer = begun.abandoned().await;
        match answer.code() {
            "14" => refused += 1,
            "4" => {}
            _ => panic!("{answer:?}"),
        }
    }
    assert!(refused >= CALLS - 32, "{refused} of {CALLS} were refused");
    hub.assert_peak_below(300 * MIB);
    // What was given up is given back.
    peer.publish(&token, "afterwards", "x").await;
    guest.publish(&guest_token, "afterwards too", "x").await;
}

#[tokio::test]
async fn no_flood_of_frames_makes_a_hub_grow() {
    let hub = HubProcess::start("", 1_024);
    let (guest, token) = hub.join("guest").await;
    let publish = call(PUBLISH, Some(&token), &[]);
    let floods = [
        frame(kind::PING, 0, 0, b"12345678"),
        frame(kind::SETTINGS, 0, 0, &settings(&[(4, 70_000)])),
        frame(kind::PRIORITY, 0, 3, &[0, 0, 0, 0, 1]),
        frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(kind::DATA, 0, 1, b""),
        frame(kind::DATA, 0, 1, b"\0"),
        frame(kind::CONTINUATION, 0, 3, &[]),
        frame(kind::RST_STREAM, 0, 1, &[0; 4]),
        frame(0xfe, 0, 0, b"unknown"),
    ];
    for (n, flood) in floods.iter().enumerate() {
        let mut raw = Raw::greeted(hub.address).await;
        raw.headers(1, &publish, false).await.unwrap();
        raw.data(1, &[0, 0, 0xf0, 0, 0], false).await.unwrap();
        if flood[3] == kind::CONTINUATION {
            raw.frame(kind::HEADERS, 0, 3, &publish).await.unwrap();
        }
        super::http2::flood(&mut raw, flood, 500_000).await;
        guest.publish(&token, &format!("flood-{n}"), "x").await;
    }
    hub.assert_peak_below(200 * MIB);
}
