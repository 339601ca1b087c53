//! Faults of what stands around the entries, the hub, and syncs at work.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use camino::Utf8Path;

use super::*;
use crate::entry::{EntryDraft, EntryMeta};
use crate::outbox::Outbox;
use crate::types::EntryId;

#[tokio::test]
async fn a_directory_or_a_link_in_place_of_a_file_is_moved_aside() {
    let told = [(FILE, None, None, Kind::NotAFile)];
    let directory = |project: &Project| {
        fs::remove_file(project.file(Learning)).unwrap();
        fs::create_dir(project.file(Learning)).unwrap();
    };
    finds_and_mends(directory, &told, &told, 1).await;
    let link = |project: &Project| {
        let elsewhere = project.context.path().join("elsewhere");
        fs_err::rename(project.file(Learning), &elsewhere).unwrap();
        symlink(elsewhere, project.file(Learning)).unwrap();
    };
    finds_and_mends(link, &told, &told, 1).await;
}

#[tokio::test]
async fn what_nobody_knows_in_the_folder_is_told_and_moved_aside() {
    let told = [("notes.txt", None, None, Kind::Unknown)];
    let plant = |project: &Project| {
        project.put(&project.context.mirror().path().join("notes.txt"), "mine");
    };
    finds_and_mends(plant, &told, &told, 1).await;
}

#[tokio::test]
async fn a_file_in_the_outbox_that_cannot_be_sent_is_told_and_left_alone() {
    let (hub, project) = mirrored().await;
    let outbox = project.context.mirror().outbox();
    let text = "waits".to_owned();
    let id = EntryId::random().unwrap();
    let draft = EntryDraft::new(id, Learning, text, 0, EntryMeta::default()).unwrap();
    let queued = Outbox::of(&project.context).queue(&draft).unwrap();
    assert_told(&verified(Some(&hub), &project).await, &[]);

    let whole = fs::read_to_string(&queued.path).unwrap();
    project.put(&queued.path, &whole[..whole.len() / 2]);
    project.put(&outbox.path().join("notes.txt"), "mine");
    let name = queued.path.file_name().unwrap();
    let told = [
        ("notes.txt", None, None, Kind::Unsendable),
        (name, None, None, Kind::Unsendable),
    ];
    assert_told(&verified(Some(&hub), &project).await, &told);
    let report = repaired(Some(&hub), &project).await;
    assert_told(&report.after, &told);
    assert_eq!(report.done, []);
    assert!(queued.path.exists() && outbox.path().join("notes.txt").exists());
    assert!(report.after.hint().unwrap().starts_with("publish anew"));

    fs::remove_dir_all(outbox.path()).unwrap();
    project.put(outbox.path(), "no folder");
    let told = [(paths::OUTBOX_DIR, None, None, Kind::Unsendable)];
    assert_told(&verified(Some(&hub), &project).await, &told);
}

#[tokio::test]
async fn a_state_that_cannot_be_used_is_made_again_from_the_hub_or_from_a_clean_mirror() {
    let told = [(paths::SYNC_STATE_FILE, None, None, Kind::State)];
    for text in [
        "not json",
        "{\"format\":1",
        "{\"format\":1,\"types\":{\"x\":{}}}",
        "",
    ] {
        let plant = |project: &Project| project.put(&project.context.mirror().state(), text);
        finds_and_mends(plant, &told, &told, 0).await;
        let (hub, project) = mirrored().await;
        plant(&project);
        let report = repaired(None, &project).await;
        assert_told(&report.after, &[]);
        assert!(matches!(report.done.last(), Some(Mend::StateMade { .. })));
        hub.publish(4);
        project.sync(&hub, &TypeSet::all()).await.unwrap();
        project.assert_mirrors(&hub, &TypeSet::all());
    }
    let gone = |project: &Project| fs::remove_file(project.context.mirror().state()).unwrap();
    finds_and_mends(gone, &told, &told, 0).await;
    let told = [(paths::SYNC_STATE_FILE, None, None, Kind::NotAFile)];
    let directory = |project: &Project| {
        gone(project);
        fs::create_dir(project.context.mirror().state()).unwrap();
    };
    finds_and_mends(directory, &told, &told, 1).await;
}

#[tokio::test]
async fn a_state_is_not_made_again_from_a_mirror_that_was_edited_and_one_of_a_newer_ctx_is_left() {
    let (hub, project) = mirrored().await;
    let state = project.context.mirror().state();
    edit(Learning, |text| {
        text.replacen("entry 5 \n\\---", "Entry 5 \n\\---", 1)
    })(&project);
    project.put(&state, "x");
    let report = repaired(None, &project).await;
    assert_eq!(report.done, []);
    assert_eq!(report.after.findings.len(), 2);
    let (_, project) = mirrored().await;
    let state = project.context.mirror().state();
    let newer = "{\"format\":99,\"types\":{}}";
    project.put(&state, newer);
    assert_eq!(repaired(None, &project).await.done, []);
    let refused = try_repaired(Some(&hub), &project).await.unwrap_err();
    assert!(refused.to_string().contains("cannot use"));
    assert_eq!(fs::read_to_string(&state).unwrap(), newer);
}

