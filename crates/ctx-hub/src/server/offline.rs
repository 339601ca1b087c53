//! Administration with no hub running: the same answers, from the store itself.

use ctx_config::paths::DataDir;
use ctx_io::Holder;

use super::audit;
use super::claim::Claim;
use super::error::HubError;
use super::lifecycle::open_store;
use super::shared::{self, About};
use crate::store::{SqliteStore, Store as _, StoreError};
use crate::types::ClientId;
use crate::wire::admin::{ClientRecord, HubHealth};

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
    let mut notices: Vec<String> = claim.notice().into_iter().collect();
    let (store, said) = open_store(data_dir)?;
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
            data_dir: self.dir.path().to_owned(),
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
        let clients = shared::clients(&self.store).await;
        clients.map_err(|source| self.failed(source))
    }

    /// Ends the token of a client and answers the name of its project; `None` when there is no
    /// such client.
    ///
    /// # Errors
    /// The store cannot be written, or the change cannot be put on record.
    pub async fn revoke(&self, client: &ClientId) -> Result<Option<String>, HubError> {
        let revoking = async {
            let revoked = self.store.revoke(client.clone()).await;
            revoked.map_err(|source| self.failed(source))
        };
        let (dir, target) = (&self.dir, client.as_str());
        let revoked = audit::on_record(dir, "RevokeClient", "revoke", target, revoking).await?;
        Ok(revoked.map(|client| client.project.as_str().to_owned()))
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
