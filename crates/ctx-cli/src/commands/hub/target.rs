//! Which hub is administered, and through what.

use std::time::Duration;

use ctx_config::paths::DataDir;
use ctx_hub::client::{
    AdminClient, ClientError, ClientRecord, HubHealth, InvitationInfo, NewlyInvited,
};
use ctx_hub::secret::AdminToken;
use ctx_hub::server::{self, InvitationTerms, OfflineHub};
use ctx_hub::types::{ClientId, InvitationId, ProjectName};
use ctx_io::lock::{self, LockRecord, LockStatus};

use super::unlock;
use crate::args::TargetArgs;
use crate::commands::connect::timeouts;
use crate::commands::{Cx, convert, route, token};
use crate::error::CliError;
use crate::exit::Exit;

/// A hub to administer.
pub(super) enum Target {
    /// One that runs: over its socket, or over the network with the admin token.
    Running(Box<AdminClient>),
    /// The store of one that does not. Held locked, so that none starts meanwhile.
    Stopped(Box<OfflineHub>),
}

/// Finds the hub that `args` names.
///
/// # Errors
/// It cannot be reached, refuses the token, or its store cannot be opened.
pub(super) async fn find(args: &TargetArgs, cx: &Cx) -> Result<Target, CliError> {
    let timeouts = timeouts(args.timeout);
    if let Some(address) = &args.hub {
        let route = route::asked(address, &args.trust, cx)?;
        let token = token::admin_token(args.token.as_deref(), cx)?;
        let client = AdminClient::connect(route, token, timeouts).await;
        return Ok(Target::Running(Box::new(client.map_err(convert::client)?)));
    }
    let data = cx.env.data_dir(args.data_dir.as_deref())?;
    if serving(&data)?.is_some() {
        let client = AdminClient::connect_socket(&data.admin_socket(), timeouts).await;
        return Ok(Target::Running(Box::new(client.map_err(convert::client)?)));
    }
    let hub = server::open_offline(&data).await.map_err(convert::hub)?;
    for notice in hub.notices() {
        cx.screen.notice(notice);
    }
    Ok(Target::Stopped(Box::new(hub)))
}

/// The hub that serves `data`, as its lock tells; `None` when none does.
///
/// # Errors
/// The lock cannot be read, or nobody can tell whether its holder lives.
pub(super) fn serving(data: &DataDir) -> Result<Option<Box<LockRecord>>, CliError> {
    if !data.path().is_dir() {
        return Ok(None);
    }
    match lock::inspect(&data.lock()).map_err(convert::lock)? {
        LockStatus::Held { record, .. } => Ok(Some(record)),
        LockStatus::Unverified {
            record: Some(record),
            ..
        } => Ok(Some(record)),
        LockStatus::Unverified { why, id, .. } => Err(CliError::new(
            Exit::Busy,
            format!("{} exists, and {why}", data.lock()),
        )
        .hint(unlock::how_to_unlock(data, &id))),
        _ => Ok(None),
    }
}

impl Target {
    /// Lets go of the hub: a store that was opened for this is closed.
    ///
    /// # Errors
    /// The last flush failed, or the lock could not be released.
    pub(super) async fn close(self) -> Result<(), CliError> {
        match self {
            Self::Running(_) => Ok(()),
            Self::Stopped(hub) => hub.close().await.map_err(convert::hub),
        }
    }

    /// Health and figures, and whether the hub runs.
    ///
    /// # Errors
    /// The hub does not answer, or the store cannot be read.
    pub(super) async fn health(&self) -> Result<HubHealth, CliError> {
        match self {
            Self::Running(client) => client.hub_status().await.map_err(convert::client),
            Self::Stopped(hub) => hub.status().await.map_err(convert::hub),
        }
    }

