//! A store that changes nothing that is not announced in the trail.
//!
//! It stands between the calls and the store, so that no call can forget to. What is only added
//! (entries) is announced by nothing: the line of the call that added it is enough, for a client
//! that is told that it failed sends it again, and it is stored once.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::Audit;
use super::current::current;
use super::line::{AuditRecord, bounded};
use crate::entry::{Entry, EntryDraft};
use crate::secret::TokenHash;
use crate::store::{
    AdminRecord, Authenticated, Client, InvitationRecord, ListedClient, NewInvitation, NewToken,
    PageQuery, Quota, Rotated, Sighting, Statistics, Store, StoreError, Visitor,
};
use crate::types::{Chain, ClientId, HubId, InvitationId, ProjectName, Sequence};

/// A store whose registry changes only on record.
pub(in crate::server) struct Audited<S> {
    store: S,
    audit: Arc<Audit>,
}

impl<S: Store> Audited<S> {
    pub(in crate::server) fn new(store: S, audit: Arc<Audit>) -> Self {
        Self { store, audit }
    }

    /// Announces that `change` is about to be made to `target`.
    async fn announce(&self, change: &'static str, target: &str) -> Result<(), StoreError> {
        let call = current().map(|call| call.record()).unwrap_or_default();
        let intent = AuditRecord {
            event: Cow::Borrowed("intent"),
            change: Some(Cow::Borrowed(change)),
            target: Some(bounded(target)),
            ..call
        };
        super::tell(|record| {
            record.change = intent.change.clone();
            record.target = intent.target.clone();
        });
        if self.audit.write(intent).await {
            Ok(())
        } else {
            Err(StoreError::NotOnRecord {
                path: self.audit.path.clone(),
            })
        }
    }
}

#[async_trait]
impl<S: Store> Store for Audited<S> {
    async fn register(&self, project: ProjectName, token: NewToken) -> Result<Client, StoreError> {
        self.announce("register", project.as_str()).await?;
        self.store.register(project, token).await
    }

    async fn revoke(&self, client: ClientId) -> Result<Option<Client>, StoreError> {
        self.announce("revoke", client.as_str()).await?;
        self.store.revoke(client).await
    }

    async fn register_invited(
        &self,
        project: ProjectName,
        token: NewToken,
        invitation: TokenHash,
    ) -> Result<Client, StoreError> {
        self.announce("register", project.as_str()).await?;
        self.store
            .register_invited(project, token, invitation)
            .await
    }

    async fn set_admin(&self, token: TokenHash) -> Result<AdminRecord, StoreError> {
        self.announce("admin_token", "").await?;
        self.store.set_admin(token).await
    }

    async fn invite(&self, invitation: NewInvitation) -> Result<(), StoreError> {
        self.announce("invite", invitation.project.as_str()).await?;
        self.store.invite(invitation).await
    }

    async fn end_invitation(
        &self,
        id: InvitationId,
    ) -> Result<Option<InvitationRecord>, StoreError> {
        self.announce("end_invitation", id.as_str()).await?;
        self.store.end_invitation(id).await
    }

    async fn rotate(
        &self,
        old: TokenHash,
        new: NewToken,
        overlap_ends_at: i64,
    ) -> Result<Rotated, StoreError> {
        let caller = current().and_then(|call| call.record().client);
        self.announce("rotate", &caller.unwrap_or_default()).await?;
        self.store.rotate(old, new, overlap_ends_at).await
    }

    // What follows changes nobody's rights.

    async fn is_invited(
        &self,
        project: ProjectName,
        token: TokenHash,
        invitation: TokenHash,
    ) -> Result<bool, StoreError> {
        self.store.is_invited(project, token, invitation).await
    }

    async fn admin(&self) -> Result<Option<AdminRecord>, StoreError> {
        self.store.admin().await
    }

    async fn invitations(&self) -> Result<Vec<InvitationRecord>, StoreError> {
        self.store.invitations().await
    }

    async fn note_seen(&self, sightings: Vec<Sighting>) -> Result<(), StoreError> {
        self.store.note_seen(sightings).await
    }

    fn hub_id(&self) -> &HubId {
        self.store.hub_id()
    }

    fn head(&self) -> watch::Receiver<Sequence> {
        self.store.head()
    }

    async fn append_within(
        &self,
        client: &Client,
        drafts: Vec<EntryDraft>,
        quota: Quota,
    ) -> Result<Vec<Sequence>, StoreError> {
        self.store.append_within(client, drafts, quota).await
    }

    async fn page(&self, query: PageQuery) -> Result<Vec<Entry>, StoreError> {
        self.store.page(query).await
    }

    async fn visit(&self, query: PageQuery, each: Visitor) -> Result<(), StoreError> {
        self.store.visit(query, each).await
    }

    async fn chain_at(&self, sequence: Sequence) -> Result<Option<Chain>, StoreError> {
        self.store.chain_at(sequence).await
    }

    async fn authenticate(&self, token: TokenHash) -> Result<Option<Authenticated>, StoreError> {
        self.store.authenticate(token).await
    }

    async fn clients(&self) -> Result<Vec<ListedClient>, StoreError> {
        self.store.clients().await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.store.statistics().await
    }

    fn trouble(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.store.trouble()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.store.probe().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}
