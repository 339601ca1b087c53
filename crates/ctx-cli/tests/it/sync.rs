//! `ctx connect sync` and `listen`: what arrives, how often, and what happens when it breaks off.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use ctx_config::paths;
use ctx_io::{FileLock, Holder, Wait};
use insta::assert_snapshot;
use rustix::process::Signal;

use crate::harness::{PATIENCE, World, until};
use crate::proxy::{Mode, Proxy};

#[test]
fn the_second_sync_brings_nothing() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.publish("task", "one");
    assert_eq!(project.sync(), 1);
    let before = project.mirrored(paths::TASKS_FILE);
    let document = project.json(&["connect", "sync"]);
    assert_eq!(document["new_entries"], 0);
    assert_eq!(document["cursors"]["task"], 1);
    assert_eq!(project.mirrored(paths::TASKS_FILE), before);
    assert_eq!(project.ok(&["connect", "sync"]), "nothing new\n");
    assert_eq!(project.ok(&["connect", "sync", "--quiet"]), "");
}

#[test]
fn widening_the_subscription_brings_the_older_entries_of_the_new_type() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.ok(&["connect", "subscribe", "decision"]);
    for text in ["one", "two"] {
        project.publish("learning", text);
        project.publish("decision", text);
    }
    assert_eq!(project.sync(), 2);
    assert_eq!(project.mirrored(paths::LEARNINGS_FILE), "");
    let document = project.json(&["connect", "subscribe", "decision", "learning"]);
    assert_eq!(document["added"], serde_json::json!(["learning"]));
    project.publish("decision", "three");
    assert_eq!(
        project.ok(&["connect", "sync"]),
        "3 new entries (1 decision, 2 learnings)\n"
    );
    assert_eq!(project.sync(), 0);
}

#[test]
fn after_a_sync_the_mirror_is_up_to_date_whatever_the_last_entries_were_of() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.ok(&["connect", "subscribe", "decision"]);
    project.publish("decision", "one");
    project.sync();
    project.publish("task", "not for this mirror");
    assert_eq!(project.sync(), 0);
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["hub_status"]["lag"], 0);
    project.ok(&["connect", "subscribe", "--all"]);
    assert_eq!(project.sync(), 1);
}

#[test]
fn a_full_sync_builds_the_same_mirror_again() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.publish("task", "one");
    project.publish("task", "two");
    project.sync();
    let before = project.mirrored(paths::TASKS_FILE);
    let run = project.ctx(&["connect", "sync", "--full"]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    the mirror was built anew
    2 new entries (2 tasks)
    "#);
    assert_eq!(project.mirrored(paths::TASKS_FILE), before);
    assert_eq!(project.sync(), 0);
}

#[test]
fn a_hub_that_goes_away_in_the_middle_costs_nothing_that_had_arrived() {
    let world = World::new();
    let hub = world.hub();
    let proxy = Proxy::to(&hub.address, Mode::Forward);
    let project = world.registered_at("p", &proxy.address, &hub);
    for number in 0..40 {
        project.publish("learning", &format!("{number} {}", "z".repeat(200_000)));
    }
    proxy.set(Mode::Cut(5_000_000));
    let run = project.ctx(&["connect", "sync"]);
    assert_eq!(
        run.code,
        0,
        "resumes from what was committed: {}",
        run.show()
    );

    proxy.set(Mode::Forward);
    let other = world.registered_at("q", &proxy.address, &hub);
    proxy.set(Mode::CutForGood(6_000_000));
    let run = other.ctx(&["connect", "sync"]);
    assert_eq!(run.code, 4, "{}", run.show());
    let first = format!(
        "error: the connection to the hub at {} broke during sync\n",
        proxy.address
    );
    assert!(run.stderr.starts_with(&first), "{}", run.show());
    assert!(
        run.stderr.contains("\nhint: check that the hub runs"),
        "{}",
        run.show()
    );
    let kept = other.mirrored(paths::LEARNINGS_FILE);
    assert!(kept.len() > 1_000_000, "a chunk is kept, and is whole");
    proxy.set(Mode::Forward);
    other.ok(&["connect", "sync"]);
    assert!(other.mirrored(paths::LEARNINGS_FILE).starts_with(&kept));
    for project in [&project, &other] {
        let learnings = project.mirrored(paths::LEARNINGS_FILE);
        for number in 0..40 {
            let title = format!("\n{number} zzz");
            assert_eq!(learnings.matches(&title).count(), 1, "entry {number}");
        }
    }
    assert!(!other.mirror().sync_lock().exists());
}

