//! Appending.

use std::os::unix::fs::{PermissionsExt, symlink};

use ctx_io::append::Step;
use ctx_io::{AppendError, AppendFile};

use crate::harness::{Scratch, put};

#[test]
fn a_new_file_gets_its_mode_and_an_existing_one_keeps_it() {
    let scratch = Scratch::new();
    let path = scratch.join("log");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    AppendFile::open(&path, 0o666).unwrap().sync().unwrap();
    assert_eq!(mode(), 0o666, "whatever the mask");
    assert!(AppendFile::open(&path, 0o600).unwrap().is_empty().unwrap());
    assert_eq!(mode(), 0o666);
}

#[test]
fn what_is_appended_comes_last_and_a_cut_removes_the_end() {
    let scratch = Scratch::new();
    let path = scratch.join("log");
    put(&path, b"one\n");
    let mut file = AppendFile::open(&path, 0o600).unwrap();
    file.append(b"two\n").unwrap();
    assert_eq!(file.len().unwrap(), 8);
    file.truncate_to(4).unwrap();
    file.append(b"three\n").unwrap();
    file.sync().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"one\nthree\n");
}

#[test]
fn a_file_is_never_cut_to_more_than_it_has() {
    let scratch = Scratch::new();
    let path = scratch.join("log");
    put(&path, b"12345");
    let mut file = AppendFile::open(&path, 0o600).unwrap();
    let error = file.truncate_to(6).unwrap_err();
    assert!(
        matches!(
            error,
            AppendError::TooShort {
                actual: 5,
                wanted: 6,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"12345");
}

/// Whoever created the file may have been killed before its name was durable.
#[test]
fn a_sync_flushes_the_directory_of_a_file_that_was_there_too() {
    let scratch = Scratch::new();
    let dir = scratch.join("dir");
    std::fs::create_dir(&dir).unwrap();
    put(&dir.join("log"), b"");
    let mut file = AppendFile::open(&dir.join("log"), 0o600).unwrap();
    // Only who looks for the directory notices.
    std::fs::remove_dir_all(&dir).unwrap();
    let error = file.sync().unwrap_err();
    assert!(
        matches!(
            error,
            AppendError::Io {
                step: Step::SyncDir,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_link_or_directory_is_refused_and_a_missing_directory_named() {
    let scratch = Scratch::new();
    put(&scratch.join("target"), b"precious");
    let link = scratch.join("link");
    symlink(scratch.join("target"), &link).unwrap();
    for path in [&*link, &*scratch] {
        let error = AppendFile::open(path, 0o600).unwrap_err();
        assert!(matches!(error, AppendError::NotAFile { .. }), "{error:?}");
    }
    symlink(scratch.join("nowhere"), scratch.join("dangling")).unwrap();
    let error = AppendFile::open(&scratch.join("dangling"), 0o600).unwrap_err();
    assert!(matches!(error, AppendError::NotAFile { .. }), "{error:?}");
    let error = AppendFile::open(&scratch.join("no/log"), 0o600).unwrap_err();
    assert!(
        matches!(
            error,
            AppendError::Io {
                step: Step::Open,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(std::fs::read(scratch.join("target")).unwrap(), b"precious");
}

#[test]
fn a_file_that_was_moved_away_removed_or_replaced_is_told_from_one_in_its_place() {
    let scratch = Scratch::new();
    let (path, aside) = (scratch.join("log"), scratch.join("aside"));
    let mut file = AppendFile::open(&path, 0o600).unwrap();
    file.append(b"one\n").unwrap();
    assert_eq!(file.len_in_place().unwrap(), Some(4));
    assert!(ctx_io::move_new(&path, &aside).unwrap());
    assert_eq!(file.len_in_place().unwrap(), None);
    put(&path, b"another\n");
    assert_eq!(file.len_in_place().unwrap(), None);
    assert!(
        !ctx_io::move_new(&aside, &path).unwrap(),
        "never overwritten"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"another\n");
}

#[test]
fn room_that_is_kept_does_not_make_the_file_longer() {
    let scratch = Scratch::new();
    let path = scratch.join("log");
    let mut file = AppendFile::open(&path, 0o600).unwrap();
    file.append(b"one\n").unwrap();
    let blocks = || std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap());
    let before = blocks();
    let kept = file.keep_room(1 << 20);
    assert_eq!(file.len().unwrap(), 4);
    assert!(!kept || blocks() > before);
    file.append(b"two\n").unwrap();
    file.give_back().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    assert!(blocks() <= before + 8, "{} and {before}", blocks());
}
