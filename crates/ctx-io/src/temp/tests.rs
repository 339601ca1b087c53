//! Temporary files: names, guards, publishing, sweeping.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::os_lock::test_seam::without_os_locks;

fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    (dir, path)
}

fn names(dir: &Utf8Path) -> Vec<String> {
    let mut names: Vec<_> = dir
        .read_dir_utf8()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_owned())
        .collect();
    names.sort();
    names
}

/// What a killed process leaves: the file, and nobody who has it open.
fn litter(target: &Utf8Path) -> Utf8PathBuf {
    let mut temp = TempFile::create(target).unwrap();
    temp.name.keep = true;
    temp.name.path.clone()
}

#[test]
fn a_dropped_temporary_file_leaves_nothing() {
    let (_guard, dir) = scratch();
    let mut temp = TempFile::create(&dir.join("target")).unwrap();
    temp.write_all(b"content").unwrap();
    assert_eq!(names(&dir).len(), 1);
    drop(temp);
    assert_eq!(names(&dir), [""; 0]);
}

#[test]
fn names_are_recognised_for_their_target_alone() {
    let hex = "0123456789abcdef";
    for (target, candidate, ours) in [
        ("state.json", format!(".state.json.{hex}.tmp"), true),
        (".state.json", format!(".state.json.{hex}.tmp"), true),
        ("state.json", format!("state.json.{hex}.tmp"), false),
        ("state", format!(".state.json.{hex}.tmp"), false),
        ("state", format!(".state.{hex}.{hex}.tmp"), false),
        ("state.json", ".state.json.tmp".to_owned(), false),
        (
            "state.json",
            ".state.json.0123456789abcdeg.tmp".to_owned(),
            false,
        ),
        ("state.json", format!(".state.json.{hex}"), false),
    ] {
        assert_eq!(
            is_temp_name(&candidate, &prefix_of(target)),
            ours,
            "{target} {candidate}"
        );
    }
}

#[test]
fn publishing_has_one_winner_and_the_loser_leaves_nothing() {
    let (_guard, dir) = scratch();
    let target = dir.join("target");
    let (mut first, mut second) = (
        TempFile::create(&target).unwrap(),
        TempFile::create(&target).unwrap(),
    );
    first.write_all(b"first").unwrap();
    second.write_all(b"second").unwrap();
    assert!(first.publish_new(&target).unwrap().is_some());
    assert!(second.publish_new(&target).unwrap().is_none());
    assert_eq!(names(&dir), ["target"]);
    assert_eq!(std::fs::read(&target).unwrap(), b"first");
}

#[test]
fn linking_does_the_same_where_the_rename_is_not_supported() {
    let (_guard, dir) = scratch();
    let target = dir.join("target");
    let (first, second) = (
        TempFile::create(&target).unwrap(),
        TempFile::create(&target).unwrap(),
    );
    assert!(link_new(&first.name.path, &target).unwrap());
    assert!(!link_new(&second.name.path, &target).unwrap());
    let published = FileId::of_path(&target).unwrap();
    assert_eq!(published, Some(FileId::of_file(first.file()).unwrap()));
    drop((first, second));
    assert_eq!(names(&dir), ["target"]);
    assert_eq!(FileId::of_path(&target).unwrap(), published);
}

#[test]
fn a_sweep_removes_what_the_dead_left_and_nothing_else() {
    let (_guard, dir) = scratch();
    let target = dir.join("target");
    let live = TempFile::create(&target).unwrap();
    let (dead, other) = (litter(&target), litter(&dir.join("other")));
    let not_ours = dir.join(".target.tmp");
    assert!(crate::atomic::create_new(&not_ours, b"", 0o600).unwrap());
    let link = dir.join(".target.00000000000000ff.tmp");
    std::os::unix::fs::symlink("anywhere", &link).unwrap();

    assert_eq!(sweep(&dir, "target").unwrap(), 1);
    assert!(!dead.exists());
    assert!(live.name.path.exists() && other.exists() && not_ours.exists());
    assert!(link.is_symlink());
}

