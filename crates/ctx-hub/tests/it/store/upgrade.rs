//! Stores of formats before: clients that had one token each, entries that had a column for each field.

use std::os::unix::fs::PermissionsExt as _;

use ctx_hub::secret::ClientToken;
use ctx_hub::store::verify;
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::*;

macro_rules! migrations {
    ($($file:literal),*) => {
        [$(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $file))),*]
    };
}

const MIGRATIONS: [&str; 6] = migrations![
    "0001_entries.sql",
    "0002_chain.sql",
    "0003_commits.sql",
    "0004_usage.sql",
    "0005_admin.sql",
    "0006_tokens.sql"
];
const HUB: &str = "00112233445566778899aabbccddeeff";

/// A data directory with an empty store of the format `format`, which is open.
fn of_format(format: usize) -> (tempfile::TempDir, DataDir, Connection) {
    let (dir, data) = empty_dir();
    let engine = Connection::open(data.store()).unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(data.store(), private).unwrap();
    for sql in &MIGRATIONS[..format] {
        engine.execute_batch(sql).unwrap();
    }
    let pragmas = format!(
        "PRAGMA journal_mode = wal; PRAGMA user_version = {format}; \
         PRAGMA application_id = 0x63747868"
    );
    engine.execute_batch(&pragmas).unwrap();
    let chain = Chain::genesis(&HUB.parse().unwrap()).to_bytes();
    let log = "INSERT INTO log VALUES (1, ?1, 0, 0, ?2, 0)";
    engine.execute(log, params![HUB, chain]).unwrap();
    (dir, data, engine)
}

/// A data directory with a store of the third format: a client that was revoked, one that took its
/// name over, and one of another project.
fn format_3(tokens: &[ClientToken; 3]) -> (tempfile::TempDir, DataDir) {
    let (dir, data, engine) = of_format(3);
    let rows = [("alpha", Some(20)), ("alpha", None), ("beta", None)];
    for (number, ((project, revoked_at), token)) in (1..).zip(rows.into_iter().zip(tokens)) {
        let hash = token.hash();
        let id = format!("{number:032x}");
        engine
            .execute(
                "INSERT INTO clients VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    number,
                    id,
                    project,
                    hash.as_bytes().as_slice(),
                    number * 10,
                    revoked_at
                ],
            )
            .unwrap();
    }
    engine.close().unwrap();
    (dir, data)
}

/// Entries of every kind, the last one under an id that is there already: an older hub did so.
fn entries() -> Vec<Entry> {
    let entry = |sequence, id: &str, content: &str| Entry {
        id: super::id(id),
        entry_type: EntryType::ALL[usize::try_from(sequence).unwrap() % 4],
        content: content.to_owned(),
        origin: "größe".to_owned(),
        timestamp: -7,
        sequence: Sequence::new(sequence),
        meta: EntryMeta {
            host: "h\th".to_owned(),
            ..EntryMeta::default()
        },
        chain: None,
    };
    let large = "x\u{1}".repeat(200_000);
    vec![
        entry(1, "id\0one", "a \"quote\"\r\n\0<&>\u{2028}"),
        entry(2, "two", ""),
        entry(5, "five", &large),
        entry(6, "two", "again"),
    ]
}

/// A data directory with a store of the sixth format, and its entries.
fn format_6() -> (tempfile::TempDir, DataDir, Vec<Entry>) {
    let (dir, data, engine) = of_format(6);
    let mut chain = Chain::genesis(&HUB.parse().unwrap());
    let mut entries = entries();
    for entry in &mut entries {
        chain = chain.after(entry);
        entry.chain = Some(chain);
        let sequence = i64::try_from(entry.sequence.get()).unwrap();
        let id_hash: [u8; 32] = Sha256::digest(entry.id.as_str()).into();
        let id_hash = i64::from_be_bytes(*id_hash.first_chunk().unwrap());
        let code = 1 + EntryType::ALL
            .iter()
            .position(|each| *each == entry.entry_type)
            .unwrap();
        let row = params![
            sequence,
            id_hash,
            entry.id.as_str(),
            i64::try_from(code).unwrap(),
            entry.origin,
            entry.timestamp,
            entry.meta.host,
            entry.content,
            chain.to_bytes()
        ];
        engine
            .execute(
                "INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, '', ?7, '', '', ?8, ?9)",
                row,
            )
            .unwrap();
        let count = "INSERT INTO counts VALUES (?1, ?2, 1) \
             ON CONFLICT DO UPDATE SET entries = entries + 1";
        engine
            .execute(count, params![entry.origin, i64::try_from(code).unwrap()])
            .unwrap();
    }
    engine
        .execute("UPDATE log SET head = 6, chain = ?1", [chain.to_bytes()])
        .unwrap();
    engine.close().unwrap();
    (dir, data, entries)
}

