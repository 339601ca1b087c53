//! What every call of a running hub shares.

use std::sync::Arc;

use ctx_config::paths::DataDir;
use tokio::sync::{Notify, watch};

use super::attempts::Attempts;
use super::audit::{Audit, Audited};
use super::auth::AdminKey;
use super::budget::Budget;
use super::incidents::Incidents;
use super::phase::Phase;
use super::receiving::Receiving;
use super::recent::Recent;
use super::room::Room;
use super::seen::Seen;
use super::settings::{Connections, Limits, Registration, Settings, Tokens};
use super::streams::{Most, Streams};
use super::tls::Certificates;
use super::tokens::Terms;
use crate::clock::Clock;
use crate::lifetime::Lifetime;
use crate::store::{ListedClient, Statistics, Store, StoreError};
use crate::types::HubId;
use crate::wire::admin::{ClientRecord, ClientState, HubHealth};

/// What every call of a running hub shares.
pub(super) struct Shared {
    /// Its registry changes only on record.
    pub(super) store: Arc<dyn Store>,
    pub(super) audit: Arc<Audit>,
    pub(super) recent: Arc<Recent>,
    pub(super) room: Room,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    pub(super) attempts: Attempts,
    pub(super) receiving: Receiving,
    pub(super) connections: Connections,
    pub(super) incidents: Incidents,
    pub(super) admin: AdminKey,
    pub(super) registration: Registration,
    pub(super) streams: Arc<Streams>,
    pub(super) seen: Seen,
    /// What tokens expire by.
    pub(super) clock: Clock,
    pub(super) terms: Terms,
    pub(super) calls: Calls,
    /// Told when an operator asks the hub to stop.
    pub(super) stop: Notify,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) about: About,
}

impl Shared {
    /// With the default limits and the clock of the system.
    pub(super) fn new(
        store: impl Store,
        audit: Arc<Audit>,
        registration: Registration,
        about: About,
    ) -> Self {
        let (limits, clock) = (Limits::default(), Clock::default());
        let store: Arc<dyn Store> = Arc::new(Audited::new(store, Arc::clone(&audit)));
        Self {
            recent: Arc::new(Recent::new(Arc::clone(&store))),
            store,
            incidents: Incidents::on_record(Arc::clone(&audit)),
            audit,
            room: Room::default(),
            budget: Budget::new(&limits, clock.clone()),
            attempts: Attempts::new(&limits, clock),
            receiving: Receiving::default(),
            connections: Connections::default(),
            admin: AdminKey::new(registration.admin_token),
            registration,
            streams: Arc::new(Streams::new(most_streams(&limits))),
            limits,
            seen: Seen::default(),
            clock: Clock::default(),
            terms: Terms::of(&Tokens::default()),
            calls: Calls::default(),
            stop: Notify::new(),
            phase: watch::Sender::new(Phase::Opened),
            about,
        }
    }

    /// With other settings, and with the clock that the store was opened with.
    pub(super) fn within(self, settings: &Settings, clock: &Clock) -> Self {
        let (limits, connections) = (&settings.limits, &settings.connections);
        let (all, share) = (
            connections.receiving_bytes,
            connections.receiving_client_bytes,
        );
        Self {
            receiving: Receiving::new(all, share),
            connections: connections.clone(),
            budget: Budget::new(limits, clock.clone()),
            attempts: Attempts::new(limits, clock.clone()),
            streams: Arc::new(Streams::new(most_streams(limits))),
            limits: limits.clone(),
            clock: clock.clone(),
            terms: Terms::of(&settings.tokens),
            ..self
        }
    }

    /// What the store says of a client, with what is known of it at this moment.
    pub(super) fn with_presence(&self, client: ClientRecord, now: i64) -> ClientRecord {
        let open_streams = self.streams.of(&client.id);
        let call = self.seen.of(&client.id);
        let called_at = match open_streams {
            0 => call.map(|call| call.at),
            _ => Some(now),
        };
        let address = call.and_then(|call| call.address);
        ClientRecord {
            last_seen_at: client.last_seen_at.max(called_at),
            last_address: address
                .map(|address| address.to_string())
                .or(client.last_address),
            open_streams,
            ..client
        }
    }
}

