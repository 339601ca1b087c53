//! The doors of a hub: its address and its admin socket, served together and drained together.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ctx_config::limits;
use ctx_config::wire::{ADMIN_SERVICE, SERVICE};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::admin::Door;
use super::connection::Serving;
use super::gate::Gate;
use super::incoming::{Clear, Closing, serve};
use super::phase::Phase;
use super::proxies::TrustedProxies;
use super::router::Router;
use super::shared::Shared;
use super::tls::Certificates;
use crate::wire::FILE_DESCRIPTOR_SET;

/// Where requests come in.
pub(super) struct Doors {
    pub(super) network: TcpListener,
    pub(super) socket: UnixListener,
    pub(super) proxies: Arc<TrustedProxies>,
    /// What the network door lets in.
    pub(super) gate: Gate,
    /// What the network is asked to encrypt with; the socket never leaves the machine.
    pub(super) certificates: Option<Certificates>,
}

impl Doors {
    /// Serves both doors until `told`, then drains them: health says so, streams end, no
    /// connection is accepted, calls under way finish within `limit`.
    pub(super) async fn serve(
        self,
        hub: &Arc<Shared>,
        told: impl Future<Output = ()>,
        limit: Duration,
    ) {
        let (stop, sever) = (watch::Sender::new(false), watch::Sender::new(false));
        let health = HealthReporter::new();
        set_health(&health, ServingStatus::Serving).await;
        let others = others(&health);
        let proxies = self.proxies;
        let serving = |door, gate| Serving {
            hub: Arc::clone(hub),
            router: Router::new(Arc::clone(hub), door, others.clone()),
            handshake: Clear,
            proxies: Arc::clone(&proxies),
            gate,
        };
        // Places of their own: what comes from the network cannot take those of operators.
        let operators = Gate::new(limits::ADMIN_CONNECTIONS, limits::ADMIN_CONNECTIONS);
        let closing = || Closing {
            stop: stop.subscribe(),
            sever: sever.subscribe(),
        };
        let network = async {
            let serving = serving(Door::Network, self.gate);
            match self.certificates {
                Some(certificates) => {
                    serve(self.network, serving.shaking(certificates), closing()).await;
                }
                None => serve(self.network, serving, closing()).await,
            }
        };
        let socket = serve(self.socket, serving(Door::Socket, operators), closing());
        let mut servers = pin!(async { tokio::join!(network, socket) });
        hub.phase.send_replace(Phase::Serving);
        tokio::select! {
            _ = &mut servers => {}
            () = follow(&health, hub) => {}
            () = told => tracing::info!("draining"),
        }
        hub.phase.send_replace(Phase::Draining);
        set_health(&health, ServingStatus::NotServing).await;
        hub.streams.end_all();
        stop.send_replace(true);
        end_health_watches(&health).await;
        drain(servers, hub, &sever, limit).await;
    }
}

/// Waits until every connection is closed. What is left is cut off `limit` after the beginning, or
/// earlier: once every call is answered, those connections remain whose peer does not react.
async fn drain<F: Future>(
    mut servers: Pin<&mut F>,
    hub: &Shared,
    sever: &watch::Sender<bool>,
    limit: Duration,
) {
    let answered = async {
        hub.calls.none_left().await;
        tokio::time::sleep(limits::DRAIN_GRACE).await;
    };
    tokio::select! {
        _ = &mut servers => return,
        _ = tokio::time::timeout(limit, answered) => {}
    }
    tracing::warn!("cutting off the connections that are left");
    sever.send_replace(true);
    servers.await;
}

/// Health and reflection, and `UNIMPLEMENTED` for whatever else is asked.
fn others(health: &HealthReporter) -> Routes {
    let health = HealthService::from_health_reporter(health.clone());
    let most = limits::SERVER_SMALL_MESSAGE_MAX_BYTES;
    let health = HealthServer::new(health).max_decoding_message_size(most);
    let routes = Routes::new(health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    match reflection {
        Ok(reflection) => routes.add_service(reflection.max_decoding_message_size(most)),
        Err(error) => {
            // The descriptor is compiled in, and a test asks for it.
            tracing::error!(%error, "no reflection: the descriptor cannot be read");
            routes
        }
    }
}

/// Keeps the health what the store and the trail show of themselves: not serving while one of them
/// cannot be written to. Where nobody is sent to a hub that is not serving, nobody publishes either,
/// so it is found out here whether it is over. Administration goes on. Never ends.
async fn follow(health: &HealthReporter, hub: &Shared) {
    let (mut trouble, mut told) = (hub.store.trouble(), false);
    loop {
        let full = trouble.borrow_and_update().is_some();
        let troubled = full || hub.audit.is_failing();
        if troubled != told {
            let status = match troubled {
                true => ServingStatus::NotServing,
                false => ServingStatus::Serving,
            };
            // Whoever watches hears of each call of this, whether it changes something or not.
            for service in ["", SERVICE] {
                health.set_service_status(service, status).await;
            }
            told = troubled;
        }
        let changed = async {
            if trouble.changed().await.is_err() {
                // The store is closed: nothing changes any more.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(limits::STORE_PROBE_PAUSE) => {
                if full {
                    // What it finds out, it tells as trouble. The trail tries again by itself.
                    drop(hub.store.probe().await);
                }
            }
        }
    }
}

/// Sets the health of the hub as a whole and of its services.
async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in ["", SERVICE, ADMIN_SERVICE] {
        health.set_service_status(service, status).await;
    }
}

/// Ends the streams of whoever watches the health, after they have seen that it is over: they
/// would keep their connections open otherwise.
async fn end_health_watches(health: &HealthReporter) {
    let mut health = health.clone();
    for service in ["", SERVICE, ADMIN_SERVICE] {
        health.clear_service_status(service).await;
        health
            .set_service_status(service, ServingStatus::NotServing)
            .await;
    }
}
