//! The lock where the file system has no locks of its own, and the judgement as a table.

use super::examine::{Verdict, judge};
use super::record::Content;
use super::*;
use crate::os_lock::OsLock;
use crate::os_lock::test_seam::without_os_locks;
use crate::process::Liveness;

const HOLDER: Holder<'static> = Holder {
    command: "test",
    version: "0",
};

fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().join("the.lock")).unwrap();
    (dir, path)
}

fn record(os_lock: bool) -> Box<LockRecord> {
    Box::new(LockRecord::new(&HOLDER, os_lock).unwrap())
}

/// The lock file of a process that held it by existence alone and is gone.
fn left_by_a_dead_process(path: &Utf8Path) -> LockRecord {
    let mut record = *record(false);
    record.process_start = record.process_start.map(|start| start + 1);
    assert!(crate::atomic::create_new(path, &record.to_line().unwrap(), 0o600).unwrap());
    record
}

#[test]
fn every_sight_has_its_verdict() {
    use Liveness::{Alive, Dead, Unknown};
    use OsLock::{Granted, Refused, Unsupported};
    let ours = |os_lock| Content::Ours(record(os_lock));
    let newer = || Content::Newer(record(true));
    let legacy = || Content::NotOurs(Why::Empty);
    let lost = || Content::NotOurs(Why::Unrecorded);
    let not_asked = |_: &LockRecord| -> Liveness { panic!("the system's lock is the proof") };
    for (os_lock, content, verdict) in [
        (Refused, ours(true), Verdict::Held),
        (Refused, ours(false), Verdict::Held),
        (Refused, newer(), Verdict::Held),
        (Refused, legacy(), Verdict::Unverified(Why::Empty)),
        (Granted, ours(true), Verdict::Stale),
        (Granted, newer(), Verdict::Unverified(Why::NewerFormat)),
        (Granted, legacy(), Verdict::Unverified(Why::Empty)),
        (Refused, lost(), Verdict::Unverified(Why::Unrecorded)),
        (Granted, lost(), Verdict::Stale),
        (Unsupported, lost(), Verdict::Unverified(Why::Unrecorded)),
        (Unsupported, newer(), Verdict::Unverified(Why::NewerFormat)),
        (Unsupported, legacy(), Verdict::Unverified(Why::Empty)),
    ] {
        assert_eq!(
            judge(os_lock, &content, not_asked),
            verdict,
            "{os_lock:?} {content:?}"
        );
    }
    for (os_lock, content) in [
        (Granted, ours(false)),
        (Unsupported, ours(false)),
        (Unsupported, ours(true)),
    ] {
        for (liveness, verdict) in [
            (Alive, Verdict::Held),
            (Dead, Verdict::Stale),
            (Unknown, Verdict::Unverified(Why::NoOsLocks)),
        ] {
            assert_eq!(
                judge(os_lock, &content, |_| liveness),
                verdict,
                "{os_lock:?} {liveness:?}"
            );
        }
    }
}

#[test]
fn without_os_locks_existence_is_the_lock() {
    let (_guard, path) = scratch();
    without_os_locks(|| {
        let lock = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap();
        assert!(!lock.record().os_lock);
        let refused = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap_err();
        assert_eq!(refused.io_kind(), std::io::ErrorKind::AlreadyExists);
        lock.release().unwrap();
        FileLock::acquire(&path, &HOLDER, Wait::No)
            .unwrap()
            .release()
            .unwrap();
    });
    assert!(!path.exists());
}

