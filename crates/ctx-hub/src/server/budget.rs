//! What one client may publish: entries and bytes in a second, and bytes in a day.
//!
//! Everything that is sent is charged before it is stored, an id that is stored already too: to
//! find that out costs the same message, the same look into the index and the same transaction, and
//! whoever sends one entry for ever would otherwise do so for nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::Status;

use super::bucket::{Bucket, Buckets, Over, Rate};
use super::settings::Limits;
use super::status;
use crate::clock::Clock;
use crate::entry::EntryDraft;
use crate::store::Quota;
use crate::types::ClientId;

/// Clients whose buckets are remembered; one that is forgotten has full ones.
const MOST_CLIENTS: usize = 65_536;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// What each client may publish, and what it has published lately.
#[derive(Debug)]
pub(super) struct Budget {
    clock: Clock,
    entries: Option<Rate>,
    bytes: Option<Rate>,
    daily: Option<u64>,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    entries: Buckets<ClientId>,
    bytes: Buckets<ClientId>,
}

impl Budget {
    pub(super) fn new(limits: &Limits, clock: Clock) -> Self {
        let second = Duration::from_secs(1);
        let (rate, burst) = (limits.entries_per_second, limits.entries_burst);
        Self {
            clock,
            entries: Rate::new(rate.into(), second, burst.into()),
            bytes: Rate::new(limits.bytes_per_second, second, limits.burst_bytes),
            daily: (limits.daily_bytes > 0).then_some(limits.daily_bytes),
            taken: Mutex::new(Taken {
                entries: Buckets::new(MOST_CLIENTS),
                bytes: Buckets::new(MOST_CLIENTS),
            }),
        }
    }

    /// Refuses a client that may not publish even one entry of one byte, before its message is read.
    pub(super) fn check(&self, client: &ClientId) -> Result<(), Status> {
        let now = self.clock.running();
        self.after(&self.lock(), client, now, 1, 1).map(drop)
    }

    /// Charges `client` for `drafts`: for all of them, or it is refused and charged nothing.
    pub(super) fn charge(&self, client: &ClientId, drafts: &[EntryDraft]) -> Result<Quota, Status> {
        let entries = u64::try_from(drafts.len()).unwrap_or(u64::MAX);
        let bytes = drafts
            .iter()
            .map(EntryDraft::bytes)
            .fold(0, u64::saturating_add);
        let quota = self.quota(bytes)?;
        let now = self.clock.running();
        let mut taken = self.lock();
        let (of_entries, of_bytes) = self.after(&taken, client, now, entries, bytes)?;
        taken.entries.set(client.clone(), of_entries, now);
        taken.bytes.set(client.clone(), of_bytes, now);
        Ok(quota)
    }

    /// The buckets of `client` after so much was taken.
    fn after(
        &self,
        taken: &Taken,
        client: &ClientId,
        now: Duration,
        entries: u64,
        bytes: u64,
    ) -> Result<(Bucket, Bucket), Status> {
        let of_entries = take(
            taken.entries.get(client),
            now,
            self.entries,
            entries,
            "entries",
        );
        let of_bytes = take(taken.bytes.get(client), now, self.bytes, bytes, "bytes");
        Ok((of_entries?, of_bytes?))
    }

    /// What the store counts: `bytes` of the day that it is.
    fn quota(&self, bytes: u64) -> Result<Quota, Status> {
        if let Some(daily) = self.daily
            && bytes > daily
        {
            return Err(status::too_large(format!(
                "publish of {bytes} bytes exceeds the {daily} bytes that this hub takes from a \
                 client in a day"
            )));
        }
        Ok(Quota {
            day: self.clock.unix().div_euclid(DAY),
            bytes,
            most: self.daily,
        })
    }

    /// The answer to a client that has used up its day.
    pub(super) fn day_is_over(&self) -> Status {
        let left = DAY - self.clock.unix().rem_euclid(DAY);
        let left = Duration::from_secs(left.unsigned_abs());
        let daily = self.daily.unwrap_or_default();
        status::too_much(
            &format!(
                "a client may publish {daily} bytes in a day at this hub, and the next one begins \
                 at 00:00 UTC"
            ),
            left,
        )
    }

    /// A panic elsewhere leaves the buckets whole: each is replaced by one insertion.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bucket after `amount` was taken from it, if there is a limit.
fn take(
    bucket: Bucket,
    now: Duration,
    rate: Option<Rate>,
    amount: u64,
    what: &str,
) -> Result<Bucket, Status> {
    let Some(rate) = rate else {
        return Ok(bucket);
    };
    let Rate {
        amount: a_second,
        burst,
        ..
    } = rate;
    bucket.take(now, rate, amount).map_err(|over| match over {
        Over::Never => status::too_large(format!(
            "publish of {amount} {what} exceeds the {burst} that this hub takes at once"
        )),
        Over::For(wait) => status::too_much(
            &format!(
                "a client may publish {a_second} {what} a second at this hub, and {burst} at once"
            ),
            wait,
        ),
    })
}

#[cfg(test)]
mod tests;
