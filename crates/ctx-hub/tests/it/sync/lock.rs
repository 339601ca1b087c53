//! The sync lock as `load_state` takes and gives it back.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use ctx_config::paths::{ContextDir, MIRROR_DIR, SYNC_LOCK_FILE};
use ctx_hub::sync::{SyncError, SyncErrorKind, SyncOptions, SyncSession, load_state};
use ctx_hub::types::{EntryType, Sequence};

use super::{Project, batch, entry};

/// How many contend, and how often. One round is too few: on two processors a check that comes
/// before its write is seldom caught between the two.
const THREADS: usize = 16;
const ROUNDS: usize = 100;

/// The answers of all contenders, who start at the same instant. Winners are kept until every one
/// has its answer, so that the counts are exact.
fn contend(context: &ContextDir) -> Vec<Result<SyncSession, SyncError>> {
    let ready = AtomicUsize::new(0);
    let (answers, answered) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (answers, ready) = (answers.clone(), &ready);
            scope.spawn(move || {
                ready.fetch_add(1, Ordering::SeqCst);
                // Not a sleeping barrier: it wakes one after the other.
                while ready.load(Ordering::SeqCst) < THREADS {
                    std::thread::yield_now();
                }
                answers
                    .send(load_state(context, &SyncOptions::default()))
                    .unwrap();
            });
        }
        answered.iter().take(THREADS).collect()
    })
}

#[test]
fn of_sixteen_that_start_together_one_wins_and_fifteen_are_told_that_it_is_held() {
    let mut winners = Vec::new();
    for _ in 0..ROUNDS {
        let project = Project::new();
        fs::create_dir(project.mirror().path()).unwrap();
        let results = contend(&project.context);
        winners.push(results.iter().filter(|result| result.is_ok()).count());
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(error.kind(), SyncErrorKind::Busy);
            assert_eq!(error.io_kind(), io::ErrorKind::AlreadyExists);
            assert!(error.to_string().contains(SYNC_LOCK_FILE), "{error}");
        }
        drop(results);
    }
    assert_eq!(winners, [1; ROUNDS], "winners of {THREADS} in each round");
}

#[test]
fn an_error_that_the_lock_is_held_is_already_exists_to_the_standard_library() {
    let project = Project::new();
    let held = project.load().unwrap();
    let error = io::Error::from(project.load().unwrap_err());
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    held.release().unwrap();
}

#[test]
fn the_lock_stands_in_the_hub_folder_of_the_context_directory_while_a_session_lives() {
    let project = Project::new();
    let path = project.context.path().join(MIRROR_DIR).join(SYNC_LOCK_FILE);
    let session = project.load().unwrap();
    assert!(path.is_file());
    session.release().unwrap();
    assert!(!path.exists());
}

#[test]
fn releasing_removes_the_lock_and_the_next_sync_proceeds() {
    let project = Project::new();
    project.load().unwrap().release().unwrap();
    assert_eq!(
        project
            .apply(&batch(0, vec![entry(1, EntryType::Task, "x")]))
            .unwrap(),
        1
    );
    drop(project.load().unwrap());
    let session = project.load().unwrap();
    assert_eq!(session.cursor(EntryType::Task), Sequence::new(1));
    session.release().unwrap();
}

#[test]
fn releasing_a_lock_that_is_gone_is_no_error() {
    let project = Project::new();
    let session = project.load().unwrap();
    fs::remove_file(project.mirror().sync_lock()).unwrap();
    session.release().unwrap();
}

#[test]
fn a_session_whose_lock_was_taken_away_writes_nothing() {
    let project = Project::new();
    let session = project.load().unwrap();
    fs::remove_file(project.mirror().sync_lock()).unwrap();
    let error = session
        .apply(&batch(0, vec![entry(1, EntryType::Task, "x")]))
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Io);
    assert!(project.names().is_empty(), "{:?}", project.names());
}

#[test]
fn a_lock_of_an_older_ctx_is_respected() {
    for content in ["", "lock"] {
        let project = Project::new();
        project.put(&project.mirror().sync_lock(), content);
        let error = project.load().unwrap_err();
        assert_eq!(error.kind(), SyncErrorKind::Busy);
        assert!(error.hint().is_some());
        assert_eq!(
            fs::read_to_string(project.mirror().sync_lock()).unwrap(),
            content
        );
    }
}

#[test]
fn an_error_after_the_lock_releases_it() {
    let project = Project::new();
    project.put_state("{\"last_sequence\": 4");
    assert_eq!(project.load().unwrap_err().kind(), SyncErrorKind::Damaged);
    assert!(!project.mirror().sync_lock().exists());
    // The next one is told the same, not that the lock is held.
    assert_eq!(project.load().unwrap_err().kind(), SyncErrorKind::Damaged);
}

#[test]
fn without_a_context_directory_nothing_is_created() {
    let project = Project::new();
    let context = ContextDir::new(project.context.path().join("absent"));
    let error = load_state(&context, &SyncOptions::default()).unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::NotSetUp);
    assert!(error.hint().unwrap().contains("ctx init"));
    assert!(!context.path().exists());
}

#[test]
fn a_mirror_that_is_a_symbolic_link_is_refused() {
    let project = Project::new();
    let elsewhere = project.context.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, project.mirror().path()).unwrap();
    assert_eq!(project.load().unwrap_err().kind(), SyncErrorKind::Io);
    assert!(elsewhere.read_dir_utf8().unwrap().next().is_none());
}

#[test]
fn the_mirror_is_private_and_its_files_are_for_reading() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::new();
    project
        .apply(&batch(0, vec![entry(1, EntryType::Task, "x")]))
        .unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(project.mirror().path().to_owned()), 0o700);
    assert_eq!(mode(project.file(EntryType::Task)), 0o644);
}
