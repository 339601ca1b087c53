//! What the calls and the thread that writes share.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::strangers::Strangers;

/// What the calls and the thread that writes share.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The trail cannot be written at this moment.
    pub(super) failing: AtomicBool,
    /// Calls that were refused for that.
    pub(super) refused: AtomicU64,
    strangers: Mutex<Strangers>,
}

impl State {
    /// A panic elsewhere leaves the counts usable: at worst one failure is not in them.
    pub(super) fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
