//! The audit trail under attack: nobody goes unseen, nobody fills the disk with lines, no secret
//! gets into one, and what cannot be put on record is not done.

mod flood;
mod killed;
mod record;
mod refused;
mod rotated;
mod secrets;

use ctx_config::paths::DataDir;
use ctx_hub::server::audit::{AuditLine, AuditReader, Found};
use ctx_hub::wire::method::{PUBLISH, REVOKE};

use crate::server::hub::TestHub;
use crate::server::peer::{Answer, JSON, Peer};

/// A hub that looks at what an address presents however often it failed, so that the trail is what
/// is attacked.
fn patient_hub() -> TestHub {
    TestHub::start_with(|config| config.settings.limits.failures_burst = 0)
}

/// What is in the trail of `dir`; all of it has to be lines.
fn lines(dir: &DataDir) -> Vec<AuditLine> {
    let mut reader = AuditReader::new(dir);
    let mut lines = Vec::new();
    while let Some(found) = reader.read_next().unwrap() {
        match found {
            Found::Line { line, .. } => lines.push(*line),
            Found::Damaged(damage) => panic!("{damage:?}"),
        }
    }
    lines
}

/// The lines of `event` about `call`.
fn about<'a>(lines: &'a [AuditLine], event: &str, call: &str) -> Vec<&'a AuditLine> {
    let is_it =
        |line: &&AuditLine| line.record.event == event && line.record.call.as_deref() == Some(call);
    lines.iter().filter(is_it).collect()
}

/// Reads the trail until `enough`, for what is written without anybody waiting for it.
async fn lines_until(dir: &DataDir, enough: impl Fn(&[AuditLine]) -> bool) -> Vec<AuditLine> {
    for _ in 0..3_000 {
        let lines = lines(dir);
        if enough(&lines) {
            return lines;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the lines do not come: {:#?}", lines(dir));
}

/// One entry with this `origin`.
fn entry(id: &str, origin: &str, content: &str) -> String {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    format!(
        r#"{{"entries":[{{"id":"{id}","type":"learning","content":{},"origin":{},"timestamp":1,"meta":{{"host":"meta-of-the-host"}}}}]}}"#,
        text(content),
        text(origin),
    )
}

async fn publish(peer: &Peer, token: &str, id: &str) -> Answer {
    peer.json(PUBLISH, token, &entry(id, "", "content")).await
}

async fn revoke(peer: &Peer, hub: &TestHub, client: &str) -> Answer {
    let token = hub.admin_token().expose();
    let message = format!(r#"{{"admin_token":"{token}","client_id":"{client}"}}"#);
    peer.call(REVOKE, JSON, None, message).await
}
