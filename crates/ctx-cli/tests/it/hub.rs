//! `ctx hub`: starting, stopping, administering.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use ctx_config::env;
use ctx_config::paths::{self, DataDir};
use insta::assert_snapshot;
use rustix::process::Signal;

use crate::harness::{Reaped, World, put, until};

#[test]
fn a_probe_tells_a_hub_that_stores_from_one_that_cannot_and_from_none() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let world = World::new();
    let said = world.root().join("said");
    // In blocks of 512 bytes: no file may be longer than a mebibyte.
    let hub = world.hub_after("ulimit -S -f 2048", &said);
    let data = hub.data.path().as_str();
    let probe = || {
        let run = world.ctx(&[
            "hub",
            "status",
            "--exit-code",
            "--quiet",
            "--data-dir",
            data,
        ]);
        assert_eq!(run.stdout, "", "{}", run.show());
        run.code
    };
    assert_eq!(probe(), 0);
    let project = world.registered("p", &hub);
    let large = "x".repeat(400_000);
    for number in 0..4 {
        let args = ["connect", "publish", "task", "-", "--no-queue"];
        project.with(&args, |ctx| {
            ctx.write_stdin(format!("{number}{large}"));
        });
    }
    assert_eq!(probe(), 1);
    let shown = world.ctx(&["hub", "status", "--data-dir", data]);
    assert_eq!(shown.code, 0, "without the flag it shows: {}", shown.show());
    assert!(
        shown.stdout.contains("no room to write"),
        "{}",
        shown.show()
    );

    let pid = Pid::from_raw(hub.pid().try_into().unwrap());
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, unlimited).unwrap();
    until("it stores again", || (probe() == 0).then_some(()));
    let data = hub.data.clone();
    hub.stop(&world);
    let run = world.ctx(&[
        "hub",
        "status",
        "--exit-code",
        "--data-dir",
        data.path().as_str(),
    ]);
    assert_snapshot!(run.show(), @r"
    exit 4
    --- stderr
    error: no hub runs on [root]/hub-of-the-test
    ");
    assert!(!data.lock().exists(), "a probe takes no lock");
}

