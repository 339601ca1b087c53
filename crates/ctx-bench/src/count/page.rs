//! Sync a page of 100 entries, over a connection to a hub in this process.

use std::net::TcpListener;

use camino::Utf8Path;
use ctx_config::paths::DataDir;
use ctx_hub::client::{HubClient, Timeouts};
use ctx_hub::server::{Hub, HubConfig};
use ctx_hub::types::{Sequence, TypeSet};
use tokio::sync::oneshot;

use crate::Failure;

/// Entries of a page.
const ENTRIES: u64 = 100;

/// Syncs the same page in each round.
pub(super) async fn run(dir: &Utf8Path, rounds: u64) -> Result<(), Failure> {
    let config = HubConfig::new(DataDir::new(dir.join("data")), "counted");
    let hub = Hub::open(config, TcpListener::bind("127.0.0.1:0")?).await?;
    let address = hub.local_addr().to_string();
    let admin = hub.admin_token().ok_or("the hub has no token")?.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(hub.serve(async {
        stopped.await.ok();
    }));
    let address: ctx_hub::client::HubAddress = address.parse()?;
    let client = HubClient::connect(&address, Timeouts::default()).await?;
    let registration = client.register(&admin, &"counted".parse()?).await?;
    let client = client.with_token(registration.token);
    let drafts: Result<Vec<_>, _> = (1..=ENTRIES).map(super::draft).collect();
    client.publish(&drafts?).await?;
    for _ in 0..rounds {
        let mut stream = client.sync(&TypeSet::all(), Sequence::START).await?;
        let mut entries = 0;
        while stream.next().await?.is_some() {
            entries += 1;
        }
        if entries != ENTRIES {
            return Err(format!("{entries} entries came of {ENTRIES}").into());
        }
    }
    drop(client);
    stop.send(()).ok();
    Ok(served.await??)
}
