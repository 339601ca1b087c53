//! `ctx connect verify`: what people and programs see.

use ctx_config::paths;
use insta::assert_snapshot;

use crate::harness::{Project, TestHub, World, chmod, put};

/// A project with three entries in its mirror.
fn mirrored<'a>(world: &'a World, hub: &TestHub) -> Project<'a> {
    let project = world.registered("p", hub);
    for text in ["one", "two", "three"] {
        project.publish("task", text);
    }
    assert_eq!(project.sync(), 3);
    project
}

fn edit(project: &Project<'_>, change: impl Fn(&str) -> String) {
    let text = project.mirrored(paths::TASKS_FILE);
    let changed = change(&text);
    assert_ne!(changed, text);
    put(
        &project.mirror().path().join(paths::TASKS_FILE),
        changed.as_bytes(),
    );
}

/// Without what differs from run to run: the moment at which something was set aside.
fn shown(run: &crate::harness::Run) -> String {
    let text = run.show();
    let mut lines = Vec::new();
    for line in text.lines() {
        lines.push(match line.split_once(paths::SET_ASIDE_MARK) {
            Some((name, _)) => format!("{name}{}[moment]", paths::SET_ASIDE_MARK),
            None => line.to_owned(),
        });
    }
    lines.join("\n")
}

