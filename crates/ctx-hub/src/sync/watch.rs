//! Looking for what was queued while a listener runs.

use std::time::Duration;

use ctx_config::limits;
use ctx_config::paths::ContextDir;
use tokio::time::{Instant, sleep_until};

use super::engine;
use super::error::SyncError;
use super::report::SyncEvent;
use super::source::Source;
use crate::client::ClientError;
use crate::client::backoff::{Backoff, obeying};

/// When to look into the outbox: soon after something may have been queued, and seldom while it
/// cannot be sent.
pub(super) struct OutboxWatch {
    next: Instant,
    pauses: Backoff,
}

impl OutboxWatch {
    pub(super) fn new() -> Self {
        Self {
            next: Instant::now() + limits::OUTBOX_LOOK,
            pauses: Self::pauses(),
        }
    }

    fn pauses() -> Backoff {
        Backoff::new(limits::OUTBOX_LOOK, limits::RECONNECT_LONGEST_PAUSE)
    }

    /// Waits until it is time.
    pub(super) async fn due(&self) {
        sleep_until(self.next).await;
    }

    /// Sends what is queued.
    pub(super) async fn look<S: Source>(
        &mut self,
        source: &S,
        context: &ContextDir,
        on_event: engine::Listener<'_>,
    ) -> Result<(), SyncError> {
        let mut is_in_trouble = false;
        let mut wait = Duration::ZERO;
        let mut tell = |event: SyncEvent| {
            if let SyncEvent::Outbox(report) = &event {
                let asked = report.stopped.as_ref().and_then(ClientError::retry_after);
                wait = obeying(asked.unwrap_or_default());
            }
            is_in_trouble = match &event {
                SyncEvent::Outbox(report) => report.stopped.is_some() || report.sent.is_empty(),
                _ => true,
            };
            on_event(event);
        };
        engine::send_queued(source, context, &mut tell).await?;
        self.next = Instant::now() + limits::OUTBOX_LOOK;
        if is_in_trouble {
            self.next += self.pauses.pause().max(wait);
        } else {
            self.pauses = Self::pauses();
        }
        Ok(())
    }
}