#[test]
fn without_os_locks_nothing_is_swept_because_nothing_tells_dead_from_live() {
    let (_guard, dir) = scratch();
    let dead = litter(&dir.join("target"));
    without_os_locks(|| {
        assert_eq!(sweep(&dir, "target").unwrap(), 0);
        assert!(
            !TempFile::create(&dir.join("target"))
                .unwrap()
                .is_os_locked()
        );
    });
    assert!(dead.exists());
}

#[test]
fn a_sweeper_at_work_takes_no_file_from_a_live_creator() {
    let (_guard, dir) = scratch();
    let target = dir.join("target");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(sweep(&dir, "target"));
                }
            });
        }
        let created: Vec<bool> = (0..2_000)
            .map(|_| {
                let Ok(temp) = TempFile::create(&target) else {
                    return false;
                };
                let there = |temp: &TempFile| {
                    FileId::of_path(&temp.name.path).unwrap()
                        == Some(FileId::of_file(temp.file()).unwrap())
                };
                let at_first = there(&temp);
                std::thread::yield_now();
                at_first && there(&temp)
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(created.iter().filter(|kept| !**kept).count(), 0);
    });
}

#[test]
fn the_first_name_of_a_file_that_found_its_place_by_a_link_is_swept_while_the_file_is_held() {
    let (_guard, dir) = scratch();
    let target = dir.join("target");
    let first = litter(&target);
    std::fs::hard_link(&first, &target).unwrap();
    let holder = std::fs::File::options().write(true).open(&target).unwrap();
    assert_eq!(os_lock::try_exclusive(&holder).unwrap(), OsLock::Granted);
    assert_eq!(sweep(&dir, "target").unwrap(), 1);
    assert_eq!(names(&dir), ["target"]);
    without_os_locks(|| {
        std::fs::hard_link(&target, &first).unwrap();
        assert_eq!(sweep(&dir, "target").unwrap(), 1);
    });
    assert_eq!(names(&dir), ["target"]);
}

#[test]
fn a_temporary_file_tells_what_it_was_to_become() {
    let (_guard, dir) = scratch();
    for target in [".state.json", "notes.txt"] {
        let file = TempFile::create(&dir.join(target)).unwrap();
        let name = file.name.path.file_name().unwrap();
        assert_eq!(temporary_target(name), Some(target.trim_start_matches('.')));
        assert!(!is_abandoned(&file.name.path), "its owner lives");
        let left = litter(&dir.join(target));
        assert!(
            !is_abandoned(&left),
            "created, and perhaps about to be locked"
        );
        let opened = std::fs::File::options().write(true).open(&left);
        opened.unwrap().write_all(b"content").unwrap();
        assert!(is_abandoned(&left));
    }
    for name in [
        "notes.txt",
        ".x.tmp",
        ".x.0123.tmp",
        "..0123456789abcdef.tmp",
        ".other",
        "",
    ] {
        assert_eq!(temporary_target(name), None, "{name}");
    }
}

#[test]
fn sweeping_a_directory_takes_the_litter_of_every_target_and_nothing_else() {
    let (_guard, dir) = scratch();
    for target in ["state.json", ".hidden", "a.b.c"] {
        litter(&dir.join(target));
    }
    let live = TempFile::create(&dir.join("live")).unwrap();
    let kept = [
        "notes.0123456789abcdef.tmp",
        ".notes.tmp",
        "..0123456789abcdef.tmp",
        ".notes.0123456789abcdeg.tmp",
    ];
    for name in kept {
        File::create_new(dir.join(name)).unwrap();
    }
    assert_eq!(sweep_all(&dir).unwrap(), 3);
    let mut left: Vec<&str> = kept.to_vec();
    left.push(live.name.path.file_name().unwrap());
    left.sort_unstable();
    assert_eq!(names(&dir), left);
    without_os_locks(|| {
        litter(&dir.join("x"));
        assert_eq!(
            sweep_all(&dir).unwrap(),
            0,
            "nothing tells the dead from the living"
        );
    });
}
