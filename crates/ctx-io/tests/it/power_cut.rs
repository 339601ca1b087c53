//! What a power cut leaves of a lock whose record had not reached the disk: the name and the mark,
//! and nothing, zeros, or half a line.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::Utf8Path;
use ctx_io::lock::{inspect, remove_by_id, remove_stale};
use ctx_io::{FileLock, LockError, LockStatus, Removed, Wait, Why};

use crate::contention::{LOCKS, race, race_of_processes};
use crate::harness::{HOLDER, LOCK, Role, Scratch, command, numbered, put};

/// The mode of a lock file that is known as ours without its record.
const MARKED: u32 = 0o1600;

fn mode(path: &Utf8Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn put_marked(path: &Utf8Path, bytes: &[u8]) {
    put(path, bytes);
    std::fs::set_permissions(path, Permissions::from_mode(MARKED)).unwrap();
}

/// What may be left of a record; and of one that was taken over by another.
fn remains() -> Vec<Vec<u8>> {
    let scratch = Scratch::new();
    let lock = FileLock::acquire(&scratch.lock(), &HOLDER, Wait::No).unwrap();
    let line = std::fs::read(scratch.lock()).unwrap();
    lock.release().unwrap();
    let (half, zeros) = (&line[..line.len() / 2], vec![0; line.len()]);
    vec![
        Vec::new(),
        zeros.clone(),
        half.to_vec(),
        line[..1].to_vec(),
        line[..line.len() - 1].to_vec(),
        [half, &zeros].concat(),
        [&zeros[..], b"\n", half].concat(),
        vec![0; 100_000],
    ]
}

fn take(path: &Utf8Path) -> Result<FileLock, LockError> {
    FileLock::acquire(path, &HOLDER, Wait::No)
}

fn is_unrecorded(path: &Utf8Path) -> bool {
    matches!(inspect(path).unwrap(), LockStatus::Unrecorded { .. })
}

#[test]
fn a_lock_whose_record_is_lost_is_taken_over_in_place_and_that_is_said() {
    for bytes in remains() {
        let scratch = Scratch::new();
        let path = scratch.lock();
        put_marked(&path, &bytes);
        let inode = std::fs::metadata(&path).unwrap().ino();
        assert!(is_unrecorded(&path), "{bytes:?}");
        let lock = take(&path).unwrap();
        assert!(lock.took_over_unrecorded() && lock.took_over().is_none());
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
        let error = take(&path).unwrap_err();
        assert!(
            matches!(&error, LockError::Held { record, .. } if **record == *lock.record()),
            "{error:?} after {bytes:?}"
        );
        lock.release().unwrap();
        assert_eq!(scratch.names(), [""; 0]);
        let lock = take(&path).unwrap();
        assert!(!lock.took_over_unrecorded());
        lock.release().unwrap();
    }
}

#[test]
fn the_same_without_the_mark_is_respected_to_the_byte() {
    for bytes in remains() {
        let scratch = Scratch::new();
        put(&scratch.lock(), &bytes);
        let error = take(&scratch.lock()).unwrap_err();
        assert!(
            matches!(error, LockError::HeldByExistence { .. }),
            "{error:?}"
        );
        assert!(remove_stale(&scratch.lock()).is_err());
        assert_eq!(std::fs::read(scratch.lock()).unwrap(), bytes);
        assert_eq!(scratch.names(), [LOCK]);
    }
}

/// An older program that found nothing, and opened our file when it wrote.
#[test]
fn what_others_wrote_into_a_file_of_ours_is_respected_to_the_byte() {
    for bytes in [&b"lock"[..], b"lock\n", b"4711\n", b"their own words"] {
        let scratch = Scratch::new();
        put_marked(&scratch.lock(), bytes);
        let error = take(&scratch.lock()).unwrap_err();
        assert!(
            matches!(error, LockError::HeldByExistence { why, .. } if why != Why::Unrecorded),
            "{error:?}"
        );
        assert_eq!(std::fs::read(scratch.lock()).unwrap(), bytes);
    }
}

#[test]
fn a_lost_record_does_not_make_a_living_holder_dead() {
    let scratch = Scratch::new();
    let path = scratch.lock();
    let lock = take(&path).unwrap();
    assert_eq!(mode(&path), MARKED);
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    let error = take(&path).unwrap_err();
    let LockError::HeldByExistence {
        why: Why::Unrecorded,
        id,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(remove_stale(&path).is_err());
    assert!(remove_by_id(&path, &id).is_err());
    let status = inspect(&path).unwrap();
    assert!(matches!(
        status,
        LockStatus::Unverified {
            why: Why::Unrecorded,
            ..
        }
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    lock.release().unwrap();
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn a_lock_whose_record_is_lost_can_be_removed() {
    let scratch = Scratch::new();
    let path = scratch.lock();
    put_marked(&path, b"");
    let removed = remove_stale(&path).unwrap();
    assert!(matches!(removed, Removed::Lock { record: None, .. }));
    put_marked(&path, &[0; 348]);
    let LockStatus::Unrecorded { id, .. } = inspect(&path).unwrap() else {
        panic!("a lost record")
    };
    let removed = remove_by_id(&path, &id).unwrap();
    assert!(matches!(removed, Removed::Lock { record: None, .. }));
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn an_announcement_whose_record_is_lost_holds_nobody_up() {
    let scratch = Scratch::new();
    let announcement = scratch.join(format!(".{LOCK}.0123456789abcdef.removing"));
    put_marked(&announcement, b"");
    take(&scratch.lock()).unwrap().release().unwrap();
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn of_16_threads_one_takes_over_what_a_power_cut_left() {
    let scratch = Scratch::new();
    let remains = remains();
    for round in 0..100 {
        put_marked(&scratch.lock(), &remains[round % remains.len()]);
        let (winners, losers) = race(&scratch.lock());
        assert_eq!(winners.len(), 1, "winners in round {round}");
        for error in losers {
            let LockError::Held { record, .. } = &error else {
                panic!("{error:?} in round {round}")
            };
            assert_eq!(record.lock_id, winners[0].0.lock_id);
        }
        assert_eq!(scratch.names(), [""; 0], "round {round}");
    }
}

#[test]
fn of_16_processes_one_takes_over_what_a_power_cut_left() {
    let remains = remains();
    for _ in 0..5 {
        let scratch = Scratch::new();
        let holder = Role::spawn(command("hold", &scratch));
        (0..LOCKS).for_each(|_| drop(holder.hear()));
        holder.kill();
        for number in 0..LOCKS {
            let path = numbered(&scratch, number);
            assert_eq!(mode(&path), MARKED);
            put(&path, &remains[number % remains.len()]);
            assert!(is_unrecorded(&path));
        }
        let winners = race_of_processes(&scratch);
        assert!(winners.iter().all(|(_, from)| from == "unrecorded"));
    }
}