/// Nothing is wrong with the store; there is no admin token beside it.
fn nothing_is_wrong(data: &DataDir, clients: u64) {
    let found = verify::verify(data, &mut |_| {}).unwrap();
    assert_eq!(found.clients, clients);
    let mut of_store = found.findings.iter().filter(|f| f.path == data.store());
    assert_eq!(of_store.next(), None);
}

#[tokio::test]
async fn tokens_of_before_go_on_without_an_expiry_and_revoked_ones_stay_revoked() {
    let tokens = std::array::from_fn(|_| ClientToken::random().unwrap());
    let (_dir, data) = format_3(&tokens);
    nothing_is_wrong(&data, 3);

    let (store, notices) = SqliteStore::open(&data).unwrap();
    let said = format!(
        "upgraded {}: older versions of ctx cannot open it any more",
        data.store()
    );
    let notices: Vec<String> = notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices, [said]);
    let shown = async |token: &ClientToken| store.authenticate(token.hash()).await.unwrap();
    assert_eq!(shown(&tokens[0]).await, None);
    for (token, project) in tokens[1..].iter().zip(["alpha", "beta"]) {
        let shown = shown(token).await.unwrap();
        assert_eq!(shown.client.project.as_str(), project);
        assert_eq!(shown.expires_at, None);
    }
    let listed = store.clients().await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|one| {
            (
                one.client.created_at,
                one.client.revoked_at,
                one.last_seen_at,
            )
        })
        .collect();
    assert_eq!(
        listed,
        [(10, Some(20), None), (20, None, None), (30, None, None)]
    );
    // The names of live clients are taken, and their tokens can be replaced.
    let new = ClientToken::random().unwrap();
    let taken = store.register("beta".parse().unwrap(), new.hash().into());
    assert!(matches!(taken.await, Err(StoreError::ProjectExists { .. })));
    store
        .rotate(tokens[2].hash(), new.hash().into(), i64::MAX)
        .await
        .unwrap();
    assert!(shown(&new).await.is_some());
    store.close().await.unwrap();
    nothing_is_wrong(&data, 3);
}

#[tokio::test]
async fn entries_that_had_a_column_for_each_field_are_what_they_were() {
    let (_dir, data, entries) = format_6();
    nothing_is_wrong(&data, 0);
    let (store, notices) = SqliteStore::open(&data).unwrap();
    let upgraded = Notice::Upgraded {
        path: data.store(),
        entries: 4,
    };
    assert_eq!(notices, [upgraded]);
    assert_eq!(everything(&store).await, entries);
    for entry_type in EntryType::ALL {
        let types = [entry_type].into_iter().collect();
        let mut expected = entries.clone();
        expected.retain(|entry| entry.entry_type == entry_type);
        assert_eq!(store.page(query(types)).await.unwrap(), expected);
    }
    // What is stored is found by its id, the first of two.
    let again = [
        draft("id\0one", EntryType::Task, ""),
        draft("two", EntryType::Task, ""),
    ];
    let again = store.append(&client("alpha"), again.to_vec()).await;
    assert_eq!(numbers(again.unwrap()), [1, 2]);
    let next = vec![draft("next", EntryType::Task, "")];
    let next = store.append(&client("alpha"), next).await;
    assert_eq!(numbers(next.unwrap()), [7]);
    store.close().await.unwrap();
    nothing_is_wrong(&data, 0);
    assert_eq!(self::notices(&data), []);
}

#[test]
fn a_row_that_no_message_can_be_made_of_leaves_the_store_as_it_is() {
    let (_dir, data, _) = format_6();
    let engine = Connection::open(data.store()).unwrap();
    let broken = "UPDATE entries SET content = CAST(x'ff00' AS TEXT) WHERE sequence = 5";
    engine.execute(broken, []).unwrap();
    let error = refused(&data);
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    let rows = |sql| {
        engine
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(rows("PRAGMA user_version"), 6);
    assert_eq!(rows("SELECT count(content) FROM entries"), 4);
}
