//! What children do.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_io::lock::{inspect, remove_by_id, remove_stale};
use ctx_io::{AppendFile, FileLock, Holder, LockError, LockStatus, Removed, Wait, atomic};

use crate::contention::LOCKS;
use crate::harness::{HOLDER, LOCK, eventually, numbered, say};

#[test]
fn role() {
    let (Ok(role), Ok(dir)) = (
        std::env::var("CTX_IO_TEST_ROLE"),
        std::env::var("CTX_IO_TEST_DIR"),
    ) else {
        return;
    };
    let dir = Utf8PathBuf::from(dir);
    match role.as_str() {
        "contend" => contend(&dir),
        "hold" => hold(&dir),
        "count" => count(&dir),
        "take" => take(&dir),
        "remove" => drop(remove_stale(&dir.join(LOCK)).unwrap()),
        "lock-loop" => lock_loop(&dir),
        "write-loop" => write_loop(&dir),
        "limited" => limited(&dir),
        "write-three" => write_three(&dir),
        "stranger" => stranger(&dir),
        other => panic!("no such role: {other}"),
    }
}

/// Starts when its standard input ends, goes for one lock after the other, says of each how it
/// went, and holds what it won until told.
fn contend(dir: &Utf8Path) {
    say("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let mut won = Vec::new();
    for number in 0..LOCKS {
        match FileLock::acquire(&numbered(dir, number), &HOLDER, Wait::No) {
            Ok(lock) => {
                let from = match lock.took_over() {
                    Some(record) => &record.lock_id,
                    None if lock.took_over_unrecorded() => "unrecorded",
                    None => "nobody",
                };
                say(&format!("won {} {from}", lock.record().lock_id));
                won.push(lock);
            }
            Err(LockError::Held { record, .. }) => say(&format!("held {}", record.lock_id)),
            Err(error) => say(&format!("{:?} {error}", error.io_kind())),
        }
    }
    eventually("the end", || dir.join("finish").exists());
    for lock in won {
        lock.release().unwrap();
    }
}

/// Takes all the locks and keeps them.
fn hold(dir: &Utf8Path) {
    let locks: Vec<FileLock> = (0..LOCKS)
        .map(|number| {
            let path = numbered(dir, number);
            let mut lock = FileLock::acquire(&path, &HOLDER, Wait::No).unwrap();
            lock.set_phase("holding").unwrap();
            lock
        })
        .collect();
    for lock in &locks {
        say(&lock.record().lock_id);
    }
    loop {
        std::thread::park();
    }
}

/// Takes one lock, and says how it went.
fn take(dir: &Utf8Path) {
    match FileLock::acquire(&dir.join(LOCK), &HOLDER, Wait::No) {
        Ok(lock) => {
            let mode = std::fs::metadata(lock.path()).unwrap().permissions().mode();
            say(&format!("won {:o}", mode & 0o7777));
            lock.release().unwrap();
        }
        Err(error) => say(&error.to_string().replace(dir.as_str(), "DIR")),
    }
}

/// Adds one to a counter a few times, in the way that loses updates unless the lock excludes.
fn count(dir: &Utf8Path) {
    say("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let counter = dir.join("counter");
    for _ in 0..crate::contention::ROUNDS_OF_EACH {
        let lock = crate::contention::insist(&dir.join(LOCK));
        let before: u32 = std::fs::read_to_string(&counter).unwrap().parse().unwrap();
        std::thread::yield_now();
        crate::harness::put(&counter, (before + 1).to_string().as_bytes());
        lock.release().unwrap();
    }
}

/// Takes and releases, to be killed anywhere.
fn lock_loop(dir: &Utf8Path) {
    for round in 0_u64.. {
        let mut lock = FileLock::acquire(&dir.join(LOCK), &HOLDER, Wait::No).unwrap();
        lock.set_phase("working").unwrap();
        lock.release().unwrap();
        if round == 0 {
            say("running");
        }
    }
}

/// Replaces one file for ever, to be killed anywhere. Each content is one letter repeated.
fn write_loop(dir: &Utf8Path) {
    let mode = atomic::Mode::Exactly(0o640);
    for (round, letter) in (b'a'..=b'z').cycle().enumerate() {
        let content = vec![letter; 1 + (round * 7_919) % 200_000];
        atomic::write(&dir.join("file"), &content, mode).unwrap();
        if round == 0 {
            say("running");
        }
    }
}

/// Writes three files and says of each how it went.
fn write_three(dir: &Utf8Path) {
    for name in ["a", "b", "c"] {
        let mode = atomic::Mode::Exactly(0o600);
        let answer = match atomic::write(&dir.join(name), name.as_bytes(), mode) {
            Ok(()) => "written".to_owned(),
            Err(error) => format!("{error}: {}", error.source).replace(dir.as_str(), "DIR"),
        };
        say(&format!("{name}: {answer}"));
    }
}

/// Meets a lock that it may not open, and goes the way that the errors show.
fn stranger(dir: &Utf8Path) {
    let path = dir.join(LOCK);
    for error in [
        FileLock::acquire(&path, &HOLDER, Wait::No).expect_err("a lock"),
        remove_stale(&path).expect_err("a removal"),
        remove_by_id(&path, "another").expect_err("a removal"),
    ] {
        say(&format!("{:?} {:?}", error.io_kind(), error.hint()));
    }
    let LockStatus::Unverified { id, why, .. } = inspect(&path).unwrap() else {
        panic!("it could be read");
    };
    say(&format!("{why:?} {id}"));
    let removed = remove_by_id(&path, &id).unwrap();
    assert!(matches!(removed, Removed::Lock { id: gone, .. } if gone == id));
}

/// Does everything that writes, under a limit that lets none of it succeed.
fn limited(dir: &Utf8Path) {
    let answer = |what: &str, kind: Option<ErrorKind>, text: String| {
        say(&format!(
            "{what}: {kind:?} {}",
            text.replace(dir.as_str(), "DIR")
        ));
    };
    // A shell's block has 512 or 1024 bytes: one short record fits into it, not a long one too.
    let long = "long ".repeat(50);
    let holder = Holder {
        command: &long,
        version: &long,
    };
    let lock = FileLock::acquire(&dir.join(LOCK), &holder, Wait::No).expect_err("a lock");
    answer("lock", Some(lock.io_kind()), lock.to_string());
    let big = vec![b'x'; 4_096];
    let written = atomic::write(&dir.join("file"), &big, atomic::Mode::Exactly(0o600));
    let written = written.expect_err("a write");
    answer("write", Some(written.io_kind()), written.to_string());
    let created = atomic::create_new(&dir.join("new"), &big, 0o600).expect_err("a file");
    answer("create", Some(created.io_kind()), created.to_string());

    // A caller who does not look at the first failure does not commit half a file either.
    let mut stream = atomic::AtomicFile::create(&dir.join("file"), atomic::Mode::Exactly(0o600))
        .expect("an empty file is within the limit");
    let failed = (0..64).filter(|_| stream.write_all(&big).is_err()).count();
    assert!(failed > 0);
    let stream = stream.commit().expect_err("half a file");
    answer("stream", Some(stream.io_kind()), stream.to_string());

    let mut file = AppendFile::open(&dir.join("log"), 0o600).unwrap();
    let appended = file.append(&big).expect_err("an append");
    answer("append", Some(appended.io_kind()), appended.to_string());
}
