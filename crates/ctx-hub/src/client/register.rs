//! Registering a project.

use tonic::{Code, Response};
use zeroize::Zeroizing;

use super::error::{ClientError, Violation};
use super::hub::HubClient;
use super::transport::Call;
use crate::secret::{AdminToken, ClientToken, Invitation};
use crate::types::{ClientId, ProjectName};
use crate::wire::convert::{client_id_from_wire, moment_from_wire};
use crate::wire::generated as wire;
use crate::wire::method;

const REGISTER: Call = Call {
    path: method::REGISTER,
    name: "register",
};

/// What a hub older than invitations says to one: it sees an empty admin token.
const OLDER_HUB: &str = "invalid admin token";

/// What a registration gives a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its identity at the hub.
    pub client_id: ClientId,
    /// What it proves itself with from now on. The hub keeps only a hash of it.
    pub token: ClientToken,
    /// When the token expires, in Unix seconds; `None` when it does not.
    pub expires_at: Option<i64>,
}

/// What lets a project register. `Debug` shows neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The hub's admin token.
    AdminToken(AdminToken),
    /// An invitation of this very project.
    Invitation(Invitation),
}

impl HubClient {
    /// Exchanges the admin token for a client token of the new project `project`, which the hub
    /// makes. Sent once: see [`HubClient::register_as`] for what is safe to repeat.
    ///
    /// # Errors
    /// [`ClientError::Credentials`] when the admin token is not the hub's,
    /// [`ClientError::ProjectExists`] ([`ClientError::Rejected`] from an older hub) when the name
    /// is taken, and what every call can fail with.
    pub async fn register(
        &self,
        admin_token: &AdminToken,
        project: &ProjectName,
    ) -> Result<Registration, ClientError> {
        let admission = Admission::AdminToken(admin_token.clone());
        self.send_registration(&admission, project, None).await
    }

    /// Registers `project` with a token that the caller made and keeps: the hub is told its hash.
    /// Asked again with the same token, the hub answers the same registration, so a caller that
    /// sealed the token before can ask again after a lost answer or a crash. Sent once.
    ///
    /// An older hub makes a token of its own, which is answered then; asked again, it says that the
    /// project exists.
    ///
    /// # Errors
    /// As [`HubClient::register`]; [`ClientError::NotInvited`] when the invitation is not valid for this
    /// project, [`ClientError::NoInvitations`] from a hub that knows none, and
    /// [`ClientError::TokenInUse`] when the token is, or was, another client's: one that was revoked
    /// since it was asked for, most likely. Propose a new one.
    pub async fn register_as(
        &self,
        admission: &Admission,
        project: &ProjectName,
        token: &ClientToken,
    ) -> Result<Registration, ClientError> {
        self.send_registration(admission, project, Some(token))
            .await
    }

    async fn send_registration(
        &self,
        admission: &Admission,
        project: &ProjectName,
        proposed: Option<&ClientToken>,
    ) -> Result<Registration, ClientError> {
        let (admin_token, invitation) = match admission {
            Admission::AdminToken(token) => (token.expose(), ""),
            Admission::Invitation(invitation) => ("", invitation.expose()),
        };
        let question = wire::RegisterRequest {
            admin_token: admin_token.to_owned(),
            project_name: project.as_str().to_owned(),
            invitation: invitation.to_owned(),
            token_hash: proposed.map_or_else(String::new, |token| token.hash().to_hex()),
        };
        let deadline = self.transport().deadline();
        let answered = self
            .transport()
            .unary(REGISTER, question, None, deadline)
            .await;
        let answer: Response<wire::RegisterResponse> =
            answered.map_err(|error| refused(error, admission, project))?;
        let wire::RegisterResponse {
            client_id,
            client_token,
            expires_at,
        } = answer.into_inner();
        let client_token = Zeroizing::new(client_token);
        let context = self.call_context(REGISTER);
        let client_id = client_id_from_wire(&client_id).map_err(|e| context.violation(e))?;
        let token = match proposed {
            Some(proposed) if client_token.is_empty() => proposed.clone(),
            _ => ClientToken::parse(&client_token)
                .map_err(|_| context.violation(Violation::Token))?,
        };
        Ok(Registration {
            client_id,
            token,
            expires_at: moment_from_wire(expires_at),
        })
    }
}

/// What a refused registration means.
fn refused(error: ClientError, admission: &Admission, project: &ProjectName) -> ClientError {
    match (error, admission) {
        (
            ClientError::Rejected {
                peer,
                code: Code::AlreadyExists,
                ..
            },
            _,
        ) => ClientError::ProjectExists {
            peer,
            project: project.clone(),
        },
        (
            ClientError::Rejected {
                peer,
                code: Code::FailedPrecondition,
                ..
            },
            _,
        ) => ClientError::TokenInUse { peer },
        (ClientError::Credentials { peer, message }, Admission::Invitation(_)) => {
            if message == OLDER_HUB {
                ClientError::NoInvitations { peer }
            } else {
                ClientError::NotInvited { peer }
            }
        }
        (other, _) => other,
    }
}
