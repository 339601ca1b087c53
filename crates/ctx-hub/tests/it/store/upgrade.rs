//! The clients of a store in which each had one token.

use std::os::unix::fs::PermissionsExt as _;

use ctx_hub::secret::ClientToken;
use ctx_hub::store::verify;
use rusqlite::{Connection, params};

use super::*;

const MIGRATIONS: [&str; 3] = [
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0001_entries.sql"
    )),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0002_chain.sql"
    )),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0003_commits.sql"
    )),
];
const HUB: &str = "00112233445566778899aabbccddeeff";

/// A data directory with a store of the third format: a client that was revoked, one that took its
/// name over, and one of another project.
fn format_3(tokens: &[ClientToken; 3]) -> (tempfile::TempDir, DataDir) {
    let (dir, data) = empty_dir();
    let engine = Connection::open(data.store()).unwrap();
    MIGRATIONS
        .iter()
        .for_each(|sql| engine.execute_batch(sql).unwrap());
    engine
        .execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA user_version = 3; PRAGMA application_id = 0x63747868",
        )
        .unwrap();
    let chain = Chain::genesis(&HUB.parse().unwrap()).to_bytes();
    let log = "INSERT INTO log VALUES (1, ?1, 0, 0, ?2, 0)";
    engine.execute(log, params![HUB, chain]).unwrap();
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
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(data.store(), private).unwrap();
    (dir, data)
}

/// Nothing is wrong with the store; there is no admin token beside it.
fn nothing_is_wrong(data: &DataDir) {
    let found = verify::verify(data, &mut |_| {}).unwrap();
    assert_eq!(found.clients, 3);
    let mut of_store = found.findings.iter().filter(|f| f.path == data.store());
    assert_eq!(of_store.next(), None);
}

#[tokio::test]
async fn tokens_of_before_go_on_without_an_expiry_and_revoked_ones_stay_revoked() {
    let tokens = std::array::from_fn(|_| ClientToken::random().unwrap());
    let (_dir, data) = format_3(&tokens);
    nothing_is_wrong(&data);

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
    nothing_is_wrong(&data);
}
