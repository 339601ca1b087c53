//! What opening makes of what it finds.

use std::os::unix::fs::PermissionsExt as _;

use ctx_hub::store::Damage;
use rusqlite::Connection;

use super::*;

/// A data directory with a store of some entries, closed.
async fn with_entries() -> (tempfile::TempDir, DataDir) {
    let (dir, data) = empty_dir();
    let store = open(&data);
    let batch = (0..200).map(|n| draft(&n.to_string(), EntryType::Task, &"z".repeat(500)));
    store
        .append(&client("alpha"), batch.collect())
        .await
        .unwrap();
    store.close().await.unwrap();
    (dir, data)
}

fn overwrite(path: &Utf8Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .create(true)
        .open(path);
    file.as_mut().unwrap().write_all(bytes).unwrap();
}

/// Opening is refused, with a hint, and leaves the file to the byte.
fn refused_untouched(data: &DataDir) -> StoreError {
    let before = std::fs::read(data.store()).unwrap();
    let error = refused(data);
    assert!(error.hint().is_some());
    assert!(error.to_string().contains(data.store().as_str()), "{error}");
    assert!(
        std::fs::read(data.store()).unwrap() == before,
        "the file was changed"
    );
    error
}

#[tokio::test]
async fn the_store_and_its_companions_are_readable_by_their_owner_alone() {
    let (_dir, data) = empty_dir();
    let store = open(&data);
    store
        .append(&client("alpha"), vec![draft("a", EntryType::Task, "")])
        .await
        .unwrap();
    let mut files: Vec<_> = std::fs::read_dir(data.path())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
    }
    store.close().await.unwrap();
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_newer_store_is_refused_and_left_as_it_is() {
    let (_dir, data) = empty_dir();
    open(&data).close().await.unwrap();
    let engine = Connection::open(data.store()).unwrap();
    engine.pragma_update(None, "user_version", 99).unwrap();
    engine.close().unwrap();
    let error = refused_untouched(&data);
    assert!(
        matches!(error, StoreError::Newer { found: 99, .. }),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("has format 99, and this version knows formats up to ")
    );
}

#[tokio::test]
async fn a_newer_format_that_only_the_log_tells_of_is_refused_too() {
    let (_dir, data) = empty_dir();
    open(&data).close().await.unwrap();
    let engine = Connection::open(data.store()).unwrap();
    engine.pragma_update(None, "wal_autocheckpoint", 0).ok();
    engine.pragma_update(None, "user_version", 99).unwrap();
    let error = refused(&data);
    assert!(
        matches!(error, StoreError::Newer { found: 99, .. }),
        "{error:?}"
    );
}

#[test]
fn another_program_s_database_is_refused_and_left_as_it_is() {
    let (_dir, data) = empty_dir();
    let engine = Connection::open(data.store()).unwrap();
    engine
        .execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 7")
        .unwrap();
    engine.close().unwrap();
    assert!(matches!(
        refused_untouched(&data),
        StoreError::Foreign { .. }
    ));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damage_and_left_as_it_is() {
    for (bytes, expected) in [
        (&b""[..], "the file is empty"),
        (b"S", "the file does not begin as a database does"),
        (
            &[0xff_u8; 4096],
            "the file does not begin as a database does",
        ),
        (
            b"SQLite format 3\0short",
            "the file does not begin as a database does",
        ),
    ] {
        let (_dir, data) = with_entries().await;
        overwrite(&data.store(), bytes);
        let error = refused_untouched(&data);
        let StoreError::Damaged { source, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(source.to_string(), expected);
    }
}

#[tokio::test]
async fn a_truncated_database_is_damage_wherever_it_ends() {
    let (_dir, data) = with_entries().await;
    let whole = std::fs::read(data.store()).unwrap();
    assert!(whole.len() > 20 * 4096);
    for length in [
        100,
        101,
        4095,
        4096,
        4097,
        10 * 4096,
        whole.len() - 4096,
        whole.len() - 1,
    ] {
        overwrite(&data.store(), &whole[..length]);
        let error = refused_untouched(&data);
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "{length}: {error:?}"
        );
    }
    overwrite(&data.store(), &whole);
    assert_eq!(everything(&open(&data)).await.len(), 200);
}

#[tokio::test]
async fn damage_in_the_middle_never_panics_and_is_told_when_it_is_met() {
    let (_dir, data) = with_entries().await;
    let whole = std::fs::read(data.store()).unwrap();
    let mut told = 0;
    for page in 0..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..][..4096].fill(0xa5);
        overwrite(&data.store(), &bytes);
        let entries = match SqliteStore::open(&data) {
            Ok((store, _)) => store.page(query(TypeSet::all())).await,
            Err(error) => Err(error),
        };
        match entries {
            Ok(entries) => assert_eq!(entries.len(), 200, "page {page}: entries vanished"),
            Err(StoreError::Damaged { .. }) => told += 1,
            Err(error) => panic!("page {page}: {error:?}"),
        }
    }
    assert!(told > 10, "{told}");
}

