//! Damaged files, missing keys, disks and directories that take nothing: a clear error, its exit
//! code, and nothing lost.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use camino::Utf8Path;
use ctx_config::paths;
use insta::{allow_duplicates, assert_snapshot};

use crate::harness::{PROGRAM, Project, Reaped, TestHub, World, chmod, put};

/// A project with one entry in its mirror, and another one waiting at the hub.
fn mirrored<'a>(world: &'a World, hub: &TestHub) -> Project<'a> {
    let project = world.registered("p", hub);
    project.publish("task", "one");
    assert_eq!(project.sync(), 1);
    project.publish("task", "two");
    project
}

/// What stands in the files that a sync writes.
fn contents(project: &Project<'_>) -> (Vec<u8>, String) {
    let state = fs_err::read(project.mirror().state()).unwrap_or_default();
    (state, project.mirrored(paths::TASKS_FILE))
}

fn entries(project: &Project<'_>) -> Vec<usize> {
    let tasks = project.mirrored(paths::TASKS_FILE);
    let count = |text: &str| tasks.matches(&format!("\n\n{text}\n\n")).count();
    vec![count("one"), count("two")]
}

/// A state that cannot be used is refused and left alone; a full sync mends it.
fn refuses_state(content: &[u8]) -> String {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    put(&project.mirror().state(), content);
    let before = contents(&project);
    let run = project.ctx(&["connect", "sync"]);
    assert_eq!(contents(&project), before, "nothing was changed");
    assert!(
        !project.mirror().sync_lock().exists(),
        "the lock was released"
    );
    run.show()
}

#[test]
fn a_state_file_that_is_not_json_is_refused_and_a_full_sync_mends_it() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    for content in ["not json", "{\"last_sequ"] {
        put(&project.mirror().state(), content.as_bytes());
        let run = project.ctx(&["connect", "sync"]);
        assert_eq!(run.code, 7, "{}", run.show());
        assert!(!project.mirror().sync_lock().exists());
    }
    assert_eq!(project.ctx(&["connect", "status"]).code, 7);
    project.ok(&["connect", "sync", "--full"]);
    assert_eq!(entries(&project), [1, 1]);
    assert_eq!(project.sync(), 0);
}

