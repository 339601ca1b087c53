//! Invitations and the admin token, from the command line.

use std::process::Command;

use ctx_config::paths;

use crate::harness::{PROGRAM, Project, Run, World};

/// The line, run by a shell in the project's directory.
fn paste(project: &Project<'_>, line: &str) -> Run {
    let bin = project.world.root().join("bin");
    fs_err::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(PROGRAM, bin.join("ctx")).ok();
    let mut command = Command::new("sh");
    project.world.clean(&mut command);
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    command.args(["-c", line]).env("PATH", path);
    command.current_dir(&project.dir);
    project.world.read(command.output().unwrap())
}

#[test]
fn one_paste_registers_whatever_the_project_is_called_and_a_second_one_does_not() {
    let world = World::new();
    let hub = world.hub();
    let data = hub.data.path().as_str();
    let names = ["billing", "it's $HOME; exit 3", "-x", "größe"];
    for (number, name) in names.into_iter().enumerate() {
        let args = ["hub", "invite", "--data-dir", data];
        let made = world.ctx(&[&args[..], &["--project", name]].concat());
        assert_eq!(made.code, 0, "{}", made.show());
        assert_eq!(made.stdout.lines().count(), 1, "{}", made.show());
        assert!(made.stderr.contains("an address of this machine alone"));

        let project = world.project(&format!("dir-{number}"));
        let registered = paste(&project, &made.stdout);
        assert_eq!(registered.code, 0, "{}", registered.show());
        assert!(registered.stdout.contains(name), "{}", registered.show());
        project.publish("task", name);

        let other = world.project(&format!("other-{number}"));
        let refused = paste(&other, &made.stdout);
        assert_eq!(refused.code, 5, "{}", refused.show());
        assert!(refused.stderr.contains("does not accept the invitation"));
        assert!(!other.context().connect_file().exists());
    }
    let other = world.project("other");
    let digits = "0".repeat(64);
    let odd = other.ctx(&["connect", "register", &hub.address, "--invitation", &digits]);
    assert_eq!(odd.code, 2, "{}", odd.show());
    assert!(!odd.stderr.contains(&digits));
}

#[test]
fn an_invitation_is_read_from_standard_input_and_from_the_environment() {
    let world = World::new();
    let hub = world.hub();
    let data = hub.data.path().as_str();
    let invitation = |name: &str| {
        let run = world.ctx(&[
            "hub",
            "invite",
            "--project",
            name,
            "--data-dir",
            data,
            "--json",
        ]);
        run.json()["invitation"].as_str().unwrap().to_owned()
    };
    let (first, second) = (world.project("first"), world.project("second"));
    let run = first.with(
        &["connect", "register", &hub.address, "--invitation", "-"],
        |ctx| {
            ctx.write_stdin(invitation("first"));
        },
    );
    assert_eq!(run.code, 0, "{}", run.show());
    let run = second.with(&["connect", "register", &hub.address], |ctx| {
        ctx.env(ctx_config::env::INVITATION, invitation("second"));
        ctx.env(ctx_config::env::ADMIN_TOKEN, "which is not looked at then");
    });
    assert_eq!(run.code, 0, "{}", run.show());
}

#[test]
fn invitations_are_made_listed_and_ended_with_a_hub_and_without_one() {
    let world = World::new();
    let hub = world.hub();
    let (address, token) = (hub.address.clone(), hub.token());
    let path = hub.data.path().to_owned();
    let data = ["--data-dir", path.as_str()];
    let remote = ["--hub", &address, "--token", &token];
    let id = |run: &Run| run.json()["invitation_id"].as_str().unwrap().to_owned();
    let invite = |name: &str, at: &[&str], more: &[&str]| {
        let args = [&["hub", "invite", "--project", name, "--json"], at, more].concat();
        world.ctx(&args)
    };
    let local = invite("one", &data, &["--expires", "2h", "--uses", "3"]);
    let far = invite("two", &remote, &[]);
    assert!(far.json()["command"].as_str().unwrap().contains(&address));
    let ended = world.ctx(&[&["hub", "invitations", "end", &id(&local)], &remote[..]].concat());
    assert_eq!(ended.code, 0, "{}", ended.show());
    hub.stop(&world);

    // Where it is reached, nobody can tell now.
    let unknown = invite("three", &data, &[]);
    assert_eq!(unknown.code, 2, "{}", unknown.show());
    let told = invite("three", &data, &["--address", "hub.example:9900"]);
    let command = told.json()["command"].as_str().unwrap().to_owned();
    assert!(command.starts_with("ctx connect register hub.example:9900 --invitation ctx_inv_"));

    let listed = world.ctx(&[&["hub", "invitations", "--json"], &data[..]].concat());
    let rows = listed.json()["invitations"].as_array().unwrap().clone();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            let text = |field: &str| row[field].as_str().unwrap().to_owned();
            (text("project"), text("state"), row["uses_left"].as_u64())
        })
        .collect();
    let row = |name: &str, state: &str, left| (name.to_owned(), state.to_owned(), Some(left));
    assert_eq!(
        seen,
        [
            row("one", "ended", 0),
            row("two", "open", 1),
            row("three", "open", 1)
        ]
    );
    let lasting = |row: &serde_json::Value| {
        row["expires_at"].as_i64().unwrap() - row["created_at"].as_i64().unwrap()
    };
    assert_eq!((lasting(&rows[0]), lasting(&rows[1])), (7_200, 86_400));
    let text = world.ctx(&[&["hub", "invitations"], &data[..]].concat());
    assert!(text.stdout.starts_with("INVITATION"), "{}", text.show());
    let ended = world.ctx(&[&["hub", "invitations", "end", &id(&far)], &data[..]].concat());
    assert_eq!(ended.code, 0, "{}", ended.show());
    let missing = world.ctx(&[&["hub", "invitations", "end", &"0".repeat(16)], &data[..]].concat());
    assert_eq!(missing.code, 1, "{}", missing.show());
    for odd in [
        ["--expires", "0s"],
        ["--expires", "31d"],
        ["--uses", "0"],
        ["--uses", "1001"],
    ] {
        let run = invite("four", &data, &odd);
        assert_eq!(run.code, 2, "{odd:?}: {}", run.show());
    }
}

