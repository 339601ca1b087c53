//! One lock, step by step.

use std::fs::Permissions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ctx_io::lock::{inspect, remove_by_id, remove_stale};
use ctx_io::{FileLock, LockError, LockStatus, Removed, Wait, Why};

use crate::harness::{HOLDER, LOCK, Role, Scratch, put, unprivileged_command};

fn take(scratch: &Scratch) -> Result<FileLock, LockError> {
    FileLock::acquire(&scratch.lock(), &HOLDER, Wait::No)
}

#[test]
fn a_lock_is_one_private_file_with_one_record_and_release_removes_it() {
    let scratch = Scratch::new();
    let lock = take(&scratch).unwrap();
    assert_eq!(scratch.names(), [LOCK]);
    let mode = std::fs::metadata(scratch.lock())
        .unwrap()
        .permissions()
        .mode();
    // Private, and marked as ours.
    assert_eq!(mode & 0o7777, 0o1600);
    let text = std::fs::read_to_string(scratch.lock()).unwrap();
    assert_eq!(text.lines().count(), 1);
    let read: ctx_io::LockRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(&read, lock.record());
    assert_eq!(
        (read.command.as_str(), read.version.as_str()),
        ("test run", "0.0.1")
    );
    assert_eq!(
        (read.pid, read.os_lock, lock.took_over()),
        (std::process::id(), true, None)
    );
    lock.release().unwrap();
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn dropping_releases_too() {
    let scratch = Scratch::new();
    drop(take(&scratch).unwrap());
    assert_eq!(scratch.names(), [""; 0]);
    take(&scratch).unwrap().release().unwrap();
}

#[test]
fn a_held_lock_explains_itself() {
    let scratch = Scratch::new();
    let mut lock = take(&scratch).unwrap();
    lock.set_phase("pulling").unwrap();
    let error = take(&scratch).unwrap_err();
    let text = error.to_string();
    for part in [
        scratch.lock().as_str(),
        "`test run`",
        &lock.record().host,
        "(pulling)",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    assert!(!text.contains("waiting"), "{text}");
    assert!(error.hint().is_some());
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::AlreadyExists);
}

#[test]
fn a_release_finds_the_file_already_gone() {
    let scratch = Scratch::new();
    let lock = take(&scratch).unwrap();
    std::fs::remove_file(scratch.lock()).unwrap();
    lock.release().unwrap();
}

#[test]
fn a_lost_lock_is_reported_and_the_file_in_its_place_is_left_alone() {
    let scratch = Scratch::new();
    let mut lost = take(&scratch).unwrap();
    std::fs::remove_file(scratch.lock()).unwrap();
    assert!(matches!(
        lost.set_phase("gone"),
        Err(LockError::Lost { .. })
    ));
    let other = take(&scratch).unwrap();
    let bytes = std::fs::read(scratch.lock()).unwrap();
    assert!(matches!(
        lost.set_phase("replaced"),
        Err(LockError::Lost { .. })
    ));
    assert!(matches!(lost.release(), Err(LockError::Lost { .. })));
    assert_eq!(std::fs::read(scratch.lock()).unwrap(), bytes);
    assert!(matches!(take(&scratch), Err(LockError::Held { .. })));
    other.release().unwrap();
}

#[test]
fn files_that_are_not_ours_are_respected_to_the_byte() {
    let scratch = Scratch::new();
    for (bytes, why) in [
        (&b""[..], Why::Empty),
        (b"lock", Why::LegacyWord),
        (b"lock\n", Why::LegacyWord),
        (b"4711\n", Why::Foreign),
        (&[0xff; 100_000], Why::Foreign),
    ] {
        put(&scratch.lock(), bytes);
        for _ in 0..2 {
            let error = take(&scratch).unwrap_err();
            assert_eq!(error.io_kind(), ErrorKind::AlreadyExists);
            let LockError::HeldByExistence {
                why: said, ref id, ..
            } = error
            else {
                panic!("{error:?}")
            };
            assert_eq!(said, why);
            assert!(error.hint().is_some_and(|hint| hint.contains(id.as_str())));
            assert!(matches!(
                remove_stale(&scratch.lock()),
                Err(LockError::HeldByExistence { .. })
            ));
        }
        assert_eq!(std::fs::read(scratch.lock()).unwrap(), bytes);
        assert_eq!(scratch.names(), [LOCK]);
    }
}

#[test]
fn a_file_that_is_not_ours_is_removed_by_its_id_only() {
    let scratch = Scratch::new();
    put(&scratch.lock(), b"lock");
    let LockStatus::Unverified {
        record: None,
        id,
        why: Why::LegacyWord,
        ..
    } = inspect(&scratch.lock()).unwrap()
    else {
        panic!("not unverified")
    };
    let wrong = remove_by_id(&scratch.lock(), "legacy-1-1").unwrap_err();
    assert!(
        matches!(wrong, LockError::OtherId { ref found, .. } if *found == id),
        "{wrong:?}"
    );
    assert_eq!(std::fs::read(scratch.lock()).unwrap(), b"lock");
    let removed = remove_by_id(&scratch.lock(), &id).unwrap();
    assert!(matches!(removed, Removed::Lock { record: None, .. }));
    assert_eq!(scratch.names(), [""; 0]);
}

/// As another user's killed run leaves it: the directory is ours, the file is not.
#[test]
fn a_lock_that_may_not_be_opened_is_removed_by_its_id_only() {
    let scratch = Scratch::new();
    put(&scratch.lock(), b"");
    std::fs::set_permissions(scratch.lock(), Permissions::from_mode(0o000)).unwrap();
    let stranger = Role::spawn(unprivileged_command("stranger", &scratch));
    let said = stranger.finish();
    let [acquired, removed, other, seen] = &said[..] else {
        panic!("{said:?}");
    };
    let id = seen.strip_prefix("NotReadable ").expect(seen);
    assert!(
        acquired.starts_with("AlreadyExists ") && acquired.contains(id),
        "{acquired}"
    );
    assert_eq!(removed, acquired);
    assert!(other.starts_with("InvalidInput "), "{other}");
    assert!(!scratch.lock().exists());
}

#[test]
fn a_live_lock_is_not_removed_by_any_means() {
    let scratch = Scratch::new();
    let lock = take(&scratch).unwrap();
    let id = &lock.record().lock_id;
    assert!(matches!(
        remove_stale(&scratch.lock()),
        Err(LockError::Held { .. })
    ));
    assert!(matches!(
        remove_by_id(&scratch.lock(), id),
        Err(LockError::Held { .. })
    ));
    assert!(matches!(
        remove_by_id(&scratch.lock(), "x"),
        Err(LockError::OtherId { .. })
    ));
    // Not even when an older program has written over the record.
    put(&scratch.lock(), b"lock");
    let LockStatus::Unverified { id, .. } = inspect(&scratch.lock()).unwrap() else {
        panic!("not unverified")
    };
    let refused = remove_by_id(&scratch.lock(), &id).unwrap_err();
    assert_eq!(refused.io_kind(), ErrorKind::AlreadyExists);
    assert_eq!(scratch.names(), [LOCK]);
    lock.release().unwrap();
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn a_free_lock_is_free_and_nothing_is_removed() {
    let scratch = Scratch::new();
    assert!(matches!(
        inspect(&scratch.lock()).unwrap(),
        LockStatus::Free
    ));
    assert!(matches!(
        remove_stale(&scratch.lock()).unwrap(),
        Removed::WasFree
    ));
    assert!(matches!(
        remove_by_id(&scratch.lock(), "x").unwrap(),
        Removed::WasFree
    ));
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn looking_at_a_lock_changes_nothing() {
    let scratch = Scratch::new();
    let lock = take(&scratch).unwrap();
    let before = std::fs::read(scratch.lock()).unwrap();
    let LockStatus::Held { record, .. } = inspect(&scratch.lock()).unwrap() else {
        panic!("not held")
    };
    assert_eq!(&*record, lock.record());
    assert_eq!(std::fs::read(scratch.lock()).unwrap(), before);
    lock.release().unwrap();
}

#[test]
fn a_torn_last_record_does_not_block() {
    let scratch = Scratch::new();
    let lock = take(&scratch).unwrap();
    let dead = lock.record().clone();
    let bytes = std::fs::read(scratch.lock()).unwrap();
    lock.release().unwrap();
    // The dead holder, and its successor that died in the middle of writing itself down.
    put(
        &scratch.lock(),
        &[&bytes[..], &bytes[..bytes.len() / 2]].concat(),
    );

    let lock = take(&scratch).unwrap();
    assert_eq!(lock.took_over(), Some(&dead));
    let text = std::fs::read_to_string(scratch.lock()).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        matches!(take(&scratch), Err(LockError::Held { record, .. }) if *record == *lock.record())
    );
    lock.release().unwrap();
}

#[test]
fn whatever_is_not_a_regular_file_is_refused_and_left() {
    let scratch = Scratch::new();
    let path = scratch.lock();
    let target = scratch.join("target");
    put(&target, b"precious");
    let refused = |found: &str| {
        for error in [
            take(&scratch).unwrap_err(),
            inspect(&path).unwrap_err(),
            remove_stale(&path).unwrap_err(),
            remove_by_id(&path, "x").unwrap_err(),
        ] {
            assert!(matches!(error, LockError::NotAFile { .. }), "{error:?}");
            assert!(error.to_string().contains(found), "{error}");
        }
    };
    std::fs::create_dir(&path).unwrap();
    refused("a directory");
    std::fs::remove_dir(&path).unwrap();
    symlink(&target, &path).unwrap();
    refused("a symbolic link");
    std::fs::remove_file(&path).unwrap();
    symlink(scratch.join("nowhere"), &path).unwrap();
    refused("a symbolic link");
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    refused("a special file");
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    assert_eq!(scratch.names(), ["target", LOCK]);
}

#[test]
fn without_a_directory_the_error_names_the_step() {
    let scratch = Scratch::new();
    let error = FileLock::acquire(&scratch.join("no/where"), &HOLDER, Wait::No).unwrap_err();
    assert_eq!(error.io_kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().starts_with("cannot create the lock "),
        "{error}"
    );
}

#[test]
fn a_waiting_contender_gets_the_lock_after_its_release() {
    let scratch = Scratch::new();
    let lock = take(&scratch).unwrap();
    let path = scratch.lock();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            FileLock::acquire(&path, &HOLDER, Wait::UpTo(Duration::from_secs(60))).unwrap()
        });
        std::thread::sleep(Duration::from_millis(30));
        assert!(!waiting.is_finished());
        lock.release().unwrap();
        let lock = waiting.join().unwrap();
        assert_eq!(lock.took_over(), None);
        lock.release().unwrap();
    });
}

