//! A change of the token, killed wherever it can be: the next sync works, and nobody had to help.
//!
//! The overlap is nothing here: once the hub knows the new token, the old one is worth nothing. So a
//! sync works only if the file holds the right one.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use ctx_config::paths::CONNECT_FILE;
use ctx_io::failpoint::{STEPS, VARIABLE};
use insta::assert_snapshot;

use crate::harness::{Project, World};
use crate::rotate::{hub_with, names};

const ROTATE: &[&str] = &["connect", "rotate"];
const SYNC: &[&str] = &["connect", "sync"];

/// Runs the program and kills it the `number`th time it comes to `step`; whether it came there.
fn is_killed(project: &Project<'_>, args: &[&str], step: &str, number: u32) -> bool {
    let mut command = project.world.command();
    command.current_dir(&project.dir).args(args);
    command.env(VARIABLE, format!("{step}#{number}=kill"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let killed = output.status.signal() == Some(9);
    let text = project.world.read(output);
    assert!(killed || text.code == 0, "{step}#{number}: {}", text.show());
    killed
}

/// What a person sees after it: a sync that works, and a token that is settled.
fn works(project: &Project<'_>, place: &str) {
    let run = project.ctx(SYNC);
    assert_eq!(run.code, 0, "{place}: {}", run.show());
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["token"]["changing"], false, "{place}");
}

/// What killed ones left is cleared away by the next that changes the file.
fn leaves_nothing(project: &Project<'_>) {
    project.ok(ROTATE);
    assert_eq!(names(project), [CONNECT_FILE]);
}

/// Kills `args` at every step that it passes; how often it was, and where.
fn at_every_step(project: &Project<'_>, args: &[&str], before: impl Fn()) -> Vec<String> {
    let mut reached = Vec::new();
    for step in STEPS {
        let mut number = 1;
        loop {
            before();
            let killed = is_killed(project, args, step, number);
            works(project, &format!("{args:?} at {step}#{number}"));
            if !killed {
                break;
            }
            number += 1;
        }
        if number > 1 {
            reached.push(format!("{step} {}", number - 1));
        }
    }
    reached
}

#[test]
fn a_rotation_killed_at_any_step_is_settled_by_the_next_sync() {
    let world = World::in_memory();
    let hub = hub_with(
        &world,
        "[tokens]\noverlap = \"0s\"\n[limits]\nfailures_burst = 1000000\n",
    );
    let project = world.registered("billing", &hub);
    assert_snapshot!(at_every_step(&project, ROTATE, || {}).join("\n"), @r#"
    os-lock.try 6
    fsync.file 3
    fsync.dir 2
    temp.created 2
    temp.locked 2
    temp.rename-new 1
    atomic.written 2
    atomic.flushed 2
    atomic.renamed 2
    atomic.durable 2
    lock.marked 1
    lock.written 1
    lock.linked 1
    lock.unlinking 1
    lock.unlinked 1
    rotation.saved 1
    rotation.answered 1
    rotation.settled 1
    "#);
    leaves_nothing(&project);
    project.publish("task", "at last");
    assert_eq!(project.sync(), 1);
}

#[test]
fn a_sync_that_settles_a_rotation_may_be_killed_at_any_step_of_it_too() {
    let world = World::in_memory();
    let hub = hub_with(
        &world,
        "[tokens]\noverlap = \"0s\"\n[limits]\nfailures_burst = 1000000\n",
    );
    let project = world.registered("billing", &hub);
    for left_at in ["rotation.saved", "rotation.answered"] {
        let broken_off = || assert!(is_killed(&project, ROTATE, left_at, 1));
        let reached = at_every_step(&project, SYNC, broken_off);
        let of_rotation = reached.iter().filter(|step| step.starts_with("rotation."));
        assert_eq!(of_rotation.count(), 2, "{reached:?}");
    }
    leaves_nothing(&project);
}

#[test]
fn a_hub_killed_while_it_stores_a_rotation_leaves_a_token_that_works() {
    let world = World::in_memory();
    let data = world.root().join("hub-of-the-test");
    let hub = hub_with(
        &world,
        "[tokens]\noverlap = \"0s\"\n[limits]\nfailures_burst = 1000000\n",
    );
    let project = world.registered("billing", &hub);
    let address = hub.address.clone();
    hub.stop(&world);
    // The store is marked once when it is opened.
    for step in ["store.committing", "store.committed", "store.marked#2"] {
        let hub = world.hub_with(&address, &data, |command| {
            command.env(VARIABLE, format!("{step}=kill"));
        });
        let run = project.ctx(&["connect", "rotate", "--timeout", "1s"]);
        assert_eq!(run.code, 4, "{step}: {}", run.show());
        drop(hub);
        let hub = world.hub_on(&address, &data);
        works(&project, step);
        hub.stop(&world);
    }
}
