//! Damage of each kind, planted and found; and damage anywhere, survived.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8PathBuf;
use ctx_config::paths;
use ctx_io::{FileLock, Holder, Wait};
use rusqlite::Connection;

use super::*;
use crate::entry::{Entry, EntryDraft, EntryMeta};
use crate::secret::{AdminToken, ClientToken};
use crate::store::{Client, PageQuery, SqliteStore, Store as _};
use crate::types::{EntryId, EntryType, Sequence, TypeSet};

/// Entries of a test's store; one batch each, the types taking turns.
const ENTRIES: u64 = 40;

struct Hub {
    data: DataDir,
    _temp: tempfile::TempDir,
}

impl Hub {
    fn empty() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let mode = fs::Permissions::from_mode(paths::PRIVATE_DIR_MODE);
        fs::set_permissions(temp.path(), mode).unwrap();
        let data = DataDir::new(Utf8Path::from_path(temp.path()).unwrap());
        let hub = Self { data, _temp: temp };
        let token = AdminToken::random().unwrap();
        hub.put(&hub.data.admin_token(), token.expose().as_bytes());
        hub
    }

    async fn open(&self) -> SqliteStore {
        let (store, _) = SqliteStore::open(&self.data).unwrap();
        let token = ClientToken::random().unwrap().hash();
        let client = store
            .register("alpha".parse().unwrap(), token.into())
            .await
            .unwrap();
        for number in 1..=ENTRIES {
            publish(&store, &client, number).await;
        }
        store
    }

    /// A store of some entries that no hub serves.
    async fn stopped() -> Self {
        let hub = Self::empty();
        hub.open().await.close().await.unwrap();
        hub
    }

    /// What a hub leaves that was killed: everything is in the write-ahead log still.
    async fn killed() -> Self {
        let (living, hub) = (Self::empty(), Self::empty());
        let store = living.open().await;
        for path in [living.data.store(), file::wal(&living.data.store())] {
            let bytes = fs::read(&path).unwrap();
            hub.put(&hub.data.path().join(path.file_name().unwrap()), &bytes);
        }
        store.close().await.unwrap();
        hub
    }

    fn put(&self, path: &Utf8Path, bytes: &[u8]) {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test lays out what it finds later"
        )]
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(paths::PRIVATE_FILE_MODE)).unwrap();
    }

    fn verified(&self) -> StoreReport {
        let before = self.contents();
        let report = verify(&self.data, &mut |_| {}).unwrap();
        assert!(self.contents() == before, "something was written");
        report
    }

    /// Every file by name, with its bytes.
    fn contents(&self) -> BTreeMap<Utf8PathBuf, Vec<u8>> {
        let entries = self.data.path().read_dir_utf8().unwrap();
        let mut contents = BTreeMap::new();
        for entry in entries {
            let path = entry.unwrap().into_path();
            let bytes = fs::read(&path).unwrap_or_default();
            contents.insert(path, bytes);
        }
        contents
    }

    /// Changes the database as nothing of ours would.
    fn engine(&self, sql: &str) {
        let engine = Connection::open(self.data.store()).unwrap();
        engine
            .pragma_update(None, "ignore_check_constraints", true)
            .unwrap();
        engine.execute_batch(sql).unwrap();
        engine.close().unwrap();
    }
}

async fn publish(store: &SqliteStore, client: &Client, number: u64) {
    let turn = usize::try_from(number).unwrap() % EntryType::ALL.len();
    let draft = EntryDraft::new(
        EntryId::try_from(format!("id-{number}")).unwrap(),
        EntryType::ALL[turn],
        format!("entry {number} {}", "z".repeat(300)),
        0,
        EntryMeta::default(),
    );
    let stored = store.append(client, vec![draft.unwrap()]).await.unwrap();
    assert_eq!(stored, [Sequence::new(number)]);
}

fn told(report: &StoreReport) -> Vec<(String, Option<u64>, Kind)> {
    let findings = report.findings.iter();
    findings
        .map(|found| {
            let file = found.path.file_name().unwrap().to_owned();
            (file, found.sequence.map(Sequence::get), found.kind)
        })
        .collect()
}

fn assert_told(report: &StoreReport, expected: &[(&str, Option<u64>, Kind)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|&(file, sequence, kind)| (file.to_owned(), sequence, kind))
        .collect();
    assert_eq!(told(report), expected, "{report:#?}");
    assert_eq!(report.hint().is_some(), !expected.is_empty());
}

