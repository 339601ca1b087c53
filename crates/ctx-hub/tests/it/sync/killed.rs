//! A process killed (`kill -9`) while it syncs, many times, and the mirror afterwards.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use ctx_config::paths::ContextDir;
use ctx_hub::entry::Entry;
use ctx_hub::sync::{SyncOptions, load_state};
use ctx_hub::types::{EntryType, TypeSet};

use super::{Project, batch, entry};

/// Tells the child which project to sync.
const CONTEXT: &str = "CTX_TEST_KILLED_CONTEXT";
/// How many entries there are, and how many are committed together.
const ENTRIES: u64 = 400;
const TOGETHER: usize = 2;
/// No wait of a test is longer.
const BOUND: Duration = Duration::from_secs(30);
/// How often the child is killed, unless it comes to its end before.
const KILLS: u32 = 60;

fn all_entries() -> Vec<Entry> {
    let kinds = EntryType::ALL.into_iter().cycle();
    // The second is larger than the limit of a test below.
    let times = |sequence| if sequence == 2 { 4_000 } else { 40 };
    let content = |at| format!("entry {at}\n---\n# <!-- \\\0").repeat(times(at));
    (1..=ENTRIES)
        .zip(kinds)
        .map(|(at, kind)| entry(at, kind, &content(at)))
        .collect()
}

/// Syncs from the smallest cursor to the end, a few entries at a time.
fn sync_on(context: &ContextDir) {
    let mut session = load_state(context, &SyncOptions::default()).unwrap();
    session.check(&TypeSet::all()).unwrap();
    assert_eq!(session.warnings(), []);
    let smallest = EntryType::ALL
        .map(|of| session.cursor(of))
        .into_iter()
        .min()
        .unwrap();
    let mut after = smallest.get();
    let left: Vec<Entry> = all_entries()
        .into_iter()
        .filter(|entry| entry.sequence > smallest)
        .collect();
    for entries in left.chunks(TOGETHER) {
        (session, _) = session.apply(&batch(after, entries.to_vec())).unwrap();
        after = entries.last().unwrap().sequence.get();
    }
    session.release().unwrap();
}

#[test]
fn child() {
    if let Ok(context) = std::env::var(CONTEXT) {
        sync_on(&ContextDir::new(context));
    }
}

fn start_child(context: &Utf8Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sync::killed::child"])
        .env(CONTEXT, context)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the child holds the lock or has ended.
fn wait_for_lock(project: &Project, child: &mut Child) {
    let begun = Instant::now();
    while !project.mirror().sync_lock().exists() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < BOUND, "the child does not begin");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_mirror_that_the_next_one_completes() {
    let undisturbed = Project::new();
    sync_on(&undisturbed.context);

    let project = Project::new();
    let mut killed = 0;
    let mut in_the_middle = 0;
    while killed < KILLS {
        let mut child = start_child(project.context.path());
        wait_for_lock(&project, &mut child);
        // Pauses that differ, over some commits.
        std::thread::sleep(Duration::from_micros(u64::from(killed) * 7_919 % 15_000));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "a sync failed after {killed} kills");
            break;
        }
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            break;
        }
        killed += 1;
        // The dead one holds no lock, and what it left can be gone on from.
        let mut session = load_state(&project.context, &SyncOptions::default()).unwrap();
        in_the_middle += u32::from(session.took_over().is_some());
        session.check(&TypeSet::all()).unwrap();
        assert_eq!(session.warnings(), [], "after {killed} kills");
        session.release().unwrap();
    }
    assert!(
        in_the_middle > 0,
        "none of {killed} kills came while the lock was held"
    );
    sync_on(&project.context);
    for of in EntryType::ALL {
        assert_eq!(project.text(of), undisturbed.text(of), "{of}");
    }
    assert_eq!(project.names(), undisturbed.names());
}

/// A mirror of an older `ctx`, which a sync will upgrade.
fn older_mirror() -> Project {
    let project = Project::new();
    let older = "## [2026-01-02] Title\n\n**Origin**: p\n\nTitle\n\n---\n\n";
    project.put(&project.file(EntryType::Decision), older);
    project.put_state("{\"last_sequence\":7}");
    project
}

#[test]
fn a_process_killed_in_the_first_append_after_an_upgrade_leaves_a_mirror_to_go_on_from() {
    let undisturbed = older_mirror();
    sync_on(&undisturbed.context);
    let project = older_mirror();
    // A file may not grow beyond this: the append that would make it is torn, and its process
    // killed by the system (or told, should it have asked for that).
    let script = "ulimit -f 8; exec \"$0\" --exact sync::killed::child";
    let status = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(CONTEXT, project.context.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
    assert!(
        project.file(EntryType::Learning).exists(),
        "nothing was appended"
    );
    sync_on(&project.context);
    for of in EntryType::ALL {
        assert_eq!(project.text(of), undisturbed.text(of), "{of}");
    }
}
