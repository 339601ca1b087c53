//! What happens on one connection: how many calls are open, and which answers are not read.
//!
//! What of an answer was handed over to be sent is let go of when it has been sent. So an answer that
//! is not read is one of which a piece is held on to.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::{Notify, watch};
use tonic::Status;
use tonic::body::Body;

use super::incidents::Incident;
use super::settings::Connections;

/// In what time calls that were taken back are counted together.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(60);

/// How often in [`Connections::stalled`] it is looked for answers that are not read.
const LOOKS: u32 = 4;

/// What happens on one connection.
#[derive(Debug)]
pub(super) struct Activity {
    since: Instant,
    open: watch::Sender<usize>,
    answers: Mutex<Answers>,
    taken_back: Mutex<TakenBack>,
    too_often: Notify,
    most_taken_back: u32,
}

#[derive(Debug, Default)]
struct Answers {
    last: u64,
    open: HashMap<u64, Arc<Mutex<Unsent>>>,
}

/// What of an answer is on its way.
#[derive(Debug, Default)]
struct Unsent {
    pieces: usize,
    /// Since when none of them was sent, in milliseconds of the connection.
    since: u64,
}

#[derive(Debug, Default)]
struct TakenBack {
    count: u32,
    since: Option<Instant>,
}

/// A call, until its answer is sent or nobody wants it any more.
#[derive(Debug)]
pub(super) struct OpenCall {
    activity: Arc<Activity>,
    number: u64,
    unsent: Arc<Mutex<Unsent>>,
    /// The question broke off before its end.
    broken_off: Arc<AtomicBool>,
    answered: bool,
}

impl Activity {
    pub(super) fn new(settings: &Connections) -> Self {
        Self {
            since: Instant::now(),
            open: watch::Sender::new(0),
            answers: Mutex::default(),
            taken_back: Mutex::default(),
            too_often: Notify::new(),
            most_taken_back: settings.taken_back_per_minute,
        }
    }

    /// A call begins.
    pub(super) fn begin(self: &Arc<Self>) -> OpenCall {
        let unsent = Arc::<Mutex<Unsent>>::default();
        let mut answers = lock(&self.answers);
        answers.last += 1;
        let number = answers.last;
        answers.open.insert(number, Arc::clone(&unsent));
        drop(answers);
        self.open.send_modify(|open| *open += 1);
        OpenCall {
            activity: Arc::clone(self),
            number,
            unsent,
            broken_off: Arc::default(),
            answered: false,
        }
    }

    /// Waits until the connection is to be closed, and says why.
    pub(super) async fn over(&self, settings: &Connections) -> Incident {
        tokio::select! {
            incident = self.quiet(settings.first_call.get(), settings.idle.get()) => incident,
            () = self.stalled(settings.stalled.get()) => Incident::Stalled,
            () = self.too_often.notified() => Incident::TakenBack,
        }
    }

    /// Waits until there has been no call for too long.
    async fn quiet(&self, first: Duration, idle: Duration) -> Incident {
        let mut open = self.open.subscribe();
        let (mut limit, mut incident) = (first, Incident::NoCall);
        loop {
            let called = tokio::time::timeout(limit, open.wait_for(|open| *open > 0));
            match called.await {
                Ok(called) => drop(called),
                Err(_) => return incident,
            }
            // Its calls may have come and gone unseen; what counts is from when on there is none.
            drop(open.wait_for(|open| *open == 0).await);
            (limit, incident) = (idle, Incident::Idle);
        }
    }

    /// Waits until an answer has not been read for too long.
    async fn stalled(&self, limit: Duration) {
        loop {
            tokio::time::sleep(limit / LOOKS).await;
            let now = self.now();
            let longest = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            let stalled = |unsent: &Arc<Mutex<Unsent>>| {
                let unsent = lock(unsent);
                unsent.pieces > 0 && now.saturating_sub(unsent.since) >= longest
            };
            if lock(&self.answers).open.values().any(stalled) {
                return;
            }
        }
    }

    /// A call was taken back before it was answered.
    fn taken_back(&self) {
        let now = Instant::now();
        let mut taken = lock(&self.taken_back);
        let recent = |since: &Instant| now.duration_since(*since) < TAKEN_BACK_WITHIN;
        if !taken.since.as_ref().is_some_and(recent) {
            *taken = TakenBack {
                count: 0,
                since: Some(now),
            };
        }
        taken.count += 1;
        if taken.count > self.most_taken_back {
            self.too_often.notify_one();
        }
    }

    /// Milliseconds of this connection.
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl OpenCall {
    /// The question, watched for whether it comes to its end.
    pub(super) fn question(&self, body: Incoming) -> Body {
        Body::new(Question {
            body,
            broken_off: Arc::clone(&self.broken_off),
        })
    }

    /// The answer has begun: it is watched until it is sent. What is said to a question that broke
    /// off is no answer: nobody waits for it.
    pub(super) fn answered(mut self, response: http::Response<Body>) -> http::Response<Answer> {
        self.answered = !self.broken_off.load(Ordering::SeqCst);
        let call = Arc::new(self);
        response.map(|body| Answer { body, call })
    }

    /// A piece of the answer is handed over.
    fn handed(self: &Arc<Self>, bytes: Bytes) -> Piece {
        let mut unsent = lock(&self.unsent);
        if unsent.pieces == 0 {
            unsent.since = self.activity.now();
        }
        unsent.pieces += 1;
        drop(unsent);
        let call = Arc::clone(self);
        Piece { bytes, call }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        lock(&self.activity.answers).open.remove(&self.number);
        self.activity.open.send_modify(|open| *open -= 1);
        if !self.answered {
            self.activity.taken_back();
        }
    }
}

/// The body of a question, watched for whether it comes to its end.
struct Question {
    body: Incoming,
    broken_off: Arc<AtomicBool>,
}

impl HttpBody for Question {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        // A stream that its caller takes back ends without an error, and has not come to its end.
        let goes_on = matches!(frame, Some(Ok(_)));
        if !goes_on && !self.body.is_end_stream() {
            self.broken_off.store(true, Ordering::SeqCst);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, whose pieces are watched.
pub(super) struct Answer {
    body: Body,
    call: Arc<OpenCall>,
}

impl HttpBody for Answer {
    type Data = Piece;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let call = &self.call;
        Poll::Ready(frame.map(|frame| Ok(frame?.map_data(|bytes| call.handed(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of an answer, which is dropped when it has been sent.
pub(super) struct Piece {
    bytes: Bytes,
    call: Arc<OpenCall>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut unsent = lock(&self.call.unsent);
        unsent.pieces -= 1;
        // Of nothing that is on its way it does not matter.
        if unsent.pieces > 0 {
            unsent.since = self.call.activity.now();
        }
    }
}

/// A panic elsewhere leaves what is locked here whole: every change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
