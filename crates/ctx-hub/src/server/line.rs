//! What everybody on one connection shares.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

/// A connection, as this side knows it beside its bytes. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cut: Notify,
    wake_group: OnceLock<usize>,
    listeners: AtomicUsize,
}

/// One who listens on a connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Listening(Line);

impl Line {
    /// Cuts the connection off, with every call on it.
    pub(super) fn cut(&self) {
        self.0.cut.notify_one();
    }

    /// Waits until it is to be cut off. For one at a time.
    pub(super) async fn told(&self) {
        self.0.cut.notified().await;
    }

    /// The group in which its listeners are woken: the first that it is given.
    pub(super) fn wake_group(&self, next: impl FnOnce() -> usize) -> usize {
        *self.0.wake_group.get_or_init(next)
    }

    /// One more listens on it.
    pub(super) fn listening(&self) -> Listening {
        self.0.listeners.fetch_add(1, Ordering::Relaxed);
        Listening(self.clone())
    }

    /// Whether several listen on it, who are told the same at the same time.
    pub(super) fn has_several_listeners(&self) -> bool {
        self.0.listeners.load(Ordering::Relaxed) > 1
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}
