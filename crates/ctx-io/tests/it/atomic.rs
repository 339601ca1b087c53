//! Replacing files.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;

use camino::Utf8Path;
use ctx_io::atomic::{AtomicFile, Mode, Step, create_new, write};

use crate::harness::{Scratch, put};

fn mode_of(path: &Utf8Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn content_is_replaced_and_nothing_else_is_left() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    for content in [&b"one"[..], b"", &[7; 300_000]] {
        write(&path, content, Mode::Keep { otherwise: 0o644 }).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content);
        assert_eq!(scratch.names(), ["file"]);
    }
}

#[test]
fn a_mode_is_kept_or_set() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    write(&path, b"1", Mode::Keep { otherwise: 0o666 }).unwrap();
    assert_eq!(mode_of(&path), 0o666, "a new file, whatever the mask");
    write(&path, b"2", Mode::Exactly(0o600)).unwrap();
    assert_eq!(mode_of(&path), 0o600);
    write(&path, b"3", Mode::Keep { otherwise: 0o644 }).unwrap();
    assert_eq!(mode_of(&path), 0o600);
}

#[test]
fn a_reader_who_has_the_old_file_open_keeps_reading_it() {
    use std::io::Read;
    let scratch = Scratch::new();
    let path = scratch.join("file");
    put(&path, b"old");
    let mut reader = std::fs::File::open(&path).unwrap();
    write(&path, b"new", Mode::Keep { otherwise: 0 }).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "old");
}

#[test]
fn a_symbolic_link_or_directory_is_refused_and_left() {
    let scratch = Scratch::new();
    put(&scratch.join("target"), b"precious");
    let link = scratch.join("link");
    symlink(scratch.join("target"), &link).unwrap();
    std::fs::create_dir(scratch.join("dir")).unwrap();
    for (path, what) in [
        (link.clone(), "a symbolic link"),
        (scratch.join("dir"), "a directory"),
    ] {
        let error = write(&path, b"x", Mode::Exactly(0o600)).unwrap_err();
        assert_eq!(error.step, Step::Inspect);
        assert!(error.source.to_string().contains(what), "{}", error.source);
        assert!(!create_new(&path, b"x", 0o600).unwrap());
    }
    assert!(link.is_symlink());
    assert_eq!(std::fs::read(scratch.join("target")).unwrap(), b"precious");
    assert_eq!(scratch.names(), ["dir", "link", "target"]);
}

#[test]
fn without_a_directory_the_error_names_the_step() {
    let scratch = Scratch::new();
    let path = scratch.join("no/file");
    let error = write(&path, b"x", Mode::Exactly(0o600)).unwrap_err();
    assert_eq!(
        (error.step, error.io_kind()),
        (Step::Create, std::io::ErrorKind::NotFound)
    );
    assert_eq!(
        error.to_string(),
        format!("cannot create the temporary file for {path}")
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("directory")));
}

#[test]
fn nothing_is_seen_of_a_stream_before_its_commit_or_without_it() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    put(&path, b"old");
    let mut stream = AtomicFile::create(&path, Mode::Keep { otherwise: 0 }).unwrap();
    for _ in 0..100 {
        stream.write_all(&[b'n'; 5_000]).unwrap();
    }
    stream.flush().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    drop(stream);
    assert_eq!(
        (std::fs::read(&path).unwrap(), scratch.names()),
        (b"old".to_vec(), vec!["file".to_owned()])
    );

    let mut stream = AtomicFile::create(&path, Mode::Keep { otherwise: 0 }).unwrap();
    stream.write_all(b"new").unwrap();
    stream.commit().unwrap();
    assert_eq!(
        (std::fs::read(&path).unwrap(), scratch.names()),
        (b"new".to_vec(), vec!["file".to_owned()])
    );
}

#[test]
fn of_many_who_create_one_wins_and_its_content_stands() {
    let scratch = Scratch::new();
    for round in 0..50 {
        let path = scratch.join(format!("file-{round}"));
        let start = Barrier::new(8);
        let winners: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|me| {
                    let (path, start) = (&path, &start);
                    scope.spawn(move || {
                        start.wait();
                        create_new(path, &[me as u8; 1_000], 0o640)
                            .unwrap()
                            .then_some(me)
                    })
                })
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(std::fs::read(&path).unwrap(), [winners[0] as u8; 1_000]);
        assert_eq!(mode_of(&path), 0o640);
    }
    assert_eq!(scratch.names().len(), 50);
}

#[test]
fn many_writers_of_one_file_leave_one_whole_content() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    std::thread::scope(|scope| {
        for me in 0..8_u8 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..20 {
                    write(path, &[me; 20_000], Mode::Exactly(0o600)).unwrap();
                    let seen = std::fs::read(path).unwrap();
                    assert_eq!(seen.len(), 20_000);
                    assert!(seen.iter().all(|byte| *byte == seen[0]), "a mixture");
                }
            });
        }
    });
    assert_eq!(scratch.names(), ["file"]);
}
