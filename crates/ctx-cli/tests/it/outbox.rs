//! What is published while the hub is away: queued, sent first, once, in order.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::{limits, paths};
use insta::assert_snapshot;
use serde_json::Value;

use crate::contention::Barrier;
use crate::harness::{PATIENCE, PROGRAM, Project, Reaped, TestHub, World, put, until};
use crate::proxy::{Mode, Proxy};

#[cfg(feature = "failpoints")]
mod steps;

/// Spares a publish to a hub that is away its repetitions.
const IMPATIENT: &str = "50ms";

/// A hub, what stands before it, and a project that reaches it only through that.
struct Scene {
    hub: TestHub,
    proxy: Proxy,
}

impl Scene {
    fn new(world: &World) -> Self {
        let hub = world.hub();
        let proxy = Proxy::to(&hub.address, Mode::Forward);
        Self { hub, proxy }
    }

    fn project<'a>(&self, world: &'a World) -> Project<'a> {
        world.registered_at("p", &self.proxy.address, &self.hub)
    }

    fn away(&self) {
        self.proxy.set(Mode::Refuse);
        self.proxy.break_all();
    }

    fn back(&self) {
        self.proxy.set(Mode::Forward);
    }
}

/// Publishes while the hub is away.
fn queue(project: &Project<'_>, text: &str) -> Value {
    let publish = ["connect", "publish", "task", text, "--timeout", IMPATIENT];
    let document = project.json(&publish);
    assert_eq!(document["queued"], true, "{document}");
    document
}

/// The files that wait, in order.
fn waiting(project: &Project<'_>) -> Vec<Utf8PathBuf> {
    let outbox = project.mirror().outbox();
    let Ok(entries) = outbox.path().read_dir_utf8() else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().into_path());
    let mut paths: Vec<_> = paths.filter(|path| path.is_file()).collect();
    paths.sort();
    paths
}

/// The contents of the tasks in the mirror, in order.
fn tasks(project: &Project<'_>) -> Vec<String> {
    let text = project.mirrored(paths::TASKS_FILE);
    let entries = text.split("\n---\n");
    let content = |entry: &str| {
        Some(
            entry
                .split_once("**Origin**")?
                .1
                .split_once("\n\n")?
                .1
                .trim()
                .to_owned(),
        )
    };
    entries.filter_map(content).collect()
}

#[test]
fn what_is_published_while_the_hub_is_down_is_queued_and_the_next_sync_sends_it() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    hub.kill();
    let publish = ["connect", "publish", "task", "one", "--id", "the-first"];
    assert_snapshot!(project.ctx(&publish).show(), @r#"
    exit 0
    --- stdout
    queued task (id the-first)
    1 entry waits in .context/hub/outbox for the next publish, sync or listen that reaches the hub
    --- stderr
    cannot reach the hub at 127.0.0.1:[port]: Connection refused (os error 111)
    "#);
    assert_snapshot!(project.ctx(&["connect", "publish", "task", "two", "--id", "b", "--json"]).show(), @r#"
    exit 0
    --- stdout
    {"type":"task","sequence":null,"id":"b","queued":true,"reason":{"kind":"unreachable","message":"cannot reach the hub at 127.0.0.1:[port]","causes":["Connection refused (os error 111)"],"hint":"check that the hub runs (`ctx hub status` on its machine) and that the address is right","exit_code":4},"waiting":2,"sent":0}
    --- stderr
    cannot reach the hub at 127.0.0.1:[port]: Connection refused (os error 111)
    "#);
    assert_snapshot!(project.ctx(&[&publish[..], &["--quiet"]].concat()).show(), @"exit 0");
    assert_eq!(waiting(&project).len(), 2);
    let status = project.ctx(&["connect", "status", "--json"]).json();
    let outbox = &status["outbox"];
    assert_eq!(
        (&outbox["entries"], &outbox["oldest_id"]),
        (&2.into(), &"the-first".into())
    );
    assert!(outbox["oldest_age_seconds"].is_u64(), "{outbox}");
    assert_snapshot!(project.ctx(&["connect", "status"]).show(), @r#"
    exit 4
    --- stdout
    project      p
    client       [id]
    token        does not expire
    hub          127.0.0.1:[port] (cannot be reached)
    subscribed   decision, learning, convention, task
    mirrored to  convention 0, decision 0, learning 0, task 0
    sync lock    free
    outbox       2 entries queued, the oldest for [age]
    --- stderr
    error: cannot reach the hub at 127.0.0.1:[port]
      caused by: Connection refused (os error 111)
    hint: check that the hub runs (`ctx hub status` on its machine) and that the address is right
    "#);
}

#[test]
fn the_next_sync_sends_what_is_queued_before_it_pulls() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    queue(&project, "one");
    queue(&project, "two");
    assert_eq!(
        project.mirrored(paths::TASKS_FILE),
        "",
        "not in the mirror before it was sent"
    );
    assert_eq!(project.ctx(&["connect", "sync"]).code, 4);
    assert_eq!(waiting(&project).len(), 2);
    scene.back();
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 0
    --- stdout
    2 new entries (2 tasks)
    --- stderr
    sent 2 queued entries
    "#);
    assert_eq!(tasks(&project), ["one", "two"]);
    assert_eq!(waiting(&project), [""; 0]);
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["outbox"]["entries"], 0);
    assert_eq!(project.json(&["connect", "sync"])["sent"], 0);
}

