//! The engine against a hub that breaks, repeats and diverges on demand.

use std::fs;

use super::super::error::{Divergence, SyncErrorKind};
use super::super::fake::{FakeHub, Fault, Project};
use super::*;
use crate::client::ClientErrorKind;
use crate::types::EntryType;
use EntryType::{Decision, Learning, Task};

fn types<const N: usize>(types: [EntryType; N]) -> TypeSet {
    types.into_iter().collect()
}

#[tokio::test]
async fn a_second_sync_has_nothing_new_and_writes_nothing() {
    let (hub, project, all) = (FakeHub::with(9), Project::new(), TypeSet::all());
    assert_eq!(project.sync(&hub, &all).await.unwrap().total(), 9);
    project.assert_mirrors(&hub, &all);
    let state = fs::read(project.context.mirror().state()).unwrap();
    let modified = fs::metadata(project.context.mirror().state())
        .unwrap()
        .modified()
        .unwrap();
    let again = project.sync(&hub, &all).await.unwrap();
    assert_eq!(again.total(), 0);
    assert_eq!(again.cursors.get(&Decision), Some(&Sequence::new(9)));
    assert_eq!(fs::read(project.context.mirror().state()).unwrap(), state);
    let after = fs::metadata(project.context.mirror().state())
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(after, modified);
}

#[tokio::test]
async fn widening_delivers_what_was_not_asked_for_before_and_the_cursors_meet() {
    let (hub, project) = (FakeHub::with(10), Project::new());
    project.sync(&hub, &types([Decision])).await.unwrap();
    hub.publish(5);
    let wider = types([Decision, Task, Learning]);
    let report = project.sync(&hub, &wider).await.unwrap();
    assert_eq!(report.new_entries.get(&Task), Some(&4));
    project.assert_mirrors(&hub, &wider);
    hub.asked();
    project.sync(&hub, &wider).await.unwrap();
    assert_eq!(hub.asked(), [(15, 3)], "one stream for all types");
    // Narrowing keeps what is there.
    hub.publish(4);
    let tasks = project.text(Task);
    project.sync(&hub, &types([Decision])).await.unwrap();
    assert_eq!(project.text(Task), tasks);
    project.sync(&hub, &wider).await.unwrap();
    project.assert_mirrors(&hub, &wider);
}

#[tokio::test]
async fn the_cursor_moves_past_entries_of_other_types_and_they_are_not_looked_at_again() {
    let (hub, project) = (FakeHub::with(0), Project::new());
    project.sync(&hub, &types([Task])).await.unwrap();
    assert_eq!(project.names(), [""; 0], "no state for nothing");
    // The third is a task.
    hub.publish(2);
    for _ in 0..2 {
        let report = project.sync(&hub, &types([Task])).await.unwrap();
        assert_eq!(report.total(), 0);
        assert_eq!(report.cursors.get(&Task), Some(&Sequence::new(2)));
    }
    assert_eq!(hub.asked(), [(0, 1), (0, 1), (2, 1)]);
    hub.publish(2);
    project.sync(&hub, &types([Task])).await.unwrap();
    project.sync(&hub, &TypeSet::all()).await.unwrap();
    project.assert_mirrors(&hub, &TypeSet::all());
}

#[test]
fn a_chunk_is_as_full_of_long_ids_and_origins_as_of_content() {
    let long = "x".repeat(limits::SYNC_CHUNK_BYTES / 4);
    let mut entry = super::super::samples::entry(1, Task, &long);
    entry.id = super::super::samples::id(&long);
    entry.origin.clone_from(&long);
    entry.meta.host.clone_from(&long);
    let mut chunk = Chunk::default();
    assert!(!chunk.is_full());
    chunk.push(entry);
    assert!(chunk.is_full());
}

#[tokio::test]
async fn a_stream_that_breaks_is_resumed_from_what_was_committed() {
    let (hub, project, all) = (FakeHub::with(20), Project::new(), TypeSet::all());
    hub.fail([
        Fault::After(3),
        Fault::After(0),
        Fault::After(9),
        Fault::After(1),
    ]);
    assert_eq!(project.sync(&hub, &all).await.unwrap().total(), 20);
    project.assert_mirrors(&hub, &all);
    let since: Vec<u64> = hub.asked().into_iter().map(|(since, _)| since).collect();
    assert_eq!(since, [0, 3, 3, 12, 13]);
}

