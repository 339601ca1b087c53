//! Who called when, and from where: kept in memory, written to the store now and then and at the
//! end. A crash loses what was not written; nothing rests on it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ctx_config::limits;
use tokio::time::sleep;

use super::auth::Caller;
use super::shared::Shared;
use super::status::report;
use crate::store::Sighting;
use crate::types::ClientId;

/// The last call of each client that has called since the last time it was written down.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<ClientId, Call>>);

/// The last call of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) at: i64,
    pub(super) address: Option<IpAddr>,
}

impl Seen {
    /// Notes a call.
    pub(super) fn note(&self, caller: &Caller, at: i64) {
        let mut seen = self.lock();
        let call = seen.entry(caller.client.id.clone()).or_insert(Call {
            at,
            address: caller.address,
        });
        call.at = call.at.max(at);
        call.address = caller.address.or(call.address);
    }

    /// What is known of a client and has not been written down.
    pub(super) fn of(&self, client: &ClientId) -> Option<Call> {
        self.lock().get(client).copied()
    }

    /// A client that is here at this moment, as its open streams say.
    fn note_present(&self, client: ClientId, at: i64) {
        let mut seen = self.lock();
        let call = seen.entry(client).or_insert(Call { at, address: None });
        call.at = call.at.max(at);
    }

    fn take(&self) -> HashMap<ClientId, Call> {
        std::mem::take(&mut *self.lock())
    }

    /// Puts back what could not be written; what was noted meanwhile is newer.
    fn put_back(&self, calls: HashMap<ClientId, Call>) {
        let mut seen = self.lock();
        for (client, before) in calls {
            let call = seen.entry(client).or_insert(before);
            call.address = call.address.or(before.address);
        }
    }

    /// A panic elsewhere leaves the map whole: every change is one insertion.
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down who has called, every [`limits::SEEN_INTERVAL`].
pub(super) async fn write_down(hub: Arc<Shared>) {
    loop {
        sleep(limits::SEEN_INTERVAL).await;
        flush(&hub).await;
    }
}

/// Writes down who has called. What cannot be written is kept for the next time.
pub(super) async fn flush(hub: &Shared) {
    let now = hub.clock.unix();
    for client in hub.streams.present() {
        hub.seen.note_present(client, now);
    }
    let calls = hub.seen.take();
    if calls.is_empty() {
        return;
    }
    let sightings = calls.iter().map(|(client, call)| Sighting {
        client: client.clone(),
        at: call.at,
        address: call.address.map(|address| address.to_string()),
    });
    if let Err(error) = hub.store.note_seen(sightings.collect()).await {
        tracing::warn!(error = report(&error), "cannot write down who has called");
        hub.seen.put_back(calls);
    }
}
