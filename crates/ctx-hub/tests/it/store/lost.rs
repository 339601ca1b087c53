//! Acknowledged, and gone since: a write-ahead log cut where it looks whole, removed, or beside a
//! database that was cut; an older copy put back.

use ctx_hub::store::Damage;

use super::import::put;
use super::*;

const ENTRIES: u64 = 12;

/// A store as a killed hub left it, and where its log ended after each entry.
async fn killed_hub() -> (tempfile::TempDir, DataDir, Vec<u64>) {
    let (_dir, running) = empty_dir();
    let store = open(&running);
    let mut ends = vec![0];
    for n in 1..=ENTRIES {
        let next = draft(&n.to_string(), EntryType::Task, &"w".repeat(5000));
        store.append(&client("alpha"), vec![next]).await.unwrap();
        ends.push(size(&log_of(&running)));
    }
    let (dir, left) = copy_of(&running);
    (dir, left, ends)
}

/// Copies every file of a store elsewhere, as a crash would leave them.
pub(super) fn copy_of(data: &DataDir) -> (tempfile::TempDir, DataDir) {
    let (dir, copy) = empty_dir();
    let (log, log_copy) = (log_of(data), log_of(&copy));
    let files = [
        (data.store(), copy.store()),
        (data.marks(), copy.marks()),
        (log, log_copy),
    ];
    for (from, to) in files.iter().filter(|(from, _)| from.exists()) {
        std::fs::copy(from, to).unwrap();
    }
    (dir, copy)
}

fn log_of(data: &DataDir) -> Utf8PathBuf {
    format!("{}-wal", data.store()).into()
}

