//! `ctx hub backup` and `ctx hub restore`: what people and programs see, and what projects notice.

use camino::Utf8Path;
use ctx_config::paths::{self, DataDir};
use insta::assert_snapshot;

use crate::harness::{TestHub, World};

fn names(dir: &Utf8Path) -> Vec<String> {
    let entries = dir.read_dir_utf8().unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_owned())
        .collect();
    names.sort();
    names
}

fn back_up(world: &World, hub: &TestHub, name: &str) -> String {
    let to = world.root().join(name);
    let args = ["hub", "backup", to.as_str(), "--data-dir"];
    let run = world.ctx(&[&args[..], &[hub.data.path().as_str()]].concat());
    assert_eq!(run.code, 0, "{}", run.show());
    to.into_string()
}

#[test]
fn a_backup_is_made_beside_a_hub_and_without_one_and_never_holds_a_token() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.publish("task", "one");
    let token = hub.token();
    let data = hub.data.clone();
    let at = world.root().join("monday");
    let args = [
        "hub",
        "backup",
        at.as_str(),
        "--data-dir",
        data.path().as_str(),
    ];
    let made = world.ctx(&args);
    let said = format!("{at}: 1 entry, 1 client, ");
    assert!(made.stdout.starts_with(&said), "{}", made.show());
    assert_snapshot!(world.ctx(&args).show(), @r"
    exit 2
    --- stderr
    error: [root]/monday is not empty
    hint: name a directory that does not exist yet, or an empty one
    ");
    hub.stop(&world);
    let quiet = back_up_json(&world, &data, "tuesday");
    assert_eq!(quiet["entries"], 1);
    assert_eq!(quiet["files"].as_array().unwrap().len(), 2);
    for name in names(&at) {
        let bytes = fs_err::read(at.join(&name)).unwrap();
        let held = String::from_utf8_lossy(&bytes).contains(&token);
        assert!(!held, "{name} holds the admin token");
    }
}

fn back_up_json(world: &World, data: &DataDir, name: &str) -> serde_json::Value {
    let to = world.root().join(name);
    let data = data.path().as_str();
    let run = world.ctx(&["hub", "backup", to.as_str(), "--data-dir", data, "--json"]);
    assert_eq!(run.code, 0, "{}", run.show());
    run.json()
}

#[test]
fn a_hub_restored_elsewhere_is_noticed_by_the_projects_that_know_more_and_by_no_other() {
    let world = World::new();
    let hub = world.hub();
    let (ahead, behind) = (
        world.registered("ahead", &hub),
        world.registered("behind", &hub),
    );
    let writer = world.registered("writer", &hub);
    writer.publish("decision", "kept.");
    assert_eq!(behind.sync(), 1);
    let backup = back_up(&world, &hub, "backup");
    writer.publish("decision", "lost.");
    assert_eq!(ahead.sync(), 2);
    let address = hub.address.clone();
    hub.stop(&world);

    let elsewhere = world.root().join("elsewhere");
    let args = [
        "hub",
        "restore",
        &backup,
        "--data-dir",
        elsewhere.as_str(),
        "--json",
    ];
    let restored = world.ctx(&args).json();
    assert_eq!(restored["head"], 1, "{restored}");
    let hub = world.hub_on(&address, &elsewhere);
    let verified = world.ctx(&["hub", "verify", "--data-dir", elsewhere.as_str()]);
    assert_eq!(verified.code, 0, "{}", verified.show());
    assert_eq!(behind.sync(), 0);
    assert_snapshot!(ahead.ctx(&["connect", "sync"]).show(), @r"
    exit 1
    --- stderr
    error: the mirror was not made from this hub's log: it ends at 1, and 2 was mirrored (was it restored from a backup?)
    hint: run `ctx connect sync --full`, which builds the mirror anew from what the hub has now and keeps beside it every file with entries that the hub lost; whoever published those can publish them again
    ");
    writer.publish("decision", "new.");
    assert_eq!(behind.sync(), 1);
    assert_eq!(ahead.ctx(&["connect", "sync"]).code, 1);
    assert_eq!(ahead.json(&["connect", "sync", "--full"])["new_entries"], 2);
    assert_eq!(
        ahead
            .mirrored(paths::DECISIONS_FILE)
            .matches("\n\nnew.\n\n")
            .count(),
        1
    );
    hub.stop(&world);
}

#[test]
fn nothing_is_restored_over_a_hub_nor_from_what_was_changed() {
    let world = World::new();
    let hub = world.hub();
    let backup = back_up(&world, &hub, "backup");
    let data = hub.data.path().as_str();
    assert_snapshot!(world.ctx(&["hub", "restore", &backup, "--data-dir", data]).show(), @r"
    exit 2
    --- stderr
    error: [root]/hub-of-the-test is not empty
    hint: name a directory that does not exist yet; to put the backup in place of a hub's, run `ctx hub stop` and move the old directory away
    ");
    let elsewhere = world.root().join("elsewhere");
    let into = ["--data-dir", elsewhere.as_str()];
    let run = world.ctx(&[&["hub", "restore", data][..], &into].concat());
    assert_snapshot!(run.show(), @r"
    exit 2
    --- stderr
    error: [root]/hub-of-the-test is no backup of a hub
    hint: name a directory that `ctx hub backup` has made
    ");
    let store = DataDir::new(&*backup).store();
    let mut bytes = fs_err::read(&store).unwrap();
    bytes[5_000] ^= 1;
    crate::harness::put(&store, &bytes);
    let run = world.ctx(&[&["hub", "restore", &backup][..], &into].concat());
    assert_snapshot!(run.show(), @r"
    exit 7
    --- stderr
    error: [root]/backup/hub.db is not the file that the backup was made with
    hint: take another copy of this backup, or an earlier backup
    ");
    assert!(!elsewhere.exists());
    hub.stop(&world);
}

#[test]
fn a_disk_without_room_is_said_so_and_nothing_stays_behind() {
    let world = World::new();
    let hub = world.hub();
    let room = world.root().join("room");
    fs_err::create_dir(&room).unwrap();
    // In blocks of 512 bytes.
    let script = "ulimit -f 20 && exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    world.clean(&mut command);
    command.args(["-c", script, crate::harness::PROGRAM, "hub", "backup"]);
    command.arg(room.join("backup")).arg("--data-dir");
    command.arg(hub.data.path());
    let run = world.read(command.output().unwrap());
    assert_eq!(run.code, 1, "{}", run.show());
    assert!(run.stderr.contains("no room to write"), "{}", run.show());
    assert!(
        run.stderr.contains("nothing was left behind"),
        "{}",
        run.show()
    );
    assert_eq!(names(&room), Vec::<String>::new());
    hub.stop(&world);
}
