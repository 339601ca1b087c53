//! Many at once: exactly one wins, the others are told who did, and nobody gets in beside.

use std::io::ErrorKind;
use std::process::Stdio;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use camino::Utf8Path;
use ctx_io::{FileLock, LockError, LockRecord, Wait};

use crate::harness::{HOLDER, Role, Scratch, command, put};

const CONTENDERS: usize = 16;
/// So many locks does one process try to take.
pub(crate) const LOCKS: usize = 20;
pub(crate) const ROUNDS_OF_EACH: u32 = 40;

/// Takes the lock, however often it is refused: no pauses, so that releases and tries meet.
pub(crate) fn insist(path: &Utf8Path) -> FileLock {
    loop {
        match FileLock::acquire(path, &HOLDER, Wait::No) {
            Ok(lock) => return lock,
            Err(error) => assert_eq!(error.io_kind(), ErrorKind::AlreadyExists, "{error:?}"),
        }
        std::thread::yield_now();
    }
}

/// One answer of 16 threads that start together; winners hold until all have answered.
pub(crate) fn race(path: &Utf8Path) -> (Vec<(LockRecord, Option<LockRecord>)>, Vec<LockError>) {
    let (start, answered) = (Barrier::new(CONTENDERS), Barrier::new(CONTENDERS));
    let mut winners = Vec::new();
    let mut losers = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONTENDERS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let answer = FileLock::acquire(path, &HOLDER, Wait::No);
                    answered.wait();
                    answer.map(|lock| {
                        let records = (lock.record().clone(), lock.took_over().cloned());
                        // With more than one winner, the first release loses the others' lock:
                        // the count below tells that better.
                        drop(lock.release());
                        records
                    })
                })
            })
            .collect();
        for thread in threads {
            match thread.join().unwrap() {
                Ok(records) => winners.push(records),
                Err(error) => losers.push(error),
            }
        }
    });
    (winners, losers)
}

/// A lock file whose holder is gone: the record is complete, the system's lock is free.
fn left_by_the_dead(path: &Utf8Path) -> LockRecord {
    let lock = FileLock::acquire(path, &HOLDER, Wait::No).unwrap();
    let (record, bytes) = (lock.record().clone(), std::fs::read(path).unwrap());
    lock.release().unwrap();
    put(path, &bytes);
    record
}

#[test]
fn of_16_threads_one_wins_and_15_are_told_who_did() {
    let scratch = Scratch::new();
    for round in 0..100 {
        let (winners, losers) = race(&scratch.lock());
        assert_eq!(winners.len(), 1, "winners in round {round}");
        for error in losers {
            assert_eq!(error.io_kind(), ErrorKind::AlreadyExists);
            let LockError::Held { record, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(record.lock_id, winners[0].0.lock_id);
        }
        assert_eq!(scratch.names(), [""; 0], "round {round}");
    }
}

#[test]
fn of_16_threads_one_takes_over_from_the_dead() {
    let scratch = Scratch::new();
    for round in 0..100 {
        let dead = left_by_the_dead(&scratch.lock());
        let (winners, losers) = race(&scratch.lock());
        assert_eq!(winners.len(), 1, "winners in round {round}");
        assert_eq!(winners[0].1.as_ref(), Some(&dead));
        assert!(
            losers
                .iter()
                .all(|error| error.io_kind() == ErrorKind::AlreadyExists)
        );
        assert_eq!(scratch.names(), [""; 0], "round {round}");
    }
}

#[test]
fn threads_that_take_and_release_in_turn_never_meet_inside() {
    let scratch = Scratch::new();
    let path = scratch.lock();
    let inside = AtomicUsize::new(0);
    let (entered, met) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..150 {
                    let lock = insist(&path);
                    if inside.fetch_add(1, Ordering::SeqCst) != 0 {
                        met.fetch_add(1, Ordering::SeqCst);
                    }
                    entered.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    if lock.release().is_err() {
                        met.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(met.into_inner(), 0, "times that two were inside");
    assert_eq!(entered.into_inner(), 8 * 150);
    assert_eq!(scratch.names(), [""; 0]);
}

/// 16 processes in `role` that start together: all wait for the end of one pipe.
fn processes(role: &str, dir: &Utf8Path) -> Vec<Role> {
    let (reader, writer) = std::io::pipe().unwrap();
    let roles: Vec<Role> = (0..CONTENDERS)
        .map(|_| {
            let mut command = command(role, dir);
            command.stdin(Stdio::from(reader.try_clone().unwrap()));
            Role::spawn(command)
        })
        .collect();
    for role in &roles {
        assert_eq!(role.hear(), "ready");
    }
    drop(writer);
    roles
}

/// What 16 processes said that went for [`LOCKS`] locks one after the other, all at once and
/// holding what they won: for each lock, who won it and from whom.
pub(crate) fn race_of_processes(scratch: &Scratch) -> Vec<(String, String)> {
    let roles = processes("contend", scratch);
    let mut winners = vec![Vec::new(); LOCKS];
    let mut held_by = vec![Vec::new(); LOCKS];
    for role in &roles {
        for lock in 0..LOCKS {
            let answer = role.hear();
            match answer.split(' ').collect::<Vec<_>>()[..] {
                ["won", id, from] => winners[lock].push((id.to_owned(), from.to_owned())),
                ["held", id] => held_by[lock].push(id.to_owned()),
                _ => panic!("{answer}"),
            }
        }
    }
    put(&scratch.join("finish"), b"");
    let counts: Vec<usize> = winners.iter().map(Vec::len).collect();
    assert_eq!(counts, [1; LOCKS], "winners of each lock");
    for (ids, winner) in held_by.iter().zip(&winners) {
        assert_eq!(ids.len(), CONTENDERS - 1);
        assert!(ids.iter().all(|id| *id == winner[0].0));
    }
    for role in roles {
        assert_eq!(role.finish(), [""; 0]);
    }
    assert_eq!(scratch.names(), ["finish"]);
    winners.concat()
}

#[test]
fn of_16_processes_one_wins_and_15_are_told_who_did() {
    for _ in 0..5 {
        let winners = race_of_processes(&Scratch::new());
        assert!(winners.iter().all(|(_, from)| from == "nobody"));
    }
}

#[test]
fn of_16_processes_one_takes_over_from_one_that_was_killed() {
    for _ in 0..5 {
        let scratch = Scratch::new();
        let holder = Role::spawn(command("hold", &scratch));
        let dead: Vec<String> = (0..LOCKS).map(|_| holder.hear()).collect();
        holder.kill();
        assert_eq!(scratch.names().len(), LOCKS);
        let from: Vec<String> = race_of_processes(&scratch)
            .into_iter()
            .map(|(_, from)| from)
            .collect();
        assert_eq!(from, dead);
    }
}

#[test]
fn no_update_is_lost_between_16_processes() {
    let scratch = Scratch::new();
    put(&scratch.join("counter"), b"0");
    for role in processes("count", &scratch) {
        assert_eq!(role.finish(), [""; 0]);
    }
    let counted: u32 = std::fs::read_to_string(scratch.join("counter"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(counted, ROUNDS_OF_EACH * CONTENDERS as u32);
    assert_eq!(scratch.names(), ["counter"]);
}
