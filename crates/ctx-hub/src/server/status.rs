//! What a peer is told when a call fails: the only place where failures become gRPC statuses.
//!
//! A peer learns what it can act on. What concerns the operator (paths, causes) goes to the log.

use std::time::Duration;

use ctx_config::wire::{
    HUB_HEAD_HEADER, HUB_LOG_HEADER, HUB_LOG_OTHER, HUB_LOG_SHORTER, RETRY_AFTER_HEADER,
};
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::secret::presentable;
use crate::store::{StoreError, TokenFault};
use crate::types::{ProjectName, Sequence};

/// One answer for every way in which credentials can be wrong, so that it tells nothing apart.
pub(super) const UNAUTHENTICATED: &str = "invalid or missing credentials";

/// The answer when the admin token in a message is not the hub's.
pub(super) const INVALID_ADMIN_TOKEN: &str = "invalid admin token";

/// The answer while the audit trail cannot be written.
const NOT_ON_RECORD: &str =
    "the hub cannot record the call, and does nothing unrecorded; try again";

const STOPPING: &str = "hub is stopping";

/// The answer to an address that has failed too often.
const TOO_MANY_FAILURES: &str = "too many failed attempts from this address";

/// Begins the answer to a message that is too large.
const TOO_LARGE: &str = "message exceeds ";
/// The answer to every invitation that is not valid: none, another project's, used up, ended,
/// expired, or for a name that the settings do not allow. It tells none of them apart.
pub(super) const INVALID_INVITATION: &str = "invalid invitation";

/// Who is refused without a word why.
pub(super) fn unauthenticated() -> Status {
    Status::unauthenticated(UNAUTHENTICATED)
}

/// The hub is on its way out: a client dials again.
pub(super) fn stopping() -> Status {
    Status::unavailable(STOPPING)
}

/// What the call would do cannot be put on record, so it is not done.
pub(super) fn not_on_record() -> Status {
    Status::unavailable(NOT_ON_RECORD)
}

/// Whoever has shown no token has too many streams open.
pub(super) fn too_many_open() -> Status {
    Status::unavailable("too many calls without a token are open")
}

/// What a peer sent breaks a rule; the error says which.
pub(super) fn invalid(error: impl std::error::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

/// The caller has more than its share, and may come back after `wait`. `what` says which limit it
/// is, and nothing about anybody else.
pub(super) fn too_much(what: &str, wait: Duration) -> Status {
    // Never 0, and never too early: what is left of a millisecond counts as one.
    let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    let mut status = Status::resource_exhausted(what);
    let after = MetadataValue::from(millis.max(1));
    status.metadata_mut().insert(RETRY_AFTER_HEADER, after);
    status
}

/// The address has failed too often to prove who it is; what it presents is not looked at.
pub(super) fn too_many_failures(wait: Duration) -> Status {
    too_much(TOO_MANY_FAILURES, wait)
}

/// More than this hub ever takes at once: no waiting makes it less.
pub(super) fn too_large(what: impl Into<String>) -> Status {
    Status::invalid_argument(what)
}

/// The settings of the hub keep a list of names, and this one is not on it.
pub(super) fn name_not_allowed(project: &ProjectName) -> Status {
    let name = presentable(project.as_str());
    Status::invalid_argument(format!("this hub registers no project {name:?}"))
}

/// The operating system gives no random bytes.
pub(super) fn no_random(error: getrandom::Error) -> Status {
    tracing::error!(error = report(&error), "no random bytes");
    Status::internal("the hub has no random bytes")
}

/// The caller knows more of the log than there is.
pub(super) fn shorter_log(head: Sequence) -> Status {
    another_log(HUB_LOG_SHORTER, head)
}

/// The caller knows another log than this one.
pub(super) fn other_log(head: Sequence) -> Status {
    another_log(HUB_LOG_OTHER, head)
}

fn another_log(how: &'static str, head: Sequence) -> Status {
    let mut status =
        Status::failed_precondition("the hub's log is not the one that the caller knows");
    let metadata = status.metadata_mut();
    metadata.insert(HUB_LOG_HEADER, MetadataValue::from_static(how));
    metadata.insert(HUB_HEAD_HEADER, head.get().into());
    status
}

/// What a failure of the store means for the peer that ran into it: what may pass is said so,
/// so that a client tries again.
pub(super) fn of_store(error: StoreError) -> Status {
    match error {
        StoreError::Closed => return stopping(),
        StoreError::Revoked { .. } => return unauthenticated(),
        StoreError::NotOnRecord { .. } => return not_on_record(),
        StoreError::Token(fault) => return of_token(fault),
        StoreError::ProjectExists { .. } => return Status::already_exists(error.to_string()),
        StoreError::TokenInUse => return Status::failed_precondition(error.to_string()),
        StoreError::Invitation => return Status::permission_denied(INVALID_INVITATION),
        _ => tracing::error!(error = report(&error), "the store failed"),
    }
    match error {
        StoreError::Full { .. } => {
            Status::resource_exhausted("the hub has no room to store it; nothing was stored")
        }
        StoreError::Unavailable { .. } | StoreError::Io { .. } => {
            Status::unavailable("the hub's store failed; its log says why")
        }
        _ => damaged(),
    }
}

/// What is stored is no message that could be sent, and `error` says why.
pub(super) fn unreadable(error: &dyn std::error::Error) -> Status {
    tracing::error!(error = report(error), "what is stored is no message");
    damaged()
}

fn damaged() -> Status {
    Status::internal("the hub's store failed; its log says why")
}

/// Why a token is not put in place of another.
fn of_token(fault: TokenFault) -> Status {
    match fault {
        TokenFault::Ended => unauthenticated(),
        TokenFault::Replaced => Status::failed_precondition(fault.to_string()),
        TokenFault::TooMany => Status::resource_exhausted(fault.to_string()),
        TokenFault::Taken => Status::invalid_argument(fault.to_string()),
    }
}

/// An error with its causes, for the log.
pub(super) fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Tells a peer that sent too large a message so in the words that older hubs use:
/// `RESOURCE_EXHAUSTED`, where tonic says `OUT_OF_RANGE`, which nothing else here answers.
pub(super) fn relabel_oversized(response: &mut http::Response<Body>, max_bytes: usize) {
    let code = response
        .headers()
        .get(Status::GRPC_STATUS)
        .map(|code| code.as_bytes());
    if code.map(Code::from_bytes) == Some(Code::OutOfRange) {
        let text = format!("{TOO_LARGE}{max_bytes} bytes");
        *response = Status::resource_exhausted(text).into_http();
    }
}

/// Why something is unavailable, in a word for the audit trail.
pub(super) fn unavailable(status: &Status) -> &'static str {
    match status.message() {
        NOT_ON_RECORD => "audit",
        STOPPING => "stopping",
        super::room::BUSY => "busy",
        _ => "store",
    }
}

/// Of what there was too much, in a word for the audit trail.
pub(super) fn exhausted(status: &Status) -> &'static str {
    if status.message().starts_with(TOO_LARGE) {
        "too_large"
    } else if status.message() == TOO_MANY_FAILURES {
        "attempts"
    } else if status.metadata().contains_key(RETRY_AFTER_HEADER) {
        "limit"
    } else {
        "full"
    }
}

/// What a response says of itself before its body: an error, or that messages follow.
pub(super) fn code_of(response: &http::Response<Body>) -> Code {
    let code = response.headers().get(Status::GRPC_STATUS);
    code.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
