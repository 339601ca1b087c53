//! A limit of the system on the size of files stands in for a disk that is full.

use std::process::Command;

use super::*;

const CHILD_DIR: &str = "CTX_TEST_FULL_DIR";

/// A role for a process that may not write files larger than a megabyte.
#[tokio::test]
async fn child_meets_the_limit() {
    let Ok(dir) = std::env::var(CHILD_DIR) else {
        return;
    };
    let data = DataDir::new(dir);
    let store = open(&data);
    let large = "x".repeat(100_000);
    let mut stored = 0_u64;
    let error = loop {
        let next = draft(&format!("{stored}"), EntryType::Task, &large);
        match store.append(&client("alpha"), vec![next]).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the limit was never met");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(stored > 0);
    for _ in 0..3 {
        let next = draft(&format!("{stored}"), EntryType::Task, &large);
        let again = store
            .append(&client("alpha"), vec![next])
            .await
            .unwrap_err();
        assert!(matches!(again, StoreError::Full { .. }), "{again:?}");
        assert_eq!(everything(&store).await.len() as u64, stored);
    }
    // What is small still finds room beside what was refused.
    let small = store
        .append(&client("alpha"), vec![draft("small", EntryType::Task, "")])
        .await;
    assert_eq!(numbers(small.unwrap()), [stored + 1]);
    println!("stored {stored}");
}

#[tokio::test]
async fn a_file_size_limit_refuses_publishes_and_keeps_reads() {
    let (_dir, data) = empty_dir();
    let output = Command::new("sh")
        // In blocks of 512 bytes. Without the trap the system ends who writes beyond.
        .args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "store::full::child_meets_the_limit",
            "--nocapture",
        ])
        .env(CHILD_DIR, data.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let stored: u64 = said
        .lines()
        .find_map(|line| line.rsplit_once("stored ")?.1.parse().ok())
        .expect("the child says how much it stored");
    let store = open(&data);
    assert_eq!(everything(&store).await.len() as u64, stored + 1);
    let again = store
        .append(&client("alpha"), vec![draft("later", EntryType::Task, "")])
        .await;
    assert_eq!(numbers(again.unwrap()), [stored + 2]);
}