#[test]
#[cfg(target_os = "linux")]
fn without_os_locks_a_dead_holder_is_shown_and_removed_when_told_to_but_never_taken_over() {
    let (_guard, path) = scratch();
    let dead = left_by_a_dead_process(&path);
    let before = std::fs::read(&path).unwrap();
    // Nor where there are such locks: two could both believe what a process id tells them.
    let refusals = [
        without_os_locks(|| FileLock::acquire(&path, &HOLDER, Wait::No)).unwrap_err(),
        FileLock::acquire(&path, &HOLDER, Wait::No).unwrap_err(),
    ];
    for refused in refusals {
        assert!(
            matches!(&refused, LockError::HeldByExistence { id, why: Why::NoOsLocks, .. }
                if *id == dead.lock_id),
            "{refused:?}"
        );
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    without_os_locks(|| {
        assert!(
            matches!(inspect(&path).unwrap(), LockStatus::Stale { record, .. } if *record == dead)
        );
        assert!(
            matches!(remove_stale(&path).unwrap(), Removed::Lock { id, .. } if id == dead.lock_id)
        );
    });
    assert!(!path.exists());
}

#[test]
fn without_os_locks_a_holder_elsewhere_is_removed_by_its_id_only() {
    let (_guard, path) = scratch();
    let mut elsewhere = *record(false);
    elsewhere.boot_id = Some("another machine".to_owned());
    assert!(crate::atomic::create_new(&path, &elsewhere.to_line().unwrap(), 0o600).unwrap());
    without_os_locks(|| {
        assert!(matches!(
            inspect(&path).unwrap(),
            LockStatus::Unverified {
                why: Why::NoOsLocks,
                record: Some(_),
                ..
            }
        ));
        assert!(matches!(
            remove_stale(&path),
            Err(LockError::HeldByExistence { .. })
        ));
        assert!(matches!(
            remove_by_id(&path, "another"),
            Err(LockError::OtherId { .. })
        ));
        assert!(path.exists());
        assert!(matches!(
            remove_by_id(&path, &elsewhere.lock_id),
            Ok(Removed::Lock { .. })
        ));
    });
    assert!(!path.exists());
}

#[test]
fn a_record_in_a_newer_format_is_not_taken_over() {
    let (_guard, path) = scratch();
    let newer = LockRecord {
        format: FORMAT + 1,
        ..*record(true)
    };
    let line = newer.to_line().unwrap();
    assert!(crate::atomic::create_new(&path, &line, 0o600).unwrap());
    let refused = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap_err();
    assert!(matches!(
        refused,
        LockError::HeldByExistence {
            why: Why::NewerFormat,
            ..
        }
    ));
    assert_eq!(std::fs::read(&path).unwrap(), line);
}

#[test]
fn phases_stop_being_written_before_the_file_grows_without_bound() {
    let (_guard, path) = scratch();
    let mut lock = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap();
    for round in 0..5_000 {
        lock.set_phase(&format!("phase {round} {}", "x".repeat(200)))
            .unwrap();
    }
    let length = std::fs::metadata(&path).unwrap().len();
    assert!(length < record::MAX_FILE_BYTES + 4_096, "{length}");
    assert!(matches!(inspect(&path).unwrap(), LockStatus::Held { .. }));
    lock.release().unwrap();
}

#[test]
fn a_holder_whose_clock_differs_is_judged_as_any_other_and_no_age_is_invented() {
    let (_guard, path) = scratch();
    let lock = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap();
    let hour = jiff::SignedDuration::from_hours(1);
    let now = jiff::Timestamp::now();
    let year = hour * (24 * 365);
    for (since, told) in [
        (now, "for less than a second"),
        (now + hour, "since a time that cannot be (clocks differ)"),
        (
            now + year * 40,
            "since a time that cannot be (clocks differ)",
        ),
        // Longer ago than this boot of the machine.
        (
            now - year * 40,
            "since a time that cannot be (clocks differ)",
        ),
    ] {
        let record = LockRecord {
            since,
            ..lock.record().clone()
        };
        let line = record.to_line().unwrap();
        record::append_line(&lock.file, lock.length, &line).unwrap();
        let error = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap_err();
        assert!(matches!(error, LockError::Held { .. }), "{error}");
        assert!(error.to_string().ends_with(told), "{error}");
        assert!(matches!(inspect(&path).unwrap(), LockStatus::Held { .. }));
        assert!(remove_stale(&path).is_err());
    }
    lock.release().unwrap();

    // On another boot nothing is known of how long that has been.
    let elsewhere = LockRecord {
        boot_id: Some("other".to_owned()),
        since: now - year * 40,
        ..*record(true)
    };
    assert!(elsewhere.age().is_some());

    // A dead one's is taken over, whatever it says.
    for since in [now + year, now - year] {
        let dead = LockRecord {
            since,
            ..*record(true)
        };
        assert!(crate::atomic::create_new(&path, &dead.to_line().unwrap(), 0o600).unwrap());
        let lock = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap();
        assert_eq!(lock.took_over().unwrap().lock_id, dead.lock_id);
        lock.release().unwrap();
    }
}

#[test]
fn a_file_of_an_older_program_from_the_future_has_no_age() {
    let (_guard, path) = scratch();
    assert!(crate::atomic::create_new(&path, b"lock", 0o600).unwrap());
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3_600);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(later).unwrap();
    let error = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("exists, since a time that cannot be (clocks differ), and it holds"),
        "{text}"
    );
}
