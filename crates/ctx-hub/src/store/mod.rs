//! Where a hub keeps its log and its registry.
//!
//! [`Store`] is what the service needs and no more, so that another engine can stand behind it.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::entry::{Entry, EntryDraft};
use crate::secret::TokenHash;
use crate::types::{
    Chain, ClientId, EntryType, HubId, InvitationId, ProjectName, Sequence, TypeSet,
};

mod admin;
pub mod backup;
mod chain;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod guard;
mod import;
mod notice;
mod sqlite;
mod token;

pub use admin::{AdminRecord, InvitationRecord, NewInvitation};
pub use error::{Cause, Damage, ImportFault, StoreError};
pub use guard::{tighten_directory, tighten_files};
pub use notice::Notice;
pub use sqlite::{SqliteStore, verify};
pub use token::{Authenticated, ListedClient, NewToken, Rotated, Sighting, TokenFault};

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its identity.
    pub id: ClientId,
    /// The project that it publishes for.
    pub project: ProjectName,
    /// When it registered, in Unix seconds; 0 when unknown.
    pub created_at: i64,
    /// When its tokens were ended, in Unix seconds; `None` while nobody has ended them.
    pub revoked_at: Option<i64>,
}

/// What an append counts towards a client's day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The day: days since 1970 in UTC.
    pub day: i64,
    /// What the append counts.
    pub bytes: u64,
    /// What a client may have altogether in a day; `None`: nothing is counted.
    pub most: Option<u64>,
}

/// Which entries a page should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// Entries after this sequence.
    pub since: Sequence,
    /// Entries up to this sequence, it included; `None` means up to the last.
    pub until: Option<Sequence>,
    /// Entries of these types.
    pub types: TypeSet,
    /// At most so many entries.
    pub max_entries: usize,
    /// No further entry once the messages add up to so many bytes; at least one entry is read.
    pub max_bytes: usize,
}

/// Counts of what is stored, kept up with every append: asking costs nothing that grows with the
/// log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The last sequence handed out.
    pub head: Sequence,
    /// How many entries there are.
    pub total: u64,
    /// Entries of each type that has any, in the order of [`EntryType::ALL`].
    pub by_type: Vec<(EntryType, u64)>,
    /// Entries of each project that has any, by name.
    pub by_project: Vec<(String, u64)>,
    /// Clients that have not been revoked.
    pub live_clients: u64,
}

/// An entry as it goes over the wire, borrowed from a store while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMessage<'a> {
    /// Its place in the log.
    pub sequence: Sequence,
    /// `EntryMsg` of `hub.proto`, as JSON.
    pub json: &'a str,
}

