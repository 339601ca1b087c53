//! A hub that is not the one it was: real hubs, restored from real copies of their directory.

use ctx_config::paths::DataDir;
use ctx_hub::client::{ClientError, ClientErrorKind, HubClient, StreamStart, Timeouts};
use ctx_hub::sync::{Divergence, SyncError, SyncErrorKind, SyncOptions, listen, status, sync};
use ctx_hub::types::{Chain, HubId, LogMark, Sequence, TypeSet};

use super::hub::{draft, sync_of, text};
use crate::harness::{TestHub, TestProject};
use ctx_hub::types::EntryType::{Decision, Task};

/// A copy of a hub's directory, made while it was stopped.
struct Backup {
    temp: tempfile::TempDir,
}

impl Backup {
    fn of(hub: &mut TestHub) -> Self {
        hub.stop();
        let temp = tempfile::tempdir().unwrap();
        std::fs::copy(hub.data_dir().store(), temp.path().join("copy")).unwrap();
        hub.restart();
        Self { temp }
    }

    /// The directory is what it was.
    fn restore(&self, hub: &mut TestHub) {
        hub.stop();
        remove_store(hub.data_dir());
        self.put_back(hub);
    }

    /// The database alone is what it was, beside what the hub remembers of having acknowledged.
    fn restore_the_database(&self, hub: &mut TestHub) {
        hub.stop();
        self.put_back(hub);
    }

    fn put_back(&self, hub: &mut TestHub) {
        std::fs::copy(self.temp.path().join("copy"), hub.data_dir().store()).unwrap();
        hub.restart();
    }
}

fn remove_store(data: &DataDir) {
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{suffix}", data.store())).ok();
    }
    std::fs::remove_file(data.marks()).ok();
}

#[tokio::test]
async fn a_hub_that_knows_what_it_lost_goes_on_behind_it_and_is_still_told_apart() {
    let all = TypeSet::all();
    let mut hub = TestHub::start();
    let project = TestProject::registered(&hub, "alpha").await;
    let behind = TestProject::registered(&hub, "beta").await;
    publish(&behind, &["kept"]).await;
    sync_of(&behind, &all).await.unwrap();
    let backup = Backup::of(&mut hub);
    publish(&behind, &["lost"]).await;
    sync_of(&project, &all).await.unwrap();
    backup.restore_the_database(&mut hub);

    let known = Sequence::new(2);
    let found = how(sync_of(&project, &all).await.unwrap_err());
    assert_eq!(found, Divergence::Rewritten { known });
    publish(&behind, &["new"]).await;
    assert_eq!(sync_of(&behind, &all).await.unwrap().total(), 1);
    assert_eq!(full(&project).await.total(), 2);
    assert_eq!(
        text(&project.context, Decision),
        text(&behind.context, Decision)
    );
    let state = status(&behind.context).unwrap();
    assert_eq!(state.cursors.get(&Decision), Some(&Sequence::new(3)));
}

async fn publish(project: &TestProject, contents: &[&str]) {
    for content in contents {
        let kind = if content.starts_with("task") {
            Task
        } else {
            Decision
        };
        project
            .client
            .publish(&[draft(kind, content)])
            .await
            .unwrap();
    }
}

fn how(error: SyncError) -> Divergence {
    assert_eq!(error.kind(), SyncErrorKind::Diverged);
    assert!(error.hint().unwrap().contains("ctx connect sync --full"));
    match error {
        SyncError::Diverged { how } => how,
        other => panic!("{other:?}"),
    }
}