#[test]
fn what_is_wrong_with_a_state_file_is_said() {
    assert_snapshot!(refuses_state(b"not json"), @r"
    exit 7
    --- stderr
    error: cannot use .context/hub/.sync-state.json
      caused by: it is not a state file
      caused by: expected ident at line 1 column 2
    hint: run `ctx connect verify --repair`, which makes it again from the mirror or the hub
    ");
    assert_snapshot!(refuses_state(b"{\"last_sequence\":"), @r"
    exit 7
    --- stderr
    error: cannot use .context/hub/.sync-state.json
      caused by: it is not a state file
      caused by: EOF while parsing a value at line 1 column 17
    hint: run `ctx connect verify --repair`, which makes it again from the mirror or the hub
    ");
    assert_snapshot!(refuses_state(b"{\"format\":99,\"types\":{}}"), @r#"
    exit 7
    --- stderr
    error: cannot use .context/hub/.sync-state.json
      caused by: it was written by a newer ctx (format 99, this one knows 2)
    hint: use the newer ctx that wrote it
    "#);
}

#[test]
fn an_empty_state_file_loses_and_doubles_nothing() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    put(&project.mirror().state(), b"");
    let run = project.ctx(&["connect", "sync"]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    1 new entry (1 task)
    --- stderr
    warning: .context/hub/.sync-state.json was lost and has been made again from the mirror
    "#);
    assert_eq!(entries(&project), [1, 1]);
}

#[test]
fn a_connection_file_that_cannot_be_opened_is_refused_and_left_alone() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    let path = project.context().connect_file();
    let sealed = fs_err::read(&path).unwrap();
    let mut tampered = sealed.clone();
    tampered[20] ^= 1;
    let try_with = |content: &[u8]| {
        put(&path, content);
        let run = project.ctx(&["connect", "sync"]);
        assert_eq!(fs_err::read(&path).unwrap(), content);
        run.show()
    };
    assert_snapshot!(try_with(b""), @r#"
    exit 7
    --- stderr
    error: .context/.connect.enc is cut short: 0 bytes hold no sealed connection
    hint: register this project again: `ctx connect register HUB --token TOKEN --force`, after `ctx hub revoke` of the old client or with another --project
    "#);
    assert_snapshot!(try_with(&sealed[..20]), @r#"
    exit 7
    --- stderr
    error: .context/.connect.enc is cut short: 20 bytes hold no sealed connection
    hint: register this project again: `ctx connect register HUB --token TOKEN --force`, after `ctx hub revoke` of the old client or with another --project
    "#);
    allow_duplicates! {
        for content in [&sealed[..sealed.len() - 1], &tampered] {
            assert_snapshot!(try_with(content), @r#"
            exit 7
            --- stderr
            error: .context/.connect.enc cannot be opened: it was changed or cut short, or sealed with another key
            hint: register this project again: `ctx connect register HUB --token TOKEN --force`, after `ctx hub revoke` of the old client or with another --project
            "#);
        }
    }
    put(&path, &sealed);
    assert_eq!(project.sync(), 1);
}

#[test]
fn a_key_that_cannot_be_used_is_refused_and_left_alone() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    let path = world.user().key();
    let key = fs_err::read(&path).unwrap();
    put(&path, &[7; 32]);
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 7
    --- stderr
    error: .context/.connect.enc cannot be opened: it was changed or cut short, or sealed with another key
    hint: register this project again: `ctx connect register HUB --token TOKEN --force`, after `ctx hub revoke` of the old client or with another --project
    "#);
    put(&path, b"short");
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 7
    --- stderr
    error: [root]/ada/.ctx/.ctx.key holds 5 bytes and not a key of 32
    hint: put the right key back if you have it elsewhere; otherwise remove [root]/ada/.ctx/.ctx.key and register this project again: `ctx connect register HUB --token TOKEN --force`, after `ctx hub revoke` of the old client or with another --project
    "#);
    let other = world.project("q");
    let token = hub.token();
    let register = ["connect", "register", &hub.address, "--token", &token];
    assert_eq!(
        other.ctx(&register).code,
        7,
        "a key of the wrong size is found before the hub is asked"
    );
    assert_eq!(fs_err::read(&path).unwrap(), b"short");
    put(&path, &key);
    chmod(&path, 0o644);
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 7
    --- stderr
    error: [root]/ada/.ctx/.ctx.key can be opened by others (mode 0644)
    hint: run: chmod 600 [root]/ada/.ctx/.ctx.key
    "#);
    fs_err::remove_file(&path).unwrap();
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 7
    --- stderr
    error: the key that seals the connection file is not at [root]/ada/.ctx/.ctx.key
    hint: put the key back if you have it elsewhere; otherwise register this project again: `ctx connect register HUB --token TOKEN --force`, after `ctx hub revoke` of the old client or with another --project
    "#);
    assert!(!path.exists(), "no other key is made in its place");
    put(&path, &key);
    chmod(&path, paths::PRIVATE_FILE_MODE);
    assert_eq!(project.sync(), 1);
    other.ok(&register);
}

#[test]
fn a_mirror_file_that_was_cut_short_is_refused_and_kept_beside_the_new_one() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    let tasks = project.mirror().path().join(paths::TASKS_FILE);
    put(&tasks, b"mine now");
    let run = project.ctx(&["connect", "sync"]);
    assert_snapshot!(run.show(), @r#"
    exit 7
    --- stderr
    error: .context/hub/tasks.md was changed: it has 8 bytes, and 203 were mirrored to it
    hint: see what was changed with `ctx connect verify`; then run `ctx connect sync --full`, which builds the mirror anew and keeps the changed file beside it
    "#);
    assert_eq!(fs_err::read(&tasks).unwrap(), b"mine now");
    let document = project.json(&["connect", "sync", "--full"]);
    let kept = Utf8Path::new(document["set_aside"][0].as_str().unwrap());
    assert_eq!(fs_err::read(project.dir.join(kept)).unwrap(), b"mine now");
    assert_eq!(entries(&project), [1, 1]);
}

#[test]
fn another_hub_than_the_mirror_was_made_from_is_told_apart() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    let other = world.hub_at(&world.root().join("other"));
    let token = other.token();
    project.ok(&[
        "connect",
        "register",
        &other.address,
        "--token",
        &token,
        "--force",
    ]);
    project.publish("task", "three");
    let before = contents(&project);
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 1
    --- stderr
    error: the mirror was not made from this hub's log: it is hub [id], and the mirror is of hub [id]
    hint: check that it is the right hub; if it is, run `ctx connect sync --full`, which builds the mirror anew from it
    "#);
    assert_eq!(contents(&project), before);
    project.ok(&["connect", "sync", "--full"]);
    assert_eq!(entries(&project), [0, 0]);
    assert!(
        project
            .mirrored(paths::TASKS_FILE)
            .contains("\n\nthree\n\n")
    );
}

/// Root may write anywhere, so the program runs as nobody, on a copy that nobody may run.
fn as_nobody(project: &Project<'_>, args: &[&str]) -> crate::harness::Run {
    let mut command = Command::new(project.world.root().join("ctx"));
    project.world.clean(&mut command);
    command.current_dir(&project.dir).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    Reaped(command.spawn().unwrap()).output(project.world)
}

fn give_to_nobody(path: &Utf8Path) {
    if rustix::process::geteuid().is_root() {
        let status = Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(path)
            .status();
        assert!(status.unwrap().success());
    }
}

#[test]
fn a_mirror_that_cannot_be_written_is_left_as_it_is() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    let before = contents(&project);
    fs_err::copy(PROGRAM, world.root().join("ctx")).unwrap();
    chmod(world.root(), 0o755);
    give_to_nobody(&project.dir);
    give_to_nobody(&world.home());
    let mirror = project.mirror();
    chmod(mirror.path(), 0o500);
    assert_snapshot!(as_nobody(&project, &["connect", "sync"]).show(), @r#"
    exit 1
    --- stderr
    error: cannot create the lock .context/hub/.sync.lock
      caused by: Permission denied (os error 13)
    hint: check who owns the file and its directory, and their modes
    "#);
    assert_eq!(contents(&project), before);
    chmod(mirror.path(), 0o700);
    assert_eq!(as_nobody(&project, &["connect", "sync"]).code, 0);
    assert_eq!(entries(&project), [1, 1]);

    let other = world.project("q");
    give_to_nobody(&other.dir);
    chmod(other.context().path(), 0o555);
    let token = hub.token();
    let run = as_nobody(
        &other,
        &["connect", "register", &hub.address, "--token", &token],
    );
    assert_snapshot!(run.show(), @r#"
    exit 1
    --- stderr
    error: cannot create the lock .context/.connect.lock
      caused by: Permission denied (os error 13)
    hint: check who owns the file and its directory, and their modes
    "#);
    let clients = world.ctx(&[
        "hub",
        "clients",
        "--json",
        "--data-dir",
        hub.data.path().as_str(),
    ]);
    let clients = clients.json();
    assert_eq!(
        clients["clients"].as_array().unwrap().len(),
        1,
        "the hub was not asked"
    );
}

/// A limit on the size of files (in blocks) fails writes as a full disk does, for one process.
fn sync_with_file_limit(project: &Project<'_>, blocks: &str) -> crate::harness::Run {
    let script = r#"ulimit -f "$1"; shift; exec "$@""#;
    let mut command = Command::new("sh");
    project.world.clean(&mut command);
    command.args(["-c", script, "sh", blocks, PROGRAM, "connect", "sync"]);
    command.current_dir(&project.dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Reaped(command.spawn().unwrap()).output(project.world)
}

#[test]
fn a_lock_that_cannot_be_written_is_not_left_behind() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    let before = (project.mirror_names(), contents(&project));
    assert_snapshot!(sync_with_file_limit(&project, "0").show(), @r#"
    exit 1
    --- stderr
    error: cannot write the owner of the lock .context/hub/.sync.lock
      caused by: File too large (os error 27)
    hint: raise the limit on file sizes (ulimit -f)
    "#);
    assert_eq!((project.mirror_names(), contents(&project)), before);
    assert_eq!(project.sync(), 1);
}

#[test]
fn a_disk_that_is_full_costs_nothing_that_was_there() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    project.publish("task", &"x".repeat(70_000));
    let before = contents(&project);
    let run = sync_with_file_limit(&project, "32");
    assert_snapshot!(run.show(), @r#"
    exit 1
    --- stderr
    error: cannot append to .context/hub/tasks.md
      caused by: File too large (os error 27)
    hint: raise the limit on file sizes (ulimit -f)
    "#);
    assert_eq!(
        contents(&project).1,
        before.1,
        "what did not fit was cut back"
    );
    assert!(!project.mirror().sync_lock().exists());
    assert_eq!(project.sync(), 2);
    assert_eq!(entries(&project), [1, 1]);
}
