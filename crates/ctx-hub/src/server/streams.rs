//! The streams that are open: so that a revocation ends its client's, and a stop ends them all.

use std::collections::{HashMap, hash_map};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ctx_config::limits;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// `Sync`: with the last entry that there was.
    Sync,
    /// `Listen`: never.
    Listen,
}

/// How many streams may be open; 0 is as many as there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Most {
    pub(super) listeners: u32,
    pub(super) listeners_per_client: u32,
    pub(super) syncs_per_client: u32,
}

/// Every open stream.
#[derive(Debug, Default)]
pub(super) struct Streams {
    most: Most,
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    last: u64,
    open: HashMap<u64, Entry>,
    /// How many of `open` listen.
    listening: u32,
    /// How many of `open` are whose, of each kind.
    of_client: HashMap<(ClientId, Kind), u32>,
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
    pub(super) fn new(most: Most) -> Self {
        Self {
            most,
            registry: Mutex::default(),
        }
    }

    /// Registers a stream of `client`.
    ///
    /// # Errors
    /// The client has as many as it may have, or the hub as many listeners.
    pub(super) fn open(
        self: &Arc<Self>,
        client: &ClientId,
        kind: Kind,
    ) -> Result<OpenStream, Status> {
        let mut registry = self.lock();
        registry.has_room(self.most, client, kind)?;
        let already = registry.stopping.then_some(Ending::Stopping);
        let (end, receiver) = watch::channel(already);
        let client = client.clone();
        let number = registry.add(Entry { client, kind, end });
        Ok(OpenStream {
            number,
            end: receiver,
            streams: Arc::clone(self),
        })
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
        self.lock().listening
    }

    /// Nothing that is done with the registry panics.
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn has_room(&self, most: Most, client: &ClientId, kind: Kind) -> Result<(), Status> {
        let (most_of_client, what, wait) = match kind {
            Kind::Listen => (
                most.listeners_per_client,
                "listeners",
                limits::LISTENER_RETRY,
            ),
            Kind::Sync => (most.syncs_per_client, "syncs", limits::SYNC_RETRY),
        };
        let of_client = self.of_client.get(&(client.clone(), kind)).copied();
        if is_over(of_client.unwrap_or_default(), most_of_client) {
            let what = format!("a client may have {most_of_client} {what} open at this hub");
            return Err(status::too_much(&what, wait));
        }
        if kind == Kind::Listen && is_over(self.listening, most.listeners) {
            tracing::warn!(most = most.listeners, "no room for more listeners");
            let what = "this hub has as many listeners as it takes";
            return Err(status::too_much(what, wait));
        }
        Ok(())
    }

    fn add(&mut self, entry: Entry) -> u64 {
        let key = (entry.client.clone(), entry.kind);
        *self.of_client.entry(key).or_default() += 1;
        if entry.kind == Kind::Listen {
            self.listening += 1;
        }
        self.last += 1;
        self.open.insert(self.last, entry);
        self.last
    }

    fn remove(&mut self, number: u64) {
        let Some(Entry { client, kind, .. }) = self.open.remove(&number) else {
            return;
        };
        if kind == Kind::Listen {
            self.listening = self.listening.saturating_sub(1);
        }
        if let hash_map::Entry::Occupied(mut of_client) = self.of_client.entry((client, kind)) {
            *of_client.get_mut() = of_client.get().saturating_sub(1);
            if *of_client.get() == 0 {
                of_client.remove();
            }
        }
    }
}

/// Whether one more is too many.
fn is_over(open: u32, most: u32) -> bool {
    most > 0 && open >= most
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
        self.streams.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn ending_a_client_ends_its_streams_and_no_other() {
        let streams = Arc::new(Streams::default());
        let (one, two) = (ClientId::random().unwrap(), ClientId::random().unwrap());
        let a = streams.open(&one, Kind::Listen).unwrap();
        let b = streams.open(&two, Kind::Listen).unwrap();
        let c = streams.open(&one, Kind::Sync).unwrap();
        streams.end_client(&one);
        assert_eq!(a.ending(), Some(Ending::Revoked));
        assert_eq!(b.ending(), None);
        assert_eq!(c.ending(), Some(Ending::Revoked));
    }

    #[test]
    fn listeners_are_counted_while_they_are_open() {
        let streams = Arc::new(Streams::default());
        let client = ClientId::random().unwrap();
        let listener = streams.open(&client, Kind::Listen).unwrap();
        let sync = streams.open(&client, Kind::Sync).unwrap();
        assert_eq!(streams.listening(), 1);
        drop((listener, sync));
        assert_eq!(streams.listening(), 0);
    }

    #[test]
    fn a_stream_that_is_opened_while_the_hub_stops_is_ended_at_once() {
        let streams = Arc::new(Streams::default());
        let client = ClientId::random().unwrap();
        streams.end_all();
        let late = streams.open(&client, Kind::Sync).unwrap();
        assert_eq!(late.ending(), Some(Ending::Stopping));
    }

    #[test]
    fn a_client_has_so_many_streams_of_each_kind_and_another_one_still_gets_some() {
        let most = Most {
            listeners: 3,
            listeners_per_client: 2,
            syncs_per_client: 1,
        };
        let streams = Arc::new(Streams::new(most));
        let (one, two) = (ClientId::random().unwrap(), ClientId::random().unwrap());
        let refused = |client, kind| streams.open(client, kind).unwrap_err().code();
        let mut open = vec![
            streams.open(&one, Kind::Listen).unwrap(),
            streams.open(&one, Kind::Listen).unwrap(),
            streams.open(&one, Kind::Sync).unwrap(),
        ];
        assert_eq!(refused(&one, Kind::Listen), Code::ResourceExhausted);
        assert_eq!(refused(&one, Kind::Sync), Code::ResourceExhausted);
        open.push(streams.open(&two, Kind::Listen).unwrap());
        // All of them together have as many as the hub takes.
        assert_eq!(refused(&two, Kind::Listen), Code::ResourceExhausted);
        open.push(streams.open(&two, Kind::Sync).unwrap());

        drop(open.remove(0));
        open.push(streams.open(&two, Kind::Listen).unwrap());
        drop(open);
        let registry = streams.lock();
        assert_eq!((registry.listening, registry.open.len()), (0, 0));
        assert!(
            registry.of_client.is_empty(),
            "whoever has gone takes memory"
        );
    }
}