async fn full(project: &TestProject) -> ctx_hub::sync::SyncReport {
    let options = SyncOptions {
        full: true,
        ..SyncOptions::default()
    };
    let all = TypeSet::all();
    sync(
        &project.client,
        &project.context,
        &all,
        &options,
        &mut |_| {},
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn a_restored_hub_is_told_apart_however_far_it_has_grown_and_full_mends_it() {
    let all = TypeSet::all();
    for (again, expected) in [
        (&[][..], "its log ends before"),
        (&["new 1", "new 2"], "as long"),
        (&["new 1", "new 2", "task new 3"], "longer"),
    ] {
        let mut hub = TestHub::start();
        let project = TestProject::registered(&hub, "alpha").await;
        let behind = TestProject::registered(&hub, "beta").await;
        let writer = TestProject::registered(&hub, "gamma").await;
        publish(&writer, &["kept 1", "task kept 2"]).await;
        sync_of(&behind, &all).await.unwrap();
        let backup = Backup::of(&mut hub);
        publish(&writer, &["lost 1", "lost 2"]).await;
        assert_eq!(sync_of(&project, &all).await.unwrap().total(), 4);
        let mirrored = text(&project.context, Decision);
        backup.restore(&mut hub);
        publish(&writer, again).await;

        let found = how(sync_of(&project, &all).await.unwrap_err());
        let head = Sequence::new(2 + again.len() as u64);
        let wanted = if again.is_empty() {
            Divergence::SetBack {
                mirrored: Sequence::new(4),
                head,
            }
        } else {
            Divergence::Rewritten {
                known: Sequence::new(4),
            }
        };
        assert_eq!(found, wanted, "{expected}");
        assert_eq!(text(&project.context, Decision), mirrored, "untouched");

        // Whoever has not seen what was lost goes on.
        let caught_up = sync_of(&behind, &all).await.unwrap();
        assert_eq!(caught_up.total(), again.len() as u64);

        let report = full(&project).await;
        assert_eq!(report.total(), head.get());
        for of in [Decision, Task] {
            assert_eq!(text(&project.context, of), text(&behind.context, of));
        }
        let [kept] = report.set_aside.as_slice() else {
            panic!("{:?}", report.set_aside)
        };
        assert_eq!(std::fs::read_to_string(kept).unwrap(), mirrored);
        publish(&writer, &["later"]).await;
        assert_eq!(sync_of(&project, &all).await.unwrap().total(), 1);
        assert_eq!(
            text(&project.context, Decision)
                .matches("\nlater\n")
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn a_wiped_hub_knows_no_client_and_is_another_one_after_registering_again() {
    let mut hub = TestHub::start();
    let project = TestProject::registered(&hub, "alpha").await;
    publish(&project, &["one"]).await;
    let all = TypeSet::all();
    sync_of(&project, &all).await.unwrap();
    hub.stop();
    remove_store(hub.data_dir());
    hub.restart();
    let error = sync_of(&project, &all).await.unwrap_err();
    let refused = SyncErrorKind::Client(ClientErrorKind::Credentials);
    assert_eq!(error.kind(), refused);

    let again = TestProject::registered(&hub, "alpha").await;
    publish(&again, &["two", "three"]).await;
    let options = SyncOptions::default();
    let error = sync(&again.client, &project.context, &all, &options, &mut |_| {})
        .await
        .unwrap_err();
    assert!(matches!(how(error), Divergence::OtherHub { .. }));
}

#[tokio::test]
async fn a_listener_whose_hub_comes_back_restored_ends_and_says_why() {
    let mut hub = TestHub::start();
    let project = TestProject::registered(&hub, "alpha").await;
    let writer = TestProject::registered(&hub, "beta").await;
    publish(&writer, &["kept"]).await;
    let backup = Backup::of(&mut hub);
    publish(&writer, &["lost"]).await;

    let (connected, mut is_connected) = tokio::sync::mpsc::unbounded_channel();
    let (client, context) = (project.client.clone(), project.context.clone());
    let listening = tokio::spawn(async move {
        let mut on_event = |event| {
            if matches!(event, ctx_hub::sync::SyncEvent::Connected) {
                connected.send(()).ok();
            }
        };
        let options = SyncOptions::default();
        let never = std::future::pending();
        listen(
            &client,
            &context,
            &TypeSet::all(),
            &options,
            &mut on_event,
            never,
        )
        .await
    });
    is_connected.recv().await.unwrap();
    // It dials again only once somebody is there, so the hub has grown by then or not.
    backup.restore(&mut hub);
    publish(&writer, &["new 1", "new 2", "new 3"]).await;
    let ended = tokio::time::timeout(super::hub::BOUND, listening).await;
    let error = ended.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Diverged, "{error:?}");
    let mirrored = text(&project.context, Decision);
    assert!(mirrored.contains("\nlost\n") && !mirrored.contains("new"));
    assert!(matches!(
        status(&project.context).unwrap().lock,
        ctx_io::LockStatus::Free
    ));
}

/// What a client learns from a hub by saying what it knows.
#[tokio::test]
async fn a_caller_learns_whether_the_log_is_the_one_that_it_knows_and_no_more() {
    let hub = TestHub::start();
    let project = TestProject::registered(&hub, "alpha").await;
    publish(&project, &["one", "two", "three"]).await;
    let client = &project.client;
    let all = TypeSet::all();
    let mut stream = client.sync(&all, Sequence::START).await.unwrap();
    let (id, head) = (stream.identity().id.clone(), stream.identity().head);
    let mut chains = Vec::new();
    while let Some(entry) = stream.next().await.unwrap() {
        chains.push(entry.chain.unwrap());
    }
    assert_eq!(stream.identity().chain, chains.last().copied());

    let genesis = Chain::genesis(id.as_ref().unwrap());
    let other = Chain::genesis(&HubId::random().unwrap());
    let mark = |sequence, chain| LogMark {
        sequence: Sequence::new(sequence),
        chain,
    };
    let ask = |known, live: bool| {
        let start = StreamStart {
            since: Sequence::new(2),
            known: Some(known),
        };
        let all = all.clone();
        async move {
            let opened = if live {
                client.listen(&all, start).await
            } else {
                client.sync(&all, start).await
            };
            let mut stream = opened?;
            stream
                .next()
                .await
                .map(|entry| entry.unwrap().sequence.get())
        }
    };
    for live in [false, true] {
        for known in [
            mark(0, genesis),
            mark(1, chains[0]),
            mark(2, chains[1]),
            mark(3, chains[2]),
        ] {
            assert_eq!(ask(known, live).await.unwrap(), 3, "{known:?}");
        }
        for known in [
            mark(0, other),
            mark(1, other),
            mark(1, chains[1]),
            mark(3, chains[0]),
            mark(4, chains[2]),
            mark(u64::MAX, other),
        ] {
            match ask(known, live).await.unwrap_err() {
                ClientError::OtherLog { identity, .. } => {
                    assert_eq!((&identity.id, identity.head), (&id, head));
                    assert_eq!(identity.chain, None, "{known:?}");
                }
                error => panic!("{known:?}: {error:?}"),
            }
        }
    }
    let stranger = HubClient::connect(&hub.address(), Timeouts::default())
        .await
        .unwrap()
        .with_token(ctx_hub::secret::ClientToken::random().unwrap());
    let start = StreamStart {
        since: Sequence::START,
        known: Some(mark(9, other)),
    };
    let error = stranger.sync(&all, start).await.unwrap_err();
    assert_eq!(error.kind(), ClientErrorKind::Credentials, "{error:?}");
}
