//! What projects ask of a hub.

use std::collections::BTreeMap;
use std::time::Duration;

use ctx_config::limits;
use tokio::time::Instant;
use tonic::{Code, Response, Streaming};

use super::backoff::repeated;
use super::error::{ClientError, Violation};
use super::status::Context;
use super::stream::{EntryStream, HubIdentity, Silence, StreamStart};
use super::transport::{Answer, Bearer, Call, Question, Transport, after, bearer};
use super::{Peer, Route, Timeouts};
use crate::entry::EntryDraft;
use crate::secret::{ClientToken, TokenHash};
use crate::types::{Sequence, TypeSet};
use crate::wire::convert::{draft_to_wire, known_to_wire, moment_from_wire, types_to_wire};
use crate::wire::generated as wire;
use crate::wire::method;

const PUBLISH: Call = Call {
    path: method::PUBLISH,
    name: "publish",
};
const SYNC: Call = Call {
    path: method::SYNC,
    name: "sync",
};
const LISTEN: Call = Call {
    path: method::LISTEN,
    name: "listen",
};
const ROTATE: Call = Call {
    path: method::ROTATE_TOKEN,
    name: "rotate",
};
const STATUS: Call = Call {
    path: method::STATUS,
    name: "status",
};

/// A connection to a hub. Cheap to clone; clones share the connection, which dials again by itself
/// when it broke.
#[derive(Clone, Debug)]
pub struct HubClient {
    transport: Transport,
    bearer: Option<Bearer>,
}

/// What a hub says of a token that has taken the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRotation {
    /// When the new token expires, in Unix seconds; `None` when it does not.
    pub expires_at: Option<i64>,
    /// When the one before it ends, in Unix seconds; `None` when there is none any more.
    pub previous_ends_at: Option<i64>,
}

/// Figures of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubStatus {
    /// How many entries it stores.
    pub total_entries: u64,
    /// Open `Listen` streams.
    pub connected_clients: u32,
    /// Entries of each type that has any, by name.
    pub by_type: BTreeMap<String, u64>,
    /// Entries of each project that has any, by name.
    pub by_project: BTreeMap<String, u64>,
    /// Which log answered.
    pub identity: HubIdentity,
}

impl HubClient {
    /// Dials the hub as `route` says; an address alone is one. A hub that accepts and never answers
    /// is noticed by the first call. Needs a Tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`ClientError::Route`] for a way that is not gone, [`ClientError::Untrusted`] for a hub that
    /// is not the one that is meant, [`ClientError::Unreachable`], or [`ClientError::Timeout`] after
    /// [`Timeouts::connect`].
    pub async fn connect(route: impl Into<Route>, timeouts: Timeouts) -> Result<Self, ClientError> {
        let transport = Transport::dial(route.into(), timeouts).await?;
        Ok(Self {
            transport,
            bearer: None,
        })
    }

    /// A connection to the hub that is dialled as `route` says by the first call: for those who
    /// stay until there is a hub. Needs a Tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`ClientError::Route`] for a way that is not gone, [`ClientError::Untrusted`] when what
    /// vouches for the hub cannot be used, [`ClientError::Gone`] for an address that cannot be put
    /// into a URI; none is known.
    pub fn lazy(route: impl Into<Route>, timeouts: Timeouts) -> Result<Self, ClientError> {
        let transport = Transport::lazy(route.into(), timeouts)?;
        Ok(Self {
            transport,
            bearer: None,
        })
    }

    /// The same connection, with the credentials of a project.
    #[must_use]
    pub fn with_token(self, token: ClientToken) -> Self {
        Self {
            bearer: bearer(token.expose()),
            ..self
        }
    }