#[test]
fn a_publish_sends_what_is_queued_first() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    for text in ["one", "two"] {
        queue(&project, text);
    }
    scene.back();
    let document = project.json(&["connect", "publish", "task", "three"]);
    assert_eq!(document["sequence"], 3, "{document}");
    assert_eq!(
        (&document["sent"], &document["queued"]),
        (&2.into(), &false.into())
    );
    project.sync();
    assert_eq!(tasks(&project), ["one", "two", "three"]);
}

#[test]
fn an_answer_that_is_cut_off_at_any_byte_neither_loses_nor_doubles_an_entry() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    let mut published = Vec::new();
    for bytes in (0..220).step_by(20) {
        let text = format!("cut after {bytes}");
        scene.proxy.set(Mode::Cut(bytes));
        project.ok(&["connect", "publish", "task", &text]);
        published.push(text);
    }
    scene.back();
    project.sync();
    assert_eq!(tasks(&project), published);
    assert_eq!(waiting(&project), [""; 0]);
}

#[test]
fn the_same_id_is_queued_once_and_stored_once() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    let publish = ["connect", "publish", "task", "same", "--id", "x"];
    scene.away();
    for _ in 0..2 {
        assert_eq!(project.json(&publish)["waiting"], 1);
    }
    scene.back();
    assert_eq!(project.json(&publish)["sequence"], 1);
    assert_eq!(project.sync(), 1);
    assert_eq!(waiting(&project), [""; 0]);
}

#[test]
fn what_is_queued_keeps_the_time_at_which_it_was_published() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    queue(&project, "one");
    let file = waiting(&project).remove(0);
    let mut record: Value = serde_json::from_slice(&fs_err::read(&file).unwrap()).unwrap();
    record["timestamp"] = 1_781_136_000.into();
    put(&file, record.to_string().as_bytes());
    scene.back();
    project.sync();
    let text = project.mirrored(paths::TASKS_FILE);
    assert!(text.starts_with("## [2026-06-11] one\n"), "{text}");
}

#[test]
fn a_listener_sends_what_is_queued_before_it_and_while_it_runs() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    queue(&project, "before");
    scene.back();
    let mut listener = project.spawn(&["connect", "listen", "--json"]);
    let mut lines = BufReader::new(listener.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["content"], "before");
    // New connections are refused; the listener's own holds.
    scene.proxy.set(Mode::Refuse);
    queue(&project, "meanwhile");
    // Sooner than a listener dials again that hears nothing.
    assert!(PATIENCE < limits::LISTEN_IDLE_LIMIT);
    until("the outbox is empty", || {
        waiting(&project).is_empty().then_some(())
    });
    assert_eq!(next()["content"], "meanwhile");
    listener.signal(rustix::process::Signal::TERM);
    assert!(listener.wait().success());
}

#[test]
fn sixteen_publishers_and_then_sixteen_syncs_at_once_deliver_every_entry_once() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    let context = Utf8Path::new(paths::CONTEXT_DIR);
    scene.away();
    let publish = ["connect", "publish", "task", "same text", "--json"];
    for run in Barrier::of(&project, context, &publish).run(&world) {
        assert_eq!(run.code, 0, "{}", run.show());
        assert_eq!(run.json()["queued"], true);
    }
    assert_eq!(waiting(&project).len(), 16);
    scene.back();
    let sync = ["connect", "sync", "--wait", "2m", "--json"];
    let mut sent = 0;
    for run in Barrier::of(&project, context, &sync).run(&world) {
        assert_eq!(run.code, 0, "{}", run.show());
        sent += run.json()["sent"].as_u64().unwrap();
    }
    assert_eq!(sent, 16, "each was sent by one of them");
    assert_eq!(tasks(&project).len(), 16);
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["hub_status"]["total_entries"], 16);
    assert_eq!(waiting(&project), [""; 0]);
}

