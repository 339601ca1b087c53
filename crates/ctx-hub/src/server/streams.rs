//! The streams that are open: so that a revocation ends its client's, and a stop ends them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tonic::Status;

use super::status;
use crate::types::ClientId;

/// Why a stream is ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its client's token was ended.
    Revoked,
    /// The hub stops.
    Stopping,
}

impl Ending {
    /// What its client is told.
    pub(super) fn status(self) -> Status {
        match self {
            Self::Revoked => status::unauthenticated(),
            Self::Stopping => status::stopping(),
        }
    }
}

/// Whether a stream ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `Sync`: with the last entry that there was.
    Sync,
    /// `Listen`: never.
    Listen,
}

/// Every open stream.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    last: u64,
    open: HashMap<u64, Entry>,
    stopping: bool,
}

#[derive(Debug)]
struct Entry {
    client: ClientId,
    kind: Kind,
    end: watch::Sender<Option<Ending>>,
}

/// One open stream; it is taken from the registry when this is dropped.
#[derive(Debug)]
pub(super) struct OpenStream {
    number: u64,
    end: watch::Receiver<Option<Ending>>,
    streams: Arc<Streams>,
}

impl Streams {
    /// Registers a stream of `client`.
    pub(super) fn open(self: &Arc<Self>, client: &ClientId, kind: Kind) -> OpenStream {
        let mut registry = self.lock();
        let already = registry.stopping.then_some(Ending::Stopping);
        let (sender, receiver) = watch::channel(already);
        registry.last += 1;
        let number = registry.last;
        registry.open.insert(
            number,
            Entry {
                client: client.clone(),
                kind,
                end: sender,
            },
        );
        OpenStream {
            number,
            end: receiver,
            streams: Arc::clone(self),
        }
    }

    /// Ends every stream of `client`.
    pub(super) fn end_client(&self, client: &ClientId) {
        for entry in self.lock().open.values() {
            if entry.client == *client {
                entry.end.send_replace(Some(Ending::Revoked));
            }
        }
    }

    /// Ends every stream, and every one that is still opened.
    pub(super) fn end_all(&self) {
        let mut registry = self.lock();
        registry.stopping = true;
        for entry in registry.open.values() {
            entry.end.send_replace(Some(Ending::Stopping));
        }
    }

    /// How many `Listen` streams are open.
    pub(super) fn listening(&self) -> u32 {
        let open = self.lock();
        let listening = open.open.values().filter(|e| e.kind == Kind::Listen);
        u32::try_from(listening.count()).unwrap_or(u32::MAX)
    }

    /// A panic elsewhere leaves the registry whole: every change is one insertion or removal.
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenStream {
    /// Whether the stream has been ended.
    pub(super) fn ending(&self) -> Option<Ending> {
        *self.end.borrow()
    }

    /// Waits until the stream is ended.
    pub(super) async fn ended(&mut self) -> Ending {
        match self.end.wait_for(Option::is_some).await {
            Ok(ending) => ending.unwrap_or(Ending::Stopping),
            // The sender lives in the registry for as long as this stream does.
            Err(_) => Ending::Stopping,
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ending_a_client_ends_its_streams_and_no_other() {
        let streams = Arc::new(Streams::default());
        let (one, two) = (ClientId::random().unwrap(), ClientId::random().unwrap());
        let a = streams.open(&one, Kind::Listen);
        let b = streams.open(&two, Kind::Listen);
        let c = streams.open(&one, Kind::Sync);
        streams.end_client(&one);
        assert_eq!(a.ending(), Some(Ending::Revoked));
        assert_eq!(b.ending(), None);
        assert_eq!(c.ending(), Some(Ending::Revoked));
    }

    #[test]
    fn listeners_are_counted_while_they_are_open() {
        let streams = Arc::new(Streams::default());
        let client = ClientId::random().unwrap();
        let listener = streams.open(&client, Kind::Listen);
        let sync = streams.open(&client, Kind::Sync);
        assert_eq!(streams.listening(), 1);
        drop((listener, sync));
        assert_eq!(streams.listening(), 0);
    }

    #[test]
    fn a_stream_that_is_opened_while_the_hub_stops_is_ended_at_once() {
        let streams = Arc::new(Streams::default());
        let client = ClientId::random().unwrap();
        streams.end_all();
        let late = streams.open(&client, Kind::Sync);
        assert_eq!(late.ending(), Some(Ending::Stopping));
    }
}
