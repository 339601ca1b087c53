//! `ctx hub verify`: what people and programs see.

use insta::assert_snapshot;

use crate::harness::{World, chmod, put};

/// A project that published three entries.
fn published(world: &World, hub: &crate::harness::TestHub) {
    let project = world.registered("p", hub);
    for text in ["one", "two", "three"] {
        project.publish("task", text);
    }
}

#[test]
fn a_data_directory_is_verified_with_the_hub_running_stopped_and_killed() {
    let world = World::new();
    let hub = world.hub();
    published(&world, &hub);
    let data = hub.data.clone();
    let args = ["hub", "verify", "--data-dir", data.path().as_str()];
    assert_snapshot!(world.ctx(&args).show(), @r"
    exit 0
    --- stdout
    nothing is wrong: 3 entries, 1 client
    ");
    hub.kill();
    assert_snapshot!(world.ctx(&args).show(), @r"
    exit 0
    --- stdout
    nothing is wrong: 3 entries, 1 client
    note: the hub of [root]/hub-of-the-test, process [pid], ended without closing it; the next start puts that in order
    ");
    let again = world.hub_at(data.path());
    again.stop(&world);
    let run = world.ctx(&[&args[..], &["--json"]].concat());
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    {"data_dir":"[root]/hub-of-the-test","pid":null,"clean":true,"findings":[],"more":0,"notes":[],"hub_id":"[id]","head":3,"entries":3,"clients":1,"audit_lines":10,"hint":null}
    "#);
    let nowhere = world.root().join("nowhere");
    assert_eq!(
        world
            .ctx(&["hub", "verify", "--data-dir", nowhere.as_str()])
            .code,
        2
    );
}

#[test]
fn a_damaged_store_is_told_with_what_can_be_done() {
    let world = World::new();
    let hub = world.hub();
    published(&world, &hub);
    let data = hub.data.clone();
    hub.stop(&world);
    let args = ["hub", "verify", "--data-dir", data.path().as_str()];
    let whole = fs_err::read(data.store()).unwrap();
    chmod(&data.admin_token(), 0o644);
    put(&data.store(), &whole[..whole.len() - 5000]);
    assert_snapshot!(world.ctx(&args).show(), @r"
    exit 7
    --- stdout
    [root]/hub-of-the-test/admin.token
      mode: can be opened by others (mode 0644): run chmod 600
    [root]/hub-of-the-test/hub.db
      damaged: the file ends 5000 bytes early
    2 findings in 2 files; 0 entries, 0 clients
    next: stop the hub, keep a copy of the data directory, and restore a backup of it; a hub that starts on it as it is leaves it as it is, and refuses what it cannot read
    ");
    assert_eq!(
        fs_err::read(data.store()).unwrap(),
        whole[..whole.len() - 5000]
    );
    let run = world.ctx(&[&args[..], &["--json"]].concat());
    assert_snapshot!(run.show(), @r#"
    exit 7
    --- stdout
    {"data_dir":"[root]/hub-of-the-test","pid":null,"clean":false,"findings":[{"path":"[root]/hub-of-the-test/admin.token","line":null,"sequence":null,"id":null,"kind":"mode","detail":"can be opened by others (mode 0644): run chmod 600"},{"path":"[root]/hub-of-the-test/hub.db","line":null,"sequence":null,"id":null,"kind":"damaged","detail":"the file ends 5000 bytes early"}],"more":0,"notes":[],"hub_id":null,"head":null,"entries":0,"clients":0,"audit_lines":9,"hint":"stop the hub, keep a copy of the data directory, and restore a backup of it; a hub that starts on it as it is leaves it as it is, and refuses what it cannot read"}
    "#);
}