#[tokio::test]
async fn without_progress_three_tries_are_made_and_what_was_committed_stays() {
    let (hub, project, all) = (FakeHub::with(20), Project::new(), TypeSet::all());
    hub.fail([
        Fault::After(4),
        Fault::After(0),
        Fault::After(0),
        Fault::After(0),
    ]);
    let error = project.sync(&hub, &all).await.unwrap_err();
    assert_eq!(
        error.kind(),
        SyncErrorKind::Client(ClientErrorKind::Unreachable)
    );
    assert_eq!(hub.asked().len(), 4);
    assert!(!project.context.mirror().sync_lock().exists());
    let report = project.sync(&hub, &all).await.unwrap();
    assert_eq!(report.total(), 16);
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn refused_credentials_are_not_tried_again() {
    let (hub, project) = (FakeHub::with(1), Project::new());
    hub.fail([Fault::Refused]);
    let error = project.sync(&hub, &TypeSet::all()).await.unwrap_err();
    assert_eq!(
        error.kind(),
        SyncErrorKind::Client(ClientErrorKind::Credentials)
    );
    assert_eq!(hub.asked().len(), 1);
}

#[tokio::test]
async fn more_than_a_chunk_arrives_in_several_commits() {
    let count = u64::try_from(limits::SYNC_CHUNK_ENTRIES * 2 + 1).unwrap();
    let (hub, project, all) = (FakeHub::with(count), Project::new(), TypeSet::all());
    let mut chunks = Vec::new();
    let mut note = |event| {
        if let SyncEvent::Chunk { entries, total } = event {
            chunks.push((u64::try_from(entries.len()).unwrap(), total));
        }
    };
    let options = SyncOptions::default();
    let worker = &mut Worker::default();
    run(&hub, &project.context, &all, &options, &mut note, worker)
        .await
        .unwrap();
    let chunk = u64::try_from(limits::SYNC_CHUNK_ENTRIES).unwrap();
    assert_eq!(chunks, [(chunk, chunk), (chunk, 2 * chunk), (1, count)]);
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn a_chunk_that_cannot_be_written_ends_the_sync_although_the_hub_is_silent() {
    let chunk = limits::SYNC_CHUNK_ENTRIES;
    let count = u64::try_from(2 * chunk + 9).unwrap();
    let (hub, project, all) = (FakeHub::with(count), Project::new(), TypeSet::all());
    // The third chunk begins to arrive while the second is written, and then nothing more does.
    hub.fail([Fault::SilentAfter(2 * chunk + 5)]);
    let mut told = 0;
    let mut edit = |event| {
        if let SyncEvent::Chunk { entries, .. } = event {
            told += entries.len();
            project.put(&project.file(Decision), "somebody's");
        }
    };
    let options = SyncOptions::default();
    let worker = &mut Worker::default();
    let run = run(&hub, &project.context, &all, &options, &mut edit, worker);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), run).await;
    let error = ended.expect("it waits for the hub").unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Damaged);
    assert_eq!(told, chunk, "the first one was committed, and no other");
    assert!(!project.context.mirror().sync_lock().exists());
}

#[tokio::test]
async fn another_hub_or_one_set_back_is_told_apart_from_one_with_nothing_new() {
    let (hub, project, all) = (FakeHub::with(8), Project::new(), TypeSet::all());
    project.sync(&hub, &all).await.unwrap();
    let state = fs::read(project.context.mirror().state()).unwrap();
    let text = project.text(Decision);

    hub.set_back(5);
    let error = project.sync(&hub, &all).await.unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Diverged);
    assert!(error.to_string().contains("ends at 5"), "{error}");
    hub.publish(10);
    hub.swap();
    let error = project.sync(&hub, &all).await.unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Diverged);
    assert!(error.hint().unwrap().contains("--full"));

    assert_eq!(fs::read(project.context.mirror().state()).unwrap(), state);
    assert_eq!(project.text(Decision), text);
    let report = project.full(&hub, &all).await.unwrap();
    assert!(report.rebuilt);
    project.assert_mirrors(&hub, &all);
    assert_eq!(project.sync(&hub, &all).await.unwrap().total(), 0);
}

/// What a project knows of the log.
fn known(project: &Project) -> Option<u64> {
    let state = fs::read(project.context.mirror().state()).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    state["log"]["sequence"].as_u64()
}

