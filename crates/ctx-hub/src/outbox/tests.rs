//! Queuing and sending against a hub that refuses, breaks and forgets on demand.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::{Arc, Mutex};

use ctx_config::limits;
use tonic::Code;

use super::*;
use crate::client::{ClientError, HubClient, Peer};
use crate::entry::EntryMeta;
use crate::types::Sequence;

/// What a call is answered with in place of sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Away,
    Credentials,
    Rejected(Code, &'static str),
    /// It takes no more for a minute.
    Limited,
    /// It stores the entries, and the answer is lost.
    LostAnswer,
}

#[derive(Default)]
struct Log {
    ids: Vec<String>,
    calls: Vec<usize>,
    /// What the next calls do.
    faults: Vec<Fault>,
    /// Entries that are refused, whoever is with them.
    refused: BTreeMap<String, Fault>,
}

/// A hub.
#[derive(Clone, Default)]
struct Hub(Arc<Mutex<Log>>);

impl Hub {
    fn with<T>(&self, what: impl FnOnce(&mut Log) -> T) -> T {
        what(&mut self.0.lock().unwrap())
    }

    fn ids(&self) -> Vec<String> {
        self.with(|log| log.ids.clone())
    }

    fn calls(&self) -> Vec<usize> {
        self.with(|log| std::mem::take(&mut log.calls))
    }

    fn fail(&self, faults: &[Fault]) {
        self.with(|log| log.faults = faults.iter().rev().copied().collect());
    }

    fn refuse(&self, id: &str, fault: Fault) {
        self.with(|log| log.refused.insert(id.to_owned(), fault));
    }
}

fn peer() -> Peer {
    Peer::Address("127.0.0.1:1".parse().unwrap())
}

fn error(fault: Fault) -> ClientError {
    let (peer, call) = (peer(), "publish");
    match fault {
        Fault::Away | Fault::LostAnswer => ClientError::Unavailable {
            peer,
            call,
            message: "away".to_owned(),
        },
        Fault::Limited => ClientError::Limited {
            peer,
            call,
            message: "too much".to_owned(),
            wait: std::time::Duration::from_secs(60),
        },
        Fault::Credentials => ClientError::Credentials {
            peer,
            message: "no".to_owned(),
        },
        Fault::Rejected(code, message) => ClientError::Rejected {
            peer,
            call,
            code,
            message: message.to_owned(),
        },
    }
}

impl Publisher for Hub {
    async fn publish(&self, drafts: &[EntryDraft]) -> Result<Vec<Sequence>, ClientError> {
        self.with(|log| {
            log.calls.push(drafts.len());
            let next = log.faults.pop();
            let by_entry = drafts.iter().find_map(|d| log.refused.get(d.id().as_str()));
            if let Some(fault) = next.filter(|fault| *fault != Fault::LostAnswer) {
                return Err(error(fault));
            }
            if let Some(fault) = by_entry {
                return Err(error(*fault));
            }
            let mut sequences = Vec::new();
            for draft in drafts {
                let id = draft.id().as_str();
                if !log.ids.iter().any(|known| known == id) {
                    log.ids.push(id.to_owned());
                }
                let place = log.ids.iter().position(|known| known == id).unwrap();
                sequences.push(Sequence::new(u64::try_from(place).unwrap() + 1));
            }
            match next {
                Some(fault) => Err(error(fault)),
                None => Ok(sequences),
            }
        })
    }
}

struct World {
    outbox: Outbox,
    hub: Hub,
    _temp: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let context = ContextDir::new(Utf8Path::from_path(temp.path()).unwrap());
        Self {
            outbox: Outbox::of(&context),
            hub: Hub::default(),
            _temp: temp,
        }
    }

    /// Queues entries whose ids are `ids`.
    fn queue(&self, ids: &[&str]) -> Vec<Utf8PathBuf> {
        let queue = |id: &&str| self.outbox.queue(&draft(id)).unwrap().path;
        ids.iter().map(queue).collect()
    }

    async fn send(&self) -> SendReport {
        self.outbox.send_to(&self.hub).await.unwrap()
    }

    async fn publish(&self, id: &str) -> Published {
        let hub = self.hub.clone();
        let dial = async move { Ok(hub) };
        self.outbox.deliver(&draft(id), WhenAway::Queue, dial).await
    }

    /// The ids of what waits, in order.
    fn waiting(&self) -> Vec<String> {
        let names = self.outbox.waiting().unwrap().names;
        let id = |name: &Name| {
            let (draft, _) = read(&self.outbox.file(name)).unwrap().unwrap();
            draft.id().to_string()
        };
        names.iter().map(id).collect()
    }
}

fn draft(id: &str) -> EntryDraft {
    let id = EntryId::try_from(id.to_owned()).unwrap();
    let content = format!("content of {id}");
    EntryDraft::new(id, EntryType::Task, content, 7, EntryMeta::default()).unwrap()
}