/// Is handed messages while they are read, and may break off.
pub type Visitor = Box<dyn FnMut(StoredMessage<'_>) -> ControlFlow<()> + Send>;

/// A store of entries and clients.
///
/// Sequences become readable in order: once an entry can be read, no smaller sequence appears
/// later. What a method has answered is durable.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The identity of this log, made with it and never changed.
    fn hub_id(&self) -> &HubId;

    /// The last durable sequence, which changes with every append that stores something. Streams
    /// wait on it; they read what is new from the store.
    fn head(&self) -> watch::Receiver<Sequence>;

    /// Stores `drafts` as `client`'s and answers their sequences in order, once they are durable:
    /// all of them or none. An id that is stored already (or twice in `drafts`) is not stored
    /// again and answers the sequence that it has.
    ///
    /// # Errors
    /// [`StoreError::Revoked`] when the client has been revoked, however short before: once
    /// [`Store::revoke`] has answered, nothing of the client is stored any more. Whether it was
    /// ever registered is not asked: the caller has authenticated it.
    /// [`StoreError::Full`] when there is no room, [`StoreError::Unavailable`] and its kin
    /// otherwise. Nothing of `drafts` was acknowledged; sending it again is safe, as ids are
    /// stored once.
    async fn append(
        &self,
        client: &Client,
        drafts: Vec<EntryDraft>,
    ) -> Result<Vec<Sequence>, StoreError> {
        self.append_within(client, drafts, Quota::default()).await
    }

    /// As [`Store::append`], within a quota: what it counts is stored together with the entries, or
    /// neither is. A day that is not the one counted last begins at nothing, an earlier one too:
    /// a clock that was wrong must not shut anybody out for longer than a day.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`] when the client would have more than its day allows; and those of
    /// [`Store::append`].
    async fn append_within(
        &self,
        client: &Client,
        drafts: Vec<EntryDraft>,
        quota: Quota,
    ) -> Result<Vec<Sequence>, StoreError>;

    /// The next entries of `query`, in order of their sequence. An empty page means that there are
    /// none at this moment.
    ///
    /// # Errors
    /// The store cannot be read, or holds something that no entry can be made of.
    async fn page(&self, query: PageQuery) -> Result<Vec<Entry>, StoreError>;

    /// The messages of the same entries, handed to `each` one by one as they are read, until it breaks
    /// off: for whoever sends them and keeps none. `each` is called where it may block, while the
    /// store is read: what it waits for, others wait for too.
    ///
    /// # Errors
    /// The store cannot be read; `each` may have been handed some messages by then. What they say is
    /// not looked at.
    async fn visit(&self, query: PageQuery, each: Visitor) -> Result<(), StoreError>;

    /// The rolling hash of the log up to `sequence`: the one at the last entry that is not behind
    /// it, or [`Chain::genesis`] before the first one; `None` when the log does not reach so far.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn chain_at(&self, sequence: Sequence) -> Result<Option<Chain>, StoreError>;

    /// Registers `project` with its first token. When a live client of that name has this very token,
    /// it is that client's registration, asked for again: it is answered and nothing
    /// changes.
    ///
    /// # Errors
    /// [`StoreError::ProjectExists`] while a client of that name lives,
    /// [`StoreError::TokenInUse`] when a client of another name, or one that was revoked, has the
    /// token.
    async fn register(&self, project: ProjectName, token: NewToken) -> Result<Client, StoreError>;

    /// The same for whoever has the invitation of hash `invitation`, one use of which is counted in
    /// the transaction that registers. Asked for again with the same token, nothing is counted, and
    /// it is answered although the invitation is used up or has expired since.
    ///
    /// # Errors
    /// [`StoreError::Invitation`] when there is no such invitation, it is another project's, it has
    /// been used up or ended, or has expired; then what [`Store::register`] can fail with.
    async fn register_invited(
        &self,
        project: ProjectName,
        token: NewToken,
        invitation: TokenHash,
    ) -> Result<Client, StoreError>;

    /// Whether [`Store::register_invited`] would find nothing wrong with the invitation at this
    /// moment. Only reads, so that a guess costs no write.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn is_invited(
        &self,
        project: ProjectName,
        token: TokenHash,
        invitation: TokenHash,
    ) -> Result<bool, StoreError>;

    /// What is kept of the admin token; `None` before the first one.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn admin(&self) -> Result<Option<AdminRecord>, StoreError>;

    /// Makes `token` the hash of the admin token, in place of the one before.
    ///
    /// # Errors
    /// The store cannot be written; the one before counts.
    async fn set_admin(&self, token: TokenHash) -> Result<AdminRecord, StoreError>;

    /// Stores an invitation.
    ///
    /// # Errors
    /// [`StoreError::ProjectExists`] while a client of its project lives: nobody could use it, and
    /// the end of that client would end it. Otherwise the store cannot be written.
    async fn invite(&self, invitation: NewInvitation) -> Result<(), StoreError>;

    /// Every invitation that was ever stored, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn invitations(&self) -> Result<Vec<InvitationRecord>, StoreError>;

    /// Ends an invitation; `None` when there is no such one. Ending it again changes nothing.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn end_invitation(
        &self,
        id: InvitationId,
    ) -> Result<Option<InvitationRecord>, StoreError>;

    /// The client of the token that has this hash, if the token lives: the client has not been
    /// revoked, and the token has not expired.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn authenticate(&self, token: TokenHash) -> Result<Option<Authenticated>, StoreError>;

    /// Puts `new` in the place of the token `old`, which ends at `overlap_ends_at` (Unix seconds),
    /// unless it, or `new`, expires earlier. A token is replaced once: the same again changes
    /// nothing and answers the same, and so does `new` in place of itself. Tokens of the client that
    /// have ended are forgotten.
    ///
    /// # Errors
    /// [`StoreError::Token`] says why not; [`TokenFault::TooMany`] beyond
    /// [`CLIENT_MAX_LIVE_TOKENS`](ctx_config::limits::CLIENT_MAX_LIVE_TOKENS). Nothing has changed.
    async fn rotate(
        &self,
        old: TokenHash,
        new: NewToken,
        overlap_ends_at: i64,
    ) -> Result<Rotated, StoreError>;

    /// Notes who called and when, all of it or nothing. Clients that are not known are left out; what
    /// was noted of a later call stays.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn note_seen(&self, sightings: Vec<Sighting>) -> Result<(), StoreError>;

    /// Ends the tokens of a client; `None` when there is no such client. Ending them again changes
    /// nothing. The open invitations of its project end with it, so that nobody who holds one takes
    /// the name again; the admin token and an invitation that is made afterwards can.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn revoke(&self, client: ClientId) -> Result<Option<Client>, StoreError>;

    /// Every client that was ever registered, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn clients(&self) -> Result<Vec<ListedClient>, StoreError>;

    /// Counts of what is stored.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn statistics(&self) -> Result<Statistics, StoreError>;

    /// What keeps the store from being written to, in words for the operator, as the last change
    /// showed; `None` while changes are stored.
    fn trouble(&self) -> watch::Receiver<Option<Arc<str>>>;

    /// Writes something that changes nothing, durably, and so finds out whether there is trouble.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Finishes what is under way and closes the store. Every later call but this one fails with
    /// [`StoreError::Closed`]; closing again changes nothing.
    ///
    /// # Errors
    /// The last flush failed.
    async fn close(&self) -> Result<(), StoreError>;
}
