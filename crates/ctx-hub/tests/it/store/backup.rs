//! Backups: made beside publishers, of what a killed hub left, of an older version's store; damaged;
//! restored.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ctx_config::paths;
use ctx_hub::store::backup::{self, BackupError, BackupProgress, Manifest, ManifestFault};
use ctx_io::{FileLock, Holder, Wait};
use tokio::runtime::Handle;

use super::*;

const PUBLISHERS: usize = 8;
const ROUNDS: usize = 4;

/// A store that publishers are busy with, as a hub has it.
struct Busy {
    data: DataDir,
    stop: Arc<AtomicBool>,
    /// The last sequence that was acknowledged.
    acknowledged: Arc<AtomicU64>,
    publishers: tokio::task::JoinSet<()>,
    lock: FileLock,
    dir: tempfile::TempDir,
}

impl Busy {
    fn start() -> Self {
        let (dir, data) = empty_dir();
        let holder = Holder {
            command: "hub of the test",
            version: "0",
        };
        let lock = FileLock::acquire(&data.lock(), &holder, Wait::No).unwrap();
        let store = Arc::new(open(&data));
        let mut busy = Self {
            data,
            stop: Arc::default(),
            acknowledged: Arc::default(),
            publishers: tokio::task::JoinSet::new(),
            lock,
            dir,
        };
        for publisher in 0..PUBLISHERS {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&busy.stop));
            let acknowledged = Arc::clone(&busy.acknowledged);
            drop(busy.publishers.spawn(async move {
                let client = client(&format!("project-{publisher}"));
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let name = |half: &str| format!("{publisher}-{number}-{half}");
                    let text = "w".repeat(3_000);
                    let batch = vec![
                        draft(&name("a"), EntryType::Task, &text),
                        draft(&name("b"), EntryType::Learning, &text),
                    ];
                    let last = store.append(&client, batch).await.unwrap()[1];
                    acknowledged.fetch_max(last.get(), Ordering::Relaxed);
                    number += 1;
                }
            }));
        }
        busy
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.publishers.join_next().await {
            ended.unwrap();
        }
        self.lock.release().unwrap();
        drop(self.dir);
    }
}

async fn back_up(data: &DataDir, to: &Utf8Path) -> Result<Manifest, BackupError> {
    let (data, to) = (data.clone(), to.to_owned());
    let work = move || backup::back_up(&data, &to, &mut |_| {});
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Restores a backup into a directory of its own.
fn restore(from: &Utf8Path) -> Result<(tempfile::TempDir, DataDir, Manifest), BackupError> {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(Utf8Path::from_path(dir.path()).unwrap().join("restored"));
    let manifest = backup::restore(from, &data, &mut |_| {})?;
    Ok((dir, data, manifest))
}

fn names(dir: &Utf8Path) -> Vec<String> {
    let entries = dir.read_dir_utf8().unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_owned())
        .collect();
    names.sort();
    names
}