#[test]
fn sixteen_publishers_at_once_send_what_is_queued_once() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    for number in 0..8 {
        queue(&project, &format!("queued {number}"));
    }
    scene.back();
    let publish = ["connect", "publish", "decision", "direct", "--json"];
    let context = Utf8Path::new(paths::CONTEXT_DIR);
    for run in Barrier::of(&project, context, &publish).run(&world) {
        assert_eq!(run.code, 0, "{}", run.show());
        assert!(
            run.json()["sequence"].as_u64().unwrap() > 8,
            "{}",
            run.show()
        );
    }
    assert_eq!(project.sync(), 24);
    let queued: Vec<String> = (0..8).map(|number| format!("queued {number}")).collect();
    assert_eq!(tasks(&project), queued);
}

#[test]
fn a_revoked_token_leaves_everything_queued_until_the_project_is_registered_anew() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    queue(&project, "one");
    scene.back();
    let client = project.json(&["connect", "status"])["client_id"].clone();
    let data = scene.hub.data.path().as_str();
    project.ok(&[
        "hub",
        "revoke",
        client.as_str().unwrap(),
        "--data-dir",
        data,
    ]);
    for args in [
        &["connect", "sync"][..],
        &["connect", "publish", "task", "two"],
        &["connect", "listen"],
    ] {
        let run = project.ctx(args);
        assert_eq!(run.code, 5, "{}", run.show());
        assert_eq!(waiting(&project).len(), 1);
    }
    let (address, token) = (scene.proxy.address.clone(), scene.hub.token());
    let register = ["connect", "register", &address, "--token", &token];
    let again = [&register[..], &["--force", "--project", "anew"]].concat();
    assert_snapshot!(project.ctx(&again).show(), @r#"
    exit 0
    --- stdout
    registered anew with the hub at 127.0.0.1:[port]
    client [id]
    1 queued entry goes to this hub with the next publish, sync or listen
    "#);
    project.sync();
    assert_eq!(tasks(&project), ["one"]);
}

#[test]
fn damaged_and_refused_entries_are_shown_and_hold_up_nothing() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    for text in ["torn", "good", "refused"] {
        queue(&project, text);
    }
    let files = waiting(&project);
    let whole = fs_err::read(&files[0]).unwrap();
    put(&files[0], &whole[..whole.len() / 2]);
    let refused = project.mirror().outbox().refused();
    fs_err::create_dir(&refused).unwrap();
    let name = files[2].file_name().unwrap();
    fs_err::rename(&files[2], refused.join(name)).unwrap();
    let reason = refused
        .join(name)
        .with_extension(&paths::REASON_SUFFIX[1..]);
    put(&reason, b"the hub rejected publish: entry ID required\n");
    scene.back();
    assert_snapshot!(project.ctx(&["connect", "status"]).show(), @r#"
    exit 0
    --- stdout
    project      p
    client       [id]
    token        does not expire
    hub          127.0.0.1:[port]
    subscribed   decision, learning, convention, task
    mirrored to  convention 0, decision 0, learning 0, task 0
    hub is at    0, the mirror is up to date
    entries      0 at the hub (none)
    sync lock    free
    outbox       1 entry queued, the oldest for [age], 1 refused by the hub, 1 damaged
    --- stderr
    warning: an entry was refused and is kept in .context/hub/outbox/refused/0000000000000003-[id].json: the hub rejected publish: entry ID required
    hint: publish anew what is worth it, then move the file away
    warning: .context/hub/outbox/0000000000000001-[id].json cannot be sent: it is not a queued entry: EOF while parsing a value at line 5 column 14
    hint: publish anew what can be read of it, then move it away
    "#);
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 0
    --- stdout
    1 new entry (1 task)
    --- stderr
    sent 1 queued entry
    warning: .context/hub/outbox/0000000000000001-[id].json cannot be sent: it is not a queued entry: EOF while parsing a value at line 5 column 14
    hint: publish anew what can be read of it, then move it away
    "#);
    assert_eq!(tasks(&project), ["good"]);
    assert!(files[0].exists() && refused.join(name).exists());
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["outbox"]["entries"], 0);
    assert_eq!(
        status["outbox"]["unusable"][0]["path"],
        files[0].strip_prefix(&project.dir).unwrap().as_str()
    );
    let reason = &status["outbox"]["refused"][0]["reason"];
    assert_eq!(reason, "the hub rejected publish: entry ID required");
}

