//! A hub that was restored from a backup: what people are told, and what they run.

use camino::Utf8Path;
use ctx_config::paths::{self, DataDir};
use insta::assert_snapshot;

use crate::harness::{TestHub, World};

/// Stops `hub`, lets `change` touch its directory, and starts it again at the same address.
fn away(world: &World, hub: TestHub, change: impl FnOnce(&Utf8Path)) -> TestHub {
    let (address, data) = (hub.address.clone(), hub.data.clone());
    hub.stop(world);
    change(&data.store());
    world.hub_on(&address, data.path())
}

#[test]
fn a_restored_hub_is_explained_and_full_rebuilds_without_duplicates() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("reader", &hub);
    let writer = world.registered("writer", &hub);
    let backup = world.root().join("backup");
    writer.publish("decision", "kept.");
    let hub = away(&world, hub, |store| {
        fs_err::copy(store, &backup).unwrap();
    });
    writer.publish("decision", "lost 1.");
    writer.publish("decision", "lost 2.");
    assert_eq!(project.sync(), 3);
    let restore = |store: &Utf8Path| {
        fs_err::copy(&backup, store).unwrap();
        fs_err::remove_file(DataDir::new(store.parent().unwrap()).marks()).unwrap();
    };
    let hub = away(&world, hub, restore);

    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 1
    --- stderr
    error: the mirror was not made from this hub's log: it ends at 1, and 3 was mirrored (was it restored from a backup?)
    hint: run `ctx connect sync --full`, which builds the mirror anew from what the hub has now and keeps beside it every file with entries that the hub lost; whoever published those can publish them again
    "#);
    writer.publish("decision", "new 1.");
    writer.publish("decision", "new 2.");
    writer.publish("task", "new 3.");
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 1
    --- stderr
    error: the mirror was not made from this hub's log: what it holds up to 3 is not what was mirrored (was it restored from a backup, and published to since?)
    hint: run `ctx connect sync --full`, which builds the mirror anew from what the hub has now and keeps beside it every file with entries that the hub lost; whoever published those can publish them again
    "#);
    let listening = project.ctx(&["connect", "listen"]);
    assert_eq!(listening.code, 1, "{}", listening.show());
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["hub_status"]["head"], 4);
    assert_eq!(status["hub_status"]["lag"], serde_json::Value::Null);
    let how = status["hub_status"]["diverged"].as_str().unwrap();
    assert!(how.contains("up to 3 is not what was mirrored"), "{how}");
    let shown = project.ok(&["connect", "status"]);
    assert!(shown.contains(how), "{shown}");

    let full = project.json(&["connect", "sync", "--full"]);
    assert_eq!(full["new_entries"], 4, "{full}");
    assert_eq!(full["set_aside"].as_array().unwrap().len(), 1, "{full}");
    let text = project.mirrored(paths::DECISIONS_FILE);
    for (content, count) in [("kept.", 1), ("new 1.", 1), ("new 2.", 1), ("lost 1.", 0)] {
        assert_eq!(text.matches(&format!("\n\n{content}\n\n")).count(), count);
    }
    let mut names = project.mirror_names();
    names.retain(|name| name.contains(paths::SET_ASIDE_MARK));
    assert_eq!(names.len(), 1, "{names:?}");
    let kept = project.mirrored(&names[0]);
    assert!(kept.contains("\n\nlost 2.\n\n"), "{kept}");
    assert_eq!(project.sync(), 0);
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["hub_status"]["diverged"], serde_json::Value::Null);
    hub.stop(&world);
}
