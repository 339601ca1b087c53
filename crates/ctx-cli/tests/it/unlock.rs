//! Locks that an older `ctx` left, and `ctx connect unlock`.

use ctx_io::{FileLock, Holder, Wait};
use insta::{allow_duplicates, assert_snapshot};

use crate::harness::{World, put, until};
use crate::proxy::{Mode, Proxy};

/// What a sync says of such a lock; it is removed by its id in the end.
fn respect_and_remove(content: &str) -> String {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.sync();
    let lock = project.mirror().sync_lock();
    put(&lock, content.as_bytes());
    let refused = project.ctx(&["connect", "sync"]).show();
    assert_eq!(project.ctx(&["connect", "unlock"]).show(), refused);
    assert_eq!(fs_err::read_to_string(&lock).unwrap(), content);

    let status = project.json(&["connect", "status"]);
    assert_eq!(status["lock"]["state"], "unverified");
    let id = status["lock"]["id"].as_str().unwrap();
    let other = project.ctx(&["connect", "unlock", "--id", "legacy-1-2"]);
    assert!(lock.exists());
    let this = project.ctx(&["connect", "unlock", "--id", id]);
    allow_duplicates! {
        assert_snapshot!(other.show(), @r#"
        exit 1
        --- stderr
        error: .context/hub/.sync.lock is the lock legacy-[id], not legacy-[id]
        hint: the lock changed hands: look at it again
        "#);
        assert_snapshot!(this.show(), @r#"
        exit 0
        --- stdout
        removed .context/hub/.sync.lock (lock legacy-[id])
        "#);
    }
    assert!(!lock.exists());
    assert_eq!(project.sync(), 0);
    refused
}

#[test]
fn an_empty_lock_of_an_older_ctx_is_respected_explained_and_removed_by_its_id_alone() {
    assert_snapshot!(respect_and_remove(""), @r#"
    exit 3
    --- stderr
    error: .context/hub/.sync.lock exists, for [age], and it is empty, as an older version leaves it
    hint: make sure that no ctx uses it any more, then run `ctx connect unlock --id legacy-[id]`
    "#);
}

#[test]
fn a_lock_of_an_older_ctx_with_a_word_in_it_is_respected_as_well() {
    assert_snapshot!(respect_and_remove("lock"), @r#"
    exit 3
    --- stderr
    error: .context/hub/.sync.lock exists, for [age], and it holds the word `lock`, as an older version writes it
    hint: make sure that no ctx uses it any more, then run `ctx connect unlock --id legacy-[id]`
    "#);
}

#[test]
fn a_lock_that_is_held_is_not_removed() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.sync();
    let path = project.mirror().sync_lock();
    let holder = Holder {
        command: "the test",
        version: "1",
    };
    let lock = FileLock::acquire(&path, &holder, Wait::No).unwrap();
    let run = project.ctx(&["connect", "unlock"]);
    assert_snapshot!(run.show().replace(&ctx_io::process::user(), "[user]"), @r#"
    exit 3
    --- stderr
    error: .context/hub/.sync.lock is held by `the test`, process [pid] of [user] on [host], for [age]
    hint: wait for it, or end process [pid] on [host]
    "#);
    let run = project.ctx(&["connect", "unlock", "--id", &lock.record().lock_id]);
    assert_eq!(run.code, 3, "{}", run.show());
    let status = project.json(&["connect", "status"]);
    assert_eq!(status["lock"]["state"], "held");
    assert_eq!(status["lock"]["record"]["command"], "the test");
    lock.release().unwrap();
}

#[test]
fn the_lock_of_a_dead_sync_is_shown_and_removed() {
    let world = World::new();
    let hub = world.hub();
    let proxy = Proxy::to(&hub.address, Mode::Forward);
    let project = world.registered_at("p", &proxy.address, &hub);
    let lock = project.mirror().sync_lock();
    proxy.set(Mode::Mute);
    let mut hanging = project.spawn(&["connect", "sync", "--timeout", "10m"]);
    until("the sync has the lock", || lock.exists().then_some(()));
    hanging.kill();
    proxy.set(Mode::Forward);
    assert_eq!(
        project.json(&["connect", "status"])["lock"]["state"],
        "stale"
    );
    let run = project.ctx(&["connect", "unlock"]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    removed .context/hub/.sync.lock (lock [id])
    it was held by `ctx connect sync`, process [pid] on [host], since [time]
    "#);
    assert!(!lock.exists());
}
