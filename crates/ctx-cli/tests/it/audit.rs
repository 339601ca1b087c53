//! `ctx hub audit`: what people and programs see of the trail.

use insta::assert_snapshot;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Run, TestHub, World, put};

/// The lines that a run printed as JSON.
fn lines(run: &Run) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap();
    run.stdout.lines().map(parse).collect()
}

fn audit(world: &World, hub: &TestHub, more: &[&str]) -> Run {
    let args = ["hub", "audit", "--data-dir", hub.data.path().as_str()];
    world.ctx(&[&args[..], more].concat())
}

/// A row without its time, its duration and the blanks between its columns.
fn bare(text: &str) -> String {
    let row = |row: &str| {
        let cells: Vec<&str> = row.get(21..).unwrap().split("  ").collect();
        let cells = cells
            .iter()
            .map(|cell| cell.trim())
            .filter(|cell| !cell.is_empty());
        let row = cells.collect::<Vec<_>>().join(" | ");
        let end = row
            .rfind([',', '|'])
            .filter(|at| row[*at..].ends_with('s') && row.contains("OK"));
        format!("{}\n", row[..end.unwrap_or(row.len())].trim_end())
    };
    text.lines().map(row).collect()
}

#[test]
fn what_happened_is_shown_with_and_without_a_running_hub() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("alpha", &hub);
    project.publish("task", "one");
    let _other = world.registered("beta", &hub);
    let run = audit(&world, &hub, &[]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.show());
    let shown = bare(&run.stdout);
    let shown = shown.replace(env!("CARGO_PKG_VERSION"), "[version]");
    let all = lines(&audit(&world, &hub, &["--json"]));
    let client = all.iter().find_map(|line| line["client"].as_str()).unwrap();
    let shown = shown.replace(&client[..8], "[client]");
    let shown = shown.replace(&hub.pid().to_string(), "[pid]");
    assert_snapshot!(shown, @r"
    - | begun | - | -
    - | started | - | - | version [version], process [pid]
    - | Register intent | - | 127.0.0.1 | register alpha
    OK | Register | - | 127.0.0.1 | register alpha
    OK | Publish | alpha ([client]…) | 127.0.0.1 | 1 entry, 3 bytes
    - | Register intent | - | 127.0.0.1 | register beta
    OK | Register | - | 127.0.0.1 | register beta
    ");

    let numbers: Vec<u64> = all.iter().map(|line| line["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=all.len() as u64).collect::<Vec<_>>());
    let events = |more: &[&str]| {
        let found = lines(&audit(&world, &hub, &[more, &["--json"]].concat()));
        let event = |line: &Value| line["event"].as_str().unwrap().to_owned();
        found.iter().map(event).collect::<Vec<_>>()
    };
    assert_eq!(events(&["--project", "beta"]), ["intent", "call"]);
    assert_eq!(events(&["--client", client, "-n", "1"]), ["call"]);
    assert_eq!(events(&["--since", "1h"]).len(), all.len());
    assert_eq!(events(&["--since", "2100-01-01"]), [""; 0]);
    assert_eq!(events(&["--failed"]), [""; 0]);
    let wrong = format!("ctx_adm_{}", "0".repeat(64));
    let stranger = world.project("stranger");
    stranger.ctx(&["connect", "register", &hub.address, "--token", &wrong]);
    let failed = lines(&audit(&world, &hub, &["--failed", "--json"]));
    assert_eq!(failed[0]["code"], "PERMISSION_DENIED");
    assert_eq!(failed[0]["reason"], "credentials");

    let data = hub.data.clone();
    hub.stop(&world);
    let args = [
        "hub",
        "audit",
        "--data-dir",
        data.path().as_str(),
        "-n",
        "1",
    ];
    assert!(world.ctx(&args).stdout.contains("stopped"));
    assert_eq!(
        world.ctx(&["hub", "audit", "--data-dir", "nowhere"]).code,
        2
    );
}

#[test]
fn whoever_follows_sees_every_line_once_over_rotations_and_leaves_with_ctrl_c() {
    let world = World::new();
    let dir = world.root().join("hub-of-the-test");
    fs_err::create_dir(&dir).unwrap();
    crate::harness::chmod(&dir, 0o700);
    let data = ctx_config::paths::DataDir::new(dir);
    put(
        &data.settings(),
        b"[audit]\nfile_bytes = 4096\nfiles = 100\n",
    );
    let hub = world.hub_at(data.path());
    let project = world.registered("alpha", &hub);
    let watched = world.dir("watched");
    let args = [
        "hub",
        "audit",
        "--follow",
        "--json",
        "-n",
        "1",
        "--data-dir",
    ];
    let mut follower = watched.spawn(&[&args[..], &[data.path().as_str()]].concat());
    let mut output = std::io::BufReader::new(follower.0.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        (
            line["n"].as_u64().unwrap(),
            line["call"].as_str().unwrap_or("").to_owned(),
        )
    };
    let (first, _) = next();
    for _ in 0..30 {
        project.ok(&["connect", "status"]);
    }
    assert!(data.older_audit(1).exists(), "it was rotated");
    let mut calls = 0;
    let mut number = first;
    while calls < 30 {
        let (n, call) = next();
        number += 1;
        assert_eq!(n, number);
        calls += u32::from(call == "Status");
    }
    follower.signal(Signal::INT);
    assert_eq!(follower.wait().code(), Some(0));
}

#[test]
fn a_damaged_line_is_told_with_its_place_and_skipped() {
    let world = World::new();
    let hub = world.hub();
    let data = hub.data.clone();
    hub.kill();
    let mut text = fs_err::read_to_string(data.audit()).unwrap();
    text.push_str("{\"v\":1,\"n\":99,\u{1b}[31m");
    put(&data.audit(), text.as_bytes());
    let hub = world.hub_at(data.path());
    let run = audit(&world, &hub, &[]);
    assert_eq!(run.code, 0);
    assert!(!run.stderr.contains('\u{1b}'), "{}", run.stderr);
    assert_snapshot!(run.stderr.replace(world.root().as_str(), "[root]"), @r"
    warning: [root]/hub-of-the-test/audit.jsonl, line 3 is skipped: it is no line of a trail (at column 15)
    hint: `ctx hub verify` says whether it is the rest of a write that was cut off
    ");
    assert_eq!(run.stdout.matches("started").count(), 2, "{}", run.stdout);
    // It is the rest of a write: nobody changed anything.
    let verified = world.ctx(&["hub", "verify", "--data-dir", data.path().as_str()]);
    assert_eq!(verified.code, 0, "{}", verified.show());
    assert!(verified.stdout.contains("cut off"), "{}", verified.stdout);
    hub.stop(&world);

    let changed = fs_err::read_to_string(data.audit())
        .unwrap()
        .replace("\"pid\":", "\"pid\": ");
    put(&data.audit(), changed.as_bytes());
    let verified = world.ctx(&["hub", "verify", "--data-dir", data.path().as_str()]);
    assert_eq!(verified.code, 7, "{}", verified.show());
    assert!(
        verified.stdout.contains("audit: line 2: does not follow"),
        "{}",
        verified.stdout
    );
}