#[test]
fn a_mirror_that_nobody_touched_is_said_to_be_whole() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    let names = project.mirror_names();
    assert_snapshot!(project.ctx(&["connect", "verify"]).show(), @r"
    exit 0
    --- stdout
    nothing is wrong: 3 entries, compared with the hub
    ");
    assert_snapshot!(project.ctx(&["connect", "verify", "--offline"]).show(), @r"
    exit 0
    --- stdout
    nothing is wrong: 3 entries, not compared with the hub
    ");
    assert_snapshot!(project.ctx(&["connect", "verify", "--repair"]).show(), @r"
    exit 0
    --- stdout
    nothing is wrong: 3 entries, compared with the hub
    ");
    assert_eq!(project.mirror_names(), names);
    assert_snapshot!(project.ctx(&["connect", "verify", "--json"]).show(), @r#"
    exit 0
    --- stdout
    {"clean":true,"findings":[],"more":0,"entries":3,"files":{"task":{"entries":3,"bytes":613,"older":0}},"set_aside":[],"busy":false,"hub":"compared","error":null,"repaired":null,"hint":null}
    "#);
}

#[test]
fn what_is_wrong_is_told_by_file_and_line_and_mended() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    let whole = project.mirrored(paths::TASKS_FILE);
    edit(&project, |text| {
        text.replace("\ntwo\n", "\n2wo\n") + "my notes\n"
    });
    put(&project.mirror().path().join("notes.txt"), b"mine");
    assert_snapshot!(project.ctx(&["connect", "verify"]).show(), @r"
    exit 7
    --- stdout
    .context/hub/tasks.md
      edited: line 10, entry 2: was changed since it was mirrored
      foreign: line 28: text that was not mirrored stands behind what was
    .context/hub/notes.txt
      unknown: nothing that ctx knows
    3 findings in 2 files; 2 entries, compared with the hub
    next: run `ctx connect verify --repair`, which mends it and keeps beside it what was changed
    ");
    assert_snapshot!(project.ctx(&["connect", "verify", "--offline", "--json"]).show(), @r#"
    exit 7
    --- stdout
    {"clean":false,"findings":[{"path":".context/hub/tasks.md","line":10,"sequence":2,"id":null,"kind":"edited","detail":"was changed since it was mirrored"},{"path":".context/hub/tasks.md","line":28,"sequence":null,"id":null,"kind":"foreign","detail":"text that was not mirrored stands behind what was"},{"path":".context/hub/notes.txt","line":null,"sequence":null,"id":null,"kind":"unknown","detail":"nothing that ctx knows"}],"more":0,"entries":2,"files":{"task":{"entries":2,"bytes":613,"older":0}},"set_aside":[],"busy":false,"hub":"not_asked","error":null,"repaired":null,"hint":"run `ctx connect verify --repair` while the hub can be reached, which mends it and keeps beside it what was changed"}
    "#);
    let repair = project.ctx(&["connect", "verify", "--repair"]);
    assert_snapshot!(shown(&repair), @r"
    exit 0
    --- stdout
    moved .context/hub/notes.txt aside
    kept .context/hub/notes.txt.edited-[moment]
    built the mirror anew from the hub
    kept .context/hub/tasks.md.edited-[moment]
    nothing is wrong: 3 entries, compared with the hub
    ");
    assert_eq!(project.mirrored(paths::TASKS_FILE), whole);
    assert_eq!(
        project.json(&["connect", "verify"])["set_aside"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let names = project.mirror_names();
    project.ok(&["connect", "verify", "--repair"]);
    assert_eq!(
        project.mirror_names(),
        names,
        "a second repair changes nothing"
    );
}

#[test]
fn without_the_hub_the_mirror_is_checked_by_itself_and_the_rest_is_said() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    hub.stop(&world);
    assert_snapshot!(project.ctx(&["connect", "verify"]).show(), @r"
    exit 4
    --- stdout
    nothing is wrong: 3 entries, not compared with the hub
    --- stderr
    error: cannot reach the hub at 127.0.0.1:[port]
      caused by: Connection refused (os error 111)
    hint: check that the hub runs (`ctx hub status` on its machine) and that the address is right
    ");
    edit(&project, |text| text.replace("\ntwo\n", "\n2wo\n"));
    let run = project.ctx(&["connect", "verify", "--json", "--quiet"]);
    assert_eq!(run.code, 7, "damage outranks a hub that is away");
    assert_eq!(run.json()["error"]["exit_code"], 4);
    let run = project.ctx(&["connect", "verify", "--repair"]);
    assert_eq!(run.code, 7);
    put(&project.mirror().state(), b"{ broken");
    edit(&project, |text| text.replace("\n2wo\n", "\ntwo\n"));
    assert_snapshot!(shown(&project.ctx(&["connect", "verify", "--repair", "--offline"])), @r"
    exit 0
    --- stdout
    moved .context/hub/.sync-state.json aside
    kept .context/hub/.sync-state.json.edited-[moment]
    made .context/hub/.sync-state.json again from the mirror
    nothing is wrong: 3 entries, not compared with the hub
    ");
}

#[test]
fn connection_and_key_are_looked_at_too() {
    let world = World::new();
    let hub = world.hub();
    let project = mirrored(&world, &hub);
    let (connection, key) = (project.context().connect_file(), world.user().key());
    chmod(&connection, 0o644);
    chmod(&key, 0o640);
    assert_snapshot!(project.ctx(&["connect", "verify", "--offline"]).show(), @r"
    exit 7
    --- stdout
    .context/.connect.enc
      mode: can be opened by others (mode 0644)
    [root]/ada/.ctx/.ctx.key
      mode: can be opened by others (mode 0640)
    2 findings in 2 files; 3 entries, not compared with the hub
    next: run `ctx connect verify --repair`, which mends it and keeps beside it what was changed
    ");
    assert_snapshot!(project.ctx(&["connect", "verify", "--repair"]).show(), @r"
    exit 0
    --- stdout
    closed .context/.connect.enc to others
    closed [root]/ada/.ctx/.ctx.key to others
    nothing is wrong: 3 entries, not compared with the hub
    ");
    project.ok(&["connect", "verify"]);
    put(&connection, b"broken");
    assert_snapshot!(project.ctx(&["connect", "verify"]).show(), @r"
    exit 7
    --- stdout
    .context/.connect.enc
      connection: is cut short: 6 bytes hold no sealed connection
    1 finding in 1 file; 3 entries, not compared with the hub
    next: put the right files back, or register this project again: `ctx connect register HUB --token TOKEN --force`
    ");
    fs_err::remove_file(&connection).unwrap();
    assert_eq!(project.ctx(&["connect", "verify"]).code, 7);
    assert_eq!(world.project("q").ctx(&["connect", "verify"]).code, 6);
    assert_eq!(world.dir("r").ctx(&["connect", "verify"]).code, 6);
}
