//! What the client sends, byte for byte, and what it makes of good, broken and hostile hubs.

mod admin;
mod calls;
mod hostile;
#[cfg(feature = "server")]
mod limited;
#[cfg(feature = "sync")]
mod outbox;
mod peer;
#[cfg(feature = "sync")]
mod rotation;
mod streams;

use std::time::Duration;

use ctx_hub::client::{HubClient, Timeouts};
use ctx_hub::secret::ClientToken;

use self::peer::Peer;

/// Long enough for everything that is to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Short enough for a test that waits for it.
const IMPATIENCE: Duration = Duration::from_millis(100);

/// Waits that no test is meant to reach the end of.
fn patient() -> Timeouts {
    Timeouts {
        connect: PATIENCE,
        call: PATIENCE,
        sync_idle: PATIENCE,
        listen_idle: PATIENCE,
    }
}

fn token() -> ClientToken {
    ClientToken::parse(&format!("ctx_cli_{}", "5".repeat(64))).unwrap()
}

async fn client(peer: &Peer, timeouts: Timeouts) -> HubClient {
    HubClient::connect(peer.address(), timeouts)
        .await
        .unwrap()
        .with_token(token())
}

/// The outer bound of what must end by itself.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("this has to end by itself")
}
