//! A bounded amount of something, of which nobody gets more than a share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What there is of something, and who has how much of it.
#[derive(Clone, Debug)]
pub(super) struct Pot<K>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K> {
    all: usize,
    share: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by: HashMap<K, usize>,
}

/// What one holder has taken on one occasion; given back when it is dropped.
#[derive(Debug)]
#[must_use = "what was taken is given back as soon as this is dropped"]
pub(super) struct Held<K: Eq + Hash> {
    pot: Arc<Inner<K>>,
    by: K,
    amount: usize,
}

/// There is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// Of what this holder may have.
    Share,
    /// For anybody.
    All,
}

impl<K: Clone + Eq + Hash> Pot<K> {
    /// A pot of `all`, of which one holder may have `share` at a time.
    pub(super) fn new(all: usize, share: usize) -> Self {
        let by = HashMap::new();
        Self(Arc::new(Inner {
            all,
            share,
            taken: Mutex::new(Taken { all: 0, by }),
        }))
    }

    /// Nothing yet, for `by`.
    pub(super) fn nothing(&self, by: K) -> Held<K> {
        Held {
            pot: Arc::clone(&self.0),
            by,
            amount: 0,
        }
    }
}

impl<K> Inner<K> {
    /// A panic elsewhere leaves the amounts whole: each change is made under one lock.
    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Held<K> {
    /// Takes `amount` more, or nothing.
    ///
    /// # Errors
    /// What there is not enough of.
    pub(super) fn take(&mut self, amount: usize) -> Result<(), Spent> {
        let mut taken = self.pot.lock();
        let own = taken.by.get(&self.by).copied().unwrap_or(0);
        let own = own.saturating_add(amount);
        let all = taken.all.saturating_add(amount);
        if own > self.pot.share {
            return Err(Spent::Share);
        }
        if all > self.pot.all {
            return Err(Spent::All);
        }
        taken.all = all;
        taken.by.insert(self.by.clone(), own);
        self.amount += amount;
        Ok(())
    }
}

impl<K: Eq + Hash> Drop for Held<K> {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut taken = self.pot.lock();
        taken.all -= self.amount;
        if let Some(own) = taken.by.get_mut(&self.by) {
            *own -= self.amount;
            if *own == 0 {
                taken.by.remove(&self.by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_a_share_and_all_together_no_more_than_there_is() {
        let pot = Pot::new(10, 6);
        let mut one = pot.nothing("one");
        one.take(4).unwrap();
        let mut again = pot.nothing("one");
        assert_eq!(again.take(3), Err(Spent::Share));
        again.take(2).unwrap();
        let mut two = pot.nothing("two");
        assert_eq!(two.take(5), Err(Spent::All));
        two.take(4).unwrap();
        drop(one);
        two.take(2).unwrap();
        assert_eq!(two.take(1), Err(Spent::Share));
        drop((again, two));
        assert!(pot.0.lock().by.is_empty(), "nothing is kept of who left");
        assert_eq!(pot.0.lock().all, 0);
    }
}
