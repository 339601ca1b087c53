//! Durations that were measured, and what is said of them.

use std::time::{Duration, Instant};

use crate::Failure;

/// Durations in seconds, shortest first when they are asked about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Takes one more.
    pub(crate) fn push(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The one in the middle, in seconds; 0 when there is none.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The mean, in seconds; 0 when there is none.
    pub(crate) fn mean(&self) -> f64 {
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX).max(1);
        self.0.iter().sum::<f64>() / f64::from(count)
    }

    /// The smallest that `percent` of a hundred do not exceed, in seconds; 0 when there is none.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(seconds: T) -> Self {
        Self(seconds.into_iter().collect())
    }
}

impl IntoIterator for Samples {
    type Item = f64;
    type IntoIter = std::vec::IntoIter<f64>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Extend<f64> for Samples {
    fn extend<T: IntoIterator<Item = f64>>(&mut self, seconds: T) {
        self.0.extend(seconds);
    }
}

/// How long `work` takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<Duration, Failure> {
    let since = Instant::now();
    work()?;
    Ok(since.elapsed())
}

/// Measures `figure` and `limit` in turn, so that what else the machine does meets both. The first
/// round of each, which pays for what is done once, is left out.
pub(crate) fn in_turn(
    rounds: usize,
    mut figure: impl FnMut() -> Result<Duration, Failure>,
    mut limit: impl FnMut() -> Result<Duration, Failure>,
) -> Result<(Samples, Samples), Failure> {
    let (mut figures, mut limits) = (Samples::default(), Samples::default());
    figure()?;
    limit()?;
    for _ in 0..rounds {
        figures.push(figure()?);
        limits.push(limit()?);
    }
    Ok((figures, limits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let samples: Samples = [5.0, 1.0, 4.0, 2.0, 3.0].into_iter().collect();
        let all = [1, 20, 50, 99, 100].map(|percent| samples.percentile(percent));
        assert_eq!(all, [1.0, 1.0, 3.0, 5.0, 5.0]);
        assert_eq!(Samples::default().median().to_bits(), 0);
    }

    #[test]
    fn figure_and_limit_are_measured_in_turn_and_once_more_than_counted() {
        let calls = std::cell::RefCell::new(String::new());
        let call = |name: char| {
            calls.borrow_mut().push(name);
            Ok(Duration::from_secs(1))
        };
        let (figures, limits) = in_turn(2, || call('f'), || call('l')).unwrap();
        assert_eq!((figures.len(), limits.len()), (2, 2));
        assert_eq!(calls.into_inner(), "flflfl");
    }
}
