//! Publishing and sending, killed at every step there is.

use std::os::unix::process::ExitStatusExt as _;

use ctx_io::failpoint::{STEPS, VARIABLE};
use insta::assert_snapshot;

use super::{IMPATIENT, Scene, queue, tasks, waiting};
use crate::harness::{Project, World};

/// Runs the program and kills it the `number`th time it comes to `step`; whether it came there.
fn is_killed(project: &Project<'_>, step: &str, number: u32, args: &[&str]) -> bool {
    let rule = format!("{step}#{number}=kill");
    let mut command = project.world.command();
    command.current_dir(&project.dir).args(args);
    command.env(VARIABLE, rule);
    let output = command.output().unwrap();
    let killed = output.status.signal() == Some(9);
    assert!(
        killed || output.status.success(),
        "{step}#{number}: {}",
        project.world.read(output).show()
    );
    killed
}

/// Kills at every step, the first time that it is reached, the second …; how often each was.
fn at_every_step(mut kill: impl FnMut(&str, u32) -> bool) -> Vec<String> {
    let mut reached = Vec::new();
    for step in STEPS {
        let mut number = 1;
        while kill(step, number) {
            number += 1;
        }
        if number > 1 {
            reached.push(format!("{step} {}", number - 1));
        }
    }
    reached
}

#[test]
fn a_publish_killed_at_any_step_and_repeated_is_queued_and_delivered_once() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    scene.away();
    let mut published = Vec::new();
    let reached = at_every_step(|step, number| {
        // Each begins without an outbox.
        let id = format!("{step}-{number}");
        let publish = ["connect", "publish", "task", &id, "--id", &id];
        let publish = [&publish[..], &["--timeout", IMPATIENT]].concat();
        let killed = is_killed(&project, step, number, &publish);
        project.ok(&publish);
        published.push(id);
        assert_eq!(waiting(&project).len(), 1, "{step}#{number}");
        let outbox = project.mirror().outbox();
        let names = outbox.path().read_dir_utf8().unwrap().count();
        assert_eq!(names, 1, "{step}#{number} left something behind");
        scene.back();
        project.sync();
        scene.away();
        assert_eq!(waiting(&project).len(), 0, "{step}#{number}");
        fs_err::remove_dir_all(outbox.path()).unwrap();
        killed
    });
    assert_eq!(tasks(&project), published, "every one once, in order");
    assert_snapshot!(reached.join("\n"), @r#"
    os-lock.try 2
    fsync.file 1
    fsync.dir 2
    temp.created 1
    temp.locked 1
    temp.rename-new 1
    atomic.written 1
    atomic.flushed 1
    atomic.renamed 1
    atomic.durable 1
    dir.created 1
    dir.durable 1
    outbox.queuing 1
    outbox.queued 1
    "#);
}

#[test]
fn a_sync_killed_at_any_step_of_sending_delivers_what_was_queued_once() {
    let world = World::new();
    let scene = Scene::new(&world);
    let project = scene.project(&world);
    project.sync();
    let mut published = Vec::new();
    let reached = at_every_step(|step, number| {
        if !step.starts_with("outbox.") {
            return false;
        }
        scene.away();
        for text in ["a", "b", "c"] {
            let text = format!("{step}-{number}-{text}");
            queue(&project, &text);
            published.push(text);
        }
        scene.back();
        let killed = is_killed(&project, step, number, &["connect", "sync"]);
        project.ok(&["connect", "sync"]);
        assert_eq!(waiting(&project).len(), 0, "{step}#{number}");
        killed
    });
    assert_eq!(tasks(&project), published, "every one once, in order");
    assert_snapshot!(reached.join("\n"), @r#"
    outbox.sending 1
    outbox.acknowledged 1
    outbox.removed 3
    outbox.flushed 1
    "#);
}

#[test]
fn a_hub_whose_disk_is_full_keeps_entries_queued_and_reads_go_on() {
    let world = World::new();
    let data = world.root().join("hub-of-the-test");
    let hub = world.hub_with("127.0.0.1:0", &data, |command| {
        let rules = "store.committing#3=ENOSPC; store.committing#4=ENOSPC";
        command
            .env(VARIABLE, rules)
            .stderr(std::process::Stdio::null());
    });
    // The first transactions of the hub are its admin token and the registration.
    let project = world.registered("p", &hub);
    assert_snapshot!(project.ctx(&["connect", "publish", "task", "one"]).show(), @r#"
    exit 0
    --- stdout
    queued task (id [id])
    1 entry waits in .context/hub/outbox for the next publish, sync or listen that reaches the hub
    --- stderr
    the hub at 127.0.0.1:[port] rejected publish: the hub has no room to store it; nothing was stored
    "#);
    assert_snapshot!(project.ctx(&["connect", "sync"]).show(), @r#"
    exit 0
    --- stdout
    nothing new
    --- stderr
    warning: entries stay queued: the hub at 127.0.0.1:[port] rejected publish: the hub has no room to store it; nothing was stored
    "#);
    let document = project.json(&["connect", "publish", "task", "two"]);
    assert_eq!(
        (&document["sequence"], &document["sent"]),
        (&2.into(), &1.into())
    );
    project.sync();
    assert_eq!(tasks(&project), ["one", "two"]);
}
