//! Administration with no hub running: the same answers, from the store itself.

use ctx_config::paths::DataDir;
use ctx_io::Holder;

use super::audit::{self, Change};
use super::claim::Claim;
use super::error::HubError;
use super::invitations::{self, InvitationTerms, NotInvited};
use super::lifecycle::open_store;
use super::shared::{self, About};
use super::token::{self, NotRotated, Rotated};
use crate::clock::Clock;
use crate::secret::AdminToken;
use crate::store::{SqliteStore, Store as _, StoreError};
use crate::types::{ClientId, InvitationId};
use crate::wire::admin::{ClientRecord, HubHealth, InvitationInfo, NewlyInvited};

/// The data directory of a hub that does not run, opened for administration. No hub can start on
/// it while this lives.
pub struct OfflineHub {
    dir: DataDir,
    store: SqliteStore,
    notices: Vec<String>,
    claim: Claim,
}

/// Opens the data directory of a hub that does not run. It has to be called within a tokio
/// runtime.
///
/// # Errors
/// [`HubError::NoHub`] when no hub was ever there, [`HubError::Busy`] when one is running (ask that
/// one), and what keeps the store from being opened.
pub async fn open_offline(data_dir: &DataDir) -> Result<OfflineHub, HubError> {
    if !data_dir.store().exists() && !data_dir.old_entries().exists() {
        let data_dir = data_dir.path().to_owned();
        return Err(HubError::NoHub { data_dir });
    }
    let holder = Holder {
        command: "hub administration",
        version: env!("CARGO_PKG_VERSION"),
    };
    let claim = Claim::take_existing(data_dir, &holder)?;
    let mut notices = claim.notices().to_vec();
    let (store, said) = open_store(data_dir, Clock::default())?;
    notices.extend(said);
    Ok(OfflineHub {
        dir: data_dir.clone(),
        store,
        notices,
        claim,
    })
}

impl std::fmt::Debug for OfflineHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfflineHub")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl OfflineHub {
    /// What an operator should know about how it opened: an import, a recovery.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The figures of the hub; the process that serves it is 0, for there is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn status(&self) -> Result<HubHealth, HubError> {
        let about = About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: 0,
            started_at: 0,
            addresses: Vec::new(),
            data_dir: self.dir.clone(),
            public_address: None,
            certificates: None,
        };
        let health = shared::health(&self.store, &about, 0).await;
        health.map_err(|source| self.failed(source))
    }

    /// Every client that was ever registered, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn clients(&self) -> Result<Vec<ClientRecord>, HubError> {
        let now = Clock::default().unix();
        let clients = shared::clients(&self.store, now).await;
        clients.map_err(|source| self.failed(source))
    }

    /// Ends the tokens of a client and answers the name of its project; `None` when there is no
    /// such client.
    ///
    /// # Errors
    /// The store cannot be written, or the change cannot be put on record.
    pub async fn revoke(&self, client: &ClientId) -> Result<Option<String>, HubError> {
        let revoking = async {
            let revoked = self.store.revoke(client.clone()).await;
            revoked.map_err(|source| self.failed(source))
        };
        let change = Change {
            call: "RevokeClient",
            change: "revoke",
            target: client.as_str(),
        };
        let revoked = audit::on_record(&self.dir, change, Option::is_some, revoking).await?;
        Ok(revoked.map(|client| client.project.as_str().to_owned()))
    }

    /// Makes a new admin token in place of the one before and removes its file: the token can be had
    /// this once. Killed half-way, the old or the new one counts, and rotating again makes another.
    /// The second value is what the operator should know besides.
    ///
    /// # Errors
    /// The operating system gives no random bytes, or the store cannot be written; the one before
    /// counts.
    pub async fn rotate_admin_token(&self) -> Result<(AdminToken, Option<String>), HubError> {
        let path = self.dir.admin_token();
        let rotating = async {
            let rotated = token::rotate(&self.store, &path).await;
            rotated.map_err(|error| match error {
                NotRotated::Random(source) => HubError::Random(source),
                NotRotated::Store(source) => self.failed(source),
            })
        };
        let change = Change {
            call: "RotateAdminToken",
            change: "admin_token",
            target: "",
        };
        let rotated = audit::on_record(&self.dir, change, |_| true, rotating).await;
        let Rotated { token, left } = rotated?;
        let left = left.map(|(path, error)| {
            format!("{path}, which holds no token that counts, cannot be removed: {error}")
        });
        Ok((token, left))
    }

    /// Makes an invitation, which can be had this once. The list of names in a hub's settings is not
    /// known here; the hub looks at it when the invitation is used.
    ///
    /// # Errors
    /// [`HubError::NotInvited`] says why there is none.
    pub async fn invite(&self, terms: InvitationTerms) -> Result<NewlyInvited, HubError> {
        let project = terms.project.clone();
        let inviting = async {
            let created = invitations::create(&self.store, terms).await;
            created.map_err(|source| match source {
                NotInvited::Store(StoreError::ProjectExists { .. }) => HubError::NotInvited(source),
                NotInvited::Store(source) => self.failed(source),
                _ => HubError::NotInvited(source),
            })
        };
        let change = Change {
            call: "CreateInvitation",
            change: "invite",
            target: project.as_str(),
        };
        audit::on_record(&self.dir, change, |_| true, inviting).await
    }

    /// Every invitation that was ever made, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn invitations(&self) -> Result<Vec<InvitationInfo>, HubError> {
        let found = invitations::list(&self.store).await;
        found.map_err(|source| self.failed(source))
    }

    /// Ends an invitation and answers it; `None` when there is no such one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn end_invitation(
        &self,
        id: &InvitationId,
    ) -> Result<Option<InvitationInfo>, HubError> {
        let ending = async {
            let ended = invitations::end(&self.store, id.clone()).await;
            ended.map_err(|source| self.failed(source))
        };
        let change = Change {
            call: "EndInvitation",
            change: "end_invitation",
            target: id.as_str(),
        };
        audit::on_record(&self.dir, change, Option::is_some, ending).await
    }

    /// Closes the store and releases the data directory.
    ///
    /// # Errors
    /// The last flush failed, or the lock could not be released.
    pub async fn close(self) -> Result<(), HubError> {
        let closed = self.store.close().await;
        let closed = closed.map_err(|source| self.failed(source));
        let released = self.claim.release();
        closed.and(released)
    }

    fn failed(&self, source: StoreError) -> HubError {
        HubError::Store {
            data_dir: self.dir.path().to_owned(),
            source,
        }
    }
}
