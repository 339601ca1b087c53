//! When writing fails half way, for want of room: the step is named, nothing stays behind.

use ctx_io::{FileLock, Wait};

use crate::harness::{HOLDER, LOCK, Role, Scratch, limited_command, put};

const REFUSED: [&str; 5] = [
    "lock: Some(FileTooLarge) cannot write the owner of the lock DIR/the.lock",
    "write: Some(FileTooLarge) cannot write DIR/file",
    "create: Some(FileTooLarge) cannot write DIR/new",
    "stream: Some(FileTooLarge) cannot write DIR/file",
    "append: Some(FileTooLarge) cannot append to DIR/log",
];

#[test]
fn a_failed_write_leaves_the_old_content_and_no_litter() {
    let scratch = Scratch::new();
    put(&scratch.join("file"), b"old");
    let said = Role::spawn(limited_command(0, "limited", &scratch)).finish();
    assert_eq!(said, REFUSED);
    assert_eq!(scratch.names(), ["file", "log"]);
    assert_eq!(std::fs::read(scratch.join("file")).unwrap(), b"old");
    assert_eq!(std::fs::read(scratch.join("log")).unwrap(), b"");
    FileLock::acquire(&scratch.lock(), &HOLDER, Wait::No)
        .unwrap()
        .release()
        .unwrap();
}

/// The limit is one block: part of each write fits, and is cut off again.
#[test]
fn a_write_that_fails_half_way_is_cut_back() {
    let scratch = Scratch::new();
    put(&scratch.join("log"), &[b'1'; 400]);
    // A dead holder's lock, in a file that has room for half of another record.
    let lock = FileLock::acquire(&scratch.lock(), &HOLDER, Wait::No).unwrap();
    let before = std::fs::read(scratch.lock()).unwrap();
    lock.release().unwrap();
    put(&scratch.lock(), &before);

    let said = Role::spawn(limited_command(1, "limited", &scratch)).finish();
    assert_eq!(said, REFUSED);
    assert_eq!(std::fs::read(scratch.join("log")).unwrap(), [b'1'; 400]);
    assert_eq!(
        std::fs::read(scratch.lock()).unwrap(),
        before,
        "the dead record stands"
    );
    assert_eq!(scratch.names(), ["log", LOCK]);
    let lock = FileLock::acquire(&scratch.lock(), &HOLDER, Wait::No).unwrap();
    assert!(lock.took_over().is_some());
    lock.release().unwrap();
}
