//! A stream of entries, checked as they come.

use std::time::Duration;

use ctx_config::wire::{HUB_CHAIN_HEADER, HUB_HEAD_HEADER, HUB_ID_HEADER};
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tonic::{Response, Streaming};

use super::error::{ClientError, Violation};
use super::transport::{Call, Transport};
use crate::entry::Entry;
use crate::types::{Chain, HubId, LogMark, Sequence, TypeSet};
use crate::wire::convert::{ConvertError, entry_from_wire};
use crate::wire::generated::EntryMsg;

/// Which log answered, and how far it reached. Older hubs say neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubIdentity {
    /// The identity of the hub's log.
    pub id: Option<HubId>,
    /// The hub's last sequence when the call began; a `sync` stream holds every matching entry up
    /// to it.
    pub head: Option<Sequence>,
    /// The rolling hash of the hub's log up to `head`; only of streams.
    pub chain: Option<Chain>,
}

/// Where a stream begins, and what is known of the log already. A [`Sequence`] alone is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStart {
    /// Entries after this one.
    pub since: Sequence,
    /// With it, a hub whose log is another one refuses: [`ClientError::OtherLog`]. Older hubs do
    /// not look at it.
    pub known: Option<LogMark>,
}

impl From<Sequence> for StreamStart {
    fn from(since: Sequence) -> Self {
        Self { since, known: None }
    }
}

impl HubIdentity {
    pub(super) fn read(metadata: &MetadataMap) -> Result<Self, Violation> {
        let text = |name| {
            metadata
                .get(name)
                .map(|value| value.to_str().unwrap_or_default())
        };
        let id = text(HUB_ID_HEADER)
            .map(str::parse)
            .transpose()
            .map_err(|source| Violation::HubId {
                header: HUB_ID_HEADER,
                source,
            })?;
        let head = text(HUB_HEAD_HEADER)
            .map(str::parse)
            .transpose()
            .map_err(|_| Violation::Number {
                header: HUB_HEAD_HEADER,
            })?
            .map(Sequence::new);
        let chain = text(HUB_CHAIN_HEADER)
            .map(str::parse)
            .transpose()
            .map_err(|source| Violation::HubId {
                header: HUB_CHAIN_HEADER,
                source,
            })?;
        Ok(Self { id, head, chain })
    }
}

/// What silence means on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The hub owes an answer: [`ClientError::Timeout`] after so long.
    Fault(Duration),
    /// There is nothing new: [`ClientError::Idle`] after so long.
    Normal(Duration),
}

impl Silence {
    const fn limit(self) -> Duration {
        match self {
            Self::Fault(limit) | Self::Normal(limit) => limit,
        }
    }
}

/// The entries that a hub sends, in order.
///
/// Sequences rise strictly from the one that was asked to follow; what does not is
/// [`ClientError::Protocol`], and everything before it was good.
#[derive(Debug)]
#[must_use = "entries arrive while somebody calls next()"]
pub struct EntryStream {
    entries: Streaming<EntryMsg>,
    transport: Transport,
    call: Call,
    identity: HubIdentity,
    types: TypeSet,
    last: Sequence,
    silence: Silence,
    skipped: u64,
}

impl EntryStream {
    pub(super) fn new(
        response: Response<Streaming<EntryMsg>>,
        transport: Transport,
        call: Call,
        types: &TypeSet,
        since: Sequence,
        silence: Silence,
    ) -> Result<Self, ClientError> {
        let identity = HubIdentity::read(response.metadata()).map_err(|violation| {
            transport
                .context(call, silence.limit())
                .violation(violation)
        })?;
        Ok(Self {
            entries: response.into_inner(),
            transport,
            call,
            identity,
            types: types.clone(),
            last: since,
            silence,
            skipped: 0,
        })
    }

    /// Which log answers.
    #[must_use]
    pub const fn identity(&self) -> &HubIdentity {
        &self.identity
    }

    /// How many entries were passed over because this program does not know their type.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The sequence of the last entry that came, passed-over ones included; at first the one that
    /// was asked to follow.
    #[must_use]
    pub const fn last(&self) -> Sequence {
        self.last
    }

    /// The next entry; `None` at the end, which a `sync` stream has and a `listen` stream gets when
    /// the hub stops. A call that is dropped before it is over loses nothing.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] on a silent `sync` stream, [`ClientError::Idle`] on a silent
    /// `listen` stream, [`ClientError::Gone`] when the connection breaks, [`ClientError::Protocol`]
    /// when what comes cannot be right, and what the hub ended the stream with. After an error the
    /// stream is of no further use.
    pub async fn next(&mut self) -> Result<Option<Entry>, ClientError> {
        loop {
            let Some(message) = self.message().await? else {
                return Ok(None);
            };
            if let Some(entry) = self.accept(message)? {
                return Ok(Some(entry));
            }
            self.skipped += 1;
        }
    }

    async fn message(&mut self) -> Result<Option<EntryMsg>, ClientError> {
        let context = self.transport.context(self.call, self.silence.limit());
        match (
            timeout(context.limit, self.entries.message()).await,
            self.silence,
        ) {
            (Ok(message), _) => message.map_err(|status| context.error(status)),
            (Err(_), Silence::Normal(_)) => Err(context.idle()),
            (Err(_), Silence::Fault(_)) => Err(context.timeout()),
        }
    }

    /// Checks an entry against what was asked; `None` when its type is unknown.
    fn accept(&mut self, message: EntryMsg) -> Result<Option<Entry>, ClientError> {
        let context = self.transport.context(self.call, self.silence.limit());
        let found = Sequence::new(message.sequence);
        if found <= self.last {
            let after = self.last;
            return Err(context.violation(Violation::OutOfOrder { after, found }));
        }
        let entry = match entry_from_wire(message) {
            Ok(entry) if self.types.contains(entry.entry_type) => Some(entry),
            Ok(_) => return Err(context.violation(Violation::TypeNotAsked { sequence: found })),
            Err(ConvertError::Type { .. }) => None,
            Err(error) => return Err(context.violation(error)),
        };
        self.last = found;
        Ok(entry)
    }
}
