//! Tokens of a project: listed, expiring, replaced, ended.

use std::io::{BufRead as _, BufReader};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{CONNECT_FILE, CONNECT_LOCK_FILE, CONTEXT_DIR, DataDir};
use insta::assert_snapshot;
use serde_json::Value;

use crate::contention::Barrier;
use crate::harness::{Project, Reaped, TestHub, World, put, until};

/// A hub with these settings.
pub(crate) fn hub_with(world: &World, settings: &str) -> TestHub {
    hub_in(world, "hub-of-the-test", settings)
}

fn hub_in(world: &World, dir: &str, settings: &str) -> TestHub {
    let data = DataDir::new(world.root().join(dir));
    fs_err::create_dir(data.path()).unwrap();
    crate::harness::chmod(data.path(), 0o700);
    put(&data.settings(), settings.as_bytes());
    world.hub_at(data.path())
}

/// What the hub says of the client of a project that lives, or lived last.
fn listed(world: &World, hub: &TestHub, project: &str) -> Value {
    let run = world.ctx(&[
        "hub",
        "clients",
        "--json",
        "--data-dir",
        hub.data.path().as_str(),
    ]);
    let clients = run.json()["clients"].as_array().unwrap().clone();
    let of_project = |one: &&Value| one["project"] == project;
    clients.iter().rfind(of_project).unwrap().clone()
}

/// The files beside the mirror: the connection file alone, once nobody changes it.
pub(crate) fn names(project: &Project<'_>) -> Vec<String> {
    let entries = project.context().path().read_dir_utf8().unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_owned());
    names
        .filter(|name| name.starts_with(CONNECT_FILE) || name.contains(CONNECT_LOCK_FILE))
        .collect()
}