#[test]
fn a_link_in_place_of_the_outbox_is_refused_and_nothing_else_is_held_up() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    project.sync();
    let outbox = project.mirror().outbox();
    std::os::unix::fs::symlink(world.root(), outbox.path()).unwrap();
    assert_snapshot!(project.ctx(&["connect", "publish", "task", "one"]).show(), @r#"
    exit 0
    --- stdout
    published task 1 (id [id])
    --- stderr
    warning: what is queued cannot be sent: .context/hub/outbox is a symbolic link
    hint: replace the link by the file or directory itself
    "#);
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 0
    --- stdout
    1 new entry (1 task)
    --- stderr
    warning: what is queued cannot be sent: .context/hub/outbox is a symbolic link
    hint: replace the link by the file or directory itself
    "#);
    assert_eq!(project.json(&["connect", "status"])["outbox"]["entries"], 0);
    scene.away();
    assert_snapshot!(project.ctx(&["connect", "publish", "task", "two"]).show(), @r#"
    exit 1
    --- stderr
    warning: what is queued cannot be sent: .context/hub/outbox is a symbolic link
    hint: replace the link by the file or directory itself
    error: the entry is not stored: the connection to the hub at 127.0.0.1:[port] broke during publish, and it cannot be queued
      caused by: .context/hub/outbox is a symbolic link
    hint: replace the link by the file or directory itself
    "#);
}

#[test]
fn a_full_outbox_says_so() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    queue(&project, "one");
    let file = std::fs::File::options()
        .write(true)
        .open(&waiting(&project)[0]);
    file.unwrap().set_len(limits::OUTBOX_MAX_BYTES).unwrap();
    assert_snapshot!(project.ctx(&["connect", "publish", "task", "two"]).show(), @r#"
    exit 1
    --- stderr
    warning: .context/hub/outbox/0000000000000001-[id].json cannot be sent: .context/hub/outbox/0000000000000001-[id].json is larger than 8388608 bytes
    hint: publish anew what can be read of it, then move it away
    error: the entry is not stored: the connection to the hub at 127.0.0.1:[port] broke during publish, and it cannot be queued
      caused by: .context/hub/outbox is full (1 entries, 67108864 bytes)
    hint: run `ctx connect sync` where the hub can be reached, which sends them
    "#);
    assert_eq!(waiting(&project).len(), 1);
}

#[test]
fn a_disk_that_takes_nothing_is_told_as_an_entry_that_is_not_stored() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    queue(&project, "one");
    let script = r#"trap '' XFSZ; ulimit -f 0; exec "$@""#;
    let mut command = std::process::Command::new("sh");
    world.clean(&mut command);
    command.args([
        "-c", script, "sh", PROGRAM, "connect", "publish", "task", "two",
    ]);
    command.current_dir(&project.dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Reaped(command.spawn().unwrap()).output(&world);
    assert_snapshot!(run.show(), @r#"
    exit 1
    --- stderr
    error: the entry is not stored: the connection to the hub at 127.0.0.1:[port] broke during publish, and it cannot be queued
      caused by: cannot write .context/hub/outbox/0000000000000002-[id].json
      caused by: File too large (os error 27)
    hint: raise the limit on file sizes (ulimit -f)
    "#);
    assert_eq!(waiting(&project).len(), 1, "nothing half-written is left");
    scene.back();
    project.sync();
    assert_eq!(tasks(&project), ["one"]);
}

#[test]
fn a_rebuild_of_the_mirror_leaves_the_outbox_alone() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    project.publish("task", "zero");
    scene.away();
    queue(&project, "one");
    let damaged = project.mirror().outbox().path().join("note");
    put(&damaged, b"mine");
    scene.back();
    project.ok(&["connect", "sync", "--full"]);
    assert_eq!(tasks(&project), ["zero", "one"]);
    assert_eq!(fs_err::read(&damaged).unwrap(), b"mine");
}
