//! What operators ask of a running hub.

use std::time::Duration;

use camino::Utf8Path;
use tonic::{Code, Response};
use zeroize::Zeroizing;

use super::backoff::repeated;
use super::error::{ClientError, Violation};
use super::status::Context;
use super::transport::{Answer, Bearer, Call, Question, Transport, bearer};
use super::{Peer, Route, Timeouts};
use crate::secret::AdminToken;
use crate::types::{ClientId, InvitationId, ProjectName};
use crate::wire::admin::{ClientRecord, HubHealth, InvitationInfo, NewlyInvited};
use crate::wire::convert::{
    client_from_wire, health_from_wire, invitation_from_wire, newly_invited_from_wire,
};
use crate::wire::generated as wire;
use crate::wire::method;

const STATUS: Call = Call {
    path: method::HUB_STATUS,
    name: "status",
};
const CLIENTS: Call = Call {
    path: method::LIST_CLIENTS,
    name: "clients",
};
const REVOKE: Call = Call {
    path: method::REVOKE_CLIENT,
    name: "revoke",
};
const ROTATE: Call = Call {
    path: method::ROTATE_ADMIN_TOKEN,
    name: "rotate admin token",
};
const INVITE: Call = Call {
    path: method::CREATE_INVITATION,
    name: "invite",
};
const INVITATIONS: Call = Call {
    path: method::LIST_INVITATIONS,
    name: "invitations",
};
const END_INVITATION: Call = Call {
    path: method::END_INVITATION,
    name: "end invitation",
};
const SHUTDOWN: Call = Call {
    path: method::SHUTDOWN,
    name: "shutdown",
};

/// A connection of an operator to a running hub. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AdminClient {
    transport: Transport,
    bearer: Option<Bearer>,
}

impl AdminClient {
    /// Dials the hub on this machine whose admin socket is at `path`. Whoever may open the socket
    /// may administer. The path may be longer than what the system takes for a socket.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when no hub listens there, or [`ClientError::Timeout`] after
    /// [`Timeouts::connect`].
    pub async fn connect_socket(path: &Utf8Path, timeouts: Timeouts) -> Result<Self, ClientError> {
        let transport = Transport::dial_socket(path, timeouts).await?;
        Ok(Self {
            transport,
            bearer: None,
        })
    }

    /// Dials the hub as `route` says, with its admin token; an address alone is one.
    ///
    /// # Errors
    /// As [`HubClient::connect`](super::HubClient::connect).
    pub async fn connect(
        route: impl Into<Route>,
        token: AdminToken,
        timeouts: Timeouts,
    ) -> Result<Self, ClientError> {
        let transport = Transport::dial(route.into(), timeouts).await?;
        Ok(Self {
            transport,
            bearer: bearer(token.expose()),
        })
    }

