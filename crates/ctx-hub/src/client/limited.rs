//! What a hub takes no more of for now, and until when: whoever asks for it before is told so here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::error::ClientError;
use super::status::Context;

/// For each call that a hub has refused for now, when it may be made again, and what the hub said.
#[derive(Debug, Default)]
pub(super) struct Limited(Mutex<HashMap<&'static str, (Instant, String)>>);

impl Limited {
    /// Refuses a call that the hub would refuse.
    pub(super) fn check(&self, context: Context<'_>) -> Result<(), ClientError> {
        let mut limited = self.lock();
        let Some((until, message)) = limited.get(context.call) else {
            return Ok(());
        };
        let wait = until.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            limited.remove(context.call);
            return Ok(());
        }
        Err(ClientError::Limited {
            peer: context.peer.clone(),
            call: context.call,
            message: message.clone(),
            wait,
        })
    }

    /// Remembers what a hub takes no more of.
    pub(super) fn note(&self, error: &ClientError) {
        if let ClientError::Limited {
            call,
            message,
            wait,
            ..
        } = error
        {
            // The wait is bounded where it is read.
            let until = Instant::now() + *wait;
            self.lock().insert(call, (until, message.clone()));
        }
    }

    /// A panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, (Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
