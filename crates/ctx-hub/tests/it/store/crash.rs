//! `kill -9` in the middle of publishes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use super::*;

const CHILD_DIR: &str = "CTX_TEST_PUBLISH_DIR";
const ROUNDS: u32 = 20;
const PUBLISHERS: u32 = 16;

/// Runs a test that does nothing without `variable` in a process of its own.
pub(super) fn child(test: &str, variable: &str, data: &DataDir) -> Child {
    let module = if test.contains("import") {
        "import"
    } else {
        "crash"
    };
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("store::{module}::{test}"),
            "--nocapture",
        ])
        .env(variable, data.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// A role for a process of its own: publishes until it is killed, and says `acked ID SEQUENCE` of each entry that is durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_publishes() {
    let Ok(dir) = std::env::var(CHILD_DIR) else {
        return;
    };
    let data = DataDir::new(dir);
    let store = Arc::new(open(&data));
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let store = Arc::clone(&store);
        drop(publishers.spawn(async move {
            let client = client(&format!("project-{publisher}"));
            loop {
                let id = EntryId::random().unwrap();
                let batch = vec![
                    draft(id.as_str(), EntryType::Task, "text"),
                    draft(&format!("{id}-2"), EntryType::Learning, "text"),
                ];
                let got = store.append(&client, batch).await.unwrap();
                // One write a line, so that none is torn.
                let line = format!("\nacked {id} {}\nacked {id}-2 {}\n", got[0], got[1]);
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        }));
    }
    // None ends by itself, unless it fails.
    let () = publishers.join_next().await.unwrap().unwrap();
}

/// What was acknowledged: ids and their sequences.
type Acknowledged = BTreeMap<String, u64>;

/// Lets a child publish, kills it at a moment of chance, and takes down what it acknowledged.
fn publish_and_kill(data: &DataDir, acknowledged: &mut Acknowledged) {
    let mut child = child("child_publishes", CHILD_DIR, data);
    let mut random = [0_u8; 1];
    getrandom::fill(&mut random).unwrap();
    let enough = usize::from(random[0]) * 4 + 1;
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut read = 0;
    // What the pipe still holds after the kill was acknowledged as well.
    while output.read_line(&mut line).unwrap() > 0 {
        if let Some(acked) = line
            .strip_prefix("acked ")
            .and_then(|l| l.strip_suffix('\n'))
        {
            let (id, sequence) = acked.split_once(' ').unwrap();
            acknowledged.insert(id.to_owned(), sequence.parse().unwrap());
            read += 1;
            if read == enough {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    assert!(read >= enough, "the child ended by itself");
    child.wait().unwrap();
}

/// Everything acknowledged is there once, in whole batches, without a gap.
async fn check(data: &DataDir, acknowledged: &Acknowledged) {
    let (store, notices) = SqliteStore::open(data).unwrap();
    assert_eq!(notices, [], "a crash is no damage");
    let entries = everything(&store).await;
    let head = store.head().borrow().get();
    assert_eq!(sequences(&entries), (1..=head).collect::<Vec<u64>>());
    let stored: BTreeMap<&str, u64> = entries
        .iter()
        .map(|entry| (entry.id.as_str(), entry.sequence.get()))
        .collect();
    assert_eq!(stored.len(), entries.len(), "an id is stored twice");
    for (id, sequence) in acknowledged {
        assert_eq!(stored.get(id.as_str()), Some(sequence), "{id}");
    }
    for id in stored.keys() {
        let first = id.strip_suffix("-2").unwrap_or(id);
        let whole = stored.contains_key(first) && stored.contains_key(&*format!("{first}-2"));
        assert!(whole, "half a batch: {first}");
    }
    assert_eq!(store.statistics().await.unwrap().total, head);
    store.close().await.unwrap();
}

#[tokio::test]
async fn every_acknowledged_entry_outlives_kill_9() {
    let (_dir, data) = empty_dir();
    let mut acknowledged = Acknowledged::new();
    for _ in 0..ROUNDS {
        publish_and_kill(&data, &mut acknowledged);
        check(&data, &acknowledged).await;
    }
    println!("{} acknowledged in {ROUNDS} rounds", acknowledged.len());
}
