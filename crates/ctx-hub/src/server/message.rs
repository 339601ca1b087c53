//! The body of a request while it arrives: within a time, and within what one caller may have in
//! memory of what is not yet whole.
//!
//! tonic sets the memory of a message aside when it has read its length. So a message counts in full
//! from then on, whether or not the rest of it ever comes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

use super::payer::Payer;
use super::pot::{Held, Spent};

/// What stands before a message: whether it is compressed, and how long it is.
const PREFIX_BYTES: usize = 5;

/// What arrives of a request.
pub(super) struct Arriving {
    body: Body,
    limit: Duration,
    /// Set when something has to be waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    held: Option<Held<Payer>>,
    message: Message,
}

/// How far the messages of a request have come.
#[derive(Debug)]
enum Message {
    /// As many as there are, each counted as it comes.
    Any,
    /// One, of which so much of the prefix has come, and how long it may be.
    Prefix(Vec<u8>, usize),
    /// One, of which so many bytes are missing.
    Missing(usize),
}

impl Arriving {
    /// `body`, which has to be complete within `limit`, paid for from `held`. It is one message when
    /// `max_bytes` says how long that may be, and otherwise any number of them.
    pub(super) fn new(
        body: Body,
        limit: Duration,
        held: Option<Held<Payer>>,
        max_bytes: Option<usize>,
    ) -> Self {
        let one = |max_bytes| Message::Prefix(Vec::new(), max_bytes);
        Self {
            body,
            limit,
            deadline: None,
            held,
            message: max_bytes.map_or(Message::Any, one),
        }
    }

    /// Pays for `data`, which has come.
    fn count(&mut self, mut data: &[u8]) -> Result<(), Status> {
        if let Message::Any = self.message {
            return self.pay(data.len());
        }
        if let Message::Prefix(prefix, max_bytes) = &mut self.message {
            let missing = PREFIX_BYTES - prefix.len();
            let came = data.get(..missing).unwrap_or(data);
            prefix.extend_from_slice(came);
            data.advance(came.len());
            let &[_, a, b, c, d] = prefix.as_slice() else {
                return Ok(());
            };
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            let fits = length <= *max_bytes;
            self.message = Message::Missing(length);
            // One that is too long is refused by its length alone, by whoever reads it.
            if fits {
                self.pay(length)?;
            }
        }
        if let Message::Missing(missing) = &mut self.message {
            *missing = missing
                .checked_sub(data.len())
                .ok_or_else(|| Status::invalid_argument("more than one message"))?;
        }
        Ok(())
    }

    fn pay(&mut self, bytes: usize) -> Result<(), Status> {
        let Some(held) = &mut self.held else {
            return Ok(());
        };
        held.take(bytes).map_err(|spent| {
            tracing::warn!(bytes, ?spent, "no room to receive more");
            Status::unavailable(match spent {
                Spent::Share => "too much of this caller is on its way already; send it again",
                Spent::All => "the hub is receiving too much at this moment; send it again",
            })
        })
    }

    /// Whether the time is over.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        deadline.as_mut().poll(context).is_ready()
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        // Looked at also while something keeps coming: a byte at a time is no way to gain any.
        if (polled.is_pending() || this.deadline.is_some()) && this.is_late(context) {
            let limit = this.limit;
            let text = format!("the message did not arrive within {limit:?}");
            return Poll::Ready(Some(Err(Status::deadline_exceeded(text))));
        }
        let Some(frame) = ready!(polled) else {
            return Poll::Ready(None);
        };
        let frame = frame?;
        if let Some(data) = frame.data_ref() {
            this.count(data)?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