fn put(path: &Utf8Path, bytes: &[u8]) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test lays out what it finds later"
    )]
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn what_is_queued_is_sent_once_in_order_and_gone() {
    let world = World::new();
    world.queue(&["c", "a", "b"]);
    assert_eq!(world.waiting(), ["c", "a", "b"]);
    let report = world.send().await;
    assert_eq!(world.hub.ids(), ["c", "a", "b"]);
    let sent = report
        .sent
        .iter()
        .map(|sent| (sent.id.as_str(), sent.sequence.get()));
    assert_eq!(sent.collect::<Vec<_>>(), [("c", 1), ("a", 2), ("b", 3)]);
    assert!(world.outbox.is_empty().unwrap());
    assert!(world.send().await.is_empty());
    assert_eq!(world.hub.calls(), [3]);
}

#[tokio::test]
async fn many_entries_go_in_batches_of_bounded_size() {
    let world = World::new();
    let ids: Vec<String> = (0..300).map(|number| format!("n{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    world.queue(&ids);
    for id in ["large 1", "large 2", "large 3"] {
        let id = EntryId::try_from(id.to_owned()).unwrap();
        let content = "x".repeat(limits::OUTBOX_BATCH_BYTES * 2 / 3);
        let large = EntryDraft::new(id, EntryType::Task, content, 0, EntryMeta::default());
        world.outbox.queue(&large.unwrap()).unwrap();
    }
    assert_eq!(world.send().await.sent.len(), 303);
    assert_eq!(world.hub.calls(), [256, 46, 1]);
    assert_eq!(world.hub.ids()[..300], ids);
}

#[tokio::test]
async fn a_lost_answer_sends_again_and_stores_once() {
    let world = World::new();
    world.queue(&["a", "b"]);
    world.hub.fail(&[Fault::LostAnswer]);
    let report = world.send().await;
    assert!(report.stopped.is_some() && report.sent.is_empty());
    assert_eq!(world.waiting(), ["a", "b"], "nothing was acknowledged");
    world.send().await;
    assert_eq!(world.hub.ids(), ["a", "b"]);
    assert!(world.outbox.is_empty().unwrap());
}

#[test]
fn the_same_id_waits_once_and_a_damaged_file_of_it_does_not_count() {
    let world = World::new();
    let first = world.outbox.queue(&draft("a")).unwrap();
    assert_eq!((first.already, first.waiting), (false, 1));
    let second = world.outbox.queue(&draft("a")).unwrap();
    assert_eq!((second.already, second.waiting), (true, 1));
    assert_eq!(first.path, second.path);
    put(&first.path, b"{");
    let third = world.outbox.queue(&draft("a")).unwrap();
    assert!(!third.already && third.path > first.path);
    assert_eq!(std::fs::read(&first.path).unwrap(), b"{");
}

#[test]
fn files_are_private_and_a_link_in_place_of_a_folder_is_refused() {
    let world = World::new();
    let queued = world.outbox.queue(&draft("a")).unwrap();
    let mode = |path: &Utf8Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&queued.path), paths::PRIVATE_FILE_MODE);
    assert_eq!(mode(world.outbox.path()), paths::PRIVATE_DIR_MODE);
    let elsewhere = world.outbox.path().with_extension("elsewhere");
    fs_err::rename(world.outbox.path(), &elsewhere).unwrap();
    symlink(&elsewhere, world.outbox.path()).unwrap();
    let is_refused = |error: OutboxError| matches!(error, OutboxError::Path(_));
    assert!(is_refused(world.outbox.queue(&draft("b")).unwrap_err()));
    assert!(is_refused(world.outbox.pending().unwrap_err()));
    assert!(is_refused(world.outbox.is_empty().unwrap_err()));
    std::fs::remove_file(world.outbox.path()).unwrap();
    put(world.outbox.path(), b"");
    assert!(is_refused(world.outbox.queue(&draft("b")).unwrap_err()));
    assert!(is_refused(world.outbox.pending().unwrap_err()));
}

