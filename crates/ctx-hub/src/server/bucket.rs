//! How much may be taken in a time: a bucket that fills up again by itself.
//!
//! A bucket is one moment: when everything that was taken from it will have come back. Nothing has
//! to run for it, and one that is full is like one that never was, so it can be forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// So much comes back …
    pub(super) amount: u64,
    /// … in so long.
    pub(super) per: Duration,
    /// So much can be taken at once.
    pub(super) burst: u64,
}

/// Why something cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// It is more than the bucket ever holds.
    Never,
    /// It can be after so long, if nobody else takes from it.
    For(Duration),
}

/// A bucket; times are those of [`Clock::running`](crate::clock::Clock).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    full_at: Duration,
}

impl Rate {
    /// A rate, or `None` where `amount` or `burst` is 0: no limit.
    pub(super) fn new(amount: u64, per: Duration, burst: u64) -> Option<Self> {
        (amount > 0 && burst > 0).then_some(Self { amount, per, burst })
    }

    /// How long it takes until `taken` has come back.
    fn time_for(self, taken: u64) -> Duration {
        let nanos = self.per.as_nanos().saturating_mul(taken.into());
        let nanos = nanos.div_ceil(u128::from(self.amount.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Bucket {
    /// The bucket after `taken` was taken from it.
    ///
    /// # Errors
    /// There is not so much in it.
    pub(super) fn take(self, now: Duration, rate: Rate, taken: u64) -> Result<Self, Over> {
        if taken > rate.burst {
            return Err(Over::Never);
        }
        let full_at = self.debited(now, rate, taken);
        let latest = now.saturating_add(rate.time_for(rate.burst));
        match full_at.checked_sub(latest) {
            None | Some(Duration::ZERO) => Ok(Self { full_at }),
            Some(wait) => Err(Over::For(wait)),
        }
    }

    /// The bucket after `taken` was taken from it, whether it was there or not. Nobody owes more
    /// than what comes back in `longest`.
    pub(super) fn owe(self, now: Duration, rate: Rate, taken: u64, longest: Duration) -> Self {
        let most = rate.time_for(rate.burst).saturating_add(longest);
        let full_at = self.debited(now, rate, taken);
        Self {
            full_at: full_at.min(now.saturating_add(most)),
        }
    }

    fn debited(self, now: Duration, rate: Rate, taken: u64) -> Duration {
        self.full_at.max(now).saturating_add(rate.time_for(taken))
    }
}

/// A bucket for each of many, no more than `most` of them at a time.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    most: usize,
    by: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(super) fn new(most: usize) -> Self {
        let by = HashMap::new();
        Self { most, by }
    }

    pub(super) fn get(&self, key: &K) -> Bucket {
        self.by.get(key).copied().unwrap_or_default()
    }

    /// Keeps a bucket. When there are too many, those are forgotten that are full again, and if
    /// that is not enough the half that owes least: whoever comes with many names can make us forget
    /// what they owe under a few of them, and never that somebody else is a stranger.
    pub(super) fn set(&mut self, key: K, bucket: Bucket, now: Duration) {
        if self.by.len() >= self.most && !self.by.contains_key(&key) {
            self.by.retain(|_, bucket| bucket.full_at > now);
            if self.by.len() > self.most / 2 {
                self.forget_half();
            }
        }
        self.by.insert(key, bucket);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by.len()
    }

    fn forget_half(&mut self) {
        let mut owed: Vec<Duration> = self.by.values().map(|bucket| bucket.full_at).collect();
        let middle = owed.len() / 2;
        if middle < owed.len() {
            let (_, least, _) = owed.select_nth_unstable(middle);
            let least = *least;
            self.by.retain(|_, bucket| bucket.full_at > least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(amount: u64, burst: u64) -> Rate {
        Rate::new(amount, SECOND, burst).unwrap()
    }

    #[test]
    fn a_burst_passes_at_once_and_then_as_much_as_comes_back() {
        let rate = rate(10, 30);
        let now = SECOND * 100;
        let mut bucket = Bucket::default();
        for _ in 0..30 {
            bucket = bucket.take(now, rate, 1).unwrap();
        }
        assert_eq!(bucket.take(now, rate, 1), Err(Over::For(SECOND / 10)));
        assert_eq!(bucket.take(now, rate, 30), Err(Over::For(SECOND * 3)));
        let bucket = bucket.take(now + SECOND, rate, 10).unwrap();
        assert_eq!(
            bucket.take(now + SECOND, rate, 1),
            Err(Over::For(SECOND / 10))
        );
        // It holds no more however long nothing was taken.
        assert!(bucket.take(now + SECOND * 1000, rate, 30).is_ok());
    }

    #[test]
    fn what_the_hint_says_is_enough_to_wait_and_less_is_not() {
        for (amount, burst) in [(1, 1), (3, 7), (50, 10_000), (2_097_152, 67_108_864)] {
            let rate = rate(amount, burst);
            let bucket = Bucket::default().take(SECOND, rate, burst).unwrap();
            let Err(Over::For(wait)) = bucket.take(SECOND, rate, burst / 2 + 1) else {
                panic!("taken twice");
            };
            assert!(bucket.take(SECOND + wait, rate, burst / 2 + 1).is_ok());
            let early = SECOND + wait - Duration::from_nanos(1);
            assert!(bucket.take(early, rate, burst / 2 + 1).is_err());
        }
    }

    #[test]
    fn more_than_it_ever_holds_is_never_given() {
        assert_eq!(
            Bucket::default().take(SECOND, rate(10, 30), 31),
            Err(Over::Never)
        );
    }

    #[test]
    fn a_debt_is_bounded() {
        let rate = rate(1, 5);
        let bucket = Bucket::default().owe(SECOND, rate, 1_000_000, SECOND * 60);
        assert_eq!(bucket.take(SECOND, rate, 1), Err(Over::For(SECOND * 61)));
        assert!(bucket.take(SECOND * 62, rate, 1).is_ok());
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let rate = Rate::new(u64::MAX, Duration::MAX, u64::MAX).unwrap();
        let bucket = Bucket::default().owe(Duration::MAX, rate, u64::MAX, Duration::MAX);
        assert!(bucket.take(Duration::MAX, rate, u64::MAX).is_ok());
    }

    #[test]
    fn many_names_take_no_more_memory_and_who_owes_most_is_remembered() {
        let rate = rate(1, 10);
        let mut buckets = Buckets::new(100);
        let worst = Bucket::default().owe(SECOND, rate, 10, SECOND);
        buckets.set(u32::MAX, worst, SECOND);
        for name in 0..10_000 {
            let bucket = Bucket::default().owe(SECOND, rate, 1, SECOND);
            buckets.set(name, bucket, SECOND);
            assert!(buckets.by.len() <= 100);
        }
        assert_eq!(buckets.get(&u32::MAX), worst);
        assert_eq!(buckets.get(&1), Bucket::default());
    }
}
