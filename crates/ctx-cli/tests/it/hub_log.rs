//! What a hub and its clients write to standard error: JSON a line where that is asked for, and no
//! secret anywhere.

use ctx_config::env;
use ctx_config::paths::DataDir;
use ctx_hub::connection::Connection;
use serde_json::Value;

use crate::harness::{Project, World, put, until};

/// Lines of a log, each of which has to be an object.
fn lines(log: &str) -> Vec<Value> {
    let object = |line: &str| {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["timestamp", "level", "message", "target"] {
            // Events of libraries may have fields and no message.
            let missing = !value[key].is_string() && key != "message";
            assert!(!missing, "no {key}: {line}");
        }
        value
    };
    log.lines().map(object).collect()
}

fn token_of(project: &Project<'_>) -> String {
    let connection = Connection::load(&project.context(), &project.world.user()).unwrap();
    connection.token.expose().to_owned()
}

#[test]
fn no_call_writes_a_secret_to_any_log_at_any_level() {
    let world = World::new();
    let log = world.root().join("log");
    let hub = world.hub_with("127.0.0.1:0", &world.root().join("data"), |command| {
        command.args(["--log-format", "json"]);
        command.env(env::LOG, "trace");
        command.stderr(fs_err::File::create_new(&log).unwrap().into_file());
    });
    let admin = hub.token();
    let project = world.project("p");
    let mut said = String::new();
    let mut run = |args: &[&str], input: &str| {
        let verbose = [args, &["-vvv", "--log-format", "json"]].concat();
        let run = project.with(&verbose, |ctx| {
            ctx.write_stdin(input).env(env::LOG, "trace");
        });
        lines(&run.stderr);
        said.push_str(&run.stderr);
        said.push_str(&run.stdout);
        run
    };
    let register = ["connect", "register", &hub.address, "--token", "-"];
    assert_eq!(run(&register, &admin).code, 0);
    let token = token_of(&project);
    let content = "a-secret-of-the-project";
    assert_eq!(run(&["connect", "publish", "task", "-"], content).code, 0);
    for args in [
        &["connect", "subscribe", "task"][..],
        &["connect", "sync"],
        &["connect", "sync", "--full"],
        &["connect", "verify"],
        &["connect", "status"],
    ] {
        assert_eq!(run(args, "").code, 0, "{args:?}");
    }
    let elsewhere = ["--hub", &hub.address, "--token", "-"];
    let clients = [&["hub", "clients", "--json"][..], &elsewhere].concat();
    let id = run(&clients, &admin).json()["clients"][0]["client_id"].clone();
    let status = [&["hub", "status"][..], &elsewhere].concat();
    assert_eq!(run(&status, &admin).code, 0);
    // A wrong one may be most of a right one.
    let (most, last) = admin.split_at(admin.len() - 1);
    let wrong = format!("{most}{}", if last == "0" { "1" } else { "0" });
    assert_eq!(run(&status, &wrong).code, 5);
    let again = [&register[..], &["--force", "--project", "q"]].concat();
    assert_eq!(run(&again, &wrong).code, 5);
    let revoke = ["hub", "revoke", id.as_str().unwrap()];
    assert_eq!(run(&[&revoke[..], &elsewhere].concat(), &admin).code, 0);
    assert_eq!(run(&["connect", "sync"], "").code, 5);
    hub.stop(&world);

    let log = fs_err::read_to_string(&log).unwrap();
    assert!(lines(&log).len() > 100, "that was a trace");
    for (whose, log) in [("the hub's", &log), ("a client's", &said)] {
        for secret in [&admin, &token, &wrong] {
            let digits = secret.rsplit('_').next().unwrap();
            for part in [&digits[..16], &digits[24..40], &digits[40..56]] {
                assert!(!log.contains(part), "{whose} log has a piece of a token");
            }
        }
        assert!(!log.contains(content), "{whose} log has an entry");
    }
}

#[test]
fn the_settings_make_the_log_of_a_hub_json_and_the_flag_wins() {
    let world = World::new();
    let data = DataDir::new(world.root().join("data"));
    fs_err::create_dir(data.path()).unwrap();
    crate::harness::chmod(data.path(), 0o700);
    put(&data.settings(), b"[log]\nformat = \"json\"\n");
    let start = |flags: &[&str]| {
        let mut args = vec!["hub", "start", "--daemon", "--port", "0", "--data-dir"];
        args.push(data.path().as_str());
        args.extend(flags);
        let run = world.ctx(&args);
        assert_eq!(run.code, 0, "{}", run.show());
        let stopped = world.ctx(&["hub", "stop", "--data-dir", data.path().as_str()]);
        assert_eq!(stopped.code, 0, "{}", stopped.show());
        let log = fs_err::read_to_string(data.log()).unwrap();
        fs_err::remove_file(data.log()).unwrap();
        log
    };
    let json = start(&["-v"]);
    let messages: Vec<_> = lines(&json)
        .into_iter()
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect();
    for message in ["serving", "draining", "listening on "] {
        let said = messages.iter().any(|said| said.starts_with(message));
        assert!(said, "{message}: {messages:?}");
    }
    let text = start(&["-v", "--log-format", "text"]);
    assert!(text.contains("listening on "), "{text}");
    assert!(!text.contains("\"message\""), "{text}");
}

#[test]
fn what_fails_is_one_line_with_its_causes_and_the_next_step() {
    let world = World::new();
    let run = world.ctx(&["connect", "sync", "--log-format", "json"]);
    assert_eq!(run.code, 6);
    let said = lines(&run.stderr);
    assert_eq!(said.len(), 1, "{}", run.show());
    assert_eq!(said[0]["level"], "ERROR");
    assert_eq!(said[0]["target"], "ctx");
    assert!(said[0]["hint"].as_str().unwrap().contains("ctx init"));
}

#[test]
fn the_log_of_a_hub_in_the_background_can_be_cut_while_it_is_written() {
    let world = World::new();
    let data = DataDir::new(world.root().join("data"));
    let at = ["--data-dir", data.path().as_str()];
    let start = ["hub", "start", "--daemon", "--port", "0", "-v"];
    let run = world.ctx(&[&start[..], &at].concat());
    assert_eq!(run.code, 0, "{}", run.show());
    let log = || fs_err::read(data.log()).unwrap();
    until("it is written", || (!log().is_empty()).then_some(()));
    // What logrotate does with `copytruncate`.
    put(&data.log(), b"");
    let stopped = world.ctx(&[&["hub", "stop"][..], &at].concat());
    assert_eq!(stopped.code, 0, "{}", stopped.show());
    let after = log();
    assert!(
        !after.is_empty() && !after.contains(&0),
        "no hole: it appends"
    );
}