fn size(path: &Utf8Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn cut(path: &Utf8Path, length: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(path);
    file.unwrap().set_len(length).unwrap();
}

/// Opens the store, and answers what it says of what is lost.
fn told(data: &DataDir) -> (SqliteStore, Vec<(u64, u64, u64)>) {
    let (store, notices) = SqliteStore::open(data).unwrap();
    let lost = notices.iter().filter_map(|notice| match notice {
        Notice::Lost {
            commits,
            after,
            until,
            ..
        } => Some((*commits, after.get(), until.get())),
        _ => None,
    });
    let lost = lost.collect();
    (store, lost)
}

#[tokio::test]
async fn a_log_cut_where_a_transaction_ends_says_which_entries_are_lost_and_reuses_no_sequence() {
    let (_dir, left, ends) = killed_hub().await;
    for (kept, end) in (0_u64..).zip(&ends) {
        let (_dir, damaged) = copy_of(&left);
        cut(&log_of(&damaged), *end);
        let (store, lost) = told(&damaged);
        let gone = ENTRIES - kept;
        let expected = (gone > 0).then_some((gone, kept, ENTRIES));
        assert_eq!(lost, Vec::from_iter(expected), "{kept} kept");
        assert_eq!(everything(&store).await.len() as u64, kept);

        let next = draft("next", EntryType::Task, "");
        let sequence = store.append(&client("alpha"), vec![next]).await.unwrap();
        assert_eq!(numbers(sequence), [ENTRIES + 1], "{kept} kept");
        let (_dir, later) = copy_of(&damaged);
        assert_eq!(notices(&later), [], "said once, {kept} kept");
    }
}

#[tokio::test]
async fn a_log_that_was_removed_is_missed() {
    let (_dir, left, _) = killed_hub().await;
    std::fs::remove_file(log_of(&left)).unwrap();
    let (store, lost) = told(&left);
    assert_eq!(lost, [(ENTRIES, 0, ENTRIES)]);
    assert_eq!(store.head().borrow().get(), ENTRIES);
    assert!(everything(&store).await.is_empty());
}

#[tokio::test]
async fn a_revocation_that_is_lost_with_the_log_is_told_too() {
    let (_dir, running) = empty_dir();
    let store = open(&running);
    let token = ctx_hub::secret::ClientToken::random().unwrap().hash();
    let project = "alpha".parse().unwrap();
    let client = store.register(project, token.into()).await.unwrap();
    let before = size(&log_of(&running));
    store.revoke(client.id).await.unwrap();
    let (_dir, left) = copy_of(&running);
    cut(&log_of(&left), before);
    let (_, notices) = SqliteStore::open(&left).unwrap();
    let said: Vec<String> = notices.iter().map(ToString::to_string).collect();
    let path = left.store();
    let expected = format!(
        "{path} is 1 transactions behind what had been acknowledged: its write-ahead log was cut \
         or removed, or an older copy was put in its place; clients that were registered or \
         revoked in them are as before: look through `ctx hub clients`, and restore a backup that \
         is newer if there is one"
    );
    assert_eq!(said, [expected]);
}

#[tokio::test]
async fn an_older_copy_that_is_put_back_is_told_apart_from_what_had_been_acknowledged() {
    let (_dir, data) = empty_dir();
    let store = open(&data);
    let publish = async |store: &SqliteStore, n: u64| {
        let next = draft(&n.to_string(), EntryType::Task, "text");
        store.append(&client("alpha"), vec![next]).await.unwrap()
    };
    publish(&store, 1).await;
    store.close().await.unwrap();
    let backup = std::fs::read(data.store()).unwrap();
    let store = open(&data);
    for n in 2..=5 {
        publish(&store, n).await;
    }
    store.close().await.unwrap();

    put(&data.store(), backup);
    let (store, lost) = told(&data);
    assert_eq!(lost, [(4, 1, 5)]);
    assert_eq!(numbers(publish(&store, 6).await), [6]);
    store.close().await.unwrap();
    assert_eq!(notices(&data), []);
}

#[tokio::test]
async fn a_database_that_is_cut_beside_its_log_is_refused_unless_the_log_has_what_it_lacks() {
    let (_dir, data) = empty_dir();
    let store = open(&data);
    let batch = |from: u64| {
        let one = |n: u64| draft(&n.to_string(), EntryType::Task, &"y".repeat(5000));
        (from..from + 20).map(one).collect::<Vec<_>>()
    };
    store.append(&client("alpha"), batch(0)).await.unwrap();
    store.close().await.unwrap();
    let store = open(&data);
    store.append(&client("alpha"), batch(20)).await.unwrap();
    let (_dir, left) = copy_of(&data);
    let (length, mut refused) = (size(&left.store()), 0);
    for missing in 0..length / 512 {
        let (_dir, damaged) = copy_of(&left);
        cut(&damaged.store(), length - missing * 512);
        match SqliteStore::open(&damaged) {
            Ok((store, notices)) => {
                assert_eq!(notices, [], "{missing}");
                assert_eq!(everything(&store).await.len(), 40, "{missing}");
                chained(&store).await;
            }
            Err(StoreError::Damaged { source, .. }) => {
                let short = matches!(source, Damage::Truncated { .. } | Damage::NotADatabase);
                assert!(short, "{missing}: {source:?}");
                refused += 1;
            }
            Err(error) => panic!("{missing}: {error:?}"),
        }
    }
    assert!(refused > 100, "{refused}");
}

#[tokio::test]
async fn what_is_no_file_in_place_of_the_marks_is_refused_and_marks_of_nothing_are_begun_anew() {
    let (_dir, data) = empty_dir();
    std::fs::create_dir(data.marks()).unwrap();
    let error = refused(&data);
    assert!(matches!(error, StoreError::Marks(_)), "{error:?}");
    assert!(error.to_string().starts_with(data.marks().as_str()));
    std::fs::remove_dir(data.marks()).unwrap();

    put(&data.marks(), b"\0not marks");
    assert_eq!(notices(&data), []);
    let begun = std::fs::read_to_string(data.marks()).unwrap();
    assert!(begun.starts_with("0 0 "), "{begun}");
}
