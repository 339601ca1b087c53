//! How long a token lives, and what that is a reason to do.

use std::time::Duration;

use ctx_config::limits;

/// The life of a token that expires, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When it was issued; 0 when unknown.
    pub issued_at: i64,
    /// When it expires.
    pub expires_at: i64,
}

impl Lifetime {
    /// How much of it is left at `now`; nothing once it is over.
    #[must_use]
    pub fn left(self, now: i64) -> Duration {
        Duration::from_secs(seconds(now, self.expires_at))
    }

    /// Whether it is over at `now`.
    #[must_use]
    pub const fn is_over(self, now: i64) -> bool {
        now >= self.expires_at
    }

    /// Whether its end is near enough at `now` to be warned of: less than a tenth of it is left, at
    /// most [`limits::TOKEN_WARNING`].
    #[must_use]
    pub fn ends_soon(self, now: i64) -> bool {
        self.left(now) < (self.whole() / 10).min(limits::TOKEN_WARNING)
    }

    /// Whether it is time at `now` to replace the token: less than a third is left.
    #[must_use]
    pub fn wants_another(self, now: i64) -> bool {
        self.left(now) < self.whole() / 3
    }

    fn whole(self) -> Duration {
        Duration::from_secs(seconds(self.issued_at, self.expires_at))
    }
}

/// How many seconds there are from one moment to a later one.
fn seconds(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

/// The moment that lies `wait` after `now`, both in Unix seconds; the last one there is when it lies
/// beyond.
#[cfg(feature = "server")]
pub(crate) fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn of_days(days: i64) -> Lifetime {
        Lifetime {
            issued_at: 1_000,
            expires_at: 1_000 + days * DAY,
        }
    }

    #[test]
    fn a_third_is_time_for_another_token_and_a_tenth_for_a_warning() {
        let life = of_days(90);
        let at = |day: i64| 1_000 + day * DAY + 1;
        assert!(!life.wants_another(at(59)) && life.wants_another(at(60)));
        assert!(!life.ends_soon(at(80)) && life.ends_soon(at(81)));
        assert!(!life.is_over(at(89)) && life.is_over(at(90)));
        assert_eq!(life.left(at(90)), Duration::ZERO);
    }

    #[test]
    fn a_warning_comes_two_weeks_ahead_at_the_earliest() {
        let at = |day: i64| 1_000 + day * DAY + 1;
        for life in [
            of_days(1_000),
            Lifetime {
                issued_at: 0,
                ..of_days(1_000)
            },
        ] {
            assert!(!life.ends_soon(at(985)) && life.ends_soon(at(986)));
        }
    }

    #[test]
    fn times_that_cannot_be_are_no_trouble() {
        let life = Lifetime {
            issued_at: i64::MAX,
            expires_at: i64::MIN,
        };
        assert!(life.is_over(0) && !life.ends_soon(0) && !life.wants_another(0));
    }
}
