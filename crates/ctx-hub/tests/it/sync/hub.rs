//! The whole: real hubs, real projects, nothing in between.

use std::time::Duration;

use ctx_config::paths::ContextDir;
use ctx_hub::client::ClientErrorKind;
use ctx_hub::entry::{Entry, EntryDraft, EntryMeta};
use ctx_hub::sync::{
    SyncError, SyncErrorKind, SyncEvent, SyncOptions, SyncReport, listen, status, sync,
};
use ctx_hub::types::{EntryId, EntryType, Sequence, TypeSet};
use ctx_io::LockStatus;
use tokio::sync::oneshot;

use super::types;
use crate::harness::{TestHub, TestProject};
use EntryType::{Decision, Learning, Task};

/// No wait of a test is longer.
pub(super) const BOUND: Duration = Duration::from_secs(30);

pub(super) fn draft(entry_type: EntryType, content: &str) -> EntryDraft {
    let id = EntryId::random().unwrap();
    EntryDraft::new(
        id,
        entry_type,
        content.to_owned(),
        1_781_136_000,
        EntryMeta::default(),
    )
    .unwrap()
}

pub(super) async fn sync_of(
    project: &TestProject,
    types: &TypeSet,
) -> Result<SyncReport, SyncError> {
    let options = SyncOptions::default();
    sync(
        &project.client,
        &project.context,
        types,
        &options,
        &mut |_| {},
    )
    .await
}

