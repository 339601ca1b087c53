//! Streams, documents, help: what every command has in common.

use std::os::unix::ffi::OsStringExt as _;
use std::process::Stdio;

use ctx_config::paths::DataDir;
use ctx_config::{env, wire};
use insta::assert_snapshot;

use crate::harness::World;

#[test]
fn without_arguments_the_commands_are_listed() {
    let world = World::new();
    let run = world.ctx(&[]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    for command in ["init", "demo", "connect", "hub", "completions", "man"] {
        assert!(
            run.stderr.contains(&format!("\n  {command} ")),
            "{}",
            run.stderr
        );
    }
    assert!(
        !run.stderr.contains("reference"),
        "a hidden command is not listed"
    );
}

#[test]
fn help_and_version_are_results() {
    let world = World::new();
    let run = world.ctx(&["hub", "revoke", "--help"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("Examples:\n  ctx hub revoke"));
    let same = world.ctx(&["help", "hub", "revoke"]);
    assert_eq!((same.code, same.stdout), (0, run.stdout));
    let run = world.ctx(&["--version"]);
    assert_eq!(
        (run.code, run.stdout),
        (0, format!("ctx {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn an_error_is_a_document_for_programs_and_text_for_people() {
    let world = World::new();
    assert_snapshot!(world.ctx(&["connect", "sync", "--json"]).show(), @r#"
    exit 6
    --- stdout
    {"error":{"kind":"not_set_up","message":"there is no .context here","causes":[],"hint":"run `ctx init` in the project's directory, or name it with --context-dir","exit_code":6}}
    --- stderr
    error: there is no .context here
    hint: run `ctx init` in the project's directory, or name it with --context-dir
    "#);
    let run = world.ctx(&["connect", "sync", "--json", "--quiet"]);
    assert_eq!(run.stderr, "");
    assert_eq!(run.json()["error"]["kind"], "not_set_up");
    assert_snapshot!(world.ctx(&["connect", "publish", "note", "x", "--json"]).show(), @r#"
    exit 2
    --- stdout
    {"error":{"kind":"usage","message":"invalid value 'note' for '<TYPE>' [possible values: decision, learning, convention, task]","causes":[],"hint":"`ctx --help` shows the commands","exit_code":2}}
    --- stderr
    error: invalid value 'note' for '<TYPE>'
      [possible values: decision, learning, convention, task]

    For more information, try '--help'.
    "#);
}

#[test]
fn every_way_to_fail_is_one_document() {
    let world = World::new();
    let project = world.project("p");
    let nobody = "0".repeat(32);
    let commands: [(&[&str], i32); 14] = [
        (&[], 2),
        (&["connect"], 2),
        (&["connect", "subscribe"], 2),
        (&["connect", "publish", "task"], 2),
        (&["connect", "register", "::1", "--token", "x"], 2),
        (&["connect", "register", "127.0.0.1:1", "--token", "x"], 2),
        (&["connect", "sync"], 6),
        (&["connect", "listen"], 6),
        (&["connect", "status"], 6),
        (
            &["hub", "start", "--bind", "203.0.113.1:9900", "--insecure"],
            1,
        ),
        (&["hub", "stop"], 4),
        (&["hub", "status"], 2),
        (&["hub", "revoke", &nobody], 2),
        (&["man", "/dev/null/pages"], 1),
    ];
    for (args, code) in commands {
        let run = project.ctx(&[args, &["--json"]].concat());
        assert_eq!(run.code, code, "{args:?}: {}", run.show());
        let error = &run.json()["error"];
        assert_eq!(error["exit_code"], code, "{args:?}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.ends_with(':'), "{args:?}: {message}");
    }
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let world = World::new();
    let run = world.ctx(&["connect", "sync"]);
    assert!(!run.stderr.contains('\x1b'));
    let run = world.ctx(&["connect", "sync", "--color", "always"]);
    assert!(
        run.stderr.starts_with("\x1b[1;31merror:\x1b[0m "),
        "{:?}",
        run.stderr
    );
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let world = World::new();
    for args in [
        vec!["reference"],
        vec!["--help"],
        vec!["completions", "bash"],
        vec!["demo"],
    ] {
        let mut command = world.command();
        let command = command
            .args(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = crate::harness::Reaped(command.spawn().unwrap());
        drop(child.0.stdout.take());
        let run = child.output(&world);
        assert_eq!(
            (run.code, run.stderr.as_str()),
            (0, ""),
            "{args:?}: {}",
            run.show()
        );
    }
}

#[test]
fn a_standard_output_that_takes_nothing_is_a_failure() {
    let world = World::new();
    let mut command = world.command();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let command = command.arg("reference").stdout(full).stderr(Stdio::piped());
    let run = crate::harness::Reaped(command.spawn().unwrap()).output(&world);
    assert_snapshot!(run.show(), @r#"
    exit 1
    --- stderr
    error: cannot write to standard output
      caused by: No space left on device (os error 28)
    "#);
}

#[test]
fn a_home_directory_is_asked_for_only_when_it_is_needed() {
    let world = World::new();
    let project = world.dir("p");
    let without = |args: &[&str]| {
        project.with(args, |ctx| {
            ctx.env_remove("HOME");
        })
    };
    assert_eq!(without(&["init"]).code, 0);
    assert_snapshot!(without(&["connect", "sync"]).show(), @r#"
    exit 6
    --- stderr
    error: HOME is not set
    hint: set HOME: the key that seals connection files lives under it
    "#);
    assert_snapshot!(without(&["hub", "status"]).show(), @r#"
    exit 6
    --- stderr
    error: HOME is not set
    hint: set HOME, or name a data directory with --data-dir
    "#);
    let run = project.with(&["connect", "sync"], |ctx| {
        ctx.env("HOME", "somewhere");
    });
    assert_snapshot!(run.show(), @r#"
    exit 6
    --- stderr
    error: HOME is somewhere, not an absolute path
    hint: set HOME to the path of your home directory
    "#);
}

#[test]
fn paths_that_are_not_utf8_are_refused() {
    let world = World::new();
    let project = world.project("p");
    let odd = std::ffi::OsString::from_vec(b"/tmp/\xff".to_vec());
    let run = project.with(&["connect", "sync"], |ctx| {
        ctx.env("HOME", &odd);
    });
    assert_snapshot!(run.show(), @r#"
    exit 2
    --- stderr
    error: HOME is not UTF-8: /tmp/�
    hint: ctx keeps paths in files and messages as text: use a path that is UTF-8
    "#);
    let run = project.with(&["init", "--context-dir"], |ctx| {
        ctx.arg(&odd);
    });
    assert_eq!(run.code, 2, "{}", run.show());
    assert!(run.stderr.contains("invalid UTF-8"), "{}", run.show());
}

#[test]
fn a_path_that_names_nothing_is_wrong_usage() {
    let world = World::new();
    for args in [
        ["connect", "sync", "--context-dir", ""],
        ["hub", "start", "--data-dir", ""],
        ["hub", "stop", "--data-dir", ""],
        ["hub", "status", "--data-dir", ""],
    ] {
        let run = world.ctx(&args);
        assert_eq!(run.code, 2, "{}", run.show());
        assert!(run.stderr.contains("a value is required"), "{}", run.show());
    }
}

#[test]
fn a_log_is_written_when_asked_for_and_only_to_standard_error() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    let run = project.ctx(&["connect", "sync"]);
    assert_eq!(run.stderr, "");
    let run = project.with(&["connect", "sync"], |ctx| {
        ctx.env("CTX_LOG", "trace");
    });
    assert_eq!(run.stdout, "nothing new\n");
    assert!(run.stderr.contains("TRACE"), "{}", run.stderr);
    assert!(
        !run.stderr.contains(ctx_config::wire::CLIENT_TOKEN_PREFIX),
        "no token is logged"
    );
}

#[test]
fn a_filter_that_is_none_is_warned_of_even_where_nobody_reads_it() {
    let world = World::new();
    let project = world.project("p");
    let run = project.with(&["connect", "unlock"], |ctx| {
        ctx.env(env::LOG, "=");
    });
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    .context/hub/.sync.lock is free
    --- stderr
    warning: CTX_LOG holds no filter: invalid filter directive
    hint: write it as debug, or as ctx_hub=trace,warn
    "#);
    let mut command = world.command();
    command
        .args(["connect", "unlock"])
        .current_dir(&project.dir);
    command.env(env::LOG, "=");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = crate::harness::Reaped(command.spawn().unwrap());
    drop(child.0.stderr.take());
    assert_eq!(child.wait().code(), Some(0));
}

#[test]
fn no_log_holds_a_token_or_what_an_entry_says() {
    let world = World::new();
    let data = DataDir::new(world.root().join("traced"));
    let dir = data.path().as_str();
    let project = world.project("p");
    let mut logs = String::new();
    let mut traced = |args: &[&str], stdin: &str| {
        let run = project.with(args, |ctx| {
            ctx.env(env::LOG, "trace").write_stdin(stdin);
        });
        logs.push_str(&run.stderr);
        assert_eq!(run.code, 0, "{args:?}");
        run.stdout
    };
    let start = ["hub", "start", "--daemon", "--port", "0", "--json"];
    let started = traced(&[&start[..], &["--data-dir", dir]].concat(), "");
    let started: serde_json::Value = serde_json::from_str(&started).unwrap();
    let hub = started["address"].as_str().unwrap();
    let token = fs_err::read_to_string(data.admin_token()).unwrap();
    traced(&["connect", "register", hub, "--token", "-"], &token);
    traced(&["connect", "publish", "task", "-"], "a word to the wise");
    traced(&["connect", "sync"], "");
    let status = traced(&["connect", "status", "--json"], "");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let elsewhere = ["--hub", hub, "--token", "-"];
    let clients = traced(&[&["hub", "clients"], &elsewhere[..]].concat(), &token);
    assert!(clients.contains("live"), "{clients}");
    let client = status["client_id"].as_str().unwrap();
    traced(
        &[&["hub", "revoke", client], &elsewhere[..]].concat(),
        &token,
    );
    traced(&["hub", "stop", "--data-dir", dir], "");
    logs.push_str(&fs_err::read_to_string(data.log()).unwrap());
    assert!(logs.matches("TRACE").count() > 100, "{logs}");
    for secret in ["a word to the wise", wire::ADMIN_TOKEN_PREFIX] {
        assert!(!logs.contains(secret), "{secret}");
    }
    // Nothing is as long as the digits of a token either.
    let digits = logs.split(|c: char| !c.is_ascii_hexdigit());
    assert!(digits.map(str::len).max() < Some(64), "{logs}");
}

#[test]
fn completions_and_manual_pages_come_from_the_same_definitions() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.ctx(&["completions", shell]);
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains("subscribe"), "{shell}");
    }
    let project = world.dir("man");
    let document = project.json(&["man", "."]);
    let pages = document["pages"].as_array().unwrap();
    assert!(pages.contains(&"./ctx-connect-sync.1".into()), "{pages:?}");
    let page = fs_err::read_to_string(project.dir.join("ctx-connect-sync.1")).unwrap();
    assert!(page.contains("Build the mirror anew"), "{page}");
    assert_eq!(fs_err::read_dir(&project.dir).unwrap().count(), pages.len());
    let made = project.json(&["man", "new/man1"]);
    assert_eq!(made["pages"].as_array().unwrap().len(), pages.len());
    assert_snapshot!(project.ctx(&["man", "/dev/null/pages"]).show(), @r#"
    exit 1
    --- stderr
    error: cannot write the manual pages
      caused by: failed to create directory `/dev/null/pages`: Not a directory (os error 20)
    "#);
}

#[test]
fn the_reference_does_not_depend_on_where_it_is_printed() {
    let world = World::new();
    let here = world.ctx(&["reference"]);
    let there = world
        .dir("d")
        .with(&["reference", "--color", "always"], |ctx| {
            ctx.env("COLUMNS", "40")
                .env("HOME", "/nowhere")
                .env("CTX_HUB_ADMIN_TOKEN", "x");
        });
    assert_eq!((here.code, here.stderr.as_str()), (0, ""));
    assert_eq!(here.stdout, there.stdout);
    for command in [
        "ctx init",
        "ctx connect sync",
        "ctx hub revoke",
        "ctx completions",
    ] {
        assert!(
            here.stdout.contains(&format!("# `{command}`\n")),
            "{command}"
        );
    }
    assert!(here.stdout.lines().all(|line| !line.ends_with(' ')));
}