#[test]
fn a_second_hub_on_a_data_directory_is_refused_with_the_pid_of_the_first() {
    let world = World::new();
    let hub = world.hub();
    let data = hub.data.path().as_str();
    let run = world.ctx(&["hub", "start", "--port", "0", "--data-dir", data]);
    assert_snapshot!(run.show(), @r#"
    exit 3
    --- stderr
    error: [root]/hub-of-the-test is served by another hub, process [pid]
      caused by: [root]/hub-of-the-test/.hub.lock is held by `hub start`, process [pid] of ada on [host], for [age]
    hint: stop it with `ctx hub stop --data-dir [root]/hub-of-the-test`, or use another data directory
    "#);
    assert!(run.stderr.contains(&format!("process {}", hub.pid())));
    // The usual case: both were started with the same arguments.
    let run = world.ctx(&["hub", "start", "--bind", &hub.address, "--data-dir", data]);
    assert_snapshot!(run.show(), @r#"
    exit 3
    --- stderr
    error: [root]/hub-of-the-test is served by another hub, process [pid]
    hint: stop it with `ctx hub stop --data-dir [root]/hub-of-the-test`, or use another data directory
    "#);
    let run = world.ctx(&[
        "hub",
        "start",
        "--daemon",
        "--port",
        "0",
        "--data-dir",
        data,
    ]);
    assert_eq!(run.code, 3, "{}", run.show());
    assert!(
        run.stderr.contains("is served by another hub"),
        "{}",
        run.show()
    );
    hub.stop(&world);
}

#[test]
fn a_port_in_use_is_said_to_be() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = world.ctx(&["hub", "start", "--port", &port]);
    assert_snapshot!(run.show(), @r#"
    exit 1
    --- stderr
    error: cannot listen on 127.0.0.1:[port]
      caused by: Address already in use (os error 98)
    hint: another program listens there: --port 0 takes a free port
    "#);
    assert!(!world.user().hub_data().lock().exists());
}

#[test]
fn an_address_to_bind_that_does_not_parse_is_wrong_usage() {
    let world = World::new();
    assert_snapshot!(world.ctx(&["hub", "start", "--bind", "localhost:9900"]).show(), @r#"
    exit 2
    --- stderr
    error: invalid value 'localhost:9900' for '--bind <ADDR>': write an IP address and a port, as 127.0.0.1:[port] or [::1]:9900

    For more information, try '--help'.
    "#);
    let run = world.ctx(&["hub", "start", "--bind", "127.0.0.1:1", "--port", "2"]);
    assert_eq!(run.code, 2, "{}", run.show());
}

#[test]
fn a_hub_that_is_told_to_end_ends_in_order() {
    let world = World::new();
    for signal in [Signal::TERM, Signal::INT] {
        let hub = world.hub();
        let data = hub.data.clone();
        assert!(data.pid().exists() && data.lock().exists());
        assert!(hub.end_by(signal).success());
        for path in [data.pid(), data.lock(), data.admin_socket()] {
            assert!(!path.exists(), "{path} is left");
        }
    }
}

#[test]
fn a_first_start_says_where_the_admin_token_is_and_never_what() {
    let world = World::new();
    let mut command = world.command();
    let command = command.args(["hub", "start", "--port", "0"]);
    let mut hub = Reaped(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let data = world.user().hub_data();
    crate::harness::until("the hub answers", || {
        (world.ctx(&["hub", "status"]).code == 0).then_some(())
    });
    hub.signal(Signal::TERM);
    hub.wait();
    let run = hub.output(&world);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    listening on 127.0.0.1:[port]
    --- stderr
    the admin token, which registers projects, is in [root]/ada/.ctx/hub-data/admin.token
    "#);
    assert!(!run.stderr.contains(ctx_config::wire::ADMIN_TOKEN_PREFIX));
    assert!(data.admin_token().exists());
}

#[test]
fn an_address_that_others_can_reach_is_warned_of() {
    let world = World::new();
    let mut command = world.command();
    let command = command.args(["hub", "start", "--bind", "0.0.0.0:0", "--insecure"]);
    let mut hub = Reaped(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    crate::harness::until("the hub answers", || {
        (world.ctx(&["hub", "status"]).code == 0).then_some(())
    });
    hub.signal(Signal::TERM);
    hub.wait();
    let run = hub.output(&world);
    assert!(
        run.stderr.contains("\nwarning: 0.0.0.0:") || run.stderr.starts_with("warning: 0.0.0.0:")
    );
    assert!(
        run.stderr.contains("nothing is encrypted"),
        "{}",
        run.show()
    );
}

/// Leaves no daemon behind, whatever becomes of the test.
struct StoppedAtLast<'a>(&'a World, &'a str);

impl Drop for StoppedAtLast<'_> {
    fn drop(&mut self) {
        self.0.ctx(&["hub", "stop", "--data-dir", self.1]);
    }
}

#[test]
fn a_daemon_serves_in_the_background_and_is_stopped_by_asking() {
    let world = World::new();
    let data = DataDir::new(world.root().join("daemon"));
    let dir = data.path().as_str();
    let _stopped = StoppedAtLast(&world, dir);
    let run = world.ctx(&["hub", "start", "--daemon", "--port", "0", "--data-dir", dir]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    listening on 127.0.0.1:[port] (process [pid])
    --- stderr
    the admin token, which registers projects, is in [root]/daemon/admin.token
    "#);
    let status = world
        .ctx(&["hub", "status", "--json", "--data-dir", dir])
        .json();
    assert_eq!(status["running"], true);
    let mode = |path| {
        let metadata = fs_err::metadata(path).unwrap();
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
    };
    assert_eq!(mode(data.log()), paths::PRIVATE_FILE_MODE);
    assert_eq!(mode(data.path().to_owned()), paths::PRIVATE_DIR_MODE);
    let run = world.ctx(&["hub", "stop", "--data-dir", dir]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    stopped the hub of [root]/daemon (process [pid])
    "#);
    let run = world.ctx(&["hub", "stop", "--data-dir", dir]);
    assert_snapshot!(run.show(), @r#"
    exit 4
    --- stderr
    error: no hub runs on [root]/daemon
    "#);
}

#[test]
fn a_daemon_that_does_not_start_shows_its_log() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = world.ctx(&["hub", "start", "--daemon", "--port", &port]);
    assert_snapshot!(run.show(), @r#"
    exit 1
    --- stderr
    error: the hub ended at once (exit status: 1); its log says:
      error: cannot listen on 127.0.0.1:[port]
        caused by: Address already in use (os error 98)
      hint: another program listens there: --port 0 takes a free port
    hint: the whole log is in [root]/ada/.ctx/hub-data/hub.log
    "#);
}

#[test]
fn a_stale_pid_file_is_reported_and_its_process_left_alone() {
    let world = World::new();
    let hub = world.hub();
    let data = hub.data.clone();
    hub.kill();
    let mut bystander = Reaped(Command::new("sleep").arg("1000").spawn().unwrap());
    put(&data.pid(), format!("{}\n", bystander.0.id()).as_bytes());
    let dir = data.path().as_str();
    let run = world.ctx(&["hub", "stop", "--data-dir", dir]);
    assert_snapshot!(run.show(), @r#"
    exit 4
    --- stderr
    error: no hub runs on [root]/hub-of-the-test
    hint: [root]/hub-of-the-test/hub.pid is left over from a hub that died: it names process [pid], which was left alone
    "#);
    let run = world.ctx(&["hub", "status", "--data-dir", dir]);
    assert_eq!(run.code, 4, "{}", run.show());
    let hub = world.hub_at(data.path());
    let pid = fs_err::read_to_string(data.pid()).unwrap();
    assert_eq!(pid.trim(), hub.pid().to_string());
    hub.stop(&world);
    assert!(bystander.runs(), "it was never signalled");
}

#[test]
fn without_a_running_hub_its_store_is_administered() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.publish("task", "one");
    let data = hub.data.clone();
    hub.stop(&world);
    let dir = data.path().as_str();
    assert_snapshot!(world.ctx(&["hub", "status", "--data-dir", dir]).show(), @r#"
    exit 4
    --- stdout
    hub             not running
    data directory  [root]/hub-of-the-test
    hub id          [id]
    version         [version]
    entries         1, the last is 1
    by type         1 task
    by project      1 p
    clients         1 registered, 0 listening
    "#);
    let clients = world
        .ctx(&["hub", "clients", "--json", "--data-dir", dir])
        .json();
    let client = clients["clients"][0]["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(clients["clients"][0]["entries"], 1);
    let run = world.ctx(&["hub", "revoke", &client, "--data-dir", dir]);
    assert_eq!(run.code, 0, "{}", run.show());
    assert_snapshot!(world.ctx(&["hub", "clients", "--data-dir", dir]).show(), @r#"
    exit 0
    --- stdout
    CLIENT                            PROJECT  ENTRIES  REGISTERED               LAST SEEN                ADDRESS    EXPIRES  STATE
    [id]  p        1        [time]  [time]  127.0.0.1  never    revoked [time]
    "#);
    assert!(!data.lock().exists());
    let hub = world.hub_at(data.path());
    let token = hub.token();
    project.ok(&[
        "connect",
        "register",
        &hub.address,
        "--token",
        &token,
        "--force",
    ]);
}

#[test]
fn a_hub_elsewhere_is_administered_with_the_admin_token() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    let run = world.ctx(&[
        "hub",
        "clients",
        "--hub",
        &hub.address,
        "--token",
        &hub.token(),
    ]);
    assert_eq!(run.code, 0, "{}", run.show());
    assert!(run.stdout.contains(" p "), "{}", run.stdout);
    let run = world
        .dir("d")
        .with(&["hub", "status", "--json", "--hub", &hub.address], |ctx| {
            ctx.env(env::ADMIN_TOKEN, hub.token());
        });
    assert_eq!(run.json()["registered_clients"], 1);
    let wrong = format!("ctx_adm_{}", "0".repeat(64));
    let run = world.ctx(&["hub", "clients", "--hub", &hub.address, "--token", &wrong]);
    assert_eq!(run.code, 5, "{}", run.show());
    let id = project.json(&["connect", "status"])["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = hub.token();
    let revoke = [
        "hub",
        "revoke",
        &id,
        "--hub",
        &hub.address,
        "--token",
        &token,
    ];
    assert_eq!(world.ctx(&revoke).code, 0);
    assert_eq!(project.ctx(&["connect", "sync"]).code, 5);
    let run = world.ctx(&["hub", "status", "--hub", &hub.address]);
    assert_eq!(run.code, 2, "{}", run.show());
}

#[test]
fn a_client_that_nobody_knows_is_not_revoked() {
    let world = World::new();
    let hub = world.hub();
    let dir = hub.data.path().as_str().to_owned();
    let nobody = "0".repeat(32);
    let running = world.ctx(&["hub", "revoke", &nobody, "--data-dir", &dir]);
    assert_snapshot!(running.show(), @r#"
    exit 1
    --- stderr
    error: there is no client [id]
    hint: `ctx hub clients` lists who is registered
    "#);
    hub.stop(&world);
    let stopped = world.ctx(&["hub", "revoke", &nobody, "--data-dir", &dir]);
    assert_eq!(stopped.show(), running.show());
    let run = world.ctx(&["hub", "revoke", "p", "--data-dir", &dir]);
    assert_snapshot!(run.show(), @r#"
    exit 2
    --- stderr
    error: invalid value 'p' for '[CLIENT_ID]': a client id is 32 lower-case hex digits (`ctx hub clients` lists them)

    For more information, try '--help'.
    "#);
}

#[test]
fn a_directory_where_no_hub_ever_was_is_not_made_one() {
    let world = World::new();
    assert_snapshot!(world.ctx(&["hub", "status"]).show(), @r#"
    exit 2
    --- stderr
    error: [root]/ada/.ctx/hub-data holds no hub
    hint: name the data directory of a hub with --data-dir
    "#);
    assert_snapshot!(world.ctx(&["hub", "stop"]).show(), @r#"
    exit 4
    --- stderr
    error: no hub runs on [root]/ada/.ctx/hub-data
    "#);
    assert!(!world.user().hub_data().path().exists());
}

#[test]
fn a_damaged_store_and_a_token_file_with_something_else_are_refused() {
    let world = World::new();
    let hub = world.hub();
    let data = hub.data.clone();
    hub.stop(&world);
    let dir = data.path().as_str();
    let start = ["hub", "start", "--port", "0", "--data-dir", dir];
    let token = fs_err::read(data.admin_token()).unwrap();
    put(&data.admin_token(), b"hunter2");
    fs_err::remove_file(data.store()).unwrap();
    assert_snapshot!(world.ctx(&start).show(), @r#"
    exit 7
    --- stderr
    error: [root]/hub-of-the-test/admin.token holds no admin token
      caused by: not an admin token: it has to be ctx_adm_ and 64 lower-case hex digits
    hint: restore [root]/hub-of-the-test/admin.token, or move it away: the hub then makes a new token
    "#);
    put(&data.admin_token(), &token);
    put(&data.store(), &[b'x'; 8_192]);
    let run = world.ctx(&start);
    assert_eq!(run.code, 7, "{}", run.show());
    assert_eq!(fs_err::read(data.store()).unwrap(), [b'x'; 8_192]);
    assert!(!data.lock().exists());
}

#[test]
fn a_lock_of_a_data_directory_whose_holder_cannot_be_told_is_explained_and_removed_by_its_id() {
    let world = World::new();
    let hub = world.hub();
    let data = hub.data.clone();
    let dir = data.path().as_str();
    let alive = world.ctx(&["hub", "unlock", "--data-dir", dir]);
    assert_eq!(alive.code, 3, "{}", alive.show());
    let stop = format!("hint: stop it with `ctx hub stop --data-dir {dir}`\n");
    assert!(alive.stderr.ends_with(&stop), "{}", alive.show());
    hub.stop(&world);
    put(&data.lock(), b"");
    let start = world.ctx(&["hub", "start", "--port", "0", "--data-dir", dir]);
    assert_snapshot!(start.show(), @r#"
    exit 3
    --- stderr
    error: [root]/hub-of-the-test is served by another hub
      caused by: [root]/hub-of-the-test/.hub.lock exists, for [age], and it is empty, as an older version leaves it
    hint: make sure that no hub uses it any more, then run `ctx hub unlock --data-dir [root]/hub-of-the-test --id legacy-[id]`
    "#);
    let plain = world.ctx(&["hub", "unlock", "--data-dir", dir]);
    assert_snapshot!(plain.show(), @r#"
    exit 3
    --- stderr
    error: [root]/hub-of-the-test/.hub.lock exists, for [age], and it is empty, as an older version leaves it
    hint: make sure that no hub uses [root]/hub-of-the-test any more, then run `ctx hub unlock --data-dir [root]/hub-of-the-test --id legacy-[id]`
    "#);
    assert!(data.lock().exists());
    let run = world.ctx(&["--json", "hub", "unlock", "--data-dir", dir, "--id", "x"]);
    assert_eq!(run.code, 1, "{}", run.show());

    let said = plain.stderr.split("--id ").nth(1).unwrap();
    let id = said.trim_end_matches(|c: char| c.is_whitespace() || c == '`');
    let removed = world.ctx(&["hub", "unlock", "--data-dir", dir, "--id", id]);
    assert_snapshot!(removed.show(), @r#"
    exit 0
    --- stdout
    removed [root]/hub-of-the-test/.hub.lock (lock legacy-[id])
    "#);
    let again = world.ctx(&["hub", "unlock", "--data-dir", dir]);
    assert_snapshot!(again.show(), @r#"
    exit 0
    --- stdout
    [root]/hub-of-the-test/.hub.lock is free
    "#);
    world.hub_on("127.0.0.1:0", data.path()).stop(&world);
}

#[test]
fn a_directory_that_holds_no_hub_has_no_lock() {
    let world = World::new();
    let run = world.ctx(&["hub", "unlock", "--data-dir", "nowhere"]);
    assert_snapshot!(run.show(), @r#"
    exit 2
    --- stderr
    error: [root]/nowhere holds no hub
    hint: name the data directory of a hub with --data-dir
    "#);
}