#[tokio::test]
async fn an_entry_that_is_refused_for_good_is_moved_aside_and_holds_up_nothing() {
    for (code, message) in [
        (Code::InvalidArgument, "meta exceeds 2048 bytes"),
        (Code::OutOfRange, "too large"),
        (Code::ResourceExhausted, "message exceeds 16777216 bytes"),
        (
            Code::ResourceExhausted,
            "grpc: received message larger than max (5 vs. 4)",
        ),
    ] {
        let world = World::new();
        let paths = world.queue(&["a", "bad", "c"]);
        let bytes = std::fs::read(&paths[1]).unwrap();
        world.hub.refuse("bad", Fault::Rejected(code, message));
        let report = world.send().await;
        assert_eq!(world.hub.ids(), ["a", "c"]);
        let [refused] = report.refused.as_slice() else {
            panic!("{report:?}");
        };
        assert!(refused.reason.ends_with(message), "{}", refused.reason);
        assert_eq!(
            std::fs::read(&refused.path).unwrap(),
            bytes,
            "kept as it was"
        );
        assert!(world.outbox.is_empty().unwrap());
        let pending = world.outbox.pending().unwrap();
        assert_eq!(pending.refused, report.refused);
        // It is not in the way of a later entry, the same id included.
        world.hub.with(|log| log.refused.clear());
        world.queue(&["d", "bad"]);
        assert_eq!(world.waiting(), ["d", "bad"]);
        world.send().await;
        assert_eq!(world.hub.ids(), ["a", "c", "d", "bad"]);
        assert_eq!(world.outbox.pending().unwrap().refused.len(), 1);
    }
}

#[tokio::test]
async fn what_is_not_the_entry_s_fault_keeps_it_queued() {
    for fault in [
        Fault::Away,
        Fault::Limited,
        Fault::Credentials,
        Fault::Rejected(Code::ResourceExhausted, "the hub has no room to store it"),
        Fault::Rejected(Code::Internal, "the hub's store failed"),
    ] {
        let world = World::new();
        world.queue(&["a", "b"]);
        world.hub.fail(&[fault]);
        let report = world.send().await;
        assert!(report.stopped.is_some() && report.refused.is_empty());
        assert_eq!(world.waiting(), ["a", "b"]);
    }
}

#[tokio::test]
async fn a_publish_comes_behind_what_is_queued() {
    let world = World::new();
    world.queue(&["a", "b"]);
    let published = world.publish("c").await;
    assert!(matches!(
        published.delivery,
        Ok(Delivery::Stored { sequence }) if sequence.get() == 3
    ));
    assert_eq!(published.before.sent.len(), 2);
    assert_eq!(world.hub.ids(), ["a", "b", "c"]);

    for fault in [
        Fault::Away,
        Fault::Limited,
        Fault::Rejected(Code::ResourceExhausted, "the hub has no room to store it"),
        Fault::Rejected(Code::Internal, "the hub's store failed"),
    ] {
        let world = World::new();
        world.queue(&["a"]);
        world.hub.fail(&[fault]);
        let published = world.publish("b").await;
        assert!(
            matches!(published.delivery, Ok(Delivery::Queued { ref queued, .. }) if queued.waiting == 2),
            "{published:?}"
        );
        assert_eq!(world.hub.calls(), [1], "the younger one was not tried");
        assert_eq!(world.waiting(), ["a", "b"]);
        world.publish("c").await;
        assert_eq!(world.hub.ids(), ["a", "b", "c"]);
    }
}

#[tokio::test]
async fn what_is_queued_and_what_fails_is_told_by_its_cause() {
    let no_room = Fault::Rejected(Code::ResourceExhausted, "the hub has no room to store it");
    let too_large = Fault::Rejected(Code::ResourceExhausted, "message exceeds 16 bytes");
    let broken = Fault::Rejected(Code::Internal, "the hub's store failed");
    for (fault, is_queued) in [
        (Fault::Away, true),
        (Fault::LostAnswer, true),
        (Fault::Limited, true),
        (no_room, true),
        (too_large, false),
        (broken, false),
        (Fault::Credentials, false),
    ] {
        let world = World::new();
        world.hub.fail(&[fault]);
        let published = world.publish("a").await;
        assert_eq!(published.delivery.is_ok(), is_queued, "{published:?}");
        assert_eq!(world.waiting().len(), usize::from(is_queued));

        world.hub.fail(&[fault]);
        let hub = world.hub.clone();
        let dial = async move { Ok(hub) };
        let b = draft("b");
        let failed = world.outbox.deliver(&b, WhenAway::Fail, dial).await;
        assert!(matches!(failed.delivery, Err(PublishError::Client(_))));
        assert_eq!(world.waiting().len(), usize::from(is_queued));
    }
    let world = World::new();
    let dial = async { Err::<HubClient, _>(error(Fault::Away)) };
    let a = draft("a");
    let published = world.outbox.publish(&a, WhenAway::Queue, dial).await;
    assert!(published.delivery.is_ok());
    assert_eq!(world.waiting(), ["a"]);
}

