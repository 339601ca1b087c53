//! The time, as limits and tokens see it: tests move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a hub reads the time from: the system, or in tests whatever they say.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(Instant),
    Manual(ManualClock),
}

/// A clock that stands still until it is moved; clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    /// Unix seconds when it had not been moved yet.
    began: i64,
    moved: Arc<AtomicU64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self(Source::System(Instant::now()))
    }
}

impl Clock {
    /// How long the clock has been running. It never goes back, whatever is done to the time of
    /// the system.
    #[must_use]
    pub fn running(&self) -> Duration {
        match &self.0 {
            Source::System(began) => began.elapsed(),
            Source::Manual(clock) => clock.moved(),
        }
    }

    /// The time of the day, in Unix seconds.
    #[must_use]
    pub fn unix(&self) -> i64 {
        match &self.0 {
            Source::System(_) => jiff::Timestamp::now().as_second(),
            Source::Manual(clock) => {
                let moved = i64::try_from(clock.moved().as_secs()).unwrap_or(i64::MAX);
                clock.began.saturating_add(moved)
            }
        }
    }
}

impl ManualClock {
    /// A clock that stands at `unix` seconds.
    #[must_use]
    pub fn at(unix: i64) -> Self {
        Self {
            began: unix,
            moved: Arc::default(),
        }
    }

    /// Moves it on, by milliseconds at the finest.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.moved.fetch_add(millis, Ordering::SeqCst);
    }

    fn moved(&self) -> Duration {
        Duration::from_millis(self.moved.load(Ordering::SeqCst))
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Self(Source::Manual(clock))
    }
}