fn hold(hub: &Hub) -> FileLock {
    let holder = Holder {
        command: "test",
        version: "0",
    };
    FileLock::acquire(&hub.data.lock(), &holder, Wait::No).unwrap()
}

#[tokio::test]
async fn a_store_that_nobody_damaged_is_clean_running_stopped_and_killed() {
    for hub in [Hub::stopped().await, Hub::killed().await] {
        let report = hub.verified();
        assert_told(&report, &[]);
        assert_eq!((report.entries, report.clients), (ENTRIES, 1));
        assert_eq!(report.head, Some(Sequence::new(ENTRIES)));
        assert_eq!(report.running, None);
    }
    let hub = Hub::empty();
    let store = hub.open().await;
    let lock = hold(&hub);
    let before = fs::read(file::wal(&hub.data.store())).unwrap();
    let report = verify(&hub.data, &mut |_| {}).unwrap();
    assert_told(&report, &[]);
    assert_eq!(report.running, Some(std::process::id()));
    assert_eq!(report.entries, ENTRIES);
    assert!(fs::read(file::wal(&hub.data.store())).unwrap() == before);
    lock.release().unwrap();
    store.close().await.unwrap();
    assert_told(&hub.verified(), &[]);
}

#[tokio::test]
async fn a_store_that_is_written_to_meanwhile_is_clean_at_every_moment() {
    let hub = Hub::empty();
    let store = hub.open().await;
    let lock = hold(&hub);
    let token = ClientToken::random().unwrap().hash();
    let client = store
        .register("beta".parse().unwrap(), token.into())
        .await
        .unwrap();
    for number in 1..=20 {
        let data = hub.data.clone();
        let looking = tokio::task::spawn_blocking(move || verify(&data, &mut |_| {}).unwrap());
        publish(&store, &client, ENTRIES + number).await;
        assert_told(&looking.await.unwrap(), &[]);
    }
    lock.release().unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn entries_that_were_taken_out_are_gaps_and_the_counters_tell() {
    let hub = Hub::stopped().await;
    hub.engine("DELETE FROM entries WHERE sequence IN (5, 9, 10, 40)");
    let db = paths::STORE_FILE;
    let gap = |at| (db, Some(at), Kind::Gap);
    let count = (db, None, Kind::Count);
    let report = hub.verified();
    assert_told(&report, &[gap(5), gap(9), gap(40), count, count, count]);
    let detail = &report.findings[1].detail;
    assert!(detail.contains("up to 10 are not there (2 sequences)"));
    assert_eq!(report.entries, ENTRIES - 4);
}

#[tokio::test]
async fn an_entry_that_is_not_what_was_stored_is_told_by_its_hash() {
    let chain = |at| (paths::STORE_FILE, Some(at), Kind::Chain);
    let beside = (paths::STORE_FILE, Some(6), Kind::Entry);
    for (change, told) in [
        ("'$.content', 'another'", &[chain(6)][..]),
        ("'$.timestamp', 5", &[chain(6)]),
        ("'$.meta.tool', 'x'", &[chain(6)]),
        // The next one does not follow from what stands there now, nor is it what stands beside it.
        (
            "'$.chain', '000102030405060708090a0b0c0d0e0f'",
            &[chain(6), beside, chain(7)],
        ),
    ] {
        let hub = Hub::stopped().await;
        hub.engine(&format!(
            "UPDATE entries SET message = json_set(message, {change}) WHERE sequence = 6"
        ));
        assert_told(&hub.verified(), told);
    }
    for change in [
        "chain = x'000102030405060708090a0b0c0d0e0f'",
        "type = type % 4 + 1",
        "type = 9",
        "id_hash = 1",
        "message = json_set(message, '$.unknown', 1)",
        "message = message || ' '",
    ] {
        let hub = Hub::stopped().await;
        hub.engine(&format!("UPDATE entries SET {change} WHERE sequence = 6"));
        assert_told(&hub.verified(), &[beside]);
    }
    let hub = Hub::stopped().await;
    hub.engine("UPDATE log SET chain = x'000102030405060708090a0b0c0d0e0f'");
    assert_told(
        &hub.verified(),
        &[(paths::STORE_FILE, Some(40), Kind::Chain)],
    );
}

#[tokio::test]
async fn holes_that_an_older_hub_s_log_had_are_no_damage() {
    let hub = Hub::empty();
    let line = |sequence: u64| {
        format!(
            "{{\"id\":\"id-{sequence}\",\"type\":\"task\",\"content\":\"x\",\"origin\":\"p\",\
             \"timestamp\":\"2026-06-11T00:00:00Z\",\"sequence\":{sequence}}}\n"
        )
    };
    let lines: String = [2, 3, 7].into_iter().map(line).collect();
    hub.put(&hub.data.old_entries(), lines.as_bytes());
    hub.put(&hub.data.old_meta(), b"{\"sequence_counter\":9}");
    let (store, _) = SqliteStore::open(&hub.data).unwrap();
    store.close().await.unwrap();
    let report = hub.verified();
    assert_told(&report, &[]);
    let never = report
        .notes
        .iter()
        .filter(|note| note.contains("goes on over it"));
    assert_eq!(never.count(), 3, "{:?}", report.notes);
    hub.engine("DELETE FROM entries WHERE sequence = 3; UPDATE counts SET entries = 2");
    assert_told(&hub.verified(), &[(paths::STORE_FILE, Some(3), Kind::Gap)]);
}

#[tokio::test]
async fn rows_that_no_entry_can_be_made_of_are_told_by_their_sequence() {
    let hub = Hub::stopped().await;
    hub.engine(
        "UPDATE entries SET message = json_set(message, '$.id', '') WHERE sequence = 6; \
         UPDATE entries SET message = CAST(x'ff00' AS TEXT) WHERE sequence = 7; \
         UPDATE entries SET message = '{' WHERE sequence = 8; \
         UPDATE entries SET message = json_set(message, '$.sequence', 8) WHERE sequence = 9",
    );
    let report = hub.verified();
    let entries: Vec<_> = told(&report)
        .into_iter()
        .filter(|(_, _, kind)| *kind == Kind::Entry)
        .map(|(_, sequence, _)| sequence.unwrap())
        .collect();
    assert_eq!(entries, [6, 7, 8, 9]);
    assert_eq!(report.entries, ENTRIES);
}

#[tokio::test]
async fn a_head_that_is_not_where_the_log_ends_is_told() {
    let (db, head) = (paths::STORE_FILE, Kind::Head);
    for (sql, expected) in [
        ("UPDATE log SET head = 7", (db, Some(40), head)),
        ("DELETE FROM log", (db, None, head)),
        ("UPDATE log SET hub_id = 'x'", (db, None, head)),
    ] {
        let hub = Hub::stopped().await;
        hub.engine(sql);
        assert_told(&hub.verified(), &[expected]);
    }
}

#[tokio::test]
async fn counters_and_clients_that_cannot_be_right_are_told() {
    let db = paths::STORE_FILE;
    for (sql, kind) in [
        ("UPDATE counts SET entries = 3 WHERE type = 1", Kind::Count),
        ("DELETE FROM counts WHERE type = 1", Kind::Count),
        ("INSERT INTO counts VALUES ('ghost', 1, 4)", Kind::Count),
        ("UPDATE tokens SET hash = x'00'", Kind::Client),
        ("DELETE FROM tokens", Kind::Client),
        ("UPDATE tokens SET replaces = x'00'", Kind::Client),
        (
            "INSERT INTO tokens (hash, client, issued_at) SELECT zeroblob(32), client, 0 FROM tokens",
            Kind::Client,
        ),
        ("UPDATE clients SET project = ''", Kind::Client),
        ("UPDATE clients SET id = 'x'", Kind::Client),
        ("INSERT INTO usage VALUES ('ghost', 1, 4)", Kind::Client),
    ] {
        let hub = Hub::stopped().await;
        hub.engine(sql);
        assert_told(&hub.verified(), &[(db, None, kind)]);
    }
}

#[tokio::test]
async fn what_does_not_open_is_a_finding_and_what_is_missing_too() {
    let db = paths::STORE_FILE;
    let whole = fs::read(Hub::stopped().await.data.store()).unwrap();
    for bytes in [&b""[..], b"S", &[0xff; 4096], &whole[..whole.len() - 1]] {
        let hub = Hub::stopped().await;
        hub.put(&hub.data.store(), bytes);
        assert_told(&hub.verified(), &[(db, None, Kind::Damaged)]);
    }
    let hub = Hub::stopped().await;
    hub.engine("PRAGMA user_version = 99");
    assert_told(&hub.verified(), &[(db, None, Kind::Foreign)]);
    fs::remove_file(hub.data.store()).unwrap();
    assert_told(&hub.verified(), &[(db, None, Kind::Damaged)]);
    fs::create_dir(hub.data.store()).unwrap();
    assert_told(&hub.verified(), &[(db, None, Kind::NotAFile)]);
    fs::remove_dir(hub.data.store()).unwrap();
    std::os::unix::fs::symlink("/nowhere", hub.data.store()).unwrap();
    assert_told(&hub.verified(), &[(db, None, Kind::NotAFile)]);
    let hub = Hub::killed().await;
    fs::remove_file(hub.data.store()).unwrap();
    assert_told(&hub.verified(), &[(db, None, Kind::Damaged)]);
}

#[tokio::test]
async fn a_log_that_lost_transactions_is_told() {
    let hub = Hub::killed().await;
    let wal = file::wal(&hub.data.store());
    let mut bytes = fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    hub.put(&wal, &bytes);
    let report = hub.verified();
    assert_eq!(report.findings[0].kind, Kind::Log);
    assert!(report.entries < ENTRIES);
}

#[tokio::test]
async fn a_log_that_is_gone_or_cut_at_a_transaction_is_told_by_what_was_acknowledged() {
    for keep in [0, 2] {
        let hub = Hub::empty();
        let store = hub.open().await;
        let copy = Hub::empty();
        for path in [
            hub.data.store(),
            hub.data.marks(),
            file::wal(&hub.data.store()),
        ] {
            let bytes = fs::read(&path).unwrap();
            let is_log = path == file::wal(&hub.data.store());
            let length = if is_log {
                bytes.len() * keep / 3
            } else {
                bytes.len()
            };
            copy.put(
                &copy.data.path().join(path.file_name().unwrap()),
                &bytes[..length],
            );
        }
        store.close().await.unwrap();
        let report = copy.verified();
        let lost = |found: &StoreFinding| found.kind == Kind::Log;
        assert!(report.findings.iter().any(lost), "{report:#?}");
    }
}

#[tokio::test]
async fn token_modes_and_leftovers_are_told() {
    let hub = Hub::stopped().await;
    let token = paths::ADMIN_TOKEN_FILE;
    hub.put(&hub.data.admin_token(), b"none");
    assert_told(&hub.verified(), &[(token, None, Kind::Token)]);
    fs::remove_file(hub.data.admin_token()).unwrap();
    assert_told(&hub.verified(), &[]);
    let open = |path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    hub.put(&hub.data.admin_token(), b"none");
    open(hub.data.admin_token());
    open(hub.data.store());
    let both = [
        (paths::STORE_FILE, None, Kind::Mode),
        (token, None, Kind::Mode),
    ];
    assert_told(&hub.verified(), &both);
    let hub = Hub::stopped().await;
    let name = hub.data.path().file_name().unwrap();
    let mode = fs::Permissions::from_mode(0o750);
    fs::set_permissions(hub.data.path(), mode).unwrap();
    assert_told(&hub.verified(), &[(name, None, Kind::Mode)]);
    let hub = Hub::stopped().await;
    fs::remove_file(hub.data.marks()).unwrap();
    std::os::unix::fs::symlink("elsewhere", hub.data.marks()).unwrap();
    let marks = (paths::STORE_MARKS_FILE.to_owned(), None, Kind::NotAFile);
    assert!(told(&hub.verified()).contains(&marks));
    let hub = Hub::stopped().await;
    hub.put(&hub.data.store_new(), b"half");
    hub.put(&hub.data.old_clients(), b"[]");
    let report = hub.verified();
    assert_told(&report, &[(paths::STORE_NEW_FILE, None, Kind::Leftover)]);
    assert!(
        report.notes[0].contains("tokens in the clear"),
        "{:?}",
        report.notes
    );
}

/// Numbers that look random and are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

async fn everything(store: &SqliteStore) -> Option<Vec<Entry>> {
    let page = store.page(PageQuery {
        since: Sequence::START,
        until: None,
        types: TypeSet::all(),
        max_entries: 1000,
        max_bytes: usize::MAX,
    });
    page.await.ok()
}

/// Looks at a damaged store, then opens it; neither may panic, and what is called clean has every
/// entry.
async fn survive(hub: &Hub, what: &str, stored: &[Entry]) -> bool {
    let report = hub.verified();
    let entries = match SqliteStore::open(&hub.data) {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
        Ok((store, _)) => {
            let entries = everything(&store).await;
            store.statistics().await.ok();
            store.clients().await.ok();
            store.close().await.ok();
            entries
        }
    };
    if report.is_clean() {
        assert_eq!(report.entries, ENTRIES, "{what}: silently lost");
        assert_eq!(entries.as_deref(), Some(stored), "{what}: called clean");
    }
    report.is_clean()
}

#[tokio::test]
async fn a_database_damaged_anywhere_is_told_or_whole_and_nothing_panics() {
    let undamaged = Hub::stopped().await;
    let whole = fs::read(undamaged.data.store()).unwrap();
    let (store, _) = SqliteStore::open(&undamaged.data).unwrap();
    let stored = everything(&store).await.unwrap();
    store.close().await.unwrap();
    let mut seeded = Seeded(7);
    let mut told = 0;
    for round in 0..120 {
        let hub = Hub::empty();
        let mut bytes = whole.clone();
        // Half of the flips hit the headers of pages, where the engine keeps its structure.
        let page = seeded.below(whole.len() / 4096) * 4096;
        match round % 4 {
            0 => bytes.truncate(seeded.below(whole.len())),
            1 => bytes[page + seeded.below(120)] ^= 1 << seeded.below(8),
            2 => bytes[seeded.below(whole.len())] ^= 1 << seeded.below(8),
            _ => bytes[page..page + 4096].fill(0),
        }
        hub.put(&hub.data.store(), &bytes);
        told += u32::from(!survive(&hub, &format!("round {round}"), &stored).await);
    }
    assert!(told >= 60, "{told} of 120 were told");
}

#[tokio::test]
async fn a_write_ahead_log_damaged_anywhere_is_told_or_costs_one_transaction_and_nothing_panics() {
    let killed = Hub::killed().await;
    let store = fs::read(killed.data.store()).unwrap();
    let whole = fs::read(file::wal(&killed.data.store())).unwrap();
    let mut seeded = Seeded(11);
    for round in 0..60 {
        let hub = Hub::empty();
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(seeded.below(whole.len())),
            1 => bytes[seeded.below(4096)] ^= 1 << seeded.below(8),
            _ => bytes[seeded.below(whole.len())] ^= 1 << seeded.below(8),
        }
        hub.put(&hub.data.store(), &store);
        hub.put(&file::wal(&hub.data.store()), &bytes);
        let report = hub.verified();
        let opened = SqliteStore::open(&hub.data);
        if let Ok((store, _)) = opened {
            let head = *store.head().borrow();
            assert_eq!(Some(head), report.head, "round {round}: both see the same");
            store.close().await.ok();
        }
    }
}

