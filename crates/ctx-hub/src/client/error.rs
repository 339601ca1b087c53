//! What can go wrong between a client and a hub.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use ctx_config::{limits, paths};
use tonic::Code;

use super::{AddressError, Distrust, HubIdentity, Peer, RouteError};
use crate::secret::presentable;
use crate::types::{InvalidId, ProjectName, Sequence};
use crate::wire::convert::ConvertError;

/// A call that failed. No variant holds a token; text that came from the hub has tokens and control
/// characters taken out and is bounded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none.
    #[error(transparent)]
    BadAddress(#[from] AddressError),
    /// The hub is not asked this way. Nothing was sent.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// It is not certain that it is the hub. No token and no entry was sent.
    #[error("the hub at {peer} is not trusted")]
    Untrusted {
        /// Where.
        peer: Peer,
        /// Why.
        source: Distrust,
    },
    /// No connection could be opened. Nothing was sent.
    #[error("cannot reach the hub at {peer}")]
    Unreachable {
        /// Where.
        peer: Peer,
        /// What the system said.
        source: Cause,
    },
    /// The hub did not answer in time.
    #[error("the hub at {peer} did not answer {call} within {after:?}")]
    Timeout {
        /// Where.
        peer: Peer,
        /// What was asked.
        call: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// A `listen` stream was silent for its idle limit. Not a fault: dial again from the cursor.
    #[error("the hub at {peer} had nothing new for {after:?}")]
    Idle {
        /// Where.
        peer: Peer,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke under a call.
    #[error("the connection to the hub at {peer} broke during {call}")]
    Gone {
        /// Where.
        peer: Peer,
        /// What was asked.
        call: &'static str,
        /// What broke it.
        source: Cause,
    },
    /// The hub is there but cannot serve at the moment, for instance because it is stopping.
    #[error("the hub at {peer} cannot answer {call} now: {message}")]
    Unavailable {
        /// Where.
        peer: Peer,
        /// What was asked.
        call: &'static str,
        /// What the hub said.
        message: String,
    },
    /// The hub takes no more of this for now: a limit of the client's, or of its address.
    #[error("the hub at {peer} takes no more of {call} for now: {message}")]
    Limited {
        /// Where.
        peer: Peer,
        /// What was asked.
        call: &'static str,
        /// What the hub said.
        message: String,
        /// When to come back, at most [`limits::RETRY_HINT_LONGEST`] from now. Until then, the same
        /// call over the same connection fails without asking the hub.
        wait: Duration,
    },
    /// The hub does not accept the token.
    #[error("the hub at {peer} refused the credentials: {message}")]
    Credentials {
        /// Where.
        peer: Peer,
        /// What the hub said.
        message: String,
    },
    /// Another token has taken the place of the one that was shown, which goes on for a while and
    /// cannot be replaced again. Whoever did that has the newer one.
    #[error("the hub at {peer} has replaced this token by another one already")]
    TokenReplaced {
        /// Where.
        peer: Peer,
    },
    /// The invitation is not valid for this project. Why, the hub tells nobody.
    #[error("the hub at {peer} does not accept the invitation")]
    NotInvited {
        /// Where.
        peer: Peer,
    },
    /// The hub is older than invitations.
    #[error("the hub at {peer} knows no invitations")]
    NoInvitations {
        /// Where.
        peer: Peer,
    },
    /// The token that was proposed for a registration is not a new one.
    #[error("the hub at {peer} knows the proposed token already")]
    TokenInUse {
        /// Where.
        peer: Peer,
    },
    /// The project is registered already.
    #[error("project {project:?} is registered already at the hub at {peer}", project = project.as_str())]
    ProjectExists {
        /// Where.
        peer: Peer,
        /// The project.
        project: ProjectName,
    },
    /// What was asked for is not there.
    #[error("the hub at {peer} does not find it: {message}")]
    NotFound {
        /// Where.
        peer: Peer,
        /// What the hub said.
        message: String,
    },
    /// The hub's log is not the one that the caller said it knows.
    #[error("the hub at {peer} has another log than the one that is known of it")]
    OtherLog {
        /// Where.
        peer: Peer,
        /// Which log answered.
        identity: Box<HubIdentity>,
    },
    /// The hub refused the call, or failed at it.
    #[error("the hub at {peer} rejected {call}: {message}")]
    Rejected {
        /// Where.
        peer: Peer,
        /// What was asked.
        call: &'static str,
        /// The gRPC status.
        code: Code,
        /// What the hub said.
        message: String,
    },
    /// What answers there does not follow the protocol.
    #[error("what answers at {peer} does not follow the protocol of a ctx hub")]
    Protocol {
        /// Where.
        peer: Peer,
        /// In what respect.
        source: Violation,
    },
    /// More than one publish may carry. Nothing was sent.
    #[error("{entries} entries of {bytes} bytes are more than one publish may carry")]
    TooMuch {
        /// How many entries.
        entries: usize,
        /// Bytes of their contents together.
        bytes: usize,
    },
    /// No type was asked for, which on the wire would mean all of them. Nothing was sent.
    #[error("no entry type was asked for")]
    NoTypes,
}

/// In what respect a peer does not follow the protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// It is some other server.
    #[error("the answer is not gRPC (HTTP status {http}, content type {content_type})")]
    NotGrpc {
        /// The HTTP status of its answer.
        http: u16,
        /// The content type of its answer.
        content_type: String,
    },
    /// It does not speak HTTP/2.
    #[error("the answer is not HTTP/2")]
    NotHttp2(#[source] Cause),
    /// A message cannot be read.
    #[error("a message cannot be read")]
    Unreadable(#[source] Cause),
    /// A message is not framed as gRPC frames it.
    #[error("{what}")]
    Framing {
        /// In what respect.
        what: String,
    },
    /// A publish was answered with too many or too few sequences.
    #[error("{entries} entries were answered with {sequences} sequences")]
    SequenceCount {
        /// Entries published.
        entries: usize,
        /// Sequences answered.
        sequences: usize,
    },
    /// Sequences of a stream do not rise.
    #[error("sequence {found} follows sequence {after}")]
    OutOfOrder {
        /// The sequence before, or the one that was asked to follow.
        after: Sequence,
        /// The sequence that came.
        found: Sequence,
    },
    /// An entry of a type that was not asked for.
    #[error("sequence {sequence} has a type that was not asked for")]
    TypeNotAsked {
        /// Its sequence.
        sequence: Sequence,
    },
    /// A message holds what no value can be made of.
    #[error(transparent)]
    Value(#[from] ConvertError),
    /// The client token of a registration is none. It is not repeated.
    #[error("the client token is not one")]
    Token,
    /// The identity of the hub is none.
    #[error("the header {header} does not hold an identity")]
    HubId {
        /// The header.
        header: &'static str,
        /// What it holds.
        source: InvalidId,
    },
    /// A header is not a number.
    #[error("the header {header} does not hold a number")]
    Number {
        /// The header.
        header: &'static str,
    },
}

/// What a library or the operating system said. Shows the innermost cause, which is the one that
/// tells something; `Debug` shows all of them, but no token and no more than a bounded text.
pub struct Cause(Box<dyn Error + Send + Sync>);

impl Cause {
    pub(super) fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    fn innermost(&self) -> &(dyn Error + 'static) {
        let mut error: &(dyn Error + 'static) = self.0.as_ref();
        while let Some(source) = error.source() {
            error = source;
        }
        error
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&presentable(&format!("{:?}", self.0)))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let innermost = self.innermost();
        // A status without a source is a sentence of its own; its Display names the code as well.
        let text = match innermost.downcast_ref::<tonic::Status>() {
            Some(status) => status.message().to_owned(),
            None => innermost.to_string(),
        };
        f.write_str(&presentable(&text))
    }
}

impl Error for Cause {}

/// Who has to act on a [`ClientError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientErrorKind {
    /// The hub cannot be reached, did not answer in time, or takes no more for now.
    Unreachable,
    /// The hub refused the credentials.
    Credentials,
    /// The credentials were kept back: the hub is not known to be the one that is meant, or others
    /// could listen in. Somebody has to say whom to trust; no waiting mends it.
    Untrusted,
    /// The hub refused or failed.
    Rejected,
    /// The peer does not follow the protocol.
    Protocol,
    /// The call could not be made as it was asked for.
    Usage,
}

impl ClientError {
    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> ClientErrorKind {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Idle { .. }
            | Self::Gone { .. }
            | Self::Unavailable { .. }
            | Self::Limited { .. } => ClientErrorKind::Unreachable,
            Self::Credentials { .. }
            | Self::TokenReplaced { .. }
            | Self::NotInvited { .. }
            | Self::NoInvitations { .. } => ClientErrorKind::Credentials,
            Self::Route(_) | Self::Untrusted { .. } => ClientErrorKind::Untrusted,
            Self::ProjectExists { .. }
            | Self::TokenInUse { .. }
            | Self::NotFound { .. }
            | Self::OtherLog { .. }
            | Self::Rejected { .. } => ClientErrorKind::Rejected,
            Self::Protocol { .. } => ClientErrorKind::Protocol,
            Self::BadAddress(_) | Self::TooMuch { .. } | Self::NoTypes => ClientErrorKind::Usage,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything: the hub was not
    /// reached, did not answer, broke off, or takes no more for now. A `register` that failed so may have succeeded.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind(), ClientErrorKind::Unreachable)
    }

    /// How long the hub wants to be left alone, if it said so.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// Whether it is worth repeating at once. A hub that did not answer has used up its time.
    pub(super) const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Gone { .. } | Self::Unavailable { .. }
        )
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadAddress(error) => error.hint(),
            Self::Route(error) => error.hint(),
            Self::Untrusted { source, .. } => Some(source.hint().to_owned()),
            Self::Unreachable { peer: Peer::Socket(_), .. } => {
                Some("the hub of that data directory does not run: start it with `ctx hub start`".to_owned())
            }
            Self::Unreachable { .. } | Self::Gone { .. } => Some(
                "check that the hub runs (`ctx hub status` on its machine) and that the address is right".to_owned(),
            ),
            Self::Timeout { peer, .. } => Some(format!(
                "check that it is a ctx hub that listens at {peer}, and that it is not overloaded"
            )),
            Self::Unavailable { .. } => Some("try again in a moment".to_owned()),
            Self::Limited { wait, .. } => {
                let seconds = wait.as_millis().div_ceil(1_000);
                Some(format!("try again in {seconds} s"))
            }
            Self::Credentials { .. } => Some(format!(
                "use the hub's admin token ({} in its data directory) to register, or register this project again if its token was revoked",
                paths::ADMIN_TOKEN_FILE
            )),
            Self::TokenReplaced { .. } => Some(
                "if you do not know who did that, have the client ended with `ctx hub revoke`; then register this project again".to_owned(),
            ),
            Self::NotInvited { .. } => Some(
                "it was used up, ended or has expired, or is another project's: have the hub's operator make one with `ctx hub invite --project NAME`".to_owned(),
            ),
            Self::NoInvitations { .. } => Some(
                "it is older than they are: have it upgraded, or register with its admin token".to_owned(),
            ),
            Self::ProjectExists { .. } => Some(
                "choose another name with --project, or end the old client with `ctx hub revoke`".to_owned(),
            ),
            Self::NotFound { .. } => Some("`ctx hub clients` lists who is registered".to_owned()),
            Self::Rejected { code: Code::Unimplemented, .. } => {
                Some("the hub is older than this call: upgrade it".to_owned())
            }
            Self::Protocol { .. } => {
                Some("check that it is a ctx hub that listens there".to_owned())
            }
            Self::TooMuch { .. } => Some(format!(
                "publish at most {} entries and {} bytes at a time",
                limits::PUBLISH_MAX_ENTRIES,
                limits::PUBLISH_MAX_BYTES
            )),
            Self::NoTypes => Some("subscribe to at least one type".to_owned()),
            Self::TokenInUse { .. } | Self::Idle { .. } | Self::OtherLog { .. } | Self::Rejected { .. } => None,
        }
    }
}
