//! The rolling hash of a log that was stored before there was one.

use rusqlite::{Connection, params};

use super::*;

const FORMAT_1: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/migrations/0001_entries.sql"
));
const HUB: &str = "00112233445566778899aabbccddeeff";

/// A data directory with a store of the first format: `contents` under the sequences that they
/// have, and a head past them.
pub(super) fn format_1(contents: &[(i64, &str)]) -> (tempfile::TempDir, DataDir) {
    let (dir, data) = empty_dir();
    let mut engine = Connection::open(data.store()).unwrap();
    engine.execute_batch(FORMAT_1).unwrap();
    engine
        .execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA user_version = 1; PRAGMA application_id = 0x63747868",
        )
        .unwrap();
    let transaction = engine.transaction().unwrap();
    let mut head = 0;
    for (sequence, content) in contents {
        let entry =
            "INSERT INTO entries VALUES (?1, 0, 'id-' || ?1, 4, 'alpha', 7, '', 'h', '', '', ?2)";
        transaction
            .execute(entry, params![sequence, content])
            .unwrap();
        head = sequence + 2;
    }
    let log = "INSERT INTO log VALUES (1, ?1, ?2, 0)";
    transaction.execute(log, params![HUB, head]).unwrap();
    transaction.commit().unwrap();
    engine.close().unwrap();
    (dir, data)
}

fn format_of(data: &DataDir) -> u32 {
    let engine = Connection::open(data.store()).unwrap();
    engine
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn a_store_without_hashes_gets_them_once_and_goes_on() {
    let large = "x".repeat(300_000);
    let (_dir, data) = format_1(&[(1, "one"), (2, &large), (5, ""), (9, "größe")]);
    let (store, notices) = SqliteStore::open(&data).unwrap();
    let expected = Notice::Upgraded {
        path: data.store(),
        entries: 4,
    };
    assert_eq!(notices, [expected]);
    assert_eq!(
        notices[0].to_string(),
        format!(
            "upgraded {}: 4 entries were written anew; older versions of ctx cannot open it any \
             more",
            data.store()
        )
    );
    assert_eq!(sequences(&everything(&store).await), [1, 2, 5, 9]);
    chained(&store).await;
    // Where a sequence is missing, the log is what it was before it; it ends at its head, 11.
    let at = async |sequence| store.chain_at(Sequence::new(sequence)).await.unwrap();
    assert_eq!((at(3).await, at(4).await), (at(2).await, at(2).await));
    assert_eq!((at(11).await, at(12).await), (at(9).await, None));
    let next = draft("next", EntryType::Task, "");
    let next = store.append(&client("alpha"), vec![next]).await.unwrap();
    assert_eq!(numbers(next), [12]);
    let end = chained(&store).await;
    store.close().await.unwrap();

    assert_eq!(self::notices(&data), []);
    assert_eq!(chained(&open(&data)).await, end);
}

#[tokio::test]
async fn an_upgrade_of_many_entries_gives_the_same_hashes_as_publishing_them() {
    let contents: Vec<String> = (1..=3000)
        .map(|n| format!("entry {n}").repeat(n % 40))
        .collect();
    let rows: Vec<(i64, &str)> = (1..).zip(contents.iter().map(String::as_str)).collect();
    let (_dir, data) = format_1(&rows);
    let store = open(&data);
    chained(&store).await;
    store.close().await.unwrap();
    assert!(data.store().exists());
    let log = Utf8PathBuf::from(format!("{}-wal", data.store()));
    assert!(!log.exists(), "a log is left");
}

#[test]
fn an_upgrade_that_meets_damage_leaves_the_store_at_the_format_before_it() {
    let (_dir, data) = format_1(&[(1, "one"), (2, "two"), (3, "three")]);
    let engine = Connection::open(data.store()).unwrap();
    engine
        .execute("UPDATE entries SET type = 9 WHERE sequence = 3", [])
        .unwrap();
    engine.close().unwrap();
    for _ in 0..2 {
        let error = refused(&data);
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert_eq!(format_of(&data), 1);
    }
    let engine = Connection::open(data.store()).unwrap();
    engine
        .execute("UPDATE entries SET type = 1 WHERE sequence = 3", [])
        .unwrap();
    engine.close().unwrap();
    assert_eq!(notices(&data).len(), 1);
    assert_eq!(format_of(&data), format_of(&Fresh::new().data));
}

#[tokio::test]
async fn two_logs_with_the_same_entries_have_no_hash_in_common() {
    let (one, two) = (Fresh::new(), Fresh::new());
    for fresh in [&one, &two] {
        let batch = ["a", "b"].map(|text| draft(text, EntryType::Task, text));
        fresh
            .store
            .append(&client("alpha"), batch.to_vec())
            .await
            .unwrap();
    }
    let (one, two) = (everything(&*one.store).await, everything(&*two.store).await);
    for (one, two) in one.iter().zip(&two) {
        assert_ne!(one.chain, two.chain);
        assert_eq!(one.content, two.content);
    }
}
