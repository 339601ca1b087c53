//! Tests that need to reach inside: the writer's connection, its groups, its query plans.

use std::sync::mpsc as std_mpsc;

use rusqlite::StatementStatus;

use super::*;
use crate::entry::EntryMeta;
use crate::types::{EntryId, EntryType, TypeSet};

fn data_dir() -> (tempfile::TempDir, DataDir) {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(Utf8Path::from_path(dir.path()).unwrap());
    (dir, data)
}

fn client() -> Client {
    Client {
        id: ClientId::random().unwrap(),
        project: "alpha".parse().unwrap(),
        created_at: 0,
        revoked_at: None,
    }
}

fn draft(id: &str, content: &str) -> EntryDraft {
    let id = EntryId::try_from(id.to_owned()).unwrap();
    EntryDraft::new(
        id,
        EntryType::Task,
        content.to_owned(),
        0,
        EntryMeta::default(),
    )
    .unwrap()
}

fn everything() -> PageQuery {
    PageQuery {
        since: Sequence::START,
        until: None,
        types: TypeSet::all(),
        max_entries: 1000,
        max_bytes: usize::MAX,
    }
}

async fn ids(store: &SqliteStore) -> Vec<String> {
    let page = store.page(everything()).await.unwrap();
    page.into_iter()
        .map(|entry| entry.id.as_str().to_owned())
        .collect()
}

/// Holds the writer until told to go on, so that what is sent meanwhile becomes one group.
async fn hold(store: &Arc<SqliteStore>) -> std_mpsc::Sender<()> {
    let (go, wait) = std_mpsc::channel();
    let (held, holding) = tokio::sync::oneshot::channel();
    let store = Arc::clone(store);
    drop(tokio::spawn(async move {
        store
            .write(0, move |_, _| {
                held.send(()).ok();
                wait.recv().ok();
                Ok(())
            })
            .await
    }));
    holding.await.unwrap();
    go
}

/// Sends a change and does not wait for its answer.
async fn send<T: Send + 'static>(
    store: &SqliteStore,
    work: impl FnOnce(&Connection, &mut Tip) -> rusqlite::Result<T> + Send + 'static,
) -> tokio::sync::oneshot::Receiver<Result<T, StoreError>> {
    let (job, answer) = writer::job(store.path.clone(), 0, None, work);
    let queue = lock(&store.queue).clone().unwrap();
    assert!(queue.send(job).await.is_ok());
    answer
}

async fn send_append(
    store: &SqliteStore,
    id: &'static str,
) -> tokio::sync::oneshot::Receiver<Result<Vec<Sequence>, StoreError>> {
    send(store, move |connection, tip| {
        write::append(connection, tip, "alpha", &[draft(id, "")])
    })
    .await
}

/// No test can cut the power; this one sees to it that somebody waits for the disk.
#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let (_dir, data) = data_dir();
    let (store, _) = SqliteStore::open(&data).unwrap();
    let settings = store.write(0, |connection, _| {
        let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |r| r.get(0))?;
        let journal: String = connection.pragma_query_value(None, "journal_mode", |r| r.get(0))?;
        Ok((synchronous, journal))
    });
    let full = 2;
    assert_eq!(settings.await.unwrap(), (full, "wal".to_owned()));
}

#[tokio::test]
async fn two_ids_of_one_hash_are_two_entries() {
    let (_dir, data) = data_dir();
    let (store, _) = SqliteStore::open(&data).unwrap();
    let first = store
        .append(&client(), vec![draft("other", "")])
        .await
        .unwrap();
    store
        .write(0, |connection, _| {
            connection.execute("UPDATE entries SET id_hash = ?1", [rows::id_hash("mine")])
        })
        .await
        .unwrap();
    let second = store
        .append(&client(), vec![draft("mine", "")])
        .await
        .unwrap();
    assert_ne!(first, second);
    assert_eq!(
        store
            .append(&client(), vec![draft("mine", "")])
            .await
            .unwrap(),
        second
    );
    assert_eq!(ids(&store).await, ["other", "mine"]);
}

