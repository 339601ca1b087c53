//! From a gRPC status to a [`ClientError`]; the only mapping.
//!
//! tonic tells with a status what the hub answered as well as what went wrong on the way. They
//! differ in this: what went wrong on the way has a source.

use std::error::Error;
use std::io;
use std::time::Duration;

use ctx_config::limits;
use ctx_config::wire::{HUB_LOG_HEADER, RETRY_AFTER_HEADER};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::Peer;
use super::connector::AnsweredTls;
use super::distrust::Distrust;
use super::error::{Cause, ClientError, Violation};
use super::stream::HubIdentity;
use super::transport::CONNECT;
use crate::secret::presentable;
use crate::wire::codec::DecodeError;

/// What a call was when it failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) peer: &'a Peer,
    pub(super) call: &'static str,
    /// How long it was given.
    pub(super) limit: Duration,
    /// How long opening a connection is given.
    pub(super) connect: Duration,
    /// Whether what was asked in the clear answers in TLS.
    pub(super) answered_tls: Option<&'a AnsweredTls>,
}

impl Context<'_> {
    /// The error that `status` means.
    pub(super) fn error(self, status: Status) -> ClientError {
        if status.source().is_some() {
            self.on_the_way(status)
        } else {
            self.answered(&status)
        }
    }

    /// The error of an answer that is no answer.
    pub(super) fn violation(self, source: impl Into<Violation>) -> ClientError {
        ClientError::Protocol {
            peer: self.peer.clone(),
            source: source.into(),
        }
    }

    /// The error of a call that took too long.
    pub(super) fn timeout(self) -> ClientError {
        ClientError::Timeout {
            peer: self.peer.clone(),
            call: self.call,
            after: self.limit,
        }
    }

    /// The error of a `listen` stream that was silent.
    pub(super) fn idle(self) -> ClientError {
        ClientError::Idle {
            peer: self.peer.clone(),
            after: self.limit,
        }
    }

    /// The error of a connection that could not be opened, or of one that broke.
    pub(super) fn transport(self, error: Box<dyn Error + Send + Sync>) -> ClientError {
        if find::<tonic::TimeoutExpired>(&*error).is_some() {
            return self.timeout();
        }
        let peer = self.peer.clone();
        let is_tls = self.answered_tls.is_some_and(AnsweredTls::get);
        let found = find::<Distrust>(&*error).cloned();
        if let Some(source) = found.or(is_tls.then_some(Distrust::Tls)) {
            return ClientError::Untrusted { peer, source };
        }
        if find::<tonic::ConnectError>(&*error).is_some() {
            let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
            if find::<io::Error>(&*error).is_some_and(timed_out) {
                return ClientError::Timeout {
                    peer,
                    call: CONNECT,
                    after: self.connect,
                };
            }
            return ClientError::Unreachable {
                peer,
                source: Cause::new(error),
            };
        }
        if find::<h2::Error>(&*error).is_some_and(is_their_fault) {
            return self.violation(Violation::NotHttp2(Cause::new(error)));
        }
        ClientError::Gone {
            peer,
            call: self.call,
            source: Cause::new(error),
        }
    }

    fn on_the_way(self, status: Status) -> ClientError {
        if find::<DecodeError>(&status).is_some() {
            return self.violation(Violation::Unreadable(Cause::new(status)));
        }
        if let Some(Violation::NotGrpc { http, content_type }) = find(&status) {
            let (http, content_type) = (*http, content_type.clone());
            return self.violation(Violation::NotGrpc { http, content_type });
        }
        self.transport(Box::new(status))
    }

    fn answered(self, status: &Status) -> ClientError {
        let peer = self.peer.clone();
        let call = self.call;
        let message = self.message(status);
        match status.code() {
            Code::FailedPrecondition if status.metadata().contains_key(HUB_LOG_HEADER) => {
                // What it says of itself beyond that is good to know, and no more.
                let identity = HubIdentity::read(status.metadata()).unwrap_or_default();
                ClientError::OtherLog {
                    peer,
                    identity: Box::new(identity),
                }
            }
            Code::ResourceExhausted if let Some(wait) = retry_after(status.metadata()) => {
                ClientError::Limited {
                    peer,
                    call,
                    message,
                    wait,
                }
            }
            Code::Unauthenticated | Code::PermissionDenied => {
                ClientError::Credentials { peer, message }
            }
            Code::NotFound => ClientError::NotFound { peer, message },
            Code::Unavailable => ClientError::Unavailable {
                peer,
                call,
                message,
            },
            Code::DeadlineExceeded => self.timeout(),
            Code::Cancelled => ClientError::Gone {
                peer,
                call,
                source: Cause::new(status.clone()),
            },
            Code::Internal | Code::Unknown if is_cut_short(status.message()) => ClientError::Gone {
                peer,
                call,
                source: Cause::new(status.clone()),
            },
            Code::Internal if is_framing(status.message()) => {
                self.violation(Violation::Framing { what: message })
            }
            code => ClientError::Rejected {
                peer,
                call,
                code,
                message,
            },
        }
    }

    fn message(self, status: &Status) -> String {
        if status.message().is_empty() {
            status.code().description().to_owned()
        } else {
            presentable(status.message())
        }
    }
}

/// After how long the hub wants to be asked again, no longer than anybody should be kept waiting;
/// `None` when it says nothing that can be understood. A negative number means never, and of that
/// the code alone says enough.
fn retry_after(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get(RETRY_AFTER_HEADER)?.to_str().ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a number has are very many milliseconds all the same.
    let millis = is_number.then(|| text.parse().unwrap_or(u64::MAX))?;
    Some(Duration::from_millis(millis).min(limits::RETRY_HINT_LONGEST))
}

/// Whether tonic found that an answer ended before its end: in the middle of a message, or without
/// the status that every answer ends with. It says so in a message alone, as a hub would; so does
/// the next. Should tonic choose other words, the tests of broken streams fail.
fn is_cut_short(message: &str) -> bool {
    starts_with_any(
        message,
        &[
            "protocol error: missing grpc-status",
            "Unexpected EOF decoding stream",
        ],
    )
}

/// Whether tonic found that the frames of an answer are not those of gRPC.
fn is_framing(message: &str) -> bool {
    starts_with_any(message, &["protocol error: ", "Missing response message"])
}

fn starts_with_any(message: &str, known: &[&str]) -> bool {
    known.iter().any(|known| message.starts_with(known))
}

/// Whether it was we who ended the connection, because what came was not HTTP/2.
fn is_their_fault(error: &h2::Error) -> bool {
    error.is_library()
        && matches!(
            error.reason(),
            Some(h2::Reason::PROTOCOL_ERROR | h2::Reason::FRAME_SIZE_ERROR)
        )
}

/// The first error of type `T` among `error` and its causes.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_bounded_and_garbage_is_none() {
        let read = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(RETRY_AFTER_HEADER, text.parse().unwrap());
            retry_after(&metadata)
        };
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(read("1500"), Some(Duration::from_millis(1_500)));
        for long in ["31536000000", "18446744073709551616", &"9".repeat(300)] {
            assert_eq!(read(long), Some(limits::RETRY_HINT_LONGEST), "{long}");
        }
        for garbage in ["", "-1", "+5", "5s", "1e3", "0x10", " 5", "soon", "1.5"] {
            assert_eq!(read(garbage), None, "{garbage:?}");
        }
        assert_eq!(retry_after(&MetadataMap::new()), None);
    }
}