fn mode(path: &Utf8Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A store with three entries and a client, and a backup of it.
async fn backed_up() -> (tempfile::TempDir, Utf8PathBuf) {
    let (_dir, data) = empty_dir();
    let store = open(&data);
    let token = ctx_hub::secret::ClientToken::random().unwrap();
    let project = "alpha".parse().unwrap();
    let client = store.register(project, token.hash().into()).await.unwrap();
    for text in ["one", "two", "three"] {
        let next = draft(text, EntryType::Task, text);
        store.append(&client, vec![next]).await.unwrap();
    }
    store.close().await.unwrap();
    let (out, elsewhere) = empty_dir();
    let at = elsewhere.path().join("backup");
    back_up(&data, &at).await.unwrap();
    (out, at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_holds_what_was_acknowledged_before_it_began_and_no_half_batch() {
    let busy = Busy::start();
    let out = tempfile::tempdir().unwrap();
    let out = Utf8Path::from_path(out.path()).unwrap();
    for round in 0..ROUNDS {
        let enough = busy.acknowledged() + 200;
        eventually("publishers go on", || busy.acknowledged() >= enough);
        let before = busy.acknowledged();
        let to = out.join(round.to_string());
        let manifest = back_up(&busy.data, &to).await.unwrap();
        assert!(manifest.head >= before, "{} < {before}", manifest.head);

        let (_dir, data, read) = restore(&to).unwrap();
        assert_eq!(read, manifest);
        let (store, notices) = SqliteStore::open(&data).unwrap();
        assert_eq!(notices, [], "a restored store has lost nothing of itself");
        let entries = everything(&store).await;
        let head = manifest.head;
        assert_eq!(sequences(&entries), (1..=head).collect::<Vec<u64>>());
        let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        for id in &ids {
            let stem = &id[..id.len() - 1];
            let whole = ["a", "b"].map(|half| ids.contains(&*format!("{stem}{half}")));
            assert_eq!(whole, [true, true], "half a batch: {id}");
        }
        assert_eq!(
            manifest.chain,
            Some(chained(&store).await.to_string()),
            "round {round}"
        );
        store.close().await.unwrap();
    }
    busy.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_and_moved_out_of_the_log_in_the_middle_of_a_copy_is_not_in_it() {
    let (_dir, data) = empty_dir();
    let holder = Holder {
        command: "hub of the test",
        version: "0",
    };
    let lock = FileLock::acquire(&data.lock(), &holder, Wait::No).unwrap();
    let store = Arc::new(open(&data));
    let publish = async |name: &str, bytes: usize| {
        let next = draft(name, EntryType::Task, &"w".repeat(bytes));
        store.append(&client("alpha"), vec![next]).await.unwrap();
    };
    // More than one step of the copy.
    for n in 0..12 {
        publish(&n.to_string(), 1_000_000).await;
    }
    let engine = rusqlite::Connection::open(data.store()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let to = Utf8Path::from_path(out.path()).unwrap().join("backup");
    let mut steps = 0;
    let mut disturb = |progress| {
        let BackupProgress::Copying { done, of } = progress else {
            return;
        };
        if done < of {
            steps += 1;
            let publish = |half: &str| {
                let name = format!("{half}-{steps}");
                tokio::task::block_in_place(|| Handle::current().block_on(publish(&name, 9_000)));
            };
            publish("before");
            let moved = |row: &rusqlite::Row<'_>| row.get::<_, i64>(2);
            engine
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], moved)
                .unwrap();
            publish("after");
        }
    };
    let manifest = backup::back_up(&data, &to, &mut disturb).unwrap();
    assert!(steps > 1, "{steps}");
    assert_eq!((manifest.head, manifest.entries), (12, 12));
    assert_eq!(restore(&to).unwrap().2, manifest);
    store.close().await.unwrap();
    lock.release().unwrap();
}

#[tokio::test]
async fn what_a_killed_hub_left_is_backed_up_with_its_write_ahead_log_and_left_as_it_is() {
    let (_dir, running) = empty_dir();
    let store = open(&running);
    for n in 0..20 {
        let next = draft(&n.to_string(), EntryType::Task, &"w".repeat(5_000));
        store.append(&client("alpha"), vec![next]).await.unwrap();
    }
    let (_left, left) = lost::copy_of(&running);
    let before = names(left.path());
    assert!(before.len() > 2, "{before:?}");
    let out = tempfile::tempdir().unwrap();
    let to = Utf8Path::from_path(out.path()).unwrap().join("backup");
    let manifest = back_up(&left, &to).await.unwrap();
    assert_eq!((manifest.head, manifest.entries), (20, 20));
    assert_eq!(names(left.path()), before);
    assert_eq!(restore(&to).unwrap().2, manifest);
}

#[tokio::test]
async fn a_store_of_an_older_version_is_backed_up_before_it_is_upgraded() {
    let (_dir, data) = chain::format_1(&[]);
    let out = tempfile::tempdir().unwrap();
    let to = Utf8Path::from_path(out.path()).unwrap().join("backup");
    let manifest = back_up(&data, &to).await.unwrap();
    assert_eq!(manifest.chain, None);
    let (_dir, restored, _) = restore(&to).unwrap();
    assert!(!restored.marks().exists());
    open(&restored).close().await.unwrap();
}

#[tokio::test]
async fn a_backup_and_what_is_made_of_it_are_for_their_owner_alone() {
    let (_dir, at) = backed_up().await;
    let all = [
        paths::STORE_FILE,
        paths::STORE_MARKS_FILE,
        paths::BACKUP_MANIFEST_FILE,
    ];
    assert_eq!(names(&at), all);
    assert_eq!(mode(&at), 0o700);
    let (_dir, data, _) = restore(&at).unwrap();
    assert_eq!(names(data.path()), all[..2]);
    assert_eq!(mode(data.path()), 0o700);
    for name in &all[..2] {
        assert_eq!(mode(&at.join(name)), 0o600, "{name}");
        assert_eq!(mode(&data.path().join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_byte_that_was_changed_anywhere_is_found_and_nothing_is_restored() {
    let (_dir, at) = backed_up().await;
    for name in [paths::STORE_FILE, paths::STORE_MARKS_FILE] {
        let path = at.join(name);
        let whole = std::fs::read(&path).unwrap();
        for place in [0, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            import::put(&path, &bytes);
            let error = restore(&at).unwrap_err();
            assert!(matches!(error, BackupError::Altered { .. }), "{error:?}");
            assert!(error.is_damage());
        }
        import::put(&path, &whole[..whole.len() - 1]);
        let error = restore(&at).unwrap_err();
        assert!(matches!(error, BackupError::Altered { .. }), "{error:?}");
        std::fs::remove_file(&path).unwrap();
        restore(&at).unwrap_err();
        import::put(&path, &whole);
    }
    restore(&at).unwrap();
}

#[tokio::test]
async fn a_manifest_names_our_files_only_and_speaks_of_the_store_beside_it() {
    let (_dir, at) = backed_up().await;
    let path = at.join(paths::BACKUP_MANIFEST_FILE);
    let whole = std::fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        import::put(&path, whole.replace(from, to).as_bytes());
        match restore(&at).unwrap_err() {
            BackupError::Manifest { source, .. } => source,
            error => panic!("{error:?}"),
        }
    };
    for name in ["../escaped", paths::ADMIN_TOKEN_FILE, "/etc/passwd", ""] {
        let fault = with(paths::STORE_MARKS_FILE, name);
        assert!(matches!(fault, ManifestFault::Name { .. }), "{fault:?}");
    }
    let fault = with(paths::STORE_MARKS_FILE, paths::STORE_FILE);
    assert!(matches!(fault, ManifestFault::Files), "{fault:?}");
    let fault = with("\"format\": 1", "\"format\": 7");
    assert!(matches!(fault, ManifestFault::Newer { .. }), "{fault:?}");
    for (from, to) in [
        ("\"head\": 3", "\"head\": 4"),
        ("\"clients\": 1", "\"clients\": 0"),
    ] {
        let fault = with(from, to);
        assert!(matches!(fault, ManifestFault::AnotherStore), "{fault:?}");
    }
    let nowhere = at.join("nowhere");
    let error = restore(&nowhere).unwrap_err();
    assert!(matches!(error, BackupError::NoBackup { .. }), "{error:?}");
}

#[tokio::test]
async fn a_store_that_is_not_sound_makes_no_backup() {
    let (_dir, data) = empty_dir();
    let store = open(&data);
    for text in ["one", "two", "three"] {
        let next = draft(text, EntryType::Task, text);
        store.append(&client("alpha"), vec![next]).await.unwrap();
    }
    store.close().await.unwrap();
    let engine = rusqlite::Connection::open(data.store()).unwrap();
    let changed = engine.execute(
        "UPDATE entries SET message = json_set(message, '$.content', 'x') WHERE sequence = 2",
        [],
    );
    assert_eq!(changed, Ok(1));
    engine.close().unwrap();
    let out = tempfile::tempdir().unwrap();
    let out = Utf8Path::from_path(out.path()).unwrap();
    let error = back_up(&data, &out.join("backup")).await.unwrap_err();
    assert!(matches!(error, BackupError::Unsound { .. }), "{error:?}");
    assert!(error.is_damage());
    assert!(
        error.to_string().contains("chain: entry 2 its hash"),
        "{error}"
    );
    assert_eq!(names(out), Vec::<String>::new());
}

#[tokio::test]
async fn a_backup_takes_no_place_that_is_taken_nor_one_in_what_it_is_made_of() {
    let (_dir, at) = backed_up().await;
    let (_restored, data, _) = restore(&at).unwrap();
    let error = back_up(&data, &at).await.unwrap_err();
    assert!(error.is_usage(), "{error:?}");
    let inside = data.path().join("backup");
    let error = back_up(&data, &inside).await.unwrap_err();
    assert!(matches!(error, BackupError::Inside { .. }), "{error:?}");
    let error = backup::restore(&at, &data, &mut |_| {}).unwrap_err();
    assert!(error.is_usage(), "{error:?}");
    assert_eq!(names(data.path()).len(), 2);
    let (_empty, nothing) = empty_dir();
    let error = back_up(&nothing, &at.with_extension("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, BackupError::NoHub { .. }), "{error:?}");
}
