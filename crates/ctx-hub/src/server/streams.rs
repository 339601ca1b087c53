//! The streams that are open: so that a revocation ends its client's, and a stop ends them all.

use std::collections::{HashMap, HashSet, hash_map};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ctx_config::limits;
use tokio::sync::watch;
use tonic::Status;

use super::auth::Caller;
use super::line::{Line, Listening};
use super::status;
use crate::secret::TokenHash;
use crate::types::ClientId;

/// Why a stream is ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its client's tokens were ended.
    Revoked,
    /// Its token has expired.
    Expired,
    /// The hub stops.
    Stopping,
}

impl Ending {
    /// What its client is told.
    pub(super) fn status(self) -> Status {
        match self {
            Self::Revoked | Self::Expired => status::unauthenticated(),
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
    /// The token that opened it: it ends with that one, whatever others its client has.
    token: TokenHash,
    /// When that token expires, in Unix seconds.
    expires_at: Option<i64>,
    connection: Line,
    /// While it listens.
    _listening: Option<Listening>,
    end: watch::Sender<Option<Ending>>,
}

impl Entry {
    /// Whether it was told to end because of its token.
    fn has_lost_its_token(&self) -> bool {
        matches!(*self.end.borrow(), Some(Ending::Revoked | Ending::Expired))
    }

    /// Its token expires so soon at the latest. An expiry is never put off: what was known of the
    /// token before may be older than what shortened it.
    fn expires_by(&mut self, at: i64) {
        self.expires_at = Some(self.expires_at.map_or(at, |before| before.min(at)));
    }
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

    /// Registers a stream of `caller`.
    ///
    /// # Errors
    /// The client has as many as it may have, or the hub as many listeners.
    pub(super) fn open(
        self: &Arc<Self>,
        caller: &Caller,
        kind: Kind,
    ) -> Result<OpenStream, Status> {
        let mut registry = self.lock();
        registry.has_room(self.most, &caller.client.id, kind)?;
        let already = registry.stopping.then_some(Ending::Stopping);
        let (end, receiver) = watch::channel(already);
        let number = registry.add(Entry {
            client: caller.client.id.clone(),
            kind,
            token: caller.token.clone(),
            expires_at: None,
            connection: caller.connection.clone(),
            _listening: (kind == Kind::Listen).then(|| caller.connection.listening()),
            end,
        });
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

    /// Lets the streams that `token` opened end at `at` (Unix seconds), or when they end anyway if that
    /// is earlier.
    pub(super) fn shorten(&self, token: &TokenHash, at: i64) {
        for entry in self.lock().open.values_mut() {
            if entry.token == *token {
                entry.expires_by(at);
            }
        }
    }

    /// Ends every stream whose token has expired at `now`; whether there was one.
    pub(super) fn end_expired(&self, now: i64) -> bool {
        let mut any = false;
        for entry in self.lock().open.values() {
            if entry.expires_at.is_some_and(|at| at <= now) && !entry.has_lost_its_token() {
                entry.end.send_replace(Some(Ending::Expired));
                any = true;
            }
        }
        any
    }

    /// Cuts off the connections of streams that are still there although they lost their token.
    pub(super) fn cut_ended(&self) {
        for entry in self.lock().open.values() {
            if entry.has_lost_its_token() {
                tracing::info!(client = %entry.client, "cutting off a stream that is not read");
                entry.connection.cut();
            }
        }
    }

    /// Whose streams are open.
    pub(super) fn present(&self) -> HashSet<ClientId> {
        let registry = self.lock();
        registry.open.values().map(|e| e.client.clone()).collect()
    }

    /// How many streams `client` has open.
    pub(super) fn of(&self, client: &ClientId) -> u32 {
        let registry = self.lock();
        let own = registry.open.values().filter(|e| e.client == *client);
        u32::try_from(own.count()).unwrap_or(u32::MAX)
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

    /// Says when the token that opened it expires.
    pub(super) fn expires(&self, at: Option<i64>) {
        if let Some(at) = at
            && let Some(entry) = self.streams.lock().open.get_mut(&self.number)
        {
            entry.expires_by(at);
        }
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
    use crate::secret::ClientToken;
    use crate::store::Client;

    fn caller() -> Caller {
        let client = Client {
            id: ClientId::random().unwrap(),
            project: "p".parse().unwrap(),
            created_at: 0,
            revoked_at: None,
        };
        let token = ClientToken::random().unwrap().hash();
        Caller::new(client, token, None, Line::default())
    }

    #[test]
    fn a_stream_ends_with_the_token_that_opened_it_and_an_expiry_is_never_put_off() {
        let streams = Arc::new(Streams::default());
        let old = caller();
        let mut new = old.clone();
        new.token = ClientToken::random().unwrap().hash();
        let a = streams.open(&old, Kind::Listen).unwrap();
        let b = streams.open(&new, Kind::Listen).unwrap();
        streams.shorten(&old.token, 10);
        // What was read of the token before it was shortened.
        a.expires(None);
        a.expires(Some(20));
        assert!(!streams.end_expired(9));
        assert!(streams.end_expired(10));
        assert_eq!((a.ending(), b.ending()), (Some(Ending::Expired), None));
        assert!(!streams.end_expired(11), "it has been told");
    }

    #[test]
    fn ending_a_client_ends_its_streams_and_no_other() {
        let streams = Arc::new(Streams::default());
        let (one, two) = (caller(), caller());
        let a = streams.open(&one, Kind::Listen).unwrap();
        let b = streams.open(&two, Kind::Listen).unwrap();
        let c = streams.open(&one, Kind::Sync).unwrap();
        streams.end_client(&one.client.id);
        assert_eq!(a.ending(), Some(Ending::Revoked));
        assert_eq!(b.ending(), None);
        assert_eq!(c.ending(), Some(Ending::Revoked));
    }

    #[test]
    fn listeners_are_counted_while_they_are_open() {
        let streams = Arc::new(Streams::default());
        let client = caller();
        let listener = streams.open(&client, Kind::Listen).unwrap();
        let sync = streams.open(&client, Kind::Sync).unwrap();
        assert_eq!(streams.listening(), 1);
        drop((listener, sync));
        assert_eq!(streams.listening(), 0);
    }

    #[test]
    fn a_stream_that_is_opened_while_the_hub_stops_is_ended_at_once() {
        let streams = Arc::new(Streams::default());
        let client = caller();
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
        let (one, two) = (caller(), caller());
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