#[tokio::test]
async fn what_a_killed_full_sync_left_is_swept() {
    let told = [(paths::REBUILD_DIR, None, None, Kind::Leftover)];
    let plant = |project: &Project| {
        fs::create_dir(project.context.mirror().rebuild().path()).unwrap();
    };
    finds_and_mends(plant, &told, &told, 0).await;
    let told = [(paths::REBUILD_DIR, None, None, Kind::NotAFile)];
    let plant = |project: &Project| {
        project.put(project.context.mirror().rebuild().path(), "a file");
    };
    finds_and_mends(plant, &told, &told, 1).await;
}

#[tokio::test]
async fn a_full_sync_that_died_in_its_swap_is_one_finding_and_is_finished() {
    let (hub, project) = mirrored().await;
    let home = project.context.mirror();
    let state = fs::read_to_string(home.state()).unwrap();
    let complete = state.replace("}\n", ",\"complete\":true}\n");
    fs::create_dir(home.rebuild().path()).unwrap();
    project.put(&home.rebuild().state(), &complete);
    // One file has taken its place, the other has not.
    edit(Task, |_| "old".to_owned())(&project);
    project.put(
        &home.rebuild().path().join(Task.mirror_file()),
        &hub.text(Task),
    );
    let told = [(paths::REBUILD_DIR, None, None, Kind::Leftover)];
    assert_told(&verified(Some(&hub), &project).await, &told);
    assert_told(&repaired(None, &project).await.after, &[]);
    project.assert_mirrors(&hub, &TypeSet::all());
    assert_eq!(kept(&project).len(), 1);
}

#[tokio::test]
async fn temporary_files_of_the_dead_are_swept() {
    let name = "..sync-state.json.0123456789abcdef.tmp".replacen("..", ".", 1);
    let told = [(name.as_str(), None, None, Kind::Leftover)];
    let plant = |project: &Project| {
        project.put(&project.context.mirror().path().join(&name), "half");
    };
    finds_and_mends(plant, &told, &told, 0).await;
}

#[tokio::test]
async fn a_folder_that_others_may_write_into_is_closed() {
    let told = [(paths::MIRROR_DIR, None, None, Kind::Mode)];
    let plant = |project: &Project| {
        let path = project.context.mirror().path().to_owned();
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    };
    finds_and_mends(plant, &told, &told, 0).await;
}

#[tokio::test]
async fn another_hub_is_told_and_nothing_is_built_from_it() {
    let (hub, project) = mirrored().await;
    let before = fs::read(project.context.mirror().state()).unwrap();
    hub.swap();
    edit(Learning, |text| text + "mine\n")(&project);
    let report = repaired(Some(&hub), &project).await;
    let told = [
        (FILE, Some(34), None, Kind::Foreign),
        (paths::SYNC_STATE_FILE, None, None, Kind::Diverged),
    ];
    assert_told(&report.before, &told);
    assert_told(&report.after, &told[1..]);
    assert!(report.after.hint().unwrap().contains("sync --full"));
    assert_eq!(fs::read(project.context.mirror().state()).unwrap(), before);

    let (hub, project) = mirrored().await;
    hub.set_back(7);
    assert_told(&verified(Some(&hub), &project).await, &told[1..]);
}

#[tokio::test]
async fn a_hub_that_breaks_off_is_asked_again_and_one_that_is_away_is_said() {
    let (hub, project) = mirrored().await;
    hub.fail([Fault::After(5), Fault::After(3)]);
    let report = verified(Some(&hub), &project).await;
    assert_told(&report, &[]);
    assert!(matches!(report.hub, HubCheck::Compared(_)));
    edit(Learning, |text| text + "mine\n")(&project);
    hub.fail([Fault::Refused]);
    let report = verified(Some(&hub), &project).await;
    assert!(matches!(report.hub, HubCheck::Failed(_)));
    assert_told(&report, &[(FILE, Some(34), None, Kind::Foreign)]);
}

#[tokio::test]
async fn entries_of_an_older_ctx_are_counted_and_no_damage() {
    let (hub, project) = (FakeHub::with(ENTRIES), Project::new());
    let older = "## [2026-01-02] Title\n\n**Origin**: p\n\nTitle\n---\nmore\n\n---\n\n";
    project.put(&project.file(Learning), older);
    project.put(&project.context.mirror().state(), "{\"last_sequence\": 4}");
    let report = verified(Some(&hub), &project).await;
    assert_told(&report, &[]);
    assert_eq!(report.files.get(&Learning).unwrap().older, 1);
    project.sync(&hub, &TypeSet::all()).await.unwrap();
    for hub in [Some(&hub), None] {
        let report = verified(hub, &project).await;
        assert_told(&report, &[]);
        assert_eq!(report.files.get(&Learning).unwrap().older, 1);
    }
    // Where nothing of the hub's is missing, what looks like one is somebody's.
    let (hub, project) = mirrored().await;
    and_record(Learning, |text| older.to_owned() + &text)(&project);
    let told = [(FILE, Some(1), None, Kind::Foreign)];
    assert_told(&verified(Some(&hub), &project).await, &told);
}