#[tokio::test]
async fn an_id_whose_message_is_damaged_is_known_all_the_same() {
    let (_dir, data) = data_dir();
    let (store, _) = SqliteStore::open(&data).unwrap();
    let mine = || vec![draft("mine", "")];
    let first = store.append(&client(), mine()).await.unwrap();
    for damage in ["{", "{\"id\":\"\"}"] {
        store
            .write(0, move |connection, _| {
                connection.execute("UPDATE entries SET message = ?1", [damage])
            })
            .await
            .unwrap();
        assert_eq!(store.append(&client(), mine()).await.unwrap(), first);
    }
}

/// As a crash leaves it: entries are messages, and nothing finds them by id or type yet.
#[tokio::test]
async fn a_store_between_the_two_steps_of_the_upgrade_goes_on() {
    let (_dir, data) = data_dir();
    file::create_private(&data.store()).unwrap();
    let mut engine = Connection::open(data.store()).unwrap();
    engine
        .pragma_update(None, "application_id", schema::APPLICATION_ID)
        .unwrap();
    schema::migrate(&mut engine, &schema::MIGRATIONS[..6]).unwrap();
    let hub = HubId::random().unwrap();
    let mut chain = Chain::genesis(&hub);
    for sequence in 1..=3_i64 {
        let id = format!("id-{sequence}");
        let entry = Entry {
            id: EntryId::try_from(id.clone()).unwrap(),
            entry_type: EntryType::Task,
            content: "x".to_owned(),
            origin: "alpha".to_owned(),
            timestamp: 7,
            sequence: Sequence::new(sequence.unsigned_abs()),
            meta: EntryMeta::default(),
            chain: None,
        };
        chain = chain.after(&entry);
        let row = (sequence, rows::id_hash(&id), id, chain.to_bytes());
        engine
            .execute(
                "INSERT INTO entries VALUES (?1, ?2, ?3, 4, 'alpha', 7, '', '', '', '', 'x', ?4)",
                row,
            )
            .unwrap();
    }
    engine
        .execute(
            "INSERT INTO log (one, hub_id, head, created_at, chain) VALUES (1, ?1, 3, 0, ?2)",
            (hub.as_str(), chain.to_bytes()),
        )
        .unwrap();
    engine
        .execute("INSERT INTO counts VALUES ('alpha', 4, 3)", [])
        .unwrap();
    let moved = schema::migrate(&mut engine, &schema::MIGRATIONS[..7]).unwrap();
    assert_eq!(moved, Some(3));
    assert_eq!(schema::format(&engine).unwrap(), 7);
    drop(engine);
    let report = verify::verify(&data, &mut |_| {}).unwrap();
    assert_eq!(report.entries, 3);
    let mut of_store = report.findings.iter().filter(|f| f.path == data.store());
    assert_eq!(of_store.next(), None);

    let (store, _) = SqliteStore::open(&data).unwrap();
    assert_eq!(ids(&store).await, ["id-1", "id-2", "id-3"]);
    let again = store.append(&client(), vec![draft("id-2", "")]).await;
    assert_eq!(again.unwrap(), [Sequence::new(2)]);
}

#[tokio::test]
async fn a_failing_change_fails_alone_in_its_group() {
    let (_dir, data) = data_dir();
    let store = Arc::new(SqliteStore::open(&data).unwrap().0);
    let go = hold(&store).await;
    let before = send_append(&store, "before").await;
    let failing = send(&store, |connection, tip| {
        write::append(
            connection,
            tip,
            "alpha",
            &[draft("half", ""), draft("done", "")],
        )?;
        connection.execute("INSERT INTO log (one) VALUES (2)", [])
    })
    .await;
    let after = send_append(&store, "after").await;
    go.send(()).unwrap();

    assert_eq!(before.await.unwrap().unwrap(), [Sequence::new(1)]);
    assert!(failing.await.unwrap().is_err());
    assert_eq!(after.await.unwrap().unwrap(), [Sequence::new(2)]);
    assert_eq!(ids(&store).await, ["before", "after"]);
    assert_eq!(store.statistics().await.unwrap().total, 2);
    let mut chain = Chain::genesis(store.hub_id());
    for entry in store.page(everything()).await.unwrap() {
        chain = chain.after(&entry);
        assert_eq!(entry.chain, Some(chain), "at {}", entry.sequence);
    }
}