#[tokio::test]
async fn damaged_files_are_told_left_alone_and_hold_up_nothing() {
    let world = World::new();
    let paths = world.queue(&["torn", "a", "newer", "empty", "dir", "link", "closed", "b"]);
    let whole = std::fs::read(&paths[0]).unwrap();
    put(&paths[0], &whole[..whole.len() / 2]);
    put(&paths[2], br#"{"format":2}"#);
    put(&paths[3], b"");
    std::fs::remove_file(&paths[4]).unwrap();
    std::fs::create_dir(&paths[4]).unwrap();
    std::fs::remove_file(&paths[5]).unwrap();
    symlink(&paths[1], &paths[5]).unwrap();
    let large = std::fs::File::options()
        .write(true)
        .open(&paths[6])
        .unwrap();
    large.set_len(limits::OUTBOX_FILE_MAX_BYTES + 1).unwrap();
    let note = world.outbox.path().join("note.txt");
    put(&note, b"mine");
    put(&world.outbox.path().join(".hidden"), b"not ours to judge");

    let mut damaged: Vec<_> = [0, 2, 3, 4, 5, 6].map(|at| paths[at].clone()).into();
    damaged.push(note);
    damaged.sort();
    let told = |unusable: &[Unusable]| {
        let mut paths: Vec<_> = unusable.iter().map(|one| one.path.clone()).collect();
        paths.sort();
        paths
    };
    let pending = world.outbox.pending().unwrap();
    assert_eq!(told(&pending.unusable), damaged);
    assert_eq!(pending.entries, 2);
    assert_eq!(pending.oldest.unwrap().id.as_str(), "a");

    let report = world.send().await;
    assert_eq!(told(&report.unusable), damaged);
    assert_eq!(world.hub.ids(), ["a", "b"]);
    for path in &damaged {
        assert!(std::fs::symlink_metadata(path).is_ok(), "{path} is left");
    }
    // And again: nothing to send, and still told.
    let again = world.send().await;
    assert_eq!(told(&again.unusable), damaged);
    assert_eq!(world.hub.calls(), [2]);
    assert!(matches!(
        world.publish("c").await.delivery,
        Ok(Delivery::Stored { .. })
    ));
}

#[test]
fn a_full_outbox_refuses_and_names_itself() {
    let world = World::new();
    let paths = world.queue(&["a", "b"]);
    let file = std::fs::File::options()
        .write(true)
        .open(&paths[0])
        .unwrap();
    file.set_len(limits::OUTBOX_MAX_BYTES).unwrap();
    let error = world.outbox.queue(&draft("c")).unwrap_err();
    assert!(matches!(error, OutboxError::Full { entries: 2, .. }));
    assert!(error.to_string().starts_with(world.outbox.path().as_str()));
    assert!(world.outbox.queue(&draft("b")).unwrap().already);
    drop(file);
    std::fs::remove_file(&paths[0]).unwrap();
    for number in 0..limits::OUTBOX_MAX_ENTRIES - 1 {
        let name = format!("{number:016}-{}.json", "a".repeat(32));
        std::os::unix::fs::symlink("nowhere", world.outbox.path().join(name)).unwrap();
    }
    let error = world.outbox.queue(&draft("c")).unwrap_err();
    assert!(
        matches!(error, OutboxError::Full { entries, .. } if entries == limits::OUTBOX_MAX_ENTRIES)
    );
}

#[tokio::test]
async fn whoever_waits_for_a_turn_that_does_not_end_sends_all_the_same() {
    let world = World::new();
    world.queue(&["a"]);
    let held = std::fs::File::open(world.outbox.path()).unwrap();
    held.try_lock().unwrap();
    let patience = std::time::Duration::from_millis(50);
    let sent = world.outbox.send_in_turn(&world.hub, patience).await;
    assert_eq!(sent.unwrap().sent.len(), 1);
    assert_eq!(world.hub.ids(), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_publishers_and_senders_at_once_deliver_every_entry_once() {
    let world = Arc::new(World::new());
    let tasks: Vec<_> = (0..16)
        .map(|who| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for number in 0..8 {
                    let (outbox, id) = (world.outbox.clone(), format!("{who}-{number}"));
                    let queue = move || outbox.queue(&draft(&id)).map(drop);
                    tokio::task::spawn_blocking(queue).await.unwrap().unwrap();
                    if number % 3 == 2 {
                        world.send().await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    world.send().await;
    let ids = world.hub.ids();
    assert_eq!(ids.len(), 16 * 8);
    for who in 0..16 {
        let of_one = ids.iter().filter(|id| id.starts_with(&format!("{who}-")));
        assert!(
            of_one.is_sorted(),
            "in the order of each publisher: {ids:?}"
        );
    }
    assert!(world.outbox.is_empty().unwrap());
}

#[test]
fn what_a_killed_publisher_leaves_is_swept_and_never_sent() {
    let world = World::new();
    let path = world.queue(&["a"]).remove(0);
    let name = path.file_name().unwrap();
    let temp = world
        .outbox
        .path()
        .join(format!(".{name}.0123456789abcdef.tmp"));
    put(&temp, b"{\"format\":1");
    world.queue(&["b"]);
    assert!(!temp.exists());
    assert_eq!(world.waiting(), ["a", "b"]);
}
