//! Bad input and refusals: a clear error, its exit code, and nothing lost.

use ctx_config::{env, limits};
use insta::assert_snapshot;

use crate::harness::{Project, TestHub, World};

/// What a hub holds.
fn entries(world: &World, hub: &TestHub) -> u64 {
    let run = world.ctx(&[
        "hub",
        "status",
        "--json",
        "--data-dir",
        hub.data.path().as_str(),
    ]);
    run.json()["total_entries"].as_u64().unwrap()
}

fn publish(project: &Project<'_>, stdin: Vec<u8>) -> crate::harness::Run {
    project.with(&["connect", "publish", "decision", "-"], |ctx| {
        ctx.write_stdin(stdin);
    })
}

#[test]
fn without_a_context_directory_every_command_says_so_and_makes_none() {
    let world = World::new();
    let project = world.dir("p");
    let commands: [&[&str]; 7] = [
        &["connect", "register", "127.0.0.1:1", "--token", "x"],
        &["connect", "subscribe", "--all"],
        &["connect", "publish", "task", "x"],
        &["connect", "sync"],
        &["connect", "listen"],
        &["connect", "status"],
        &["connect", "unlock"],
    ];
    for args in commands {
        let run = project.ctx(args);
        insta::allow_duplicates! {
            assert_snapshot!(run.show(), @r#"
            exit 6
            --- stderr
            error: there is no .context here
            hint: run `ctx init` in the project's directory, or name it with --context-dir
            "#);
        }
    }
    assert_eq!(fs_err::read_dir(&project.dir).unwrap().count(), 0);
    assert_eq!(fs_err::read_dir(world.home()).unwrap().count(), 0);
}

#[test]
fn a_project_that_is_not_registered_is_told_how_to() {
    let world = World::new();
    let project = world.project("p");
    for args in [
        vec!["connect", "sync"],
        vec!["connect", "status"],
        vec!["connect", "listen"],
        vec!["connect", "subscribe", "--all"],
        vec!["connect", "publish", "task", "x"],
    ] {
        insta::allow_duplicates! {
            assert_snapshot!(project.ctx(&args).show(), @r#"
            exit 6
            --- stderr
            error: this project is not registered with a hub: .context/.connect.enc is not there
            hint: run `ctx connect register HUB --token TOKEN`
            "#);
        }
    }
    assert!(!project.mirror().path().exists());
}

#[test]
fn an_unknown_type_is_refused_and_the_subscription_stays() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.ok(&["connect", "subscribe", "task"]);
    assert_snapshot!(project.ctx(&["connect", "subscribe", "task", "tasks"]).show(), @r#"
    exit 2
    --- stderr
    error: invalid value 'tasks' for '[TYPE]...'
      [possible values: decision, learning, convention, task]

      tip: a similar value exists: 'task'

    For more information, try '--help'.
    "#);
    assert_snapshot!(project.ctx(&["connect", "subscribe"]).show(), @r#"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <TYPE|--all>

    Usage: ctx connect subscribe <TYPE|--all>

    For more information, try '--help'.
    "#);
    assert_snapshot!(project.ctx(&["connect", "publish", "note", "x"]).show(), @r#"
    exit 2
    --- stderr
    error: invalid value 'note' for '<TYPE>'
      [possible values: decision, learning, convention, task]

    For more information, try '--help'.
    "#);
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["subscribed"], serde_json::json!(["task"]));
    assert_eq!(entries(&world, &hub), 0);
}

#[test]
fn text_that_cannot_be_an_entry_is_not_sent() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    let limit = limits::ENTRY_CONTENT_MAX_BYTES;
    assert_snapshot!(publish(&project, vec![b'x'; limit + 1]).show(), @r#"
    exit 2
    --- stderr
    error: standard input has more than the 1048576 bytes that an entry can hold
    hint: publish the gist, and where the rest can be found
    "#);
    assert_snapshot!(publish(&project, b"caf\xe9".to_vec()).show(), @r#"
    exit 2
    --- stderr
    error: standard input is not UTF-8 (from byte 3 on)
    hint: an entry is text: convert it to UTF-8 first, as with iconv
    "#);
    assert_snapshot!(publish(&project, b" \n".to_vec()).show(), @r#"
    exit 2
    --- stderr
    error: standard input is empty
    hint: an entry says something: give a text, or - to read it from standard input
    "#);
    assert_snapshot!(project.ctx(&["connect", "publish", "task", ""]).show(), @r#"
    exit 2
    --- stderr
    error: the text is empty
    hint: an entry says something: give a text, or - to read it from standard input
    "#);
    assert_eq!(entries(&world, &hub), 0);
    assert_eq!(publish(&project, vec![b'x'; limit]).code, 0);
    assert_eq!(entries(&world, &hub), 1);
}

#[test]
fn a_wrong_admin_token_registers_nothing() {
    let world = World::new();
    let hub = world.hub();
    let project = world.project("p");
    let wrong = format!("ctx_adm_{}", "0".repeat(64));
    let register =
        |token: &str| project.ctx(&["connect", "register", &hub.address, "--token", token]);
    assert_snapshot!(register(&wrong).show(), @r#"
    exit 5
    --- stderr
    error: the hub at 127.0.0.1:[port] refused the credentials: invalid admin token
    hint: use the hub's admin token (admin.token in its data directory) to register, or register this project again if its token was revoked
    "#);
    assert_snapshot!(register("hunter2").show(), @r#"
    exit 2
    --- stderr
    error: not an admin token: it has to be ctx_adm_ and 64 lower-case hex digits
    hint: the hub's operator finds it in admin.token in the hub's data directory
    "#);
    assert!(!register("hunter2").stderr.contains("hunter2"));
    let run = project.ctx(&["connect", "register", &hub.address]);
    assert_snapshot!(run.show(), @r#"
    exit 2
    --- stderr
    error: no admin token was given
    hint: give it with --token, on standard input with --token -, or in CTX_HUB_ADMIN_TOKEN; a project also registers with --invitation
    "#);
    assert!(!project.context().connect_file().exists());
    let clients = world.ctx(&["hub", "clients", "--data-dir", hub.data.path().as_str()]);
    assert_eq!(clients.stdout, "no client is registered\n");
}

#[test]
fn the_admin_token_can_come_from_the_environment() {
    let world = World::new();
    let hub = world.hub();
    let project = world.project("p");
    let run = project.with(&["connect", "register", &hub.address], |ctx| {
        ctx.env(env::ADMIN_TOKEN, hub.token());
    });
    assert_eq!(run.code, 0, "{}", run.show());
}

#[test]
fn a_project_is_registered_once_unless_forced() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    let sealed = fs_err::read(project.context().connect_file()).unwrap();
    let token = hub.token();
    let again = ["connect", "register", &hub.address, "--token", &token];
    assert_snapshot!(project.ctx(&again).show(), @r#"
    exit 1
    --- stderr
    error: this project is registered already: .context/.connect.enc exists
    hint: `ctx connect status` shows with which hub; --force replaces it
    "#);
    // The name is taken as well.
    let forced = [&again[..], &["--force"]].concat();
    assert_snapshot!(project.ctx(&forced).show(), @r#"
    exit 1
    --- stderr
    error: project "p" is registered already at the hub at 127.0.0.1:[port]
    hint: choose another name with --project, or end the old client with `ctx hub revoke`
    "#);
    assert_eq!(
        fs_err::read(project.context().connect_file()).unwrap(),
        sealed
    );
    project.ok(&[&forced[..], &["--project", "q"]].concat());
    assert_eq!(project.json(&["connect", "status"])["project"], "q");
}

#[test]
fn a_project_is_named_after_the_directory_that_holds_its_folder() {
    let world = World::new();
    let hub = world.hub();
    let project = world.project("the name");
    let token = hub.token();
    let context = project.context();
    let elsewhere = world.dir("elsewhere");
    elsewhere.ok(&[
        "connect",
        "register",
        &hub.address,
        "--token",
        &token,
        "--context-dir",
        context.path().as_str(),
    ]);
    assert_eq!(project.json(&["connect", "status"])["project"], "the name");
    let other = world.project("other");
    let run = other.ctx(&[
        "connect",
        "register",
        &hub.address,
        "--token",
        &token,
        "--project",
        " ",
    ]);
    assert_snapshot!(run.show(), @r#"
    exit 2
    --- stderr
    error: invalid value ' ' for '--project <NAME>': project name required

    For more information, try '--help'.
    "#);
}

#[test]
fn a_revoked_token_is_refused_and_the_mirror_stays() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.publish("task", "one");
    project.sync();
    let before = project.mirrored(ctx_config::paths::TASKS_FILE);
    let data = hub.data.path().as_str();
    let status = project.json(&["connect", "status"]);
    world.ctx(&[
        "hub",
        "revoke",
        status["client_id"].as_str().unwrap(),
        "--data-dir",
        data,
    ]);
    for args in [&["connect", "sync"][..], &["connect", "listen"]] {
        insta::allow_duplicates! {
            assert_snapshot!(project.ctx(args).show(), @r#"
            exit 5
            --- stderr
            error: the hub at 127.0.0.1:[port] refused the credentials: invalid or missing credentials
            hint: use the hub's admin token (admin.token in its data directory) to register, or register this project again if its token was revoked
            "#);
        }
    }
    assert_snapshot!(project.ctx(&["connect", "status"]).show(), @r#"
    exit 5
    --- stdout
    project      p
    client       [id]
    token        does not expire
    hub          127.0.0.1:[port] (refused the credentials)
    subscribed   decision, learning, convention, task
    mirrored to  convention 1, decision 1, learning 1, task 1
    sync lock    free
    outbox       empty
    --- stderr
    error: the hub at 127.0.0.1:[port] refused the credentials: invalid or missing credentials
    hint: use the hub's admin token (admin.token in its data directory) to register, or register this project again if its token was revoked
    "#);
    assert_eq!(project.mirrored(ctx_config::paths::TASKS_FILE), before);
    assert!(!project.mirror().sync_lock().exists());
}

#[test]
fn an_address_that_does_not_parse_is_wrong_usage() {
    let world = World::new();
    let project = world.project("p");
    for (address, says) in [
        ("", "names no host"),
        ("host:99999", "a port that is not a number from 1 to 65535"),
        ("unix://host", "a scheme that is none of"),
        ("::1", "without brackets"),
        ("host/path", "holds a path"),
    ] {
        let run = project.ctx(&["connect", "register", address, "--token", "x"]);
        assert_eq!(run.code, 2, "{}", run.show());
        assert!(run.stderr.contains(says), "{}", run.show());
    }
    assert_snapshot!(project.ctx(&["connect", "register", "host:0x50"]).show(), @r#"
    exit 2
    --- stderr
    error: invalid value 'host:0x50' for '<HUB>': "host:0x50" has a port that is not a number from 1 to 65535 (write it as https://host:port, for example https://hub.example.org:9900)

    For more information, try '--help'.
    "#);
}

#[test]
fn a_duration_without_a_unit_is_wrong_usage() {
    let world = World::new();
    assert_snapshot!(world.ctx(&["connect", "sync", "--wait", "30"]).show(), @r#"
    exit 2
    --- stderr
    error: invalid value '30' for '--wait <DURATION>': time unit needed, for example 30sec or 30ms (write it with its unit, as 30s or 2m)

    For more information, try '--help'.
    "#);
    let run = world.ctx(&["connect", "sync", "--timeout", "0s"]);
    assert_eq!(run.code, 2, "{}", run.show());
}
