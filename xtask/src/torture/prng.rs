//! The choices of a run, all drawn from one seed.
//!
//! `SplitMix64`, written out: its numbers are the same for ever and on every machine, so that a
//! seed printed today repeats the same choices after any update of any dependency.

use std::time::Duration;

/// A sequence of numbers that its seed determines.
#[derive(Debug, Clone)]
pub(crate) struct Prng {
    state: u64,
}

impl Prng {
    /// The sequence of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, not including, `end`; 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from `first` to `last`, both included.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// True once in `many` times.
    pub(crate) fn once_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// One of `choices`, each as likely as the others.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(choices.len()).unwrap_or(u64::MAX);
        choices.get(usize::try_from(self.below(count)).unwrap_or(0))
    }

    /// A number from `low` to `high`, every order of magnitude as likely as the others.
    pub(crate) fn magnitude(&mut self, low: f64, high: f64) -> f64 {
        let thousandths = u32::try_from(self.below(1_000_001)).unwrap_or(0);
        low * (high / low).powf(f64::from(thousandths) / 1_000_000.0)
    }

    /// An instant within something that takes `whole`: from a two-hundredth of it to a little
    /// after its end, early instants as likely as late ones.
    pub(crate) fn instant(&mut self, whole: Duration) -> Duration {
        let whole = whole.as_secs_f64().max(0.001);
        Duration::from_secs_f64(self.magnitude(whole / 200.0, whole * 1.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_numbers_of_splitmix64() {
        let mut prng = Prng::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| prng.next()).collect();
        let want = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(first, want);
    }

    #[test]
    fn every_number_of_a_range_is_drawn_and_no_other() {
        let mut prng = Prng::new(1);
        let mut seen = [0_u32; 8];
        for _ in 0..1_000 {
            seen[usize::try_from(prng.between(2, 5)).unwrap()] += 1;
        }
        assert!(seen[2..=5].iter().all(|&times| times > 150), "{seen:?}");
        assert_eq!(seen[2..=5].iter().sum::<u32>(), 1_000);
        assert_eq!((prng.below(0), prng.pick::<u8>(&[])), (0, None));
    }

    #[test]
    fn early_and_late_instants_are_both_hit() {
        let mut prng = Prng::new(9);
        let whole = Duration::from_millis(100);
        let drawn: Vec<_> = (0..1_000).map(|_| prng.instant(whole)).collect();
        let within = |low, high| {
            let range = Duration::from_millis(low)..Duration::from_millis(high);
            drawn.iter().filter(|at| range.contains(at)).count()
        };
        assert_eq!(within(0, 121), 1_000);
        assert!(within(0, 5) > 200 && within(50, 121) > 100, "{drawn:?}");
    }
}
