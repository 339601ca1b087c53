//! What listeners and publishers share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Semaphore, watch};

use super::ledger::Ledger;

/// Connections that are being opened at a time.
const OPENING: usize = 64;

/// What listeners do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// They open their streams, and read nothing.
    Opening,
    /// Nobody reads.
    Held,
    /// Those who read, read; the others do as they are.
    Live,
    /// Everybody reads.
    All,
}

/// What listeners and publishers share.
pub(crate) struct Scene {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) ledger: Ledger,
    pub(crate) pace: watch::Sender<Pace>,
    /// Whether the frozen are.
    pub(crate) frozen: watch::Sender<bool>,
    /// Everything that each listener has.
    pub(crate) cursors: Vec<AtomicU64>,
    pub(crate) opened: AtomicUsize,
    pub(crate) delivered: AtomicU64,
    /// Streams that were opened again.
    pub(crate) reopened: AtomicU64,
    pub(crate) opening: Semaphore,
}

impl Scene {
    pub(crate) fn new(address: SocketAddr, token: String, listeners: usize) -> Self {
        Self {
            address,
            token,
            ledger: Ledger::default(),
            pace: watch::Sender::new(Pace::Opening),
            frozen: watch::Sender::new(false),
            cursors: (0..listeners).map(|_| AtomicU64::new(0)).collect(),
            opened: AtomicUsize::new(0),
            delivered: AtomicU64::new(0),
            reopened: AtomicU64::new(0),
            opening: Semaphore::new(OPENING),
        }
    }

    /// Says that a listener has everything up to `cursor`.
    pub(crate) fn has(&self, number: usize, cursor: u64) {
        if let Some(mine) = self.cursors.get(number) {
            mine.store(cursor, Ordering::Relaxed);
        }
    }

    /// Sets what listeners do from now on.
    pub(crate) fn set(&self, pace: Pace) {
        self.frozen
            .send_replace(matches!(pace, Pace::Held | Pace::Live));
        self.pace.send_replace(pace);
    }

    /// How many of the listeners `which` have everything up to `head`.
    pub(crate) fn have(&self, head: u64, which: impl Fn(usize) -> bool) -> usize {
        let cursors = self.cursors.iter().enumerate();
        cursors
            .filter(|(number, cursor)| which(*number) && cursor.load(Ordering::Relaxed) >= head)
            .count()
    }
}
