//! `kill -9` of a hub: whatever it acknowledged has its line.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use ctx_hub::server::audit::verify;

use super::*;

const CHILD_DIR: &str = "CTX_TEST_AUDIT_DIR";
/// Small enough for several rotations a round.
const FILE_BYTES: u64 = 16_384;
const ROUNDS: u32 = 20;
const PEERS: u32 = 8;

fn say(line: &str) {
    // One write a line, so that none is torn.
    std::io::stdout()
        .write_all(format!("\n{line}\n").as_bytes())
        .unwrap();
}

/// A role for a process of its own: a hub, and peers that publish, register and revoke until it is
/// killed, and say what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_serves() {
    let Ok(dir) = std::env::var(CHILD_DIR) else {
        return;
    };
    let mut config = ctx_hub::server::HubConfig::new(DataDir::new(dir), "child");
    config.settings.audit.file_bytes = FILE_BYTES;
    config.settings.audit.files = 1_000;
    let hub = std::sync::Arc::new(TestHub::try_start(config).unwrap());
    let mut peers = tokio::task::JoinSet::new();
    for _ in 0..PEERS {
        let hub = std::sync::Arc::clone(&hub);
        peers.spawn(async move {
            let peer = Peer::connect(&hub).await;
            loop {
                let mut name = [0_u8; 8];
                getrandom::fill(&mut name).unwrap();
                let name = format!("p{:016x}", u64::from_be_bytes(name));
                let (id, token) = peer.register(&hub, &name).await;
                say(&format!("acked register {name}"));
                for n in 0..20 {
                    assert_eq!(
                        publish(&peer, &token, &format!("{name}-{n}")).await.code(),
                        "0"
                    );
                    say(&format!("acked publish {id}"));
                }
                assert_eq!(revoke(&peer, &hub, &id).await.code(), "0");
                say(&format!("acked revoke {id}"));
            }
        });
    }
    // None ends by itself, unless it fails.
    let () = peers.join_next().await.unwrap().unwrap();
}

/// What was acknowledged, and how often.
type Acknowledged = BTreeMap<String, usize>;

fn start(dir: &DataDir, failpoints: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "attack::audit::killed::child_serves",
            "--nocapture",
        ])
        .env(CHILD_DIR, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(rules) = failpoints {
        command.env("CTX_FAILPOINTS", rules);
    }
    command.spawn().unwrap()
}

/// Takes down what `child` says that was acknowledged, until it is gone. With `enough`, it is killed
/// after so many.
fn take_down(mut child: Child, enough: Option<usize>, acknowledged: &mut Acknowledged) -> usize {
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut read = 0;
    // What the pipe still holds after the kill was acknowledged as well.
    for line in output.lines() {
        if let Some(acked) = line.unwrap().strip_prefix("acked ") {
            *acknowledged.entry(acked.to_owned()).or_default() += 1;
            read += 1;
            if Some(read) == enough {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    read
}

/// Everything that was acknowledged has its line, and the trail is whole.
fn check(dir: &DataDir, acknowledged: &Acknowledged) {
    let report = verify(dir).unwrap();
    assert_eq!(report.findings, [], "a crash is no damage");
    let mut recorded = Acknowledged::new();
    let mut reader = AuditReader::new(dir);
    while let Some(found) = reader.read_next().unwrap() {
        // A write that the kill cut off is no line; whoever waited for it has no answer.
        let Found::Line { line, .. } = found else {
            continue;
        };
        let record = line.record;
        if record.event != "call" || record.code.as_deref() != Some("OK") {
            continue;
        }
        let what = match record.call.as_deref() {
            Some("Register") => format!("register {}", record.target.unwrap()),
            Some("Revoke") => format!("revoke {}", record.target.unwrap()),
            Some("Publish") => format!("publish {}", record.client.unwrap()),
            other => panic!("{other:?}"),
        };
        *recorded.entry(what).or_default() += 1;
    }
    for (what, times) in acknowledged {
        let recorded = recorded.get(what).copied().unwrap_or(0);
        assert!(
            recorded >= *times,
            "{what}: {times} times, and {recorded} on record"
        );
    }
}

#[test]
fn whatever_was_acknowledged_before_kill_9_is_on_record() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::new(
        camino::Utf8Path::from_path(temp.path())
            .unwrap()
            .join("data"),
    );
    let mut acknowledged = Acknowledged::new();
    for _ in 0..ROUNDS {
        let mut random = [0_u8; 1];
        getrandom::fill(&mut random).unwrap();
        let enough = usize::from(random[0]) + 1;
        let read = take_down(start(&dir, None), Some(enough), &mut acknowledged);
        assert!(read >= enough, "the child ended by itself");
        check(&dir, &acknowledged);
    }
    println!("{} acknowledged", acknowledged.values().sum::<usize>());
}

#[cfg(feature = "failpoints")]
#[test]
fn killed_at_every_step_of_the_trail_it_has_what_was_acknowledged() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::new(
        camino::Utf8Path::from_path(temp.path())
            .unwrap()
            .join("data"),
    );
    let mut acknowledged = Acknowledged::new();
    let file = ctx_config::paths::AUDIT_FILE;
    let mut steps: Vec<String> = [5, 23, 60, 111, 200]
        .iter()
        .flat_map(|n| {
            [
                format!("audit.writing#{n}=kill"),
                format!("append.written({file})#{n}=kill"),
            ]
        })
        .collect();
    for step in ["audit.rotating", "audit.moved", "audit.begun"] {
        steps.extend([1, 3].map(|n| format!("{step}#{n}=kill")));
    }
    steps.push(format!("append.flushed({file})#2=kill"));
    steps.push(format!("append.durable({file})#2=kill"));
    for rules in steps {
        take_down(start(&dir, Some(&rules)), None, &mut acknowledged);
        check(&dir, &acknowledged);
    }
    assert!(acknowledged.len() > 20, "{acknowledged:?}");
}

#[tokio::test]
async fn a_write_that_was_cut_off_stays_and_the_next_line_stands_on_its_own() {
    let mut hub = TestHub::start();
    let dir = hub.data_dir().clone();
    let peer = Peer::connect(&hub).await;
    let (_, token) = peer.register(&hub, "alpha").await;
    drop(peer);
    for torn in ["{\"v\":1,\"n\":6,\"time\":\"2026", "\0\0\0\0", "{"] {
        hub.kill();
        let before = fs_err::read_to_string(dir.audit()).unwrap();
        let mut file = fs_err::OpenOptions::new()
            .append(true)
            .open(dir.audit())
            .unwrap();
        file.write_all(torn.as_bytes()).unwrap();
        hub.restart();
        let peer = Peer::connect(&hub).await;
        assert_eq!(publish(&peer, &token, "e").await.code(), "0");
        let text = fs_err::read_to_string(dir.audit()).unwrap();
        assert!(text.starts_with(&format!("{before}{torn}\n")), "{text}");
    }
    let report = verify(&dir).unwrap();
    assert_eq!(report.findings, [], "a crash is no damage");
    assert_eq!(report.notes.len(), 3, "{report:?}");
    let mut reader = AuditReader::new(&dir);
    let mut numbers = Vec::new();
    while let Some(found) = reader.read_next().unwrap() {
        if let Found::Line { line, .. } = found {
            numbers.push(line.n);
        }
    }
    let last = u64::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
}