pub(super) fn text(context: &ContextDir, entry_type: EntryType) -> String {
    let path = context.mirror().path().join(entry_type.mirror_file());
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn two_projects_see_each_other_s_entries_under_the_names_that_the_hub_knows() {
    let hub = TestHub::start();
    let alpha = TestProject::registered(&hub, "alpha").await;
    let beta = TestProject::registered(&hub, "beta").await;
    alpha
        .client
        .publish(&[draft(Decision, "Use SQLite\n\nIt is enough.")])
        .await
        .unwrap();
    beta.client.publish(&[draft(Task, "Try it")]).await.unwrap();
    for project in [&alpha, &beta] {
        let report = sync_of(project, &TypeSet::all()).await.unwrap();
        assert_eq!(report.total(), 2);
        let decisions = text(&project.context, Decision);
        assert!(decisions.starts_with("## [2026-06-11] Use SQLite\n<!-- ctx {\"seq\":1,"));
        assert!(
            decisions.ends_with("\n\n**Origin**: alpha\n\nUse SQLite\n\nIt is enough.\n\n---\n\n")
        );
        assert!(text(&project.context, Task).contains("\n**Origin**: beta\n"));
        assert_eq!(sync_of(project, &TypeSet::all()).await.unwrap().total(), 0);
    }
    assert_eq!(
        text(&alpha.context, Decision),
        text(&beta.context, Decision)
    );
}

#[tokio::test]
async fn widening_a_subscription_delivers_the_older_entries_of_the_new_type() {
    let hub = TestHub::start();
    let project = TestProject::registered(&hub, "alpha").await;
    let drafts = [
        draft(Task, "old"),
        draft(Decision, "one"),
        draft(Task, "older"),
    ];
    project.client.publish(&drafts).await.unwrap();
    assert_eq!(
        sync_of(&project, &types([Decision])).await.unwrap().total(),
        1
    );
    let wider = types([Decision, Task]);
    let report = sync_of(&project, &wider).await.unwrap();
    assert_eq!(report.new_entries.get(&Task), Some(&2));
    assert_eq!(report.cursors.get(&Decision), report.cursors.get(&Task));
    assert_eq!(sync_of(&project, &wider).await.unwrap().total(), 0);
}

#[tokio::test]
async fn large_and_hostile_entries_survive_a_restart_of_the_hub_and_stand_there_once() {
    let mut hub = TestHub::start();
    let project = TestProject::registered(&hub, "alpha").await;
    let large = "<&>\n---\n".repeat(131_072);
    assert_eq!(large.len(), 1_048_576);
    let hostile = "## [2026-01-01] x\n<!-- ctx {\"seq\":9} -->\n\n**Origin**: y\n\n---\n\n\0\r\n🦀";
    let drafts = [
        draft(Learning, &large),
        draft(Learning, &"é".repeat(35_000)),
        draft(Learning, hostile),
        draft(Learning, ""),
    ];
    // One by one: together they may be more than one message should carry.
    for one in &drafts {
        project
            .client
            .publish(std::slice::from_ref(one))
            .await
            .unwrap();
    }
    hub.restart();
    assert_eq!(sync_of(&project, &TypeSet::all()).await.unwrap().total(), 4);
    let mirrored = text(&project.context, Learning);
    assert_eq!(mirrored.matches("\n<!-- ctx {\"seq\":").count(), 4);
    assert_eq!(mirrored.lines().filter(|line| *line == "---").count(), 4);
    assert_eq!(
        mirrored
            .lines()
            .filter(|line| line.starts_with("## ["))
            .count(),
        4
    );
    assert!(!mirrored.contains('\0'));
    // The same from the beginning is the same text.
    let full = SyncOptions {
        full: true,
        ..SyncOptions::default()
    };
    let all = TypeSet::all();
    let report = sync(&project.client, &project.context, &all, &full, &mut |_| {})
        .await
        .unwrap();
    assert_eq!((report.total(), report.set_aside.len()), (4, 0));
    assert_eq!(text(&project.context, Learning), mirrored);
}

#[tokio::test]
async fn another_hub_at_the_same_address_is_told_apart() {
    let one = TestHub::start();
    let project = TestProject::registered(&one, "alpha").await;
    project
        .client
        .publish(&[draft(Task, "of the first")])
        .await
        .unwrap();
    sync_of(&project, &TypeSet::all()).await.unwrap();
    let before = text(&project.context, Task);

    let other = TestHub::start();
    let stranger = TestProject::registered(&other, "alpha").await;
    let result = sync(
        &stranger.client,
        &project.context,
        &TypeSet::all(),
        &SyncOptions::default(),
        &mut |_| {},
    )
    .await;
    assert_eq!(result.unwrap_err().kind(), SyncErrorKind::Diverged);
    assert_eq!(text(&project.context, Task), before);
}

#[tokio::test]
async fn a_hub_that_is_gone_is_unreachable_and_the_lock_is_released() {
    let mut hub = TestHub::start();
    let project = TestProject::registered(&hub, "alpha").await;
    hub.stop();
    let error = sync_of(&project, &TypeSet::all()).await.unwrap_err();
    assert_eq!(
        error.kind(),
        SyncErrorKind::Client(ClientErrorKind::Unreachable)
    );
    assert!(matches!(
        status(&project.context).unwrap().lock,
        LockStatus::Free
    ));
}

#[tokio::test]
async fn status_tells_how_far_and_who_holds_the_lock() {
    let hub = TestHub::start();
    let project = TestProject::registered(&hub, "alpha").await;
    let fresh = status(&project.context).unwrap();
    assert!(fresh.hub_id.is_none() && fresh.cursors.is_empty());
    project.client.publish(&[draft(Task, "x")]).await.unwrap();
    sync_of(&project, &types([Task])).await.unwrap();
    let session = ctx_hub::sync::load_state(&project.context, &SyncOptions::default()).unwrap();
    let now = status(&project.context).unwrap();
    assert_eq!(now.cursors, [(Task, Sequence::new(1))].into());
    assert!(now.hub_id.is_some() && now.files.contains_key(&Task));
    assert!(matches!(now.lock, LockStatus::Held { .. }));
    session.release().unwrap();
}

#[tokio::test]
async fn a_listener_outlives_its_hub_and_mirrors_what_was_published_meanwhile() {
    let mut hub = TestHub::start();
    let publisher = TestProject::registered(&hub, "alpha").await;
    let listener = TestProject::registered(&hub, "beta").await;
    let (seen, mut entries) = tokio::sync::mpsc::unbounded_channel::<Entry>();
    let (stop, stopped) = oneshot::channel::<()>();
    let context = listener.context.clone();
    let task = tokio::spawn(async move {
        let mut on_event = |event| {
            if let SyncEvent::Chunk { entries, .. } = event {
                entries
                    .into_iter()
                    .for_each(|entry| seen.send(entry).unwrap());
            }
        };
        let shutdown = async {
            stopped.await.ok();
        };
        let (types, options) = (TypeSet::all(), SyncOptions::default());
        listen(
            &listener.client,
            &listener.context,
            &types,
            &options,
            &mut on_event,
            shutdown,
        )
        .await
    });
    for round in ["before", "meanwhile", "after"] {
        publisher
            .client
            .publish(&[draft(Decision, round)])
            .await
            .unwrap();
        let entry = tokio::time::timeout(BOUND, entries.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (entry.content.as_str(), entry.origin.as_str()),
            (round, "alpha")
        );
        hub.restart();
    }
    stop.send(()).unwrap();
    let report = tokio::time::timeout(BOUND, task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(report.total(), 3);
    assert_eq!(text(&context, Decision).matches("\n---\n").count(), 3);
    assert!(matches!(status(&context).unwrap().lock, LockStatus::Free));
}
