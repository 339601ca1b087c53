//! The limits of a hub as its clients meet them.

use std::thread::sleep;
use std::time::Duration;

use ctx_config::paths::{self, DataDir};

use crate::harness::{Project, TestHub, World, put};

/// Bytes of an entry of which a day of the least size takes two.
const LARGE: usize = 1_000_000;

/// A hub with these limits.
fn hub(world: &World, limits: &str) -> TestHub {
    let data = DataDir::new(world.root().join("hub-of-the-test"));
    if !data.path().exists() {
        ctx_io::ensure_private_dir(data.path(), paths::PRIVATE_DIR_MODE).unwrap();
        put(&data.settings(), format!("[limits]\n{limits}\n").as_bytes());
    }
    world.hub_at(data.path())
}

fn publish_large(project: &Project<'_>, more: &[&str]) -> crate::harness::Run {
    let args = [&["connect", "publish", "task", "-"], more].concat();
    project.with(&args, |ctx| {
        ctx.write_stdin("x".repeat(LARGE));
    })
}

/// The day of a client must not end, nor be about to, in the middle of a test that uses one up.
fn in_one_day() {
    let second = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs()
        % 86_400;
    if second > 86_400 - 300 {
        sleep(Duration::from_secs(86_400 - second));
    }
}

#[test]
fn a_day_that_is_used_up_stays_so_when_the_hub_is_killed_and_the_entry_waits_for_the_next() {
    in_one_day();
    let world = World::new();
    let first = hub(&world, "daily_bytes = 2_097_152");
    let address = first.address.clone();
    let project = world.registered("busy", &first);
    for _ in 0..2 {
        assert_eq!(publish_large(&project, &[]).code, 0);
    }
    first.kill();
    let hub = world.hub_on(&address, &world.root().join("hub-of-the-test"));
    let run = publish_large(&project, &["--no-queue"]);
    assert_eq!(run.code, 4, "{}", run.show());
    assert!(
        run.stderr.contains("in a day at this hub"),
        "{}",
        run.show()
    );
    let (_, hint) = run.stderr.split_once("hint: try again in ").unwrap();
    let (seconds, _) = hint.split_once(" s").unwrap();
    // Within an hour, or earlier when the day ends earlier.
    assert!(
        (1..=3_600).contains(&seconds.parse::<u32>().unwrap()),
        "{}",
        run.show()
    );
    let run = publish_large(&project, &["--json"]);
    assert_eq!(run.code, 0, "{}", run.show());
    assert_eq!(run.json()["queued"], true);
    // Reading is not limited by what was written, and what waits is told of.
    let run = project.ctx(&["connect", "sync"]);
    assert_eq!(run.code, 0, "{}", run.show());
    assert!(run.stderr.contains("entries stay queued"), "{}", run.show());
    hub.stop(&world);
}

#[test]
fn a_client_that_is_a_little_too_fast_waits_and_nobody_notices() {
    let world = World::new();
    let hub = hub(&world, "entries_per_second = 2\nentries_burst = 2");
    let project = world.registered("fast", &hub);
    for number in 1..=5 {
        assert_eq!(project.publish("task", &format!("entry {number}")), number);
    }
    hub.stop(&world);
}

#[test]
fn an_address_that_guessed_too_often_is_told_when_to_come_back() {
    let world = World::new();
    let hub = hub(&world, "failures_burst = 3\nfailures_per_minute = 1");
    let known = world.registered("known", &hub);
    let wrong = format!("ctx_adm_{}", "0".repeat(64));
    let guesser = world.project("guesser");
    let guess = || guesser.ctx(&["connect", "register", &hub.address, "--token", &wrong]);
    for _ in 0..3 {
        assert_eq!(guess().code, 5);
    }
    let run = guess();
    assert_eq!(run.code, 4, "{}", run.show());
    assert!(
        run.stderr
            .contains("too many failed attempts from this address"),
        "{}",
        run.show()
    );
    // Whoever is known from here goes on working.
    assert_eq!(known.publish("task", "still here"), 1);
    hub.stop(&world);
}
