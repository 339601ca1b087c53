//! The calls of operators: on the admin socket, or from elsewhere with the admin token.

use std::sync::Arc;

use http::HeaderMap;
use tonic::{Response, Status};

use super::service::end_client;
use super::shared::{self, Shared};
use super::status;
use crate::wire::convert::{client_to_wire, health_to_wire};
use crate::wire::generated as wire;

/// Where a call came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The address that projects dial.
    Network,
    /// The socket in the data directory: whoever may open it may administer.
    Socket,
}

/// Checks that the caller may administer.
pub(super) fn check(hub: &Shared, door: Door, headers: &HeaderMap) -> Result<(), Status> {
    match door {
        Door::Socket => Ok(()),
        Door::Network => hub.admin.check_bearer(headers),
    }
}

/// Health and figures of the hub.
pub(super) async fn hub_status(
    hub: Arc<Shared>,
) -> Result<Response<wire::HubStatusResponse>, Status> {
    let listening = hub.streams.listening();
    let health = shared::health(&*hub.store, &hub.about, listening).await;
    let health = health.map_err(status::of_store)?;
    Ok(Response::new(health_to_wire(health)))
}

/// Every client that was ever registered.
pub(super) async fn list_clients(
    hub: Arc<Shared>,
) -> Result<Response<wire::ListClientsResponse>, Status> {
    let clients = shared::clients(&*hub.store).await;
    let clients = clients.map_err(status::of_store)?.into_iter();
    Ok(Response::new(wire::ListClientsResponse {
        clients: clients.map(client_to_wire).collect(),
    }))
}

/// Ends the token and the open streams of a client.
pub(super) async fn revoke_client(
    hub: Arc<Shared>,
    message: wire::RevokeClientRequest,
) -> Result<Response<wire::RevokeClientResponse>, Status> {
    let client = end_client(&hub, &message.client_id).await?;
    Ok(Response::new(wire::RevokeClientResponse {
        project_name: client.project.as_str().to_owned(),
    }))
}

/// Stops the hub; the answer is sent while it drains.
pub(super) async fn shutdown(
    hub: Arc<Shared>,
    door: Door,
) -> Result<Response<wire::ShutdownResponse>, Status> {
    if door != Door::Socket {
        return Err(Status::permission_denied(
            "shutdown is answered on the hub's admin socket only",
        ));
    }
    tracing::info!("an operator asks the hub to stop");
    hub.stop.notify_one();
    Ok(Response::new(wire::ShutdownResponse { pid: hub.about.pid }))
}