/// The lines that a process writes, as they come.
fn lines(process: &mut Reaped) -> std::sync::mpsc::Receiver<String> {
    let (send, lines) = std::sync::mpsc::channel();
    let stdout = BufReader::new(process.0.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[test]
fn a_token_is_replaced_and_whatever_runs_goes_on() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("billing", &hub);
    let before = fs_err::read(project.context().connect_file()).unwrap();
    assert_snapshot!(project.ctx(&["connect", "rotate"]).show(), @r#"
    exit 0
    --- stdout
    replaced the token
    the new one does not expire
    the old one ends [time]
    "#);
    let after = fs_err::read(project.context().connect_file()).unwrap();
    assert_ne!(before, after);
    project.publish("task", "with the new one");
    assert_eq!(project.sync(), 1);
    // The old one goes on for the overlap.
    put(&project.context().connect_file(), &before);
    assert_eq!(project.sync(), 0);
    assert_snapshot!(project.ctx(&["connect", "rotate"]).show(), @r#"
    exit 5
    --- stderr
    error: the hub at 127.0.0.1:[port] has replaced this token by another one already
    hint: if you do not know who did that, have the client ended with `ctx hub revoke`; then register this project again
    "#);
    put(&project.context().connect_file(), &after);
    let document = project.json(&["connect", "rotate"]);
    assert_eq!(document["by_another"], false);
    assert!(document["previous_ends_at"].as_i64().unwrap() > 0);
    assert_eq!(names(&project), [CONNECT_FILE]);
}

#[test]
fn a_token_that_expires_is_shown_warned_of_and_renewed_by_a_sync() {
    let world = World::new();
    let hub = hub_with(&world, "[tokens]\nttl = \"1000h\"\n");
    let project = world.project("billing");
    let register = ["connect", "register", &hub.address, "--token", &hub.token()];
    assert_snapshot!(project.ctx(&register).show(), @r#"
    exit 0
    --- stdout
    registered billing with the hub at 127.0.0.1:[port]
    client [id]
    the token expires [time]
    "#);
    let status = project.json(&["connect", "status"]);
    let expires_at = status["token"]["expires_at"].as_i64().unwrap();
    assert_eq!(listed(&world, &hub, "billing")["expires_at"], expires_at);
    assert_eq!(status["token"]["expired"], false);
    let run = project.ctx(&["connect", "sync"]);
    assert_eq!(run.stderr, "");

    // One of which much less is left.
    let hub = hub_in(&world, "another-hub", "[tokens]\nttl = \"20s\"\n");
    let short = world.registered("short", &hub);
    let first = listed(&world, &hub, "short")["expires_at"]
        .as_i64()
        .unwrap();
    until("a sync has renewed it", || {
        short.sync();
        let now = listed(&world, &hub, "short")["expires_at"]
            .as_i64()
            .unwrap();
        (now > first).then_some(())
    });
    assert_eq!(names(&short), [CONNECT_FILE]);
    let run = short.ctx(&["connect", "publish", "task", "x"]);
    assert_eq!(run.code, 0, "{}", run.show());
}

#[test]
fn a_token_that_expired_is_said_so_with_what_to_do() {
    let world = World::new();
    let hub = hub_with(&world, "[tokens]\nttl = \"1s\"\n");
    let project = world.registered("billing", &hub);
    until("it has expired", || {
        (listed(&world, &hub, "billing")["state"] == "expired").then_some(())
    });
    until("it has expired by this clock", || {
        let run = project.ctx(&["connect", "status", "--json"]);
        (run.json()["token"]["expired"] == true).then_some(())
    });
    assert_snapshot!(project.ctx(&["connect", "rotate"]).show(), @r#"
    exit 5
    --- stderr
    error: the token of this project expired [time]
      caused by: the hub at 127.0.0.1:[port] refused the credentials: invalid or missing credentials
    hint: have the hub's operator free the name with `ctx hub revoke --project billing`, then register again with `ctx connect register --force`
    "#);
    for command in [&["sync"][..], &["publish", "task", "x"], &["listen"]] {
        let run = project.ctx(&[&["connect"], command].concat());
        assert_eq!(run.code, 5, "{}", run.show());
        assert!(run.stderr.contains("expired"), "{}", run.show());
        assert!(
            run.stderr.contains("hub revoke --project billing"),
            "{}",
            run.show()
        );
    }
    // The next step works.
    let dir = hub.data.path().as_str();
    let run = world.ctx(&["hub", "revoke", "--project", "billing", "--data-dir", dir]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    revoked client [id] of billing
    "#);
    let again = world.ctx(&["hub", "revoke", "--project", "billing", "--data-dir", dir]);
    assert_snapshot!(again.show(), @r#"
    exit 1
    --- stderr
    error: no client of "billing" is registered
    hint: `ctx hub clients` lists who is registered
    "#);
    let token = hub.token();
    project.ok(&[
        "connect",
        "register",
        &hub.address,
        "--token",
        &token,
        "--force",
    ]);
    project.sync();
}

#[test]
fn of_sixteen_that_replace_a_token_at_once_none_loses_it() {
    let world = World::new();
    let hub = hub_with(&world, "[tokens]\noverlap = \"0s\"\n");
    let project = world.registered("billing", &hub);
    let context = Utf8Path::new(CONTEXT_DIR);
    let mut replaced = 0;
    for _ in 0..3 {
        let runs = Barrier::of(&project, context, &["connect", "rotate", "--json"]).run(&world);
        assert_eq!(runs.len(), 16);
        for run in runs {
            assert_eq!(run.code, 0, "{}", run.show());
            replaced += usize::from(run.json()["by_another"] == false);
        }
    }
    assert!(replaced >= 3);
    // The overlap is nothing: the file holds the one token that lives.
    project.publish("task", "still here");
    assert_eq!(project.sync(), 1);
    assert_eq!(names(&project), [CONNECT_FILE]);
}

#[test]
fn a_listener_goes_on_with_the_new_token_when_the_old_one_ends() {
    let world = World::new();
    let hub = hub_with(&world, "[tokens]\noverlap = \"1s\"\n");
    let (project, other) = (
        world.registered("billing", &hub),
        world.registered("web", &hub),
    );
    let mut listener = project.spawn(&["connect", "listen", "--json"]);
    let arrived = lines(&mut listener);
    other.publish("task", "before");
    assert!(
        arrived
            .recv_timeout(crate::harness::PATIENCE)
            .unwrap()
            .contains("before")
    );
    project.ok(&["connect", "rotate"]);
    // The stream of the old token ends, and one of the new token takes its place.
    let said = BufReader::new(listener.0.stderr.take().unwrap());
    let connected = said
        .lines()
        .map_while(Result::ok)
        .filter(|line| line == "listening");
    assert_eq!(connected.take(2).count(), 2);
    let status = project.ctx(&["connect", "status", "--json"]);
    assert_eq!(status.code, 0, "{}", status.show());
    other.publish("task", "after");
    assert!(
        arrived
            .recv_timeout(crate::harness::PATIENCE)
            .unwrap()
            .contains("after")
    );
    assert!(listener.runs());
}

#[test]
fn a_revocation_ends_a_listener() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("billing", &hub);
    let listener = project.spawn(&["connect", "listen"]);
    until("it listens", || {
        (listed(&world, &hub, "billing")["open_streams"] == 1).then_some(())
    });
    let dir = hub.data.path().as_str();
    world.ctx(&["hub", "revoke", "--project", "billing", "--data-dir", dir]);
    let run = listener.output(&world);
    assert_eq!(run.code, 5, "{}", run.show());
    assert_eq!(listed(&world, &hub, "billing")["state"], "revoked");
}

#[test]
fn operators_see_when_and_from_where_a_project_called_also_when_no_hub_runs() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("billing", &hub);
    project.sync();
    let row = listed(&world, &hub, "billing");
    assert_eq!(
        (&row["last_address"], &row["state"]),
        (&"127.0.0.1".into(), &"live".into())
    );
    let dir: Utf8PathBuf = hub.data.path().to_owned();
    let show = || {
        world
            .ctx(&["hub", "clients", "--data-dir", dir.as_str()])
            .show()
    };
    let running = show();
    hub.stop(&world);
    assert_eq!(show(), running);
    assert_snapshot!(running, @r#"
    exit 0
    --- stdout
    CLIENT                            PROJECT  ENTRIES  REGISTERED               LAST SEEN                ADDRESS    EXPIRES  STATE
    [id]  billing  0        [time]  [time]  127.0.0.1  never    live
    "#);
}
