//! Failed attempts to prove who one is, and what they cost an address.
//!
//! An address has so many, and gets one back every now and then; beyond that it is refused before
//! what it presents is looked at. Two things keep that from shutting out anybody else:
//!
//! - A token that proved itself from an address lately is still looked at there. So who guesses
//!   from a network shuts out nobody who works from it, only those who never came from there before.
//! - Debts end: an address owes at most [`FAILURES_LONGEST_WAIT`](limits::FAILURES_LONGEST_WAIT).
//!
//! An address that is refused learns nothing about what it presents, with one exception: that it is
//! a token that proved itself from there. That is no way to guess one: of at most 2^16 tokens of 256
//! random bits each, 2^40 guesses find one with a probability of 2^-200.
//!
//! Nothing here grows with the number of addresses that somebody has: an address is an IPv4 address
//! or the first half of an IPv6 one, which is what a host is given; beyond so many of them those are
//! forgotten that owe least. What proved itself is bounded by the registered clients.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ctx_config::limits;
use tonic::{Code, Status};

use super::audit::{self, Event};
use super::bucket::{Buckets, Over, Rate};
use super::settings::Limits;
use super::status;
use super::subscriber::subscriber;
use crate::clock::Clock;
use crate::secret::TokenHash;

/// Failed attempts of every address, and what proved itself lately.
#[derive(Debug)]
pub(super) struct Attempts {
    clock: Clock,
    rate: Option<Rate>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    failed: Buckets<IpAddr>,
    proved: HashMap<TokenHash, Vec<Proof>>,
}

/// That a token was good, from where and when.
#[derive(Clone, Copy, Debug)]
struct Proof {
    from: IpAddr,
    at: Duration,
}

impl Attempts {
    pub(super) fn new(limits: &Limits, clock: Clock) -> Self {
        let (back, most) = (limits.failures_per_minute, limits.failures_burst);
        Self {
            clock,
            rate: Rate::new(back.into(), Duration::from_secs(60), most.into()),
            seen: Mutex::new(Seen {
                failed: Buckets::new(limits::FAILURES_MAX_ADDRESSES),
                proved: HashMap::new(),
            }),
        }
    }

    /// Runs `check`, which looks at what `from` presents, unless the address has failed too often;
    /// and remembers how it went. `from` is `None` where nobody has to prove anything.
    pub(super) async fn check<T>(
        &self,
        from: Option<IpAddr>,
        presented: Option<TokenHash>,
        check: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let (Some(from), Some(rate)) = (from.map(network), self.rate) else {
            return check.await;
        };
        self.admit(from, rate, presented.as_ref())?;
        let checked = check.await;
        match (&checked, presented) {
            (Ok(_), Some(presented)) => self.proved(from, &presented),
            (Err(error), presented) if is_failure(error) => {
                self.failed(from, rate, presented.as_ref());
            }
            _ => {}
        }
        checked
    }

    /// Remembers that somebody at `from` has got the token of this hash.
    pub(super) fn issued(&self, from: Option<IpAddr>, token: &TokenHash) {
        if let Some(from) = from {
            self.proved(network(from), token);
        }
    }

    fn admit(&self, from: IpAddr, rate: Rate, presented: Option<&TokenHash>) -> Result<(), Status> {
        let now = self.clock.running();
        let seen = self.lock();
        match seen.failed.get(&from).take(now, rate, 1) {
            Ok(_) => Ok(()),
            Err(_) if presented.is_some_and(|token| seen.is_known(token, from, now)) => Ok(()),
            Err(Over::For(wait)) => Err(status::too_many_failures(wait)),
            Err(Over::Never) => Err(status::too_many_failures(limits::FAILURES_LONGEST_WAIT)),
        }
    }

    fn failed(&self, from: IpAddr, rate: Rate, presented: Option<&TokenHash>) {
        let now = self.clock.running();
        let mut seen = self.lock();
        if let Some(presented) = presented {
            // It may have been good once, and was revoked.
            seen.proved.remove(presented);
        }
        let before = seen.failed.get(&from);
        let after = before.owe(now, rate, 1, limits::FAILURES_LONGEST_WAIT);
        seen.failed.set(from, after, now);
        let was_free = before.take(now, rate, 1).is_ok();
        if was_free && after.take(now, rate, 1).is_err() {
            tracing::warn!(address = %from, "too many failed attempts; the address is refused");
            audit::event(Event::AddressLimited, from);
        }
    }

    fn proved(&self, from: IpAddr, token: &TokenHash) {
        let now = self.clock.running();
        self.lock().remember(token, from, now);
    }

    /// A panic elsewhere leaves what is seen whole.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn is_known(&self, token: &TokenHash, from: IpAddr, now: Duration) -> bool {
        let proofs = self.proved.get(token).into_iter().flatten();
        proofs
            .into_iter()
            .any(|proof| proof.from == from && proof.is_fresh(now))
    }

    fn remember(&mut self, token: &TokenHash, from: IpAddr, now: Duration) {
        let proof = Proof { from, at: now };
        if !self.proved.contains_key(token) && self.proved.len() >= limits::PROVED_MAX_TOKENS {
            self.proved
                .retain(|_, proofs| proofs.iter().any(|proof| proof.is_fresh(now)));
            if self.proved.len() >= limits::PROVED_MAX_TOKENS {
                // It is refused when somebody guesses beside it: a pity, and nothing worse.
                return;
            }
        }
        let proofs = self.proved.entry(token.clone()).or_default();
        proofs.retain(|known| known.from != from);
        proofs.push(proof);
        if proofs.len() > limits::PROVED_ADDRESSES {
            proofs.remove(0);
        }
    }
}

impl Proof {
    fn is_fresh(self, now: Duration) -> bool {
        now.saturating_sub(self.at) < limits::PROVED_FOR
    }
}

/// Whether `error` says that what was presented is not good.
fn is_failure(error: &Status) -> bool {
    matches!(error.code(), Code::Unauthenticated | Code::PermissionDenied)
}

/// What counts as one address.
fn network(address: IpAddr) -> IpAddr {
    subscriber(address).addr()
}

#[cfg(test)]
mod tests;
