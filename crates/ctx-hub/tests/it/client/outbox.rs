//! An entry that a hub refuses for good, and a sender that is killed while it moves it aside.

#[cfg(feature = "failpoints")]
use std::process::Command;

use camino::Utf8Path;
use ctx_config::paths::ContextDir;
use ctx_hub::client::{HubAddress, HubClient};
use ctx_hub::entry::{EntryDraft, EntryMeta};
use ctx_hub::outbox::{Outbox, SendReport};
use ctx_hub::types::{EntryId, EntryType};

use super::peer::{Peer, Reply};
use super::{in_time, patient, token};

/// Tell the child which outbox to send, and where to.
const CONTEXT: &str = "CTX_TEST_OUTBOX_CONTEXT";
const ADDRESS: &str = "CTX_TEST_OUTBOX_ADDRESS";

const INVALID_ARGUMENT: u8 = 3;

fn stored(sequence: u64) -> Reply {
    Reply::message(&format!(r#"{{"sequences":[{sequence}]}}"#))
}

fn refused() -> Reply {
    Reply::failed(INVALID_ARGUMENT, "entry ID required")
}

async fn send(context: &ContextDir, address: &HubAddress) -> SendReport {
    let client = HubClient::lazy(address, patient()).unwrap();
    let client = client.with_token(token());
    in_time(Outbox::of(context).send(&client)).await.unwrap()
}

fn queue(context: &ContextDir, id: &str) {
    let id = EntryId::try_from(id.to_owned()).unwrap();
    let meta = EntryMeta::default();
    let draft = EntryDraft::new(id, EntryType::Task, "text".to_owned(), 1, meta);
    Outbox::of(context).queue(&draft.unwrap()).unwrap();
}

#[tokio::test]
async fn child() {
    if let (Ok(context), Ok(address)) = (std::env::var(CONTEXT), std::env::var(ADDRESS)) {
        send(&ContextDir::new(context), &address.parse().unwrap()).await;
    }
}

#[tokio::test]
async fn one_bad_entry_of_a_batch_is_found_and_the_others_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let context = ContextDir::new(Utf8Path::from_path(dir.path()).unwrap());
    for id in ["a", "bad", "c"] {
        queue(&context, id);
    }
    // The batch, then each of it alone.
    let peer = Peer::start([]).await;
    peer.script([refused(), stored(1), refused(), stored(2)]);
    let report = send(&context, peer.address()).await;
    assert!(report.stopped.is_none(), "{report:?}");
    assert_eq!((report.sent.len(), report.refused.len()), (2, 1));
    let pending = Outbox::of(&context).pending().unwrap();
    assert_eq!(pending.entries, 0);
    assert!(pending.refused[0].reason.ends_with("entry ID required"));
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_sender_killed_while_it_moves_an_entry_aside_loses_neither_it_nor_others() {
    use std::os::unix::process::ExitStatusExt as _;
    let steps = ["reason-written", "moved-aside", "set-aside"];
    for step in steps.map(|step| format!("outbox.{step}")) {
        let dir = tempfile::tempdir().unwrap();
        let context = ContextDir::new(Utf8Path::from_path(dir.path()).unwrap());
        queue(&context, "bad");
        let peer = Peer::start([refused()]).await;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "client::outbox::child"]);
        command.env(CONTEXT, context.path());
        command.env(ADDRESS, peer.address().to_string());
        command.env(ctx_hub::ctx_io::failpoint::VARIABLE, format!("{step}=kill"));
        let ended = tokio::task::spawn_blocking(move || command.output());
        let ended = in_time(ended).await.unwrap().unwrap();
        assert_eq!(ended.status.signal(), Some(9), "{step}: {ended:?}");

        queue(&context, "good");
        let outbox = Outbox::of(&context);
        peer.script(match outbox.pending().unwrap().entries {
            1 => vec![stored(1)],
            _ => vec![refused(), refused(), stored(1)],
        });
        let report = send(&context, peer.address()).await;
        assert_eq!(report.sent.len(), 1, "{step}: {report:?}");
        let pending = outbox.pending().unwrap();
        assert_eq!((pending.entries, pending.unusable.len()), (0, 0), "{step}");
        assert_eq!(pending.refused.len(), 1, "{step}");
        assert!(pending.refused[0].reason.ends_with("entry ID required"));
    }
}