    /// Where the hub was dialled.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        self.transport.peer()
    }

    /// Puts the token of this hash in place of the one that this client has, which goes on until its
    /// overlap ends. The hub is told the hash alone. The same again changes nothing, and so does a
    /// token in place of itself, so this is safe to repeat.
    ///
    /// # Errors
    /// [`ClientError::Credentials`] when the token of this client has ended,
    /// [`ClientError::TokenReplaced`] when another one has taken its place,
    /// [`ClientError::Rejected`] with `UNIMPLEMENTED` from an older hub, and what every call can fail
    /// with.
    pub async fn rotate_token(&self, new: &TokenHash) -> Result<TokenRotation, ClientError> {
        let question = wire::RotateTokenRequest {
            new_token_hash: new.to_hex(),
        };
        let answered = self.ask(ROTATE, question, self.transport.deadline()).await;
        let answer: Response<wire::RotateTokenResponse> =
            answered.map_err(|error| match error {
                ClientError::Rejected {
                    peer,
                    code: Code::FailedPrecondition,
                    ..
                } => ClientError::TokenReplaced { peer },
                other => other,
            })?;
        let wire::RotateTokenResponse {
            expires_at,
            previous_ends_at,
        } = answer.into_inner();
        Ok(TokenRotation {
            expires_at: moment_from_wire(expires_at),
            previous_ends_at: moment_from_wire(previous_ends_at),
        })
    }

    /// Publishes entries, all or none, and answers their sequences in order, once the hub has them
    /// on disk. An id that the hub has already keeps its first sequence, so this is safe to repeat.
    ///
    /// # Errors
    /// [`ClientError::TooMuch`] beyond [`limits::PUBLISH_MAX_ENTRIES`] or
    /// [`limits::PUBLISH_MAX_BYTES`], and what every call can fail with.
    pub async fn publish(&self, drafts: &[EntryDraft]) -> Result<Vec<Sequence>, ClientError> {
        self.publish_within(drafts, self.transport.deadline()).await
    }

    /// [`publish`](Self::publish), but a hub that takes no more for now is not waited for.
    ///
    /// # Errors
    /// Those of [`publish`](Self::publish).
    #[cfg(feature = "sync")]
    pub(crate) async fn publish_now(
        &self,
        drafts: &[EntryDraft],
    ) -> Result<Vec<Sequence>, ClientError> {
        self.publish_within(drafts, Instant::now()).await
    }

    /// Publishes; a hub that takes no more for now is waited for until `patience`.
    async fn publish_within(
        &self,
        drafts: &[EntryDraft],
        patience: Instant,
    ) -> Result<Vec<Sequence>, ClientError> {
        let entries = drafts.len();
        let bytes = drafts.iter().map(|draft| draft.content().len()).sum();
        if entries > limits::PUBLISH_MAX_ENTRIES || bytes > limits::PUBLISH_MAX_BYTES {
            return Err(ClientError::TooMuch { entries, bytes });
        }
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let question = wire::PublishRequest {
            entries: drafts.iter().map(draft_to_wire).collect(),
        };
        let answer = self.ask(PUBLISH, question, patience).await?;
        let wire::PublishResponse { sequences } = answer.into_inner();
        if sequences.len() != entries {
            let sequences = sequences.len();
            let violation = Violation::SequenceCount { entries, sequences };
            return Err(self.call_context(PUBLISH).violation(violation));
        }
        Ok(sequences.into_iter().map(Sequence::new).collect())
    }

    /// Every stored entry of `types` from `start` on, then the end.
    ///
    /// # Errors
    /// [`ClientError::OtherLog`] when the hub's log is not the one known, [`ClientError::NoTypes`] for an empty set, [`ClientError::Timeout`] when the stream does not
    /// begin within [`Timeouts::call`], and what every call can fail with.
    pub async fn sync(
        &self,
        types: &TypeSet,
        start: impl Into<StreamStart>,
    ) -> Result<EntryStream, ClientError> {
        let StreamStart { since, known } = start.into();
        let (known_sequence, known_chain) = known_to_wire(known);
        let question = wire::SyncRequest {
            types: types_to_wire(types),
            since_sequence: since.get(),
            known_sequence,
            known_chain,
        };
        let Timeouts {
            call, sync_idle, ..
        } = *self.transport.timeouts();
        match self.open(SYNC, question, types, call).await? {
            Some(response) => {
                let silence = Silence::Fault(sync_idle);
                let transport = self.transport.clone();
                EntryStream::new(response, transport, SYNC, types, since, silence)
            }
            None => Err(self.transport.context(SYNC, call).timeout()),
        }
    }

    /// Every stored entry of `types` from `start` on, and then every new one as it is stored.
    ///
    /// An older hub begins the stream only with its first entry, so this may wait as long as
    /// [`Timeouts::listen_idle`]; a hub that never answers anything is told from a quiet one by
    /// [`status`](Self::status) or [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`ClientError::OtherLog`] when the hub's log is not the one known,
    /// [`ClientError::NoTypes`] for an empty set, [`ClientError::Idle`] when nothing came in
    /// [`Timeouts::listen_idle`] (dial again), and what every call can fail with.
    pub async fn listen(
        &self,
        types: &TypeSet,
        start: impl Into<StreamStart>,
    ) -> Result<EntryStream, ClientError> {
        let StreamStart { since, known } = start.into();
        let (known_sequence, known_chain) = known_to_wire(known);
        let question = wire::ListenRequest {
            types: types_to_wire(types),
            since_sequence: since.get(),
            known_sequence,
            known_chain,
        };
        let idle = self.transport.timeouts().listen_idle;
        match self.open(LISTEN, question, types, idle).await? {
            Some(response) => {
                let silence = Silence::Normal(idle);
                let transport = self.transport.clone();
                EntryStream::new(response, transport, LISTEN, types, since, silence)
            }
            None => Err(self.transport.context(LISTEN, idle).idle()),
        }
    }

    /// Figures of the hub.
    ///
    /// # Errors
    /// What every call can fail with.
    pub async fn status(&self) -> Result<HubStatus, ClientError> {
        let patience = self.transport.deadline();
        let response = self.ask(STATUS, wire::StatusRequest {}, patience).await?;
        let identity = HubIdentity::read(response.metadata())
            .map_err(|violation| self.call_context(STATUS).violation(violation))?;
        let wire::StatusResponse {
            total_entries,
            connected_clients,
            entries_by_type,
            entries_by_project,
        } = response.into_inner();
        Ok(HubStatus {
            total_entries,
            connected_clients,
            by_type: entries_by_type,
            by_project: entries_by_project,
            identity,
        })
    }

    /// A call with one answer that is safe to repeat; a hub that takes no more for now is waited
    /// for until `patience`.
    async fn ask<Q: Question, A: Answer>(
        &self,
        call: Call,
        question: Q,
        patience: Instant,
    ) -> Result<Response<A>, ClientError> {
        let deadline = self.transport.deadline();
        let bearer = self.bearer.as_ref();
        repeated(deadline, patience, || {
            self.transport
                .unary(call, question.clone(), bearer, deadline)
        })
        .await
    }

    /// Opens a stream of entries; `None` when it did not begin within `limit`.
    async fn open<Q: Question>(
        &self,
        call: Call,
        question: Q,
        types: &TypeSet,
        limit: Duration,
    ) -> Result<Option<Response<Streaming<wire::EntryMsg>>>, ClientError> {
        if types.is_empty() {
            return Err(ClientError::NoTypes);
        }
        let deadline = after(limit);
        let bearer = self.bearer.as_ref();
        // A stream may be long in beginning, and whoever waits for one wants to know why it does not.
        let patience = deadline.min(self.transport.deadline());
        repeated(deadline, patience, || {
            self.transport
                .open(call, question.clone(), bearer, limit, deadline)
        })
        .await
    }

    /// The connection.
    pub(super) const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// What an error of a call with one answer says.
    pub(super) fn call_context(&self, call: Call) -> Context<'_> {
        self.transport.context(call, self.transport.timeouts().call)
    }
}