#[test]
fn a_rotated_admin_token_is_shown_once_and_stands_in_no_file() {
    let world = World::new();
    let hub = world.hub();
    let old = hub.token();
    let data = hub.data.clone();
    let rotate = |more: &[&str]| {
        let args = ["hub", "token", "rotate", "--data-dir", data.path().as_str()];
        world.ctx(&[&args[..], more].concat())
    };
    let works = |token: &str| {
        let args = ["hub", "clients", "--hub", &hub.address, "--token", token];
        world.ctx(&args).code
    };
    let run = rotate(&["--quiet"]);
    let new = run.stdout.trim().to_owned();
    assert_eq!((run.code, new.len(), run.stderr.as_str()), (0, 72, ""));
    assert!(!data.admin_token().exists());
    assert_eq!((works(&old), works(&new)), (5, 0));
    let document = rotate(&["--json"]).json();
    let newer = document["admin_token"].as_str().unwrap().to_owned();
    assert_eq!((works(&new), works(&newer)), (5, 0));
    hub.stop(&world);
    let run = rotate(&[]);
    assert_eq!(run.code, 0, "{}", run.show());
    assert!(run.stderr.contains("worth nothing any more"));
    assert_eq!(run.stdout.trim().len(), 72);
    // Nowhere but here.
    for entry in data.path().read_dir_utf8().unwrap() {
        let bytes = fs_err::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for token in [&old, &new, &newer, run.stdout.trim()] {
            assert!(!text.contains(&token[8..24]));
        }
    }
}

#[test]
fn a_hub_says_what_there_is_to_know_about_the_file_of_its_token() {
    let world = World::new();
    let hub = world.hub();
    let data = hub.data.clone();
    hub.stop(&world);
    let start = || {
        let mut command = world.command();
        command.args(["hub", "start", "--daemon", "--port", "0", "--data-dir"]);
        let run = world.read(command.arg(data.path()).output().unwrap());
        assert_eq!(run.code, 0, "{}", run.show());
        let stop = world.ctx(&["hub", "stop", "--data-dir", data.path().as_str()]);
        assert_eq!(stop.code, 0, "{}", stop.show());
        let log = fs_err::read_to_string(data.log()).unwrap();
        fs_err::remove_file(data.log()).unwrap();
        log
    };
    let file = paths::ADMIN_TOKEN_FILE;
    let log = start();
    assert!(log.contains("does not need it there"), "{log}");
    crate::harness::put(
        &data.admin_token(),
        format!("ctx_adm_{}", "1".repeat(64)).as_bytes(),
    );
    let log = start();
    assert!(log.contains("does not hold the admin token"), "{log}");
    assert!(!log.contains("1111"), "{log}");
    fs_err::remove_file(data.admin_token()).unwrap();
    let log = start();
    assert!(!log.contains(file), "{log}");
    crate::harness::chmod(&data.store(), 0o644);
    crate::harness::chmod(data.path(), 0o755);
    let log = start();
    assert_eq!(log.matches("could be opened by others").count(), 2, "{log}");
    let verified = world.ctx(&["hub", "verify", "--data-dir", data.path().as_str()]);
    assert_eq!(verified.code, 0, "{}", verified.show());
}
