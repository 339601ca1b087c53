//! How long to go on, and at what pace.

use std::thread;
use std::time::{Duration, Instant};

use super::Wait;
use crate::random;

const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// The part of its time so far that a contender lets pass before it looks again: so much longer
/// than needed does it wait at most, and its looks grow with the logarithm of its time.
const PART: u32 = 8;
/// How long a lock may be refused that nobody who lives seems to hold.
const SETTLE: Duration = Duration::from_millis(300);
const SETTLE_PAUSE: Duration = Duration::from_millis(10);
const CHURN_PAUSE: Duration = Duration::from_millis(1);

/// The pace of one contender. Pauses are jittered, so that contenders who started together do
/// not come back together.
#[derive(Debug)]
pub(super) struct Pace {
    started: Instant,
    limit: Duration,
    settling_since: Option<Instant>,
    has_waited: bool,
}

impl Pace {
    pub(super) fn new(wait: Wait) -> Pace {
        let limit = match wait {
            Wait::No => Duration::ZERO,
            Wait::UpTo(limit) => limit,
        };
        Pace {
            started: Instant::now(),
            limit,
            settling_since: None,
            has_waited: false,
        }
    }

    /// Pauses before the next try; `false` when the time is over.
    pub(super) fn wait(&mut self) -> bool {
        let waited = self.started.elapsed();
        let left = self.limit.saturating_sub(waited);
        if left.is_zero() {
            return false;
        }
        self.has_waited = true;
        let pause = (waited / PART).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        thread::sleep(jittered(pause).min(left));
        true
    }

    /// Pauses for a takeover or a look under way to come to its end; `false` when that takes too long.
    pub(super) fn settle(&mut self) -> bool {
        let since = *self.settling_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= SETTLE {
            return false;
        }
        thread::sleep(jittered(SETTLE_PAUSE));
        true
    }

    /// Pauses after the file went away between two looks at it.
    pub(super) fn churn(&mut self) {
        thread::sleep(jittered(CHURN_PAUSE));
    }

    /// For how long the caller was kept waiting because they asked to; zero if they did not.
    pub(super) fn waited(&self) -> Duration {
        if self.has_waited {
            self.started.elapsed()
        } else {
            Duration::ZERO
        }
    }
}

/// Between half and the whole of `pause`.
fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    half + Duration::from_micros(random::below(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_wait_there_is_no_second_try() {
        let mut pace = Pace::new(Wait::No);
        assert!(!pace.wait());
        assert_eq!(pace.waited(), Duration::ZERO);
    }

    #[test]
    fn a_wait_ends_and_says_how_long_it_was() {
        let limit = Duration::from_millis(30);
        let mut pace = Pace::new(Wait::UpTo(limit));
        let tries = std::iter::repeat_with(|| pace.wait())
            .take_while(|again| *again)
            .count();
        assert!(tries >= 1);
        assert!(pace.waited() >= limit);
    }

    #[test]
    fn settling_ends_whatever_the_wait_policy() {
        let mut pace = Pace::new(Wait::No);
        let tries = std::iter::repeat_with(|| pace.settle())
            .take(10_000)
            .take_while(|x| *x);
        assert!((1..10_000).contains(&tries.count()));
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let pause = Duration::from_millis(10);
        for _ in 0..1_000 {
            assert!((pause / 2..=pause).contains(&jittered(pause)));
        }
    }
}