    /// Where the hub was dialled.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        self.transport.peer()
    }

    /// Health and figures of the hub.
    ///
    /// # Errors
    /// What every call can fail with.
    pub async fn hub_status(&self) -> Result<HubHealth, ClientError> {
        let answer = self.ask(STATUS, wire::HubStatusRequest {}).await?;
        health_from_wire(answer).map_err(|error| self.violation(STATUS, error))
    }

    /// Every client that was ever registered, oldest first.
    ///
    /// # Errors
    /// What every call can fail with.
    pub async fn clients(&self) -> Result<Vec<ClientRecord>, ClientError> {
        let wire::ListClientsResponse { clients } =
            self.ask(CLIENTS, wire::ListClientsRequest {}).await?;
        let clients: Result<_, _> = clients.into_iter().map(client_from_wire).collect();
        clients.map_err(|error| self.violation(CLIENTS, error))
    }

    /// Ends the token of a client at once, its open streams with it, and answers the name of its
    /// project. Ending it again changes nothing.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when there is no such client, and what every call can fail with.
    pub async fn revoke(&self, client: &ClientId) -> Result<String, ClientError> {
        let question = wire::RevokeClientRequest {
            client_id: client.as_str().to_owned(),
        };
        let wire::RevokeClientResponse { project_name } = self.ask(REVOKE, question).await?;
        Ok(project_name)
    }

    /// Makes a new admin token in place of the one before, and answers it this once. Only on the
    /// admin socket. Sent once: when the answer is lost, the new token counts and nobody has it;
    /// rotating again makes another.
    ///
    /// # Errors
    /// What every call can fail with.
    pub async fn rotate_admin_token(&self) -> Result<AdminToken, ClientError> {
        let deadline = self.transport.deadline();
        let bearer = self.bearer.as_ref();
        let question = wire::RotateAdminTokenRequest {};
        let answer: Response<wire::RotateAdminTokenResponse> = self
            .transport
            .unary(ROTATE, question, bearer, deadline)
            .await?;
        let token = Zeroizing::new(answer.into_inner().admin_token);
        AdminToken::parse(&token).map_err(|_| self.context(ROTATE).violation(Violation::Token))
    }

    /// Makes an invitation, which is answered this once. Sent once: one whose answer is lost can be
    /// seen in [`AdminClient::invitations`] and ended.
    ///
    /// # Errors
    /// [`ClientError::ProjectExists`] while the project is registered, [`ClientError::Rejected`] for
    /// terms that the hub does not take, and what every call can fail with.
    pub async fn invite(
        &self,
        project: &ProjectName,
        expires_in: Duration,
        uses: u32,
    ) -> Result<NewlyInvited, ClientError> {
        let question = wire::CreateInvitationRequest {
            project_name: project.as_str().to_owned(),
            expires_in: expires_in.as_secs(),
            uses,
        };
        let deadline = self.transport.deadline();
        let bearer = self.bearer.as_ref();
        let answer: Result<Response<wire::CreateInvitationResponse>, _> = self
            .transport
            .unary(INVITE, question, bearer, deadline)
            .await;
        let answer = answer.map_err(|error| match error {
            ClientError::Rejected {
                peer,
                code: Code::AlreadyExists,
                ..
            } => ClientError::ProjectExists {
                peer,
                project: project.clone(),
            },
            other => other,
        })?;
        let invited = newly_invited_from_wire(answer.into_inner());
        invited.map_err(|error| self.violation(INVITE, error))
    }

    /// Every invitation that was ever made, oldest first.
    ///
    /// # Errors
    /// What every call can fail with.
    pub async fn invitations(&self) -> Result<Vec<InvitationInfo>, ClientError> {
        let wire::ListInvitationsResponse { invitations } = self
            .ask(INVITATIONS, wire::ListInvitationsRequest {})
            .await?;
        let found: Result<_, _> = invitations.into_iter().map(invitation_from_wire).collect();
        found.map_err(|error| self.violation(INVITATIONS, error))
    }

    /// Ends an invitation and answers it. Ending it again changes nothing.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] when there is no such invitation, and what every call can fail with.
    pub async fn end_invitation(&self, id: &InvitationId) -> Result<InvitationInfo, ClientError> {
        let question = wire::EndInvitationRequest {
            invitation_id: id.as_str().to_owned(),
        };
        let wire::EndInvitationResponse { info } = self.ask(END_INVITATION, question).await?;
        let info = invitation_from_wire(info.unwrap_or_default());
        info.map_err(|error| self.violation(END_INVITATION, error))
    }

    /// Drains and stops the hub, which answers its process id before it ends. Only on the admin
    /// socket. Sent once.
    ///
    /// # Errors
    /// What every call can fail with.
    pub async fn shutdown(&self) -> Result<u32, ClientError> {
        let deadline = self.transport.deadline();
        let bearer = self.bearer.as_ref();
        let question = wire::ShutdownRequest {};
        let answer: Response<wire::ShutdownResponse> = self
            .transport
            .unary(SHUTDOWN, question, bearer, deadline)
            .await?;
        Ok(answer.into_inner().pid)
    }

    /// A call that is safe to repeat.
    async fn ask<Q: Question, A: Answer>(&self, call: Call, question: Q) -> Result<A, ClientError> {
        let deadline = self.transport.deadline();
        let bearer = self.bearer.as_ref();
        let answer = repeated(deadline, deadline, || {
            self.transport
                .unary(call, question.clone(), bearer, deadline)
        });
        answer.await.map(Response::into_inner)
    }

    fn violation(&self, call: Call, error: crate::wire::convert::ConvertError) -> ClientError {
        self.context(call).violation(error)
    }

    fn context(&self, call: Call) -> Context<'_> {
        self.transport.context(call, self.transport.timeouts().call)
    }
}
