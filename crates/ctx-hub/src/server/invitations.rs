//! Invitations, as operators make, list and end them: the same with a running hub and without one.

use std::time::Duration;

use ctx_config::limits;

use crate::secret::Invitation;
use crate::store::{InvitationRecord, NewInvitation, Store, StoreError};
use crate::types::{InvitationId, ProjectName};
use crate::wire::admin::{InvitationInfo, NewlyInvited};

/// What an invitation is to be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvitationTerms {
    /// The one project that it registers.
    pub project: ProjectName,
    /// How long it can be used, at most [`limits::INVITATION_TTL_MAX`].
    pub expires_in: Duration,
    /// How often it can be used, from 1 to [`limits::INVITATION_USES_MAX`].
    pub uses: u32,
}

/// Why there is no such invitation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotInvited {
    /// It would be good for too long, or for no time at all.
    #[error("an invitation is good for 1 second to {} days", limits::INVITATION_TTL_MAX.as_secs() / 86_400)]
    Time,
    /// It could be used too often, or never.
    #[error("an invitation is good for 1 to {} uses", limits::INVITATION_USES_MAX)]
    Uses,
    /// The operating system gives no random bytes.
    #[error("cannot make an invitation")]
    Random(#[from] getrandom::Error),
    /// The project is registered already, or the store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl InvitationTerms {
    /// One use within a day.
    #[must_use]
    pub const fn new(project: ProjectName) -> Self {
        Self {
            project,
            expires_in: limits::INVITATION_TTL,
            uses: 1,
        }
    }
}

/// Makes an invitation. It is answered once it is durable, and can be had this once.
pub(super) async fn create(
    store: &dyn Store,
    terms: InvitationTerms,
) -> Result<NewlyInvited, NotInvited> {
    let InvitationTerms {
        project,
        expires_in,
        uses,
    } = terms;
    if expires_in < Duration::from_secs(1) || expires_in > limits::INVITATION_TTL_MAX {
        return Err(NotInvited::Time);
    }
    if uses == 0 || uses > limits::INVITATION_USES_MAX {
        return Err(NotInvited::Uses);
    }
    let invitation = Invitation::random()?;
    let created_at = jiff::Timestamp::now().as_second();
    let seconds = i64::try_from(expires_in.as_secs()).unwrap_or(i64::MAX);
    let info = InvitationInfo {
        id: InvitationId::random()?,
        project: project.as_str().to_owned(),
        uses,
        used: 0,
        created_at,
        expires_at: created_at.saturating_add(seconds),
        ended_at: None,
    };
    let new = NewInvitation {
        id: info.id.clone(),
        hash: invitation.hash(),
        project,
        uses,
        created_at,
        expires_at: info.expires_at,
    };
    store.invite(new).await?;
    Ok(NewlyInvited {
        invitation,
        info,
        public_address: None,
    })
}

/// Every invitation that was ever made, oldest first.
pub(super) async fn list(store: &dyn Store) -> Result<Vec<InvitationInfo>, StoreError> {
    let found = store.invitations().await?;
    Ok(found.into_iter().map(info).collect())
}

/// Ends an invitation; `None` when there is no such one.
pub(super) async fn end(
    store: &dyn Store,
    id: InvitationId,
) -> Result<Option<InvitationInfo>, StoreError> {
    Ok(store.end_invitation(id).await?.map(info))
}

fn info(record: InvitationRecord) -> InvitationInfo {
    let InvitationRecord {
        id,
        project,
        uses,
        used,
        created_at,
        expires_at,
        ended_at,
    } = record;
    InvitationInfo {
        id,
        project,
        uses,
        used,
        created_at,
        expires_at,
        ended_at,
    }
}
