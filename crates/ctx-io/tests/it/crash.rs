//! Killed anywhere: what stands is whole, and nothing has to be cleaned up by hand.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use ctx_io::lock::{inspect, remove_stale};
use ctx_io::{FileLock, LockStatus, Removed, Wait, atomic};

use crate::harness::{HOLDER, LOCK, Role, Scratch, command, numbered};

/// Different every time, and spread over several rounds of a child's loop.
fn some_time(round: u64) {
    std::thread::sleep(Duration::from_micros(round * 1_237 % 9_001));
}

#[test]
fn the_lock_of_a_killed_holder_is_taken_over_and_its_record_reported() {
    let scratch = Scratch::new();
    let holder = Role::spawn(command("hold", &scratch));
    let dead = holder.hear();
    let path = numbered(&scratch, 0);
    let refused = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap_err();
    assert_eq!(refused.io_kind(), std::io::ErrorKind::AlreadyExists);
    assert!(refused.to_string().contains("(holding)"), "{refused}");
    holder.kill();

    let lock = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap();
    let record = lock.took_over().unwrap();
    assert_eq!(
        (record.lock_id.as_str(), record.phase.as_str()),
        (dead.as_str(), "holding")
    );
    assert_ne!(lock.record().lock_id, dead);
    assert_eq!(lock.record().phase, "");
    lock.release().unwrap();
    assert!(!path.exists());
}

#[test]
fn the_lock_of_a_killed_holder_is_stale_and_can_be_removed() {
    let scratch = Scratch::new();
    let holder = Role::spawn(command("hold", &scratch));
    let dead = holder.hear();
    let path = numbered(&scratch, 0);
    assert!(matches!(inspect(&path).unwrap(), LockStatus::Held { .. }));
    holder.kill();
    let status = inspect(&path).unwrap();
    assert!(matches!(status, LockStatus::Stale { record, .. } if record.lock_id == dead));
    let removed = remove_stale(&path).unwrap();
    assert!(matches!(removed, Removed::Lock { id, .. } if id == dead));
    assert!(!path.exists());
}

#[test]
fn a_holder_killed_at_any_moment_never_blocks_and_leaves_no_litter() {
    let scratch = Scratch::new();
    for round in 0..60 {
        let child = Role::spawn(command("lock-loop", &scratch));
        assert_eq!(child.hear(), "running");
        some_time(round);
        child.kill();
        let lock = FileLock::acquire(&scratch.lock(), &HOLDER, Wait::No).unwrap();
        assert_eq!(scratch.names(), [LOCK], "round {round}");
        lock.release().unwrap();
        assert_eq!(scratch.names(), [""; 0], "round {round}");
    }
}

#[test]
fn a_writer_killed_at_any_moment_leaves_one_whole_content() {
    let scratch = Scratch::new();
    let file = scratch.join("file");
    for round in 0..60 {
        let child = Role::spawn(command("write-loop", &scratch));
        assert_eq!(child.hear(), "running");
        some_time(round);
        // While it is written, too.
        assert_whole(&std::fs::read(&file).unwrap());
        child.kill();
        assert_whole(&std::fs::read(&file).unwrap());
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
            0o640
        );
    }
    atomic::write(&file, b"end", atomic::Mode::Keep { otherwise: 0 }).unwrap();
    assert_eq!(
        scratch.names(),
        ["file"],
        "the next write clears away what the killed left"
    );
}

/// As the role writes it: one letter, in a length that goes with a round of that letter.
fn assert_whole(content: &[u8]) {
    let letter = content.first().copied().unwrap();
    assert!(content.iter().all(|byte| *byte == letter), "a mixture");
    let rounds = (0..2_000_000_usize)
        .step_by(26)
        .map(|base| base + usize::from(letter - b'a'));
    let known = rounds
        .map(|round| 1 + (round * 7_919) % 200_000)
        .any(|len| len == content.len());
    assert!(known, "{} times {letter} was never written", content.len());
}