#[tokio::test]
async fn a_failed_commit_acknowledges_and_announces_nothing() {
    let (_dir, data) = data_dir();
    let store = Arc::new(SqliteStore::open(&data).unwrap().0);
    let mut announced = store.head();
    let go = hold(&store).await;
    let before = send_append(&store, "before").await;
    // Every statement succeeds; the commit finds a reference to nothing.
    let poison = send(&store, |connection, _| {
        connection.execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO child VALUES (1);",
        )
    })
    .await;
    let after = send_append(&store, "after").await;
    go.send(()).unwrap();

    assert!(before.await.unwrap().is_err());
    assert!(poison.await.unwrap().is_err());
    assert!(after.await.unwrap().is_err());
    assert!(!announced.has_changed().unwrap());
    assert_eq!(*announced.borrow_and_update(), Sequence::START);
    assert!(ids(&store).await.is_empty());

    let again = store
        .append(&client(), vec![draft("before", "")])
        .await
        .unwrap();
    assert_eq!(again, [Sequence::new(1)]);
    assert_eq!(*announced.borrow_and_update(), Sequence::new(1));
}

/// A publish that was let in waits in line behind the end of its own token.
#[tokio::test]
async fn a_publish_behind_its_client_s_revocation_in_one_group_stores_nothing() {
    let (_dir, data) = data_dir();
    let store = Arc::new(SqliteStore::open(&data).unwrap().0);
    let token = crate::secret::ClientToken::random().unwrap();
    let alpha = store
        .register("alpha".parse().unwrap(), token.hash().into())
        .await
        .unwrap();
    let go = hold(&store).await;
    let before = send_append(&store, "before").await;
    let id = alpha.id.clone();
    let revoked = send(&store, move |connection, _| {
        write::revoke(connection, &id, now())
    })
    .await;
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.append(&alpha, vec![draft("after", "")]).await }
    });
    // It is in line once the queue has taken it.
    let queue = lock(&store.queue).clone().unwrap();
    while queue.max_capacity() - queue.capacity() < 3 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();

    assert_eq!(before.await.unwrap().unwrap(), [Sequence::new(1)]);
    assert!(revoked.await.unwrap().unwrap().is_some());
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Revoked { .. }), "{error:?}");
    assert_eq!(ids(&store).await, ["before"]);
}

/// The writer of a store that was dropped still finishes what is in line.
#[tokio::test]
async fn a_store_opened_before_the_last_commit_of_the_one_before_it_hands_out_no_sequence_twice() {
    let (_dir, data) = data_dir();
    let old = Arc::new(SqliteStore::open(&data).unwrap().0);
    let go = hold(&old).await;
    let last = send_append(&old, "last").await;

    let new = SqliteStore::open(&data).unwrap().0;
    assert_eq!(*new.head().borrow(), Sequence::START);
    go.send(()).unwrap();
    assert_eq!(last.await.unwrap().unwrap(), [Sequence::new(1)]);
    drop(old);

    let mut head = new.head();
    let next = new.append(&client(), vec![draft("next", "")]).await;
    assert_eq!(next.unwrap(), [Sequence::new(2)]);
    assert_eq!(*head.borrow_and_update(), Sequence::new(2));
    assert_eq!(ids(&new).await, ["last", "next"]);
    let first = new.page(everything()).await.unwrap().remove(0);
    let second = new.page(everything()).await.unwrap().remove(1);
    assert_eq!(first.chain.map(|chain| chain.after(&second)), second.chain);
}

#[tokio::test]
async fn a_group_takes_what_waits_and_no_more_than_its_bytes() {
    let (_dir, data) = data_dir();
    let store = SqliteStore::open(&data).unwrap().0;
    let (queue, mut jobs) = mpsc::channel(10);
    for weight in [1, limits_bytes(), 1, 1] {
        let (job, _) = writer::job(store.path.clone(), weight, None, |_, _| Ok(()));
        assert!(queue.send(job).await.is_ok());
    }
    let first = jobs.recv().await.unwrap();
    assert_eq!(writer::gather(first, &mut jobs).len(), 2);
    let next = jobs.recv().await.unwrap();
    assert_eq!(writer::gather(next, &mut jobs).len(), 2);
}

fn limits_bytes() -> usize {
    ctx_config::limits::GROUP_COMMIT_MAX_BYTES
}

