//! A client that behaves: whatever somebody else does to the hub, it has to be served.
#![allow(dead_code, reason = "a kit: not every attack needs every part")]

use std::sync::atomic::{AtomicUsize, Ordering};

use ctx_hub::wire::method;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::server::hub::TestHub;
use crate::server::peer::Peer;

/// Makes names of projects and entries that nobody else has.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A registered client on a connection of its own.
pub(crate) struct Guest {
    peer: Peer,
    token: String,
    id: String,
    project: String,
}

impl Guest {
    /// Connects and registers, before the attack begins.
    pub(crate) async fn join(hub: &TestHub) -> Self {
        Self::register(Peer::connect(hub).await, hub).await
    }

    /// As [`Guest::join`], over a stream that is open already.
    pub(crate) async fn join_over(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        hub: &TestHub,
    ) -> Self {
        Self::register(Peer::over(io).await, hub).await
    }

    async fn register(peer: Peer, hub: &TestHub) -> Self {
        let project = format!("guest-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (id, token) = peer.register(hub, &project).await;
        Self {
            peer,
            token,
            id,
            project,
        }
    }

    /// Its connection.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What it proves itself with.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// By which the hub knows it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The project that it registered.
    pub(crate) fn project(&self) -> &str {
        &self.project
    }

    /// Publishes an entry and reads it back, on the connection that it has had all along.
    pub(crate) async fn is_served(&self) {
        let id = format!("{}-{}", self.project, NEXT.fetch_add(1, Ordering::Relaxed));
        let sequence = self.peer.publish(&self.token, &id, "served").await;
        let wanted = format!(r#"{{"since_sequence":{}}}"#, sequence - 1);
        let answer = self.peer.json(method::SYNC, &self.token, &wanted).await;
        let found = answer.texts().iter().any(|text| text.contains(&id));
        assert!(found, "{answer:?}");
    }
}

/// Asserts that whoever comes now is served: connects, registers, publishes, reads back.
pub(crate) async fn still_serves(hub: &TestHub) {
    Guest::join(hub).await.is_served().await;
}
