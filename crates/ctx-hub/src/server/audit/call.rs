//! A call, from its beginning to its line; and a stream, from its opening to its end.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tonic::body::Body;
use tonic::{Code, Status};

use super::Audit;
use super::current::{self, Current};
use super::line::AuditRecord;
use super::writer::Job;
use crate::server::admin::Door;
use crate::server::status;

type HttpResponse = http::Response<Body>;

/// What is known of a call before it is looked at.
pub(in crate::server) struct Asked<'a> {
    pub(in crate::server) door: Door,
    /// The path of the call.
    pub(in crate::server) path: &'a str,
    pub(in crate::server) address: Option<IpAddr>,
    pub(in crate::server) encrypted: bool,
    /// Whether it is answered by a stream.
    pub(in crate::server) is_stream: bool,
    /// Whether it is answered when no line can be written, too.
    pub(in crate::server) is_exempt: bool,
}

/// A call that is being answered. One that is dropped before it was answered gets its line, too:
/// what it did may have happened.
pub(in crate::server) struct CallTrail {
    current: Arc<Current>,
    started: Instant,
    address: Option<IpAddr>,
    is_stream: bool,
    is_exempt: bool,
    is_over: bool,
}

impl CallTrail {
    /// Begins a call, once there is room in the queue for lines.
    ///
    /// # Errors
    /// `UNAVAILABLE` while no line can be written: the call may not be answered.
    pub(in crate::server) async fn begin(
        audit: &Arc<Audit>,
        asked: Asked<'_>,
    ) -> Result<Self, Status> {
        if audit.is_failing() && !asked.is_exempt {
            audit.state.refused.fetch_add(1, Ordering::SeqCst);
            return Err(status::not_on_record());
        }
        let started = Instant::now();
        if !asked.is_exempt {
            // Waits while lines queue up. No place is held over the work: calls whose message never
            // comes would hold them all.
            drop(audit.slots.acquire().await);
        }
        let is_network = asked.door == Door::Network;
        let name = asked.path.rsplit('/').next().unwrap_or_default();
        let record = AuditRecord {
            id: Some(audit.calls.fetch_add(1, Ordering::Relaxed) + 1),
            door: Some(Cow::Borrowed(if is_network { "network" } else { "socket" })),
            call: Some(Cow::Owned(name.to_owned())),
            address: asked.address.map(|address| address.to_string()),
            encrypted: is_network.then_some(asked.encrypted),
            ..AuditRecord::new("call")
        };
        Ok(Self {
            current: Arc::new(Current::new(Arc::clone(audit), record)),
            started,
            address: asked.address,
            is_stream: asked.is_stream,
            is_exempt: asked.is_exempt,
            is_over: false,
        })
    }

    /// Runs `work` as this call, so that it can tell about it.
    pub(in crate::server) fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        current::within(Arc::clone(&self.current), work)
    }

    /// Writes the line of the call and gives its answer back; or `UNAVAILABLE` in its place, when
    /// the line could not be written.
    pub(in crate::server) async fn answered(mut self, response: HttpResponse) -> HttpResponse {
        let (code, reason) = outcome(&response);
        let Some(record) = self.line(code, reason) else {
            self.is_over = true;
            return response;
        };
        let opens = record.event == "opened";
        let audit = &self.current.audit;
        let written = audit.write_line(record, self.is_exempt).await;
        self.is_over = true;
        if !written && !self.is_exempt {
            return status::not_on_record().into_http();
        }
        if opens {
            self.current.opened();
        }
        response
    }

    /// The line of the call; `None` when it is counted with others of the kind.
    fn line(&self, code: Code, reason: Option<&'static str>) -> Option<AuditRecord> {
        let mut record = self.current.record();
        let is_stranger = record.client.is_none() && record.door.as_deref() == Some("network");
        let failed = code != Code::Ok;
        if failed && is_stranger && !self.current.audit.counts_alone(self.address) {
            return None;
        }
        if self.is_stream && !failed {
            record.event = Cow::Borrowed("opened");
        }
        record.code = Some(Cow::Borrowed(name(code)));
        record.reason = record.reason.or(reason.map(Cow::Borrowed));
        record.micros = Some(micros(self.started.elapsed()));
        Some(record)
    }
}

impl Drop for CallTrail {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Some(record) = self.line(Code::Cancelled, Some("gone")) {
            self.current.audit.send(Job {
                record,
                answer: None,
                slot: Arc::clone(&self.current.audit.slots)
                    .try_acquire_owned()
                    .ok(),
            });
        }
    }
}

/// A stream that was opened by a call.
pub(in crate::server) struct StreamTrail {
    call: Arc<Current>,
    started: Instant,
}

/// What came of a stream.
#[derive(Debug, Default)]
pub(in crate::server) struct Sent {
    pub(in crate::server) entries: u64,
    pub(in crate::server) bytes: u64,
    /// How it ended; `None` when its client went away.
    pub(in crate::server) outcome: Option<(Code, Option<&'static str>)>,
}

impl StreamTrail {
    /// The stream that the call being answered opens; `None` outside of a call.
    pub(in crate::server) fn of_call() -> Option<Self> {
        let started = Instant::now();
        current::current().map(|call| Self { call, started })
    }

    /// Writes that it is over, without waiting for it: there is no answer left to hold back.
    pub(in crate::server) fn closed(&self, sent: &Sent) {
        if !self.call.is_open() {
            return;
        }
        let (code, reason) = sent.outcome.unwrap_or((Code::Cancelled, Some("gone")));
        self.call.audit.post(AuditRecord {
            event: Cow::Borrowed("closed"),
            code: Some(Cow::Borrowed(name(code))),
            reason: reason.map(Cow::Borrowed),
            entries: Some(sent.entries),
            bytes: Some(sent.bytes),
            micros: Some(micros(self.started.elapsed())),
            ..self.call.record()
        });
    }
}

/// What a stream ended with, when it did not end well.
pub(in crate::server) fn ending(status: &Status) -> (Code, Option<&'static str>) {
    match status.code() {
        // Its client had shown who it is: that was ended since.
        Code::Unauthenticated => (Code::Unauthenticated, Some("revoked")),
        code => (code, reason(status)),
    }
}

fn outcome(response: &HttpResponse) -> (Code, Option<&'static str>) {
    if !response.status().is_success() {
        return (Code::InvalidArgument, Some("encoding"));
    }
    let status = response.extensions().get::<Status>();
    (status::code_of(response), status.and_then(reason))
}

/// Why a call failed: a word of a fixed vocabulary, listed in `docs/reference/files.md`.
fn reason(status: &Status) -> Option<&'static str> {
    Some(match status.code() {
        Code::Ok => return None,
        Code::Unauthenticated => "credentials",
        Code::PermissionDenied if status.message() == status::INVALID_ADMIN_TOKEN => "credentials",
        Code::PermissionDenied => "forbidden",
        Code::InvalidArgument => "invalid",
        Code::AlreadyExists => "exists",
        Code::NotFound => "not_found",
        Code::FailedPrecondition => "other_log",
        Code::ResourceExhausted => status::exhausted(status),
        Code::Unavailable => status::unavailable(status),
        Code::Cancelled => "gone",
        Code::DeadlineExceeded => "deadline",
        _ => "internal",
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The name of a code, as gRPC spells it.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