#[tokio::test]
async fn a_full_disk_refuses_publishes_keeps_reads_and_heals() {
    let (_dir, data) = data_dir();
    let (store, _) = SqliteStore::open(&data).unwrap();
    store
        .append(&client(), vec![draft("early", "")])
        .await
        .unwrap();
    let limit = |pages: &'static str| {
        store.write(0, move |connection, _| {
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        })
    };
    limit("1").await.unwrap();
    let large = "x".repeat(100_000);
    for _ in 0..3 {
        let error = store
            .append(&client(), vec![draft("late", &large)])
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("free some space"));
        assert_eq!(ids(&store).await, ["early"]);
        assert_eq!(store.statistics().await.unwrap().head, Sequence::new(1));
    }
    limit("1000000").await.unwrap();
    let sequences = store
        .append(&client(), vec![draft("late", &large)])
        .await
        .unwrap();
    assert_eq!(sequences, [Sequence::new(2)]);
    assert_eq!(ids(&store).await, ["early", "late"]);
}

#[tokio::test]
async fn no_question_that_is_asked_often_scans_the_entries() {
    let (_dir, data) = data_dir();
    let (store, _) = SqliteStore::open(&data).unwrap();
    let plan = |sql: &'static str| {
        store.readers.ask(move |connection| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3));
            Ok(steps.collect::<rusqlite::Result<Vec<_>>>()?.join("; "))
        })
    };
    assert_eq!(
        plan(read::PLACES).await.unwrap(),
        "SEARCH entries USING COVERING INDEX entries_by_type (type=? AND rowid>? AND rowid<?)"
    );
    assert_eq!(
        plan(read::RANGE).await.unwrap(),
        "SEARCH entries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    );
    assert_eq!(
        plan(read::ONE).await.unwrap(),
        "SEARCH entries USING INTEGER PRIMARY KEY (rowid=?)"
    );
    assert_eq!(plan(read::LAST).await.unwrap(), "SEARCH entries");
    assert_eq!(
        plan(read::CHAIN_AT).await.unwrap(),
        "SEARCH entries USING INTEGER PRIMARY KEY (rowid<?)"
    );
    let by_token = plan(read::BY_TOKEN).await.unwrap();
    assert!(
        by_token.contains("SEARCH tokens USING PRIMARY KEY (hash=?)"),
        "{by_token}"
    );
    assert!(
        plan(write::REVOKED)
            .await
            .unwrap()
            .contains("SEARCH clients USING INDEX")
    );
    assert_eq!(
        plan(write::ALIKE).await.unwrap(),
        "SEARCH entries USING INDEX entries_by_id_hash (id_hash=?)"
    );
}

#[tokio::test]
async fn what_every_publish_asks_is_planned_once_whatever_is_bound() {
    let (_dir, data) = data_dir();
    let (store, _) = SqliteStore::open(&data).unwrap();
    let planned_anew = |sql: &'static str| {
        store.readers.ask(move |connection| {
            let mut statement = connection.prepare(sql)?;
            for value in 1..=5_i64 {
                for index in 1..=statement.parameter_count() {
                    statement.raw_bind_parameter(index, value)?;
                }
                let mut rows = statement.raw_query();
                while rows.next()?.is_some() {}
            }
            Ok(statement.get_status(StatementStatus::RePrepare))
        })
    };
    for sql in [
        write::ALIKE,
        write::REVOKED,
        read::BY_TOKEN,
        read::RANGE,
        read::PLACES,
    ] {
        assert_eq!(planned_anew(sql).await.unwrap(), 0, "{sql}");
    }
}

#[tokio::test]
async fn closing_finishes_what_waits_and_leaves_one_file() {
    let (_dir, data) = data_dir();
    let store = Arc::new(SqliteStore::open(&data).unwrap().0);
    let go = hold(&store).await;
    let waiting = send_append(&store, "waiting").await;
    let closing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.close().await }
    });
    go.send(()).unwrap();
    closing.await.unwrap().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), [Sequence::new(1)]);
    assert!(!file::wal(&data.store()).exists());
    let (store, _) = SqliteStore::open(&data).unwrap();
    assert_eq!(ids(&store).await, ["waiting"]);
}
