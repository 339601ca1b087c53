//! The import of an older hub's files.

use std::io::Write as _;
use std::process::Command;

use ctx_config::paths;
use ctx_hub::secret::ClientToken;

use super::*;

const ID_A: &str = "0123456789abcdef0123456789abcdef";
const ID_B: &str = "fedcba9876543210fedcba9876543210";

/// Writes a file as somebody else would, in place.
pub(crate) fn put(path: &Utf8Path, text: impl AsRef<[u8]>) {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .create(true)
        .open(path);
    file.as_mut().unwrap().write_all(text.as_ref()).unwrap();
}

fn line(id: &str, sequence: u64) -> String {
    format!(
        "{{\"id\":\"{id}\",\"type\":\"learning\",\"content\":\"text of {id}\",\"origin\":\"old\",\
         \"timestamp\":\"2026-06-11T10:00:00.5+02:00\",\"sequence\":{sequence},\
         \"meta\":{{\"display_name\":\"Ada\"}}}}\n"
    )
}

fn client_json(id: &str, project: &str, token: &str) -> String {
    format!("{{\"id\":\"{id}\",\"project_name\":\"{project}\",\"token\":\"{token}\"}}")
}

/// The error of an import that fails; nothing is left of it, and the old files are as they were.
fn import_fails(data: &DataDir) -> StoreError {
    let list = || {
        let mut files: Vec<_> = std::fs::read_dir(data.path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = list();
    let error = refused(data);
    assert_eq!(list(), before);
    assert!(error.hint().is_some());
    error
}

fn fault(error: &StoreError) -> (Option<u64>, String) {
    match error {
        StoreError::Import { line, source, .. } => (*line, source.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_older_hub_s_entries_clients_and_counter_are_taken_over() {
    let (_dir, data) = empty_dir();
    let (a, b) = (ClientToken::random().unwrap(), "not in our form");
    put(&data.old_entries(), line("one", 3) + &line("two", 7));
    let clients = [
        client_json(ID_A, "old", a.expose()),
        client_json(ID_B, "other", b),
    ];
    put(&data.old_clients(), format!("[{}]", clients.join(",")));
    put(
        &data.old_meta(),
        r#"{"sequence_counter":12,"created_at":"2026-01-01T00:00:00Z"}"#,
    );

    let (store, notices) = SqliteStore::open(&data).unwrap();
    assert_eq!(
        notices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!(
            "imported 2 entries and 2 clients from {}; the old files are left as they are, and \
             {} still holds tokens in the clear: delete it once the hub runs well",
            data.path(),
            paths::OLD_CLIENTS_FILE
        )]
    );
    let entries = everything(&store).await;
    assert_eq!(sequences(&entries), [3, 7]);
    assert_eq!(entries[1].id, id("two"));
    assert_eq!(entries[1].content, "text of two");
    assert_eq!(entries[1].origin, "old");
    assert_eq!(entries[1].entry_type, EntryType::Learning);
    assert_eq!(entries[1].timestamp, 1_781_164_800);
    assert_eq!(entries[1].meta.display_name, "Ada");

    let alive = store.authenticate(a.hash()).await.unwrap().unwrap().client;
    assert_eq!((alive.id.as_str(), alive.project.as_str()), (ID_A, "old"));
    let hash = ctx_hub::secret::TokenHash::of(b);
    assert_eq!(
        store
            .authenticate(hash)
            .await
            .unwrap()
            .unwrap()
            .client
            .id
            .as_str(),
        ID_B
    );
    let statistics = store.statistics().await.unwrap();
    assert_eq!((statistics.head.get(), statistics.total), (12, 2));
    assert_eq!(statistics.by_project, [("old".to_owned(), 2)]);

    let again = store
        .append(&alive, vec![draft("one", EntryType::Task, "")])
        .await
        .unwrap();
    let new = store
        .append(&alive, vec![draft("new", EntryType::Task, "")])
        .await
        .unwrap();
    assert_eq!((numbers(again), numbers(new)), (vec![3], vec![13]));
    chained(&store).await;
}

#[tokio::test]
async fn the_import_happens_once_and_leaves_the_old_files_alone() {
    let (_dir, data) = empty_dir();
    let text = line("one", 1);
    put(&data.old_entries(), &text);
    assert_eq!(notices(&data).len(), 1);
    assert_eq!(std::fs::read_to_string(data.old_entries()).unwrap(), text);
    put(&data.old_entries(), line("one", 1) + &line("later", 2));
    let (store, notices) = SqliteStore::open(&data).unwrap();
    assert!(notices.is_empty());
    assert_eq!(everything(&store).await.len(), 1);
}

#[test]
fn an_empty_data_directory_imports_nothing_and_says_nothing() {
    let (_dir, data) = empty_dir();
    assert_eq!(notices(&data), []);
}

#[tokio::test]
async fn a_torn_last_line_is_left_out_and_said() {
    let whole = line("one", 1) + "\n" + &line("two", 2);
    let last = line("größe", 3);
    for cut in 1..last.len() - 1 {
        let (_dir, data) = empty_dir();
        let mut bytes = whole.clone().into_bytes();
        bytes.extend(&last.as_bytes()[..cut]);
        put(&data.old_entries(), &bytes);
        let (store, notices) = SqliteStore::open(&data).unwrap();
        assert_eq!(sequences(&everything(&store).await), [1, 2], "cut at {cut}");
        let torn = notices[1].to_string();
        assert!(torn.starts_with("line 4, the last of"), "{torn}");
        assert!(
            torn.contains(&format!("breaks off after {cut} bytes")),
            "{torn}"
        );
    }
    // Only its line break is missing: nothing is lost.
    let (_dir, data) = empty_dir();
    put(&data.old_entries(), whole + last.trim_end());
    assert_eq!(notices(&data).len(), 1);
}

#[tokio::test]
async fn an_id_that_an_older_hub_stored_twice_keeps_both_places() {
    let (_dir, data) = empty_dir();
    put(&data.old_entries(), line("twice", 1) + &line("twice", 2));
    let store = open(&data);
    assert_eq!(sequences(&everything(&store).await), [1, 2]);
    let again = store
        .append(&client("old"), vec![draft("twice", EntryType::Task, "")])
        .await;
    assert_eq!(numbers(again.unwrap()), [1]);
    assert_eq!(store.statistics().await.unwrap().total, 2);
}

#[tokio::test]
async fn what_an_older_hub_accepted_is_kept_beyond_our_limits() {
    let (_dir, data) = empty_dir();
    let (content, id) = ("c".repeat(2_000_000), "i".repeat(1_000));
    let long = format!(
        "{{\"id\":\"{id}\",\"type\":\"task\",\"content\":\"{content}\",\"origin\":\"\",\
         \"timestamp\":\"0001-01-01T00:00:00Z\",\"sequence\":1,\"meta\":null,\"new\":[]}}\n"
    );
    put(&data.old_entries(), long);
    put(&data.old_clients(), "null");
    let entries = everything(&open(&data)).await;
    assert_eq!(entries[0].content, content);
    assert_eq!(entries[0].id.as_str(), id);
    assert_eq!(
        (entries[0].origin.as_str(), entries[0].timestamp),
        ("", -62_135_596_800)
    );
}

#[test]
fn an_entry_that_cannot_be_kept_stops_the_import_and_is_named() {
    let good = line("one", 5);
    for (bad, expected) in [
        ("{\"id\":\n".to_owned(), "not an entry"),
        ("{}\n".to_owned(), "not an entry"),
        ("{}".to_owned(), "not an entry"),
        (line("two", 5), "sequence 5 after 5"),
        (line("two", 4), "sequence 4 after 5"),
        (line("two", 0), "sequence 0 after 5"),
        (
            line("two", u64::MAX),
            "sequence 18446744073709551615 is too large",
        ),
        (line("", 6), "entry ID required"),
        (
            line("two", 6).replace("learning", "rumour"),
            "invalid entry type \"rumour\"",
        ),
        (
            line("two", 6).replace("2026-06-11T10", "yesterday"),
            "is not a time",
        ),
    ] {
        let (_dir, data) = empty_dir();
        put(
            &data.old_entries(),
            good.clone() + &bad + if bad.ends_with('\n') { &good } else { "" },
        );
        let error = import_fails(&data);
        let (line, fault) = fault(&error);
        assert_eq!(line, Some(2), "{bad}");
        assert!(fault.contains(expected), "{fault}");
        assert!(
            error.to_string().ends_with("entries.jsonl, line 2"),
            "{error}"
        );
    }
}

#[test]
fn a_client_that_cannot_be_kept_stops_the_import_and_no_token_is_repeated() {
    const SECRET: &str = "ctx_cli_very-secret";
    let good = client_json(ID_A, "alpha", SECRET);
    for (clients, expected) in [
        (format!("\"{SECRET}\""), "not what it should be at line 1"),
        (
            format!("[{{\"id\":\"{ID_A}\",\"project_name\":[\"{SECRET}\"]}}]"),
            "not what it should",
        ),
        (format!("[{good}"), "not what it should be at line 1"),
        (
            format!("[{good},{}]", client_json("short", "beta", "t")),
            "client 2 has no usable id",
        ),
        (
            format!("[{}]", client_json(ID_A, "", SECRET)),
            "has no usable project name",
        ),
        (
            format!("[{}]", client_json(ID_A, "alpha", "")),
            "has no id and token of its own",
        ),
        (
            format!("[{good},{}]", client_json(ID_B, "alpha", "t")),
            "project \"alpha\" has two",
        ),
        (
            format!("[{good},{}]", client_json(ID_A, "beta", "t")),
            "has no id and token of its own",
        ),
        (
            format!("[{good},{}]", client_json(ID_B, "beta", SECRET)),
            "no id and token of its own",
        ),
    ] {
        let (_dir, data) = empty_dir();
        put(&data.old_clients(), &clients);
        let error = import_fails(&data);
        let (line, fault) = fault(&error);
        assert_eq!(line, None);
        assert!(fault.contains(expected), "{fault}");
        assert!(!format!("{error:?} {error} {fault}").contains(SECRET));
    }
}

#[test]
fn a_counter_that_cannot_be_read_stops_the_import() {
    for meta in [
        "",
        "{\"sequence_counter\":",
        "{\"sequence_counter\":-1}",
        "[1",
    ] {
        let (_dir, data) = empty_dir();
        put(&data.old_entries(), line("one", 1));
        put(&data.old_meta(), meta);
        let (_, fault) = fault(&import_fails(&data));
        assert!(fault.starts_with("not what it should be"), "{fault}");
    }
}

#[tokio::test]
async fn what_a_crashed_import_left_is_removed_and_it_starts_over() {
    let (_dir, data) = empty_dir();
    put(&data.old_entries(), line("one", 1));
    let left = data.store_new();
    for name in [
        left.clone(),
        format!("{left}-wal").into(),
        format!("{left}-journal").into(),
    ] {
        put(&name, "half");
    }
    let store = open(&data);
    assert_eq!(everything(&store).await.len(), 1);
    store.close().await.unwrap();
    // What was imported, the store and its marks.
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 3);
}

const CHILD_DIR: &str = "CTX_TEST_IMPORT_DIR";

/// A role for a process of its own.
#[test]
fn child_imports() {
    let Ok(dir) = std::env::var(CHILD_DIR) else {
        return;
    };
    drop(open(&DataDir::new(dir)));
}

/// The entries come through a pipe that does not end, so that the child is killed in the middle of
/// its import for certain.
#[tokio::test]
async fn an_import_that_is_killed_starts_over() {
    const LINES: u64 = 100;
    let (_dir, data) = empty_dir();
    let text: String = (1..=LINES).map(|n| line(&n.to_string(), n)).collect();
    for fed in [0, text.len() / 2, text.len()] {
        let pipe = data.old_entries();
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        // Open at both ends, so that opening waits for nobody.
        let both = std::fs::File::options().read(true).write(true).open(&pipe);
        let mut feed = both.unwrap();
        feed.write_all(&text.as_bytes()[..fed]).unwrap();
        let mut child = crash::child("child_imports", CHILD_DIR, &data);
        eventually("a store being built", || data.store_new().exists());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!data.store().exists());
        std::fs::remove_file(pipe).unwrap();
    }
    put(&data.old_entries(), text);
    assert_eq!(everything(&open(&data)).await.len() as u64, LINES);
    assert!(!data.store_new().exists());
}