    /// Every client that was ever registered.
    ///
    /// # Errors
    /// As [`Target::health`].
    pub(super) async fn clients(&self) -> Result<Vec<ClientRecord>, CliError> {
        match self {
            Self::Running(client) => client.clients().await.map_err(convert::client),
            Self::Stopped(hub) => hub.clients().await.map_err(convert::hub),
        }
    }

    /// The client of `project` that has not been revoked.
    ///
    /// # Errors
    /// As [`Target::health`]; or there is no such client.
    pub(super) async fn client_of(&self, project: &ProjectName) -> Result<ClientId, CliError> {
        let clients = self.clients().await?;
        let name = project.as_str();
        let found = clients
            .into_iter()
            .find(|client| client.project == name && client.revoked_at.is_none());
        found.map(|client| client.id).ok_or_else(|| {
            CliError::new(Exit::Failed, format!("no client of {name:?} is registered"))
                .hint("`ctx hub clients` lists who is registered")
        })
    }

    /// Ends a client's tokens; the name of its project.
    ///
    /// # Errors
    /// As [`Target::health`]; or there is no such client.
    pub(super) async fn revoke(&self, client: &ClientId) -> Result<String, CliError> {
        let project = match self {
            Self::Running(hub) => match hub.revoke(client).await {
                Ok(project) => Some(project),
                Err(ClientError::NotFound { .. }) => None,
                Err(error) => return Err(convert::client(error)),
            },
            Self::Stopped(hub) => hub.revoke(client).await.map_err(convert::hub)?,
        };
        project.ok_or_else(|| {
            CliError::new(Exit::Failed, format!("there is no client {client}"))
                .hint("`ctx hub clients` lists who is registered")
        })
    }

    /// Makes a new admin token; with it what an operator should know besides.
    ///
    /// # Errors
    /// As [`Target::health`]; or the hub accepts no admin token.
    pub(super) async fn rotate_admin_token(
        &self,
    ) -> Result<(AdminToken, Option<String>), CliError> {
        match self {
            Self::Running(client) => {
                let token = client.rotate_admin_token().await.map_err(convert::client)?;
                Ok((token, None))
            }
            Self::Stopped(hub) => hub.rotate_admin_token().await.map_err(convert::hub),
        }
    }

    /// Makes an invitation.
    ///
    /// # Errors
    /// As [`Target::health`]; or the project is registered already.
    pub(super) async fn invite(
        &self,
        project: &ProjectName,
        expires_in: Duration,
        uses: u32,
    ) -> Result<NewlyInvited, CliError> {
        match self {
            Self::Running(client) => {
                let made = client.invite(project, expires_in, uses).await;
                made.map_err(convert::client)
            }
            Self::Stopped(hub) => {
                let mut terms = InvitationTerms::new(project.clone());
                (terms.expires_in, terms.uses) = (expires_in, uses);
                hub.invite(terms).await.map_err(convert::hub)
            }
        }
    }

    /// Every invitation that was ever made.
    ///
    /// # Errors
    /// As [`Target::health`].
    pub(super) async fn invitations(&self) -> Result<Vec<InvitationInfo>, CliError> {
        match self {
            Self::Running(client) => client.invitations().await.map_err(convert::client),
            Self::Stopped(hub) => hub.invitations().await.map_err(convert::hub),
        }
    }

    /// Ends an invitation.
    ///
    /// # Errors
    /// As [`Target::health`]; or there is no such invitation.
    pub(super) async fn end_invitation(
        &self,
        id: &InvitationId,
    ) -> Result<InvitationInfo, CliError> {
        let ended = match self {
            Self::Running(hub) => match hub.end_invitation(id).await {
                Ok(ended) => Some(ended),
                Err(ClientError::NotFound { .. }) => None,
                Err(error) => return Err(convert::client(error)),
            },
            Self::Stopped(hub) => hub.end_invitation(id).await.map_err(convert::hub)?,
        };
        ended.ok_or_else(|| {
            CliError::new(Exit::Failed, format!("there is no invitation {id}"))
                .hint("`ctx hub invitations` lists them")
        })
    }
}