fn most_streams(limits: &Limits) -> Most {
    Most {
        listeners: limits.listeners,
        listeners_per_client: limits.listeners_per_client,
        syncs_per_client: limits.syncs_per_client,
    }
}

/// How many calls are being answered at this moment, streams that are open not counted.
#[derive(Debug, Default)]
pub(super) struct Calls(watch::Sender<usize>);

/// One call that is being answered.
#[derive(Debug)]
pub(super) struct CallGuard<'a>(&'a Calls);

impl Calls {
    pub(super) fn begin(&self) -> CallGuard<'_> {
        self.0.send_modify(|running| *running += 1);
        CallGuard(self)
    }

    /// Waits until no call is being answered.
    pub(super) async fn none_left(&self) {
        let mut running = self.0.subscribe();
        // The sender is ours: it cannot go away.
        drop(running.wait_for(|running| *running == 0).await);
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|running| *running -= 1);
    }
}

/// What does not change while a hub runs.
pub(super) struct About {
    pub(super) version: String,
    pub(super) pid: u32,
    pub(super) started_at: i64,
    pub(super) addresses: Vec<String>,
    pub(super) data_dir: DataDir,
    /// Where projects reach the hub, if its settings say so.
    pub(super) public_address: Option<String>,
    /// What it ends TLS with, if it does.
    pub(super) certificates: Option<Certificates>,
}

/// Health and figures for an operator.
pub(super) async fn health(
    store: &dyn Store,
    about: &About,
    listening: u32,
) -> Result<HubHealth, StoreError> {
    let Statistics {
        head,
        total,
        by_type,
        by_project,
        live_clients,
    } = store.statistics().await?;
    Ok(HubHealth {
        hub_id: HubId::clone(store.hub_id()),
        version: about.version.clone(),
        pid: about.pid,
        started_at: about.started_at,
        addresses: about.addresses.clone(),
        data_dir: about.data_dir.path().to_string(),
        encrypted: about.certificates.is_some(),
        fingerprint: about.certificates.as_ref().map(Certificates::fingerprint),
        certificate_expires_at: about.certificates.as_ref().map(Certificates::expires_at),
        self_signed: about
            .certificates
            .as_ref()
            .is_some_and(Certificates::is_self_signed),
        head,
        total_entries: total,
        connected_clients: listening,
        registered_clients: live_clients,
        entries_by_type: by_type
            .into_iter()
            .map(|(entry_type, count)| (entry_type.as_str().to_owned(), count))
            .collect(),
        entries_by_project: by_project.into_iter().collect(),
        troubles: store
            .trouble()
            .borrow()
            .iter()
            .map(ToString::to_string)
            .collect(),
    })
}

/// Every client that was ever registered, oldest first, as its tokens stand at `now`.
pub(super) async fn clients(store: &dyn Store, now: i64) -> Result<Vec<ClientRecord>, StoreError> {
    let clients = store.clients().await?.into_iter();
    Ok(clients.map(|listed| record(listed, now)).collect())
}

fn record(listed: ListedClient, now: i64) -> ClientRecord {
    let ListedClient {
        client,
        entries,
        issued_at,
        expires_at,
        last_seen_at,
        last_address,
    } = listed;
    let token = expires_at.map(|expires_at| Lifetime {
        issued_at,
        expires_at,
    });
    ClientRecord {
        state: ClientState::at(now, client.revoked_at.is_some(), token),
        id: client.id,
        project: client.project.as_str().to_owned(),
        created_at: (client.created_at != 0).then_some(client.created_at),
        revoked_at: client.revoked_at,
        entries,
        last_seen_at,
        last_address,
        expires_at,
        open_streams: 0,
    }
}
