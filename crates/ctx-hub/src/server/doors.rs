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
use tonic::transport::{self, Server};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::admin::Door;
use super::incoming::{Accept, connections};
use super::router::Router;
use super::shared::Shared;
use crate::wire::FILE_DESCRIPTOR_SET;

/// Where requests come in.
pub(super) struct Doors {
    pub(super) network: TcpListener,
    pub(super) socket: UnixListener,
}

impl Doors {
    /// Serves both doors until `told`, then drains them: health says so, streams end, no
    /// connection is accepted, calls under way finish within `limit`.
    ///
    /// # Errors
    /// A door that closed by itself, with what tonic says of it.
    pub(super) async fn serve(
        self,
        hub: &Arc<Shared>,
        told: impl Future<Output = ()>,
        limit: Duration,
    ) -> Result<(), Option<transport::Error>> {
        let (stop, sever) = (watch::Sender::new(false), watch::Sender::new(false));
        let health = HealthReporter::new();
        set_health(&health, ServingStatus::Serving).await;
        let others = others(&health);
        let router = |door| Router::new(Arc::clone(hub), door, others.clone());
        let network = serve_door(self.network, router(Door::Network), &stop, &sever);
        let socket = serve_door(self.socket, router(Door::Socket), &stop, &sever);
        let mut servers = pin!(async { tokio::try_join!(network, socket).map(drop) });
        tokio::select! {
            ended = &mut servers => return Err(ended.err()),
            () = told => tracing::info!("draining"),
        }
        set_health(&health, ServingStatus::NotServing).await;
        hub.streams.end_all();
        stop.send_replace(true);
        end_health_watches(&health).await;
        drain(servers, hub, &sever, limit).await.map_err(Some)
    }
}

/// Serves what comes in at one door until told to stop and every connection is closed.
async fn serve_door(
    listener: impl Accept,
    router: Router,
    stop: &watch::Sender<bool>,
    sever: &watch::Sender<bool>,
) -> Result<(), transport::Error> {
    let mut stopped = stop.subscribe();
    let stopped = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
    Server::builder()
        .max_concurrent_streams(limits::CONNECTION_MAX_CALLS)
        .http2_keepalive_interval(Some(limits::PING_INTERVAL))
        .http2_keepalive_timeout(Some(limits::PING_TIMEOUT))
        .serve_with_incoming_shutdown(router, connections(listener, sever.subscribe()), stopped)
        .await
}

/// Waits until every connection is closed. What is left is cut off `limit` after the beginning, or
/// earlier: once every call is answered, those connections remain whose peer does not react.
async fn drain<F: Future>(
    mut servers: Pin<&mut F>,
    hub: &Shared,
    sever: &watch::Sender<bool>,
    limit: Duration,
) -> F::Output {
    let answered = async {
        hub.calls.none_left().await;
        tokio::time::sleep(limits::DRAIN_GRACE).await;
    };
    tokio::select! {
        ended = &mut servers => return ended,
        _ = tokio::time::timeout(limit, answered) => {}
    }
    tracing::warn!("cutting off the connections that are left");
    sever.send_replace(true);
    servers.await
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