#[test]
fn a_sync_that_is_interrupted_releases_the_lock_and_says_so() {
    let world = World::new();
    let hub = world.hub();
    let proxy = Proxy::to(&hub.address, Mode::Forward);
    let project = world.registered_at("p", &proxy.address, &hub);
    proxy.set(Mode::Mute);
    let interrupt = |signal| {
        let hanging = project.spawn(&["connect", "sync", "--timeout", "10m"]);
        until("the sync has the lock", || {
            project.mirror().sync_lock().exists().then_some(())
        });
        hanging.signal(signal);
        let run = hanging.output(&world);
        assert!(!project.mirror().sync_lock().exists());
        run.show()
    };
    assert_snapshot!(interrupt(Signal::INT), @r#"
    exit 1
    --- stderr
    error: the sync was interrupted
    hint: run it again: it goes on from what is in the mirror
    "#);
    assert_eq!(interrupt(Signal::TERM), interrupt(Signal::INT));
}

#[test]
fn a_sync_that_waits_for_the_lock_can_be_interrupted() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.sync();
    let holder = Holder {
        command: "the test",
        version: "1",
    };
    let lock = FileLock::acquire(&project.mirror().sync_lock(), &holder, Wait::No).unwrap();
    let mut log = project.spawn(&["connect", "sync", "--wait", "1h", "-vvv"]);
    // The log tells when it is under way, and by then it listens for signals.
    let mut stderr = std::io::BufReader::new(log.0.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    log.signal(Signal::INT);
    assert_eq!(log.wait().code(), Some(1));
    lock.release().unwrap();
    assert_eq!(project.sync(), 0);
}

#[test]
fn a_sync_that_was_killed_is_taken_over_by_the_next_which_says_so() {
    let world = World::new();
    let hub = world.hub();
    let proxy = Proxy::to(&hub.address, Mode::Forward);
    let project = world.registered_at("p", &proxy.address, &hub);
    project.publish("task", "one");
    proxy.set(Mode::Mute);
    let mut hanging = project.spawn(&["connect", "sync", "--timeout", "10m"]);
    until("the sync has the lock", || {
        project.mirror().sync_lock().exists().then_some(())
    });
    hanging.kill();
    assert!(project.mirror().sync_lock().exists());
    proxy.set(Mode::Forward);
    let run = project.ctx(&["connect", "sync"]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    1 new entry (1 task)
    --- stderr
    took over the sync lock of `ctx connect sync`, process [pid] on [host], which died
    "#);
    assert!(!project.mirror().sync_lock().exists());
}

#[test]
fn a_lock_whose_record_a_power_cut_took_is_shown_and_taken_over_by_the_next_sync() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.sync();
    let lock = project.mirror().sync_lock();
    let empty = fs_err::File::create_new(&lock).unwrap();
    let ours_by_its_mode = std::fs::Permissions::from_mode(0o1600);
    empty.set_permissions(ours_by_its_mode).unwrap();
    drop(empty);
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["lock"]["state"], "stale");
    assert_eq!(status["lock"]["record"], serde_json::Value::Null);
    let found = project.ctx(&["connect", "verify"]);
    assert!(found.stdout.contains("stale-lock"), "{}", found.show());
    let run = project.ctx(&["connect", "sync"]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    nothing new
    --- stderr
    warning: took over .context/hub/.sync.lock from a process that died and whose record is lost, as after a power cut
    "#);
    assert!(!lock.exists());
}

#[test]
fn syncs_and_listeners_killed_at_any_moment_leave_the_mirror_of_one_that_nobody_disturbed() {
    const ENTRIES: u64 = 60;
    const KILLS: u64 = 40;
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    let undisturbed = world.registered("q", &hub);
    let files = [paths::DECISIONS_FILE, paths::TASKS_FILE];
    let size = || -> usize { files.iter().map(|f| project.mirrored(f).len()).sum() };
    let (wait, full) = (["--wait", "1m"], ["--full", "--wait", "1m"]);
    let (mut in_the_middle, mut committed) = (0, 0);
    for number in 0..KILLS {
        for entry in number * ENTRIES / KILLS..(number + 1) * ENTRIES / KILLS {
            let entry_type = ["decision", "task"][usize::try_from(entry % 2).unwrap()];
            let content = format!("# entry {entry}\n---\n{}", "<!-- \\#\n".repeat(200));
            project.publish(entry_type, &content);
        }
        let args = match number % 4 {
            0 => [&["connect", "sync"][..], &full].concat(),
            1 => vec!["connect", "listen"],
            _ => [&["connect", "sync"][..], &wait].concat(),
        };
        let state = || fs_err::read(project.mirror().state()).unwrap_or_default();
        let before = (size(), state());
        let begun = || match number % 3 {
            0 => project.mirror().sync_lock().exists(),
            1 => size() != before.0,
            _ => state() != before.1,
        };
        let mut doomed = project.spawn(&args);
        // Not by `until`, which sleeps: the moment counts.
        let start = Instant::now();
        while !begun() && doomed.runs() {
            assert!(start.elapsed() < PATIENCE, "it does not begin");
            std::thread::yield_now();
        }
        if number % 3 == 0 {
            // Pauses that differ, over some commits.
            std::thread::sleep(Duration::from_micros(number * 17_919 % 120_000));
        }
        doomed.kill();
        in_the_middle += u32::from(project.mirror().sync_lock().exists());
        committed += u32::from(state() != before.1);
    }
    assert!(in_the_middle > 0, "no kill came while the lock was held");
    assert!(committed > 0, "no kill came after something was committed");
    project.sync();
    undisturbed.sync();
    for file in files {
        assert_eq!(project.mirrored(file), undisturbed.mirrored(file), "{file}");
    }
    assert_eq!(project.sync(), 0);
    assert_eq!(project.mirror_names(), undisturbed.mirror_names());
}

#[test]
fn a_listener_dials_again_by_itself_and_ends_in_order() {
    use std::io::{BufRead as _, BufReader};
    let world = World::new();
    let hub = world.hub();
    let proxy = Proxy::to(&hub.address, Mode::Forward);
    let publisher = world.registered("a", &hub);
    let reader = world.registered_at("b", &proxy.address, &hub);
    publisher.publish("task", "before");
    let mut listener = reader.spawn(&["connect", "listen", "--json"]);
    let mut lines = BufReader::new(listener.0.stdout.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["content"], "before");
    proxy.break_all();
    publisher.publish("task", "after\nthe break");
    let arrived = next();
    assert_eq!(
        (&arrived["sequence"], &arrived["origin"]),
        (&2.into(), &"a".into())
    );
    assert_eq!(arrived["content"], "after\nthe break");
    listener.signal(Signal::TERM);
    assert!(listener.wait().success());
    assert_eq!(reader.sync(), 0);
    assert!(!reader.mirror().sync_lock().exists());
}

#[test]
fn a_listener_ends_when_nobody_reads_any_more() {
    let world = World::new();
    let hub = world.hub();
    let publisher = world.registered("a", &hub);
    let reader = world.registered("b", &hub);
    let mut listener = reader.spawn(&["connect", "listen"]);
    drop(listener.0.stdout.take());
    publisher.publish("task", "unread");
    assert!(listener.wait().success());
}

#[test]
fn what_steers_a_terminal_is_not_printed() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.publish("task", "\x1b]0;owned\x07 title\nrest");
    let mut listener = project.spawn(&["connect", "listen"]);
    let mut line = String::new();
    let stdout = listener.0.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    assert_eq!(line, "1 task from p: \u{fffd}]0;owned\u{fffd} title\n");
    listener.kill();
}
