//! `[limits]`: how much of a hub one client, and all of them, may use.

use ctx_config::limits;
use serde::{Deserialize, Serialize};

use super::{Invalid, Section};

/// What an entry may take and more, in bytes: where less passes, the largest entry never would.
const MOST_OF_AN_ENTRY: u64 = 2_097_152;

/// How much of a hub one client, and all of them, may use.
///
/// Where a rate, a quota or a number may be 0, that means no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Entries that a client may publish in a second over a long time; 0: no limit.
    pub entries_per_second: u32,
    /// Entries that it may publish at once after it was quiet.
    pub entries_burst: u32,
    /// Bytes that a client may publish in a second over a long time; 0: no limit.
    pub bytes_per_second: u64,
    /// Bytes that it may publish at once after it was quiet.
    pub burst_bytes: u64,
    /// Bytes that a client may publish in a day of UTC; 0: no limit.
    pub daily_bytes: u64,
    /// Entries in one publish.
    pub batch_entries: usize,
    /// Bytes of the message of one publish.
    pub message_bytes: usize,
    /// `Listen` streams that a client may have open; 0: no limit.
    pub listeners_per_client: u32,
    /// `Sync` streams that a client may have open; 0: no limit.
    pub syncs_per_client: u32,
    /// `Listen` streams of all clients together; 0: no limit.
    pub listeners: u32,
    /// Failed attempts to prove who one is that an address has at once; 0: no limit.
    pub failures_burst: u32,
    /// Failed attempts that an address gets back in a minute.
    pub failures_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries_per_second: limits::CLIENT_ENTRIES_PER_SECOND,
            entries_burst: limits::CLIENT_ENTRIES_BURST,
            bytes_per_second: limits::CLIENT_BYTES_PER_SECOND,
            burst_bytes: limits::CLIENT_BURST_BYTES,
            daily_bytes: limits::CLIENT_DAILY_BYTES,
            batch_entries: limits::PUBLISH_MAX_ENTRIES,
            message_bytes: limits::SERVER_MESSAGE_MAX_BYTES,
            listeners_per_client: limits::CLIENT_LISTENERS,
            syncs_per_client: limits::CLIENT_SYNCS,
            listeners: limits::HUB_LISTENERS,
            failures_burst: limits::ADDRESS_FAILURES_BURST,
            failures_per_minute: limits::ADDRESS_FAILURES_PER_MINUTE,
        }
    }
}

impl Section for Limits {
    fn validate(&self) -> Result<(), Invalid> {
        within(
            "batch_entries",
            self.batch_entries,
            1,
            limits::PUBLISH_MAX_ENTRIES,
        )?;
        let (least, most) = (
            limits::SERVER_SMALL_MESSAGE_MAX_BYTES,
            limits::SERVER_MESSAGE_MAX_BYTES,
        );
        within("message_bytes", self.message_bytes, least, most)?;
        if self.entries_per_second > 0 {
            within("entries_burst", self.entries_burst, 1, u32::MAX)?;
        }
        if self.bytes_per_second > 0 {
            within("burst_bytes", self.burst_bytes, MOST_OF_AN_ENTRY, 1 << 62)?;
        }
        within("bytes_per_second", self.bytes_per_second, 0, 1 << 62)?;
        if self.daily_bytes > 0 {
            within("daily_bytes", self.daily_bytes, MOST_OF_AN_ENTRY, 1 << 62)?;
        }
        if self.failures_burst > 0 {
            within("failures_per_minute", self.failures_per_minute, 1, u32::MAX)?;
        }
        Ok(())
    }
}

/// Refuses a value outside of its bounds.
fn within<N>(key: &'static str, value: N, least: N, most: N) -> Result<(), Invalid>
where
    N: PartialOrd + std::fmt::Display,
{
    if value < least || value > most {
        let why = format!("is {value}; it has to be at least {least} and at most {most}");
        return Err(Invalid::new(key, why));
    }
    Ok(())
}