/// The error of a sync that finds the hub's log rewritten, which changes nothing.
async fn rewritten(project: &Project, hub: &FakeHub, types: &TypeSet) -> SyncError {
    let state = fs::read(project.context.mirror().state()).unwrap();
    let error = project.sync(hub, types).await.unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Diverged);
    let how = Divergence::Rewritten {
        known: Sequence::new(known(project).unwrap()),
    };
    assert!(
        matches!(&error, SyncError::Diverged { how: found } if *found == how),
        "{error:?}"
    );
    assert_eq!(fs::read(project.context.mirror().state()).unwrap(), state);
    assert!(!project.context.mirror().sync_lock().exists());
    error
}

#[tokio::test]
async fn a_hub_that_was_set_back_and_has_grown_again_is_told_from_one_that_only_grew() {
    let all = TypeSet::all();
    // Back by one entry or all, up to the same length or beyond it.
    for (left, again) in [(7, 1), (7, 9), (1, 7), (0, 8), (0, 30)] {
        let (hub, project) = (FakeHub::with(8), Project::new());
        project.sync(&hub, &all).await.unwrap();
        hub.set_back(left);
        hub.publish(again);
        for _ in 0..2 {
            rewritten(&project, &hub, &all).await;
        }
        let report = project.full(&hub, &all).await.unwrap();
        assert_eq!(report.total(), u64::try_from(left).unwrap() + again);
        project.assert_mirrors(&hub, &all);
        assert_eq!(project.sync(&hub, &all).await.unwrap().total(), 0);
    }
}

#[tokio::test]
async fn what_was_rewritten_behind_the_last_entry_of_the_types_asked_for_is_noticed() {
    let (hub, project) = (FakeHub::with(6), Project::new());
    // Decisions are 4 and 8: those that come later would be missed under 4, the last one mirrored.
    let narrow = types([Decision]);
    project.sync(&hub, &narrow).await.unwrap();
    assert_eq!(known(&project), Some(6));
    hub.set_back(5);
    hub.publish(4);
    rewritten(&project, &hub, &narrow).await;
}

