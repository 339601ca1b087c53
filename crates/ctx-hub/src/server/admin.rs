//! The calls of operators: on the admin socket, or from elsewhere with the admin token.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tonic::{Response, Status};

use super::invitations::{self, InvitationTerms, NotInvited};
use super::service::end_client;
use super::shared::{self, Shared};
use super::status;
use super::token::{self, NotRotated, Rotated};
use crate::types::{InvitationId, ProjectName};
use crate::wire::convert::{
    client_to_wire, health_to_wire, invitation_to_wire, newly_invited_to_wire,
};
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
pub(super) async fn check(hub: &Shared, door: Door, headers: &HeaderMap) -> Result<(), Status> {
    match door {
        Door::Socket => Ok(()),
        Door::Network => hub.admin.check_bearer(&*hub.store, headers).await,
    }
}

/// Health and figures of the hub.
pub(super) async fn hub_status(
    hub: Arc<Shared>,
) -> Result<Response<wire::HubStatusResponse>, Status> {
    let listening = hub.streams.listening();
    let health = shared::health(&*hub.store, &hub.about, listening).await;
    let mut health = health.map_err(status::of_store)?;
    if hub.audit.is_failing() {
        let what = "the audit trail cannot be written: calls are refused until it can";
        health.troubles.push(what.to_owned());
    }
    Ok(Response::new(health_to_wire(health)))
}

/// Every client that was ever registered.
pub(super) async fn list_clients(
    hub: Arc<Shared>,
) -> Result<Response<wire::ListClientsResponse>, Status> {
    let now = hub.clock.unix();
    let clients = shared::clients(&*hub.store, now).await;
    let clients = clients.map_err(status::of_store)?.into_iter();
    let clients = clients.map(|client| client_to_wire(hub.with_presence(client, now)));
    Ok(Response::new(wire::ListClientsResponse {
        clients: clients.collect(),
    }))
}

/// Ends the tokens and the open streams of a client.
pub(super) async fn revoke_client(
    hub: Arc<Shared>,
    message: wire::RevokeClientRequest,
) -> Result<Response<wire::RevokeClientResponse>, Status> {
    let client = end_client(&hub, &message.client_id).await?;
    Ok(Response::new(wire::RevokeClientResponse {
        project_name: client.project.as_str().to_owned(),
    }))
}

/// Makes a new admin token in place of the one before.
pub(super) async fn rotate_admin_token(
    hub: Arc<Shared>,
    door: Door,
) -> Result<Response<wire::RotateAdminTokenResponse>, Status> {
    if door != Door::Socket {
        return Err(Status::permission_denied(
            "the admin token is rotated on the hub's admin socket only",
        ));
    }
    if !hub.admin.is_accepted() {
        return Err(Status::failed_precondition(
            "the hub's settings accept no admin token",
        ));
    }
    let path = hub.about.data_dir.admin_token();
    // On a task of its own: whoever asked may be gone before the file of the old one is.
    let rotating = tokio::spawn(async move { token::rotate(&*hub.store, &path).await });
    let rotated = rotating.await.map_err(|_| status::stopping())?;
    let Rotated { token, left } = rotated.map_err(|error| match error {
        NotRotated::Random(error) => status::no_random(error),
        NotRotated::Store(error) => status::of_store(error),
    })?;
    if let Some((path, error)) = left {
        tracing::warn!(%path, %error, "the file of the old admin token cannot be removed");
    }
    tracing::info!("an operator has made a new admin token");
    Ok(Response::new(wire::RotateAdminTokenResponse {
        admin_token: token.expose().to_owned(),
    }))
}

/// Makes an invitation.
pub(super) async fn create_invitation(
    hub: Arc<Shared>,
    message: wire::CreateInvitationRequest,
) -> Result<Response<wire::CreateInvitationResponse>, Status> {
    let wire::CreateInvitationRequest {
        project_name,
        expires_in,
        uses,
    } = message;
    let project = ProjectName::try_from(project_name).map_err(status::invalid)?;
    if !hub.registration.allows(&project) {
        return Err(status::name_not_allowed(&project));
    }
    let mut terms = InvitationTerms::new(project);
    if expires_in != 0 {
        terms.expires_in = Duration::from_secs(expires_in);
    }
    if uses != 0 {
        terms.uses = uses;
    }
    let created = invitations::create(&*hub.store, terms).await;
    let mut created = created.map_err(|error| match error {
        NotInvited::Random(error) => status::no_random(error),
        NotInvited::Store(error) => status::of_store(error),
        NotInvited::Time | NotInvited::Uses => status::invalid(error),
    })?;
    created.public_address = hub.about.public_address.clone();
    tracing::info!(invitation = %created.info.id, project = created.info.project, "invited");
    Ok(Response::new(newly_invited_to_wire(created)))
}

/// Every invitation that was ever made.
pub(super) async fn list_invitations(
    hub: Arc<Shared>,
) -> Result<Response<wire::ListInvitationsResponse>, Status> {
    let found = invitations::list(&*hub.store).await;
    let found = found.map_err(status::of_store)?.into_iter();
    Ok(Response::new(wire::ListInvitationsResponse {
        invitations: found.map(invitation_to_wire).collect(),
    }))
}

/// Ends an invitation.
pub(super) async fn end_invitation(
    hub: Arc<Shared>,
    message: wire::EndInvitationRequest,
) -> Result<Response<wire::EndInvitationResponse>, Status> {
    let id: InvitationId = message.invitation_id.parse().map_err(status::invalid)?;
    let ended = invitations::end(&*hub.store, id).await;
    let ended = ended.map_err(status::of_store)?;
    let info = ended.ok_or_else(|| Status::not_found("no such invitation"))?;
    tracing::info!(invitation = %info.id, project = info.project, "invitation ended");
    Ok(Response::new(wire::EndInvitationResponse {
        info: Some(invitation_to_wire(info)),
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