#[tokio::test]
async fn a_lock_whose_holder_lives_hides_what_is_not_committed() {
    let (hub, project) = mirrored().await;
    let session = crate::sync::load_state(&project.context, &SyncOptions::default()).unwrap();
    edit(Learning, |text| text + "half an ent")(&project);
    fs::create_dir(project.context.mirror().rebuild().path()).unwrap();
    let report = verified(Some(&hub), &project).await;
    assert!(report.busy);
    assert_told(&report, &[]);
    edit(Learning, |text| {
        text.replacen("entry 5 \n\\---", "Entry 5 \n\\---", 1)
    })(&project);
    let held = try_repaired(Some(&hub), &project).await.unwrap_err();
    assert_eq!(held.io_kind(), std::io::ErrorKind::AlreadyExists);
    session.release().unwrap();
}

#[tokio::test]
async fn a_lock_whose_holder_died_is_told_and_taken_over() {
    let (hub, project) = mirrored().await;
    let lock = project.context.mirror().sync_lock();
    let session = crate::sync::load_state(&project.context, &SyncOptions::default()).unwrap();
    let record = fs::read_to_string(&lock).unwrap();
    session.release().unwrap();
    // The record alone, and nobody who has the file locked.
    project.put(&lock, &record);
    let told = [(paths::SYNC_LOCK_FILE, None, None, Kind::StaleLock)];
    let report = verified(Some(&hub), &project).await;
    assert_told(&report, &told);
    assert!(report.hint().unwrap().contains("`ctx connect sync`"));
    assert!(lock.exists(), "looking at it removes nothing");
    assert_told(&repaired(None, &project).await.after, &[]);
    assert!(!lock.exists());
    fs::create_dir(&lock).unwrap();
    let told = [(paths::SYNC_LOCK_FILE, None, None, Kind::NotAFile)];
    assert_told(&verified(Some(&hub), &project).await, &told);
    assert_told(&repaired(None, &project).await.after, &[]);
    assert_eq!(kept(&project).len(), 1);
}

/// What a kill leaves in the middle of a repair is what a full sync leaves in the middle of it, or
/// a mirror with fewer faults; the next one goes on from there.
#[tokio::test]
async fn a_repair_that_was_cut_off_is_gone_on_with() {
    for first in [Fault::After(0), Fault::After(7)] {
        let (hub, project) = mirrored().await;
        edit(Learning, |text| text + "mine\n")(&project);
        project.put(&project.context.mirror().path().join("notes.txt"), "mine");
        // The verification is answered, the full sync is not, however often it is tried.
        let never = std::iter::repeat_n(Fault::After(0), 9);
        hub.fail_after(2, [first].into_iter().chain(never));
        try_repaired(Some(&hub), &project).await.unwrap_err();
        assert_eq!(
            kept(&project).len(),
            1,
            "the notes are aside, the file is still there"
        );
        hub.fail([]);
        assert_told(&repaired(Some(&hub), &project).await.after, &[]);
        project.assert_mirrors(&hub, &TypeSet::all());
        assert_eq!(kept(&project).len(), 2);
    }
}

/// Every state of a running sync is as good as any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_syncs_at_work_are_never_taken_for_damage() {
    let hub = FakeHub::with(4);
    let project = Arc::new(Project::new());
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let mut syncs = Vec::new();
    for number in 0..8 {
        let (hub, project) = (hub.clone(), Arc::clone(&project));
        let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
        syncs.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let (all, full) = (TypeSet::all(), number == 0);
                let synced = match full {
                    true => project.full(&hub, &all).await,
                    false => project.sync(&hub, &all).await,
                };
                done[usize::from(full)].fetch_add(u64::from(synced.is_ok()), Ordering::Relaxed);
                hub.publish(u64::from(number == 1));
                tokio::task::yield_now().await;
            }
        }));
    }
    let mut looks = 0;
    let came_through = || done.iter().all(|kind| kind.load(Ordering::Relaxed) >= 5);
    while looks < 60 || !came_through() {
        let report = verified(Some(&hub).filter(|_| looks % 2 == 0), &project).await;
        assert_told(&report, &[]);
        looks += 1;
    }
    stop.store(true, Ordering::Relaxed);
    for sync in syncs {
        sync.await.unwrap();
    }
    project.sync(&hub, &TypeSet::all()).await.unwrap();
    project.assert_mirrors(&hub, &TypeSet::all());
}

#[tokio::test]
async fn findings_beyond_the_limit_are_counted() {
    let mut findings = report::Findings::default();
    for _ in 0..ctx_config::limits::VERIFY_MAX_FINDINGS + 3 {
        findings.push(Finding::new(Utf8Path::new("x"), Kind::Edited, ""));
    }
    assert_eq!(findings.more, 3);
}
