//! Pauses between tries, which grow and differ, so that many clients do not return together.

use std::time::Duration;

use ctx_config::limits;
use tokio::time::Instant;

use super::error::ClientError;

/// A pause that doubles from time to time, up to a longest one. After a success, make a new one.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with about `first`, never pauses longer than `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            longest,
            next: first.min(longest),
        }
    }

    /// How long to pause now: between half of the current pause and all of it, at random.
    pub(crate) fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.longest);
        // Without randomness the whole pause is still a pause.
        let fraction = getrandom::u32().map_or(1.0, |r| f64::from(r) / f64::from(u32::MAX));
        whole.mul_f64(0.5 + fraction / 2.0)
    }
}

/// How long to stay away that was asked for `wait`: never shorter, and not all at the same moment.
pub(crate) fn obeying(wait: Duration) -> Duration {
    let spread = wait.min(limits::RETRY_HINT_SPREAD);
    let fraction = getrandom::u32().map_or(0.0, |r| f64::from(r) / f64::from(u32::MAX));
    wait.saturating_add(spread.mul_f64(fraction))
}

/// Makes a call that is safe to repeat, again while the hub cannot be reached or breaks off: at
/// most [`limits::RETRY_ATTEMPTS`] times in all, and never past `deadline`. A hub that takes no more
/// for now is asked again when it said, if that is before `patience`.
pub(super) async fn repeated<T, F>(
    deadline: Instant,
    patience: Instant,
    mut attempt: impl FnMut() -> F,
) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut backoff = Backoff::new(limits::RETRY_FIRST_PAUSE, limits::RECONNECT_LONGEST_PAUSE);
    let mut tries = 1;
    loop {
        let (error, pause, until) = match attempt().await {
            Err(error) if let Some(wait) = error.retry_after() => {
                let pause = obeying(wait).max(backoff.pause());
                (error, pause, deadline.min(patience))
            }
            Err(error) if error.is_transient() && tries < limits::RETRY_ATTEMPTS => {
                tries += 1;
                (error, backoff.pause(), deadline)
            }
            result => return result,
        };
        if Instant::now() + pause >= until {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_never_fall_below_half() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(350));
        for whole in [100, 200, 350, 350] {
            let pause = backoff.pause();
            assert!(
                pause >= ms(whole / 2) && pause <= ms(whole),
                "{pause:?} of {whole} ms"
            );
        }
    }

    #[test]
    fn a_hint_is_waited_out_and_somewhat_longer() {
        for seconds in [0, 1, 10, 3_600] {
            let wait = Duration::from_secs(seconds);
            let pause = obeying(wait);
            let most = wait + wait.min(limits::RETRY_HINT_SPREAD);
            assert!(pause >= wait && pause <= most, "{pause:?} of {wait:?}");
        }
    }

    #[test]
    fn a_longest_pause_below_the_first_is_kept() {
        let mut backoff = Backoff::new(Duration::from_secs(9), Duration::from_secs(1));
        assert!(backoff.pause() <= Duration::from_secs(1));
    }
}