#[tokio::test]
async fn a_log_without_its_database_is_damage_and_no_new_store_is_made() {
    let (_dir, data) = empty_dir();
    let store = open(&data);
    store
        .append(&client("alpha"), vec![draft("a", EntryType::Task, "")])
        .await
        .unwrap();
    std::fs::remove_file(data.store()).unwrap();
    let error = refused(&data);
    assert!(
        matches!(
            &error,
            StoreError::Damaged {
                source: Damage::OnlyTheLog { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!data.store().exists());
}

/// The engine deletes a log that it finds beside an empty or a missing database, and replays it
/// into whatever else comes to stand there.
#[tokio::test]
async fn what_to_do_about_damage_does_not_cost_the_log_that_is_left() {
    let (_dir, data) = empty_dir();
    let store = open(&data);
    store
        .append(&client("alpha"), vec![draft("a", EntryType::Task, "")])
        .await
        .unwrap();
    let log = log_of(&data);
    for bytes in [Some(&b""[..]), Some(b"garbage"), None] {
        match bytes {
            Some(bytes) => overwrite(&data.store(), bytes),
            None => std::fs::remove_file(data.store()).unwrap(),
        }
        let hint = refused(&data).hint().unwrap();
        assert!(hint.contains(&format!("move {log} away")), "{hint}");
        assert!(
            !hint.contains(&format!("sqlite3 {}", data.store())),
            "{hint}"
        );
    }
}

#[tokio::test]
async fn a_head_behind_its_entries_is_damage() {
    let (_dir, data) = with_entries().await;
    let engine = Connection::open(data.store()).unwrap();
    engine.execute("UPDATE log SET head = 199", []).unwrap();
    engine.close().unwrap();
    let error = refused(&data);
    let StoreError::Damaged { source, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        source.to_string(),
        "its head is 199, and it holds sequence 200"
    );
}

#[tokio::test]
async fn a_sequence_is_not_handed_out_again_after_its_entry_is_gone() {
    let (_dir, data) = with_entries().await;
    let engine = Connection::open(data.store()).unwrap();
    engine
        .execute("DELETE FROM entries WHERE sequence > 190", [])
        .unwrap();
    engine.close().unwrap();
    let store = open(&data);
    let next = store
        .append(&client("alpha"), vec![draft("new", EntryType::Task, "")])
        .await;
    assert_eq!(numbers(next.unwrap()), [201]);
}

#[test]
fn a_symbolic_link_in_place_of_the_store_is_refused() {
    let (_dir, data) = empty_dir();
    let (_other, elsewhere) = empty_dir();
    drop(open(&elsewhere));
    std::os::unix::fs::symlink(elsewhere.store(), data.store()).unwrap();
    let error = refused(&data);
    assert!(matches!(error, StoreError::Path(_)), "{error:?}");
    assert!(error.to_string().ends_with("is a symbolic link"), "{error}");
}

#[test]
fn a_missing_data_directory_is_named() {
    let (_dir, data) = empty_dir();
    let missing = DataDir::new(data.path().join("missing"));
    let error = refused(&missing);
    assert!(
        error.to_string().contains(missing.path().as_str()),
        "{error}"
    );
    assert!(!missing.path().exists());
}

/// Copies the files of an open store elsewhere, as a crash would leave them.
fn as_after_a_crash(data: &DataDir) -> (tempfile::TempDir, DataDir) {
    let (dir, copy) = empty_dir();
    for (from, to) in [(data.store(), copy.store()), (log_of(data), log_of(&copy))] {
        std::fs::copy(from, to).unwrap();
    }
    (dir, copy)
}

/// The write-ahead log beside a store.
fn log_of(data: &DataDir) -> Utf8PathBuf {
    format!("{}-wal", data.store()).into()
}

#[tokio::test]
async fn a_log_that_was_damaged_says_what_is_lost_and_a_torn_one_lost_nothing() {
    const FRAME: usize = 24 + 4096;
    let (_dir, data) = empty_dir();
    let store = open(&data);
    // Where the log ends after each commit.
    let mut ends = Vec::new();
    for n in 0..20 {
        let next = draft(&n.to_string(), EntryType::Task, &"w".repeat(5000));
        store.append(&client("alpha"), vec![next]).await.unwrap();
        ends.push(std::fs::metadata(log_of(&data)).unwrap().len() as usize);
    }
    let whole = std::fs::read(log_of(&data)).unwrap();
    assert_eq!(whole.len(), ends[19]);
    let mut told = 0;
    for at in (32..whole.len()).step_by(FRAME * 3 / 2) {
        let before = ends.iter().filter(|end| **end <= at).count();

        let (_dir, torn) = as_after_a_crash(&data);
        overwrite(&log_of(&torn), &whole[..at]);
        let (store, notices) = SqliteStore::open(&torn).unwrap();
        assert_eq!(notices, [], "torn at {at}");
        assert_eq!(everything(&store).await.len(), before);

        let (_dir, broken) = as_after_a_crash(&data);
        let mut bytes = whole.clone();
        bytes[at + 100] ^= 1;
        overwrite(&log_of(&broken), &bytes);
        let (store, notices) = SqliteStore::open(&broken).unwrap();
        assert_eq!(everything(&store).await.len(), before, "broken at {at}");
        let next = draft("next", EntryType::Task, "");
        store.append(&client("alpha"), vec![next]).await.unwrap();
        let (_dir, later) = as_after_a_crash(&broken);
        assert_eq!(self::notices(&later), [], "said once, broken at {at}");
        let lost = 20 - before as u64;
        let expected = Notice::LogDamaged {
            path: log_of(&broken),
            lost,
        };
        assert_eq!(
            notices,
            if lost > 1 { vec![expected] } else { Vec::new() },
            "broken at {at}"
        );
        told += notices.len();
    }
    assert!(told > 30, "{told}");
}