#[tokio::test]
async fn a_token_file_is_held_against_what_the_store_has_of_the_token() {
    let hub = Hub::stopped().await;
    let (right, wrong) = (AdminToken::random().unwrap(), AdminToken::random().unwrap());
    let (store, _) = SqliteStore::open(&hub.data).unwrap();
    store.set_admin(right.hash()).await.unwrap();
    store.close().await.unwrap();
    let token = paths::ADMIN_TOKEN_FILE;

    hub.put(&hub.data.admin_token(), right.expose().as_bytes());
    assert_told(&hub.verified(), &[]);
    for text in [wrong.expose(), "none"] {
        hub.put(&hub.data.admin_token(), text.as_bytes());
        assert_told(&hub.verified(), &[(token, None, Kind::Token)]);
    }
    fs::remove_file(hub.data.admin_token()).unwrap();
    assert_told(&hub.verified(), &[]);
}

#[tokio::test]
async fn an_invitation_that_cannot_be_used_is_told() {
    let hub = Hub::stopped().await;
    let engine = Connection::open(hub.data.store()).unwrap();
    let hash = [7_u8; 32];
    let row = "INSERT INTO invitations (id, token_hash, project, uses, created_at, expires_at) \
               VALUES (?1, ?2, 'beta', 1, 0, 1)";
    engine.execute(row, ("0123456789abcdef", &hash)).unwrap();
    assert_told(&hub.verified(), &[]);
    engine
        .execute("UPDATE invitations SET id = 'x'", [])
        .unwrap();
    let report = hub.verified();
    assert_told(&report, &[(paths::STORE_FILE, None, Kind::Client)]);
    assert!(
        report.findings[0].detail.contains("number 1"),
        "{report:#?}"
    );
}
