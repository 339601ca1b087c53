//! Listening to a hub that goes away, ends, is swapped, and to a lock that is held.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::super::error::SyncErrorKind;
use super::super::fake::{FakeHub, Fault, Project};
use super::*;
use crate::types::EntryType;

/// No wait of a test is longer.
const BOUND: Duration = Duration::from_secs(30);

/// A listener that runs, and what it told.
struct Running {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<ListenReport, SyncError>>,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Running {
    fn start(hub: &FakeHub, project: &Project, types: TypeSet) -> Self {
        let (hub, context) = (hub.clone(), project.context.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, events) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut on_event = |event: SyncEvent| {
                let told = match event {
                    SyncEvent::Connected => "connected",
                    SyncEvent::Disconnected { .. } => "disconnected",
                    _ => return,
                };
                tell.send(told.to_owned()).ok();
            };
            let shutdown = async {
                stopped.await.ok();
            };
            run(
                &hub,
                &context,
                &types,
                &SyncOptions::default(),
                &mut on_event,
                shutdown,
            )
            .await
        });
        Self {
            stop,
            task,
            events: Mutex::new(events),
        }
    }

    #[expect(clippy::await_holding_lock, reason = "one test, one reader")]
    async fn told(&self, wanted: &str) {
        let next = async {
            let mut events = self.events.lock().unwrap();
            while events.recv().await.expect("the listener ended") != wanted {}
        };
        tokio::time::timeout(BOUND, next).await.unwrap();
    }

    async fn stop(self) -> ListenReport {
        self.stop.send(()).unwrap();
        tokio::time::timeout(BOUND, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    async fn ended(self) -> SyncError {
        tokio::time::timeout(BOUND, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap_err()
    }
}

/// Polls until every file is what the hub says it should be.
async fn mirrored(project: &Project, hub: &FakeHub) {
    let is_equal = || {
        EntryType::ALL
            .iter()
            .all(|&of| project.text(of) == hub.text(of))
    };
    let poll = async {
        while !is_equal() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, poll)
        .await
        .expect("the mirror is not up to date");
}

#[tokio::test]
async fn entries_are_mirrored_as_they_are_published_and_the_lock_is_free_in_between() {
    let (hub, project, all) = (FakeHub::with(5), Project::new(), TypeSet::all());
    let listener = Running::start(&hub, &project, all.clone());
    listener.told("connected").await;
    for count in [1, 7, 2000, 1] {
        hub.publish(count);
        mirrored(&project, &hub).await;
    }
    let report = listener.stop().await;
    assert_eq!((report.total(), report.reconnects), (2014, 0));
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn a_listener_and_syncs_beside_it_mirror_every_entry_once() {
    let (hub, project, all) = (FakeHub::with(0), Project::new(), TypeSet::all());
    let listener = Running::start(&hub, &project, all.clone());
    listener.told("connected").await;
    let wait = Wait::UpTo(BOUND);
    let options = SyncOptions {
        wait,
        ..SyncOptions::default()
    };
    let mut synced = 0;
    for _ in 0..20 {
        hub.publish(9);
        let worker = &mut Worker::default();
        let mut ignore = |_| {};
        let report = engine::run(&hub, &project.context, &all, &options, &mut ignore, worker);
        synced += report.await.unwrap().total();
    }
    mirrored(&project, &hub).await;
    let report = listener.stop().await;
    assert_eq!(report.total() + synced, 180);
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn a_stream_that_breaks_or_ends_is_dialled_again_from_the_cursor() {
    let (hub, project, all) = (FakeHub::with(5), Project::new(), TypeSet::all());
    // The first stream is the sync of a connection, the second its listening.
    let works = Fault::After(usize::MAX);
    hub.fail([
        works,
        Fault::After(2),
        works,
        Fault::EndAfter(1),
        works,
        Fault::IdleAfter(1),
    ]);
    let listener = Running::start(&hub, &project, all.clone());
    listener.told("connected").await;
    hub.publish(3);
    listener.told("disconnected").await;
    listener.told("connected").await;
    hub.publish(1);
    listener.told("disconnected").await;
    listener.told("connected").await;
    hub.publish(1);
    listener.told("connected").await;
    hub.publish(1);
    mirrored(&project, &hub).await;
    let report = listener.stop().await;
    assert_eq!((report.total(), report.reconnects), (11, 3));
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn a_widened_listener_gets_the_older_entries_first() {
    let (hub, project, all) = (FakeHub::with(9), Project::new(), TypeSet::all());
    project
        .sync(&hub, &[EntryType::Task].into_iter().collect())
        .await
        .unwrap();
    hub.publish(4);
    let listener = Running::start(&hub, &project, all.clone());
    mirrored(&project, &hub).await;
    listener.stop().await;
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn entries_wait_for_a_lock_that_is_held_and_a_shutdown_does_not() {
    let (hub, project, all) = (FakeHub::with(1), Project::new(), TypeSet::all());
    let listener = Running::start(&hub, &project, all.clone());
    listener.told("connected").await;
    let wait = SyncOptions {
        wait: Wait::UpTo(BOUND),
        ..SyncOptions::default()
    };
    let held = load_state(&project.context, &wait).unwrap();
    hub.publish(5);
    held.release().unwrap();
    mirrored(&project, &hub).await;

    let held = load_state(&project.context, &wait).unwrap();
    hub.publish(5);
    listener.stop().await;
    held.release().unwrap();
    project.sync(&hub, &all).await.unwrap();
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn what_no_new_connection_would_mend_ends_it() {
    let all = TypeSet::all();
    let (hub, project) = (FakeHub::with(5), Project::new());
    hub.fail([Fault::After(usize::MAX), Fault::Refused]);
    let error = Running::start(&hub, &project, all.clone()).ended().await;
    let refused = crate::client::ClientErrorKind::Credentials;
    assert_eq!(error.kind(), SyncErrorKind::Client(refused));

    project.sync(&hub, &all).await.unwrap();
    hub.swap();
    let error = Running::start(&hub, &project, all.clone()).ended().await;
    assert_eq!(error.kind(), SyncErrorKind::Diverged);

    project.put(&project.file(EntryType::Task), "mine");
    let error = Running::start(&hub, &project, all).ended().await;
    assert_eq!(error.kind(), SyncErrorKind::Damaged);
}

/// The stream of a listener breaks when its hub is restored. The next connection finds out, whether
/// by then the log is shorter, as long, or longer.
#[tokio::test]
async fn a_hub_that_comes_back_as_a_restored_one_ends_it() {
    let all = TypeSet::all();
    for again in [1, 3, 9] {
        let (hub, project) = (FakeHub::with(5), Project::new());
        let (after, left) = (2, 4);
        hub.fail([
            Fault::After(usize::MAX),
            Fault::Restored { after, left, again },
        ]);
        let listener = Running::start(&hub, &project, all.clone());
        listener.told("connected").await;
        hub.publish(2);
        let error = listener.ended().await;
        assert_eq!(error.kind(), SyncErrorKind::Diverged, "{error:?}");
        assert!(!project.context.mirror().sync_lock().exists());
    }
}

/// Between the sync of a connection and its listening.
#[tokio::test]
async fn a_hub_restored_before_the_listening_is_not_listened_to() {
    let (hub, project, all) = (FakeHub::with(5), Project::new(), TypeSet::all());
    project.sync(&hub, &all).await.unwrap();
    hub.fail([Fault::EndRestored { left: 4, again: 3 }]);
    let listener = Running::start(&hub, &project, all);
    let error = listener.ended().await;
    assert_eq!(error.kind(), SyncErrorKind::Diverged, "{error:?}");
    assert_eq!(hub.asked().len(), 4);
}

#[tokio::test]
async fn a_mirror_that_is_removed_under_a_listener_is_made_again_without_a_gap() {
    let (hub, project, all) = (FakeHub::with(7), Project::new(), TypeSet::all());
    let listener = Running::start(&hub, &project, all.clone());
    listener.told("connected").await;
    std::fs::remove_dir_all(project.context.mirror().path()).unwrap();
    hub.publish(2);
    listener.told("connected").await;
    mirrored(&project, &hub).await;
    listener.stop().await;
    project.assert_mirrors(&hub, &all);
}

#[tokio::test]
async fn a_hub_that_wants_to_be_left_alone_is_not_dialled_before() {
    let (hub, project, all) = (FakeHub::with(5), Project::new(), TypeSet::all());
    hub.fail([Fault::Limited(1_000)]);
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut on_event = |event: SyncEvent| {
        if let SyncEvent::Disconnected { retry_in, .. } = event {
            tell.send(retry_in).unwrap();
        }
    };
    let options = SyncOptions::default();
    let context = &project.context;
    let listening = run(
        &hub,
        context,
        &all,
        &options,
        &mut on_event,
        std::future::pending(),
    );
    let retry_in = tokio::select! {
        _ = listening => panic!("the listener ended"),
        retry_in = tokio::time::timeout(BOUND, told.recv()) => retry_in.unwrap().unwrap(),
    };
    assert!(retry_in >= Duration::from_secs(1_000), "{retry_in:?}");
    assert_eq!(hub.asked().len(), 1);
}