#[test]
fn a_contender_that_waited_in_vain_says_for_how_long() {
    let scratch = Scratch::new();
    let lock = take(&scratch).unwrap();
    let wait = Wait::UpTo(Duration::from_millis(40));
    let error = FileLock::acquire(&scratch.lock(), &HOLDER, wait).unwrap_err();
    assert!(error.to_string().contains("after waiting"), "{error}");
    let LockError::Held { waited, .. } = error else {
        panic!("{error:?}")
    };
    assert!(!waited.is_zero());
    lock.release().unwrap();
}

#[test]
fn a_waiting_contender_outlives_an_older_programs_lock() {
    let scratch = Scratch::new();
    put(&scratch.lock(), b"lock");
    let path = scratch.lock();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            FileLock::acquire(&path, &HOLDER, Wait::UpTo(Duration::from_secs(60))).unwrap()
        });
        std::fs::remove_file(&path).unwrap();
        waiting.join().unwrap().release().unwrap();
    });
}

#[test]
#[cfg(target_os = "linux")]
fn those_who_only_look_do_not_make_a_dead_lock_appear_held() {
    let scratch = Scratch::new();
    let lock = take(&scratch).unwrap();
    // A record of a process that is gone.
    let mut dead = lock.record().clone();
    lock.release().unwrap();
    dead.process_start = dead.process_start.map(|start| start + 1);
    let line = format!("{}\n", serde_json::to_string(&dead).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                inspect(&scratch.lock()).unwrap();
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let taken: Vec<_> = (0..300)
            .map(|_| {
                put(&scratch.lock(), line.as_bytes());
                let lock = take(&scratch);
                let from = lock.as_ref().map(|lock| lock.took_over().cloned());
                from.map_err(ToString::to_string)
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        for from in taken {
            assert_eq!(from, Ok(Some(dead.clone())));
        }
    });
}

#[test]
fn phases_are_lines_and_the_same_phase_is_written_once() {
    let scratch = Scratch::new();
    let mut lock = take(&scratch).unwrap();
    for phase in ["pull", "pull", "apply"] {
        lock.set_phase(phase).unwrap();
        assert_eq!(lock.record().phase, phase);
    }
    assert_eq!(
        std::fs::read_to_string(scratch.lock())
            .unwrap()
            .lines()
            .count(),
        3
    );
    lock.release().unwrap();
}

#[test]
fn an_open_lock_file_of_another_program_is_not_waited_for_in_a_spin() {
    // The system's lock is held by someone else, on a file that says nothing of us.
    let scratch = Scratch::new();
    put(&scratch.lock(), b"");
    let mut other = std::fs::File::options()
        .append(true)
        .open(scratch.lock())
        .unwrap();
    other.lock().unwrap();
    other.write_all(b"their own words").unwrap();
    let error = take(&scratch).unwrap_err();
    assert!(
        matches!(
            error,
            LockError::HeldByExistence {
                why: Why::Foreign,
                ..
            }
        ),
        "{error:?}"
    );
}
