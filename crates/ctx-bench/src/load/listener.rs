//! A listener: reads what it is sent, at its own pace, and checks all of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ctx_hub::wire::method::LISTEN;
use tokio::sync::watch;

use super::scene::{Pace, Scene};
use crate::Failure;
use crate::link::{Link, Messages};

/// Bytes of a stream that the hub may send before they are read.
const WINDOW: u32 = 16 * 1024;

/// The same for a listener that reads a little at a time.
const SLOW_WINDOW: u32 = 2 * 1024;

/// How long a slow listener rests after each piece.
const REST: Duration = Duration::from_millis(50);

/// How long a listener waits before it dials again.
const REDIAL: Duration = Duration::from_millis(200);

/// How a listener reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// At once.
    Reads,
    /// A little at a time.
    Slow,
    /// Not until the end; its connection answers.
    Stalled,
    /// Not until the end, and neither does its connection.
    Frozen,
}

/// A listener.
pub(crate) struct Listener {
    pub(crate) scene: Arc<Scene>,
    pub(crate) number: usize,
    pub(crate) manner: Manner,
    /// The connection that it shares; otherwise it has its own.
    pub(crate) shared: Option<Arc<Link>>,
}

/// A connection for listeners that share it.
pub(crate) async fn shared(scene: &Scene) -> Result<Arc<Link>, Failure> {
    Ok(Arc::new(Link::dial(scene.address, WINDOW, None).await?))
}

impl Listener {
    /// Listens for as long as the program runs; dials again from its place when the stream ends.
    pub(crate) async fn run(mut self) {
        let mut opened = false;
        loop {
            match self.listen(&mut opened).await {
                Ok(()) => {}
                Err(error) if !opened => {
                    let said = format!("listener {} could not begin: {error}", self.number);
                    self.scene.ledger.violation(said);
                    return;
                }
                Err(error) => eprintln!("listener {} dials again: {error}", self.number),
            }
            self.scene.reopened.fetch_add(1, Ordering::Relaxed);
            self.shared = None;
            tokio::time::sleep(REDIAL).await;
        }
    }

    async fn listen(&self, opened: &mut bool) -> Result<(), Failure> {
        let (_link, mut messages) = self.open().await?;
        if !*opened {
            *opened = true;
            self.scene.opened.fetch_add(1, Ordering::Relaxed);
        }
        let mut pace = self.scene.pace.subscribe();
        loop {
            let now = *pace.borrow_and_update();
            let slow = self.manner == Manner::Slow && now != Pace::All;
            if !self.reads(now) {
                pace.changed().await?;
                continue;
            }
            tokio::select! {
                more = messages.more() => if !more? { return Ok(()) },
                changed = pace.changed() => { changed?; continue }
            }
            self.check(&mut messages);
            if slow {
                rest(&mut pace).await;
            }
        }
    }

    async fn open(&self) -> Result<(Arc<Link>, Messages), Failure> {
        let _turn = self.scene.opening.acquire().await?;
        let link = match &self.shared {
            Some(link) => Arc::clone(link),
            None => {
                let frozen = self.manner == Manner::Frozen;
                let frozen = frozen.then(|| self.scene.frozen.subscribe());
                let slow = self.manner == Manner::Slow;
                let window = if slow { SLOW_WINDOW } else { WINDOW };
                Arc::new(Link::dial(self.scene.address, window, frozen).await?)
            }
        };
        let message = format!(r#"{{"types":null,"since_sequence":{}}}"#, self.cursor());
        let messages = link.open(LISTEN, &self.scene.token, message).await?;
        Ok((link, messages))
    }

    fn reads(&self, pace: Pace) -> bool {
        match pace {
            Pace::Opening | Pace::Held => false,
            Pace::Live => matches!(self.manner, Manner::Reads | Manner::Slow),
            Pace::All => true,
        }
    }

    fn cursor(&self) -> u64 {
        let cursor = self.scene.cursors.get(self.number);
        cursor.map_or(0, |cursor| cursor.load(Ordering::Relaxed))
    }

    /// Checks what has come.
    fn check(&self, messages: &mut Messages) {
        let mut cursor = self.cursor();
        let mut count = 0;
        while let Some(message) = messages.take() {
            cursor = self.scene.ledger.received(self.number, cursor, &message);
            count += 1;
        }
        self.scene.has(self.number, cursor);
        self.scene.delivered.fetch_add(count, Ordering::Relaxed);
    }
}

/// Rests, unless everything changes.
async fn rest(pace: &mut watch::Receiver<Pace>) {
    tokio::time::timeout(REST, pace.changed()).await.ok();
}