#[tokio::test]
async fn a_project_that_is_behind_the_backup_goes_on_and_gets_every_entry_once() {
    let (hub, project, all) = (FakeHub::with(8), Project::new(), TypeSet::all());
    let ahead = Project::new();
    project.sync(&hub, &all).await.unwrap();
    hub.publish(4);
    ahead.sync(&hub, &all).await.unwrap();
    hub.set_back(8);
    hub.publish(9);
    rewritten(&ahead, &hub, &all).await;
    assert_eq!(project.sync(&hub, &all).await.unwrap().total(), 9);
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn a_hub_restored_in_the_middle_of_a_pull_is_noticed_when_it_is_dialled_again() {
    let (hub, project, all) = (FakeHub::with(8), Project::new(), TypeSet::all());
    let (after, left, again) = (5, 3, 12);
    hub.fail([Fault::Restored { after, left, again }]);
    let error = project.sync(&hub, &all).await.unwrap_err();
    assert!(error.to_string().contains("up to 5"), "{error}");
    assert_eq!(known(&project), Some(5));
    rewritten(&project, &hub, &all).await;
    // A rebuild knows nothing of what was there before, and only what it has read itself.
    hub.fail([Fault::Restored { after, left, again }]);
    project.full(&hub, &all).await.unwrap_err();
    project.full(&hub, &all).await.unwrap();
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn a_state_of_the_first_format_learns_of_the_log_with_the_next_sync() {
    let (hub, project, all) = (FakeHub::with(8), Project::new(), TypeSet::all());
    project.sync(&hub, &all).await.unwrap();
    let path = project.context.mirror().state();
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    state["format"] = 1.into();
    state.as_object_mut().unwrap().remove("log");
    project.put(&path, &state.to_string());

    let report = project.sync(&hub, &all).await.unwrap();
    assert_eq!(report.total(), 0);
    assert_eq!(report.log.map(|mark| mark.sequence.get()), Some(8));
    assert_eq!(known(&project), Some(8));
    hub.set_back(7);
    hub.publish(5);
    rewritten(&project, &hub, &all).await;
}

#[tokio::test]
async fn a_hub_that_has_no_hashes_yet_teaches_none_and_those_that_are_known_stay() {
    let (hub, project, all) = (FakeHub::with(8), Project::new(), TypeSet::all());
    let older = FakeHub::with(8);
    older.say_nothing();
    project.sync(&older, &all).await.unwrap();
    assert_eq!(known(&project), None);
    // The same log, upgraded.
    project.sync(&hub, &all).await.unwrap();
    assert_eq!(known(&project), Some(8));
    older.publish(2);
    assert_eq!(project.sync(&older, &all).await.unwrap().total(), 2);
    assert_eq!(known(&project), Some(8));
}

#[tokio::test]
async fn another_hub_is_called_so_although_its_log_is_another_one_too() {
    let (hub, project, all) = (FakeHub::with(8), Project::new(), TypeSet::all());
    project.sync(&hub, &all).await.unwrap();
    hub.swap();
    hub.set_back(0);
    hub.publish(20);
    let error = project.sync(&hub, &all).await.unwrap_err();
    assert!(
        matches!(
            &error,
            SyncError::Diverged {
                how: Divergence::OtherHub { .. }
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_older_hub_that_says_nothing_of_itself_is_mirrored_all_the_same() {
    let (hub, project) = (FakeHub::with(8), Project::new());
    hub.say_nothing();
    let narrow = types([Decision]);
    assert_eq!(project.sync(&hub, &narrow).await.unwrap().total(), 2);
    assert_eq!(
        project.sync(&hub, &TypeSet::all()).await.unwrap().total(),
        6
    );
    hub.publish(3);
    assert_eq!(
        project.sync(&hub, &TypeSet::all()).await.unwrap().total(),
        3
    );
    project.assert_mirrors(&hub, &TypeSet::all());
}

#[tokio::test]
async fn many_syncs_at_once_mirror_every_entry_once() {
    let (hub, project, all) = (FakeHub::with(300), Project::new(), TypeSet::all());
    let wait = ctx_io::Wait::UpTo(std::time::Duration::from_secs(30));
    let options = SyncOptions {
        wait,
        ..SyncOptions::default()
    };
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (hub, context) = (hub.clone(), project.context.clone());
        let (all, options) = (all.clone(), options.clone());
        tasks.push(tokio::spawn(async move {
            let worker = &mut Worker::default();
            run(&hub, &context, &all, &options, &mut |_| {}, worker)
                .await
                .unwrap()
                .total()
        }));
    }
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    assert_eq!(total, 300);
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn a_sync_that_is_dropped_releases_the_lock_and_loses_nothing() {
    let (hub, project, all) = (FakeHub::with(50), Project::new(), TypeSet::all());
    for _ in 0..20 {
        let mut worker = Worker::default();
        let options = SyncOptions::default();
        let mut ignore = |_| {};
        tokio::select! {
            result = run(&hub, &project.context, &all, &options, &mut ignore, &mut worker) => {
                result.unwrap();
            }
            () = tokio::task::yield_now() => {}
        }
        worker.finish().await;
        assert!(!project.context.mirror().sync_lock().exists());
    }
    project.sync(&hub, &all).await.unwrap();
    project.assert_mirrors(&hub, &all);
}

/// Queues an entry in the outbox of `project`.
fn queue(project: &Project, id: &str) {
    let id = crate::types::EntryId::try_from(id.to_owned()).unwrap();
    let (text, meta) = ("queued".to_owned(), crate::entry::EntryMeta::default());
    let draft = crate::entry::EntryDraft::new(id, EntryType::Task, text, 1, meta).unwrap();
    Outbox::of(&project.context).queue(&draft).unwrap();
}

#[tokio::test]
async fn what_is_queued_is_sent_and_comes_back_with_the_same_sync() {
    let (hub, project, all) = (FakeHub::with(3), Project::new(), TypeSet::all());
    queue(&project, "a");
    let report = project.sync(&hub, &all).await.unwrap();
    assert_eq!((report.sent, report.total()), (1, 4));
    project.assert_mirrors(&hub, &all);
    queue(&project, "a");
    let report = project.full(&hub, &all).await.unwrap();
    assert_eq!(
        (report.sent, report.total()),
        (1, 4),
        "it has that id already"
    );
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn a_damaged_mirror_keeps_no_entry_back_and_a_held_lock_leaves_it_to_its_holder() {
    let (hub, project, all) = (FakeHub::with(3), Project::new(), TypeSet::all());
    project.sync(&hub, &all).await.unwrap();
    let outbox = Outbox::of(&project.context);
    queue(&project, "a");
    let held = load_state(&project.context, &SyncOptions::default()).unwrap();
    let busy = project.sync(&hub, &all).await.unwrap_err();
    assert_eq!(busy.kind(), SyncErrorKind::Busy);
    assert!(!outbox.is_empty().unwrap());
    held.release().unwrap();

    project.put(&project.file(EntryType::Task), "mine");
    let damaged = project.sync(&hub, &all).await.unwrap_err();
    assert_eq!(damaged.kind(), SyncErrorKind::Damaged);
    assert!(outbox.is_empty().unwrap());
}
