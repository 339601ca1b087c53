//! What a lock file says: one JSON record a line, the last complete line counts, unless a power
//! cut left zeros in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Holder, mark};
use crate::process::{self, Identity, Liveness};
use crate::random;

/// The format of the record that this version writes. A newer one is read, never taken over.
pub const FORMAT: u32 = 1;
/// A record is far shorter, so the last line is in the tail.
const TAIL_BYTES: u64 = 64 * 1024;
/// Phases are no longer written from here on; a takeover always is.
pub(super) const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Longer texts are cut, so that a record has a bound.
const MAX_TEXT_CHARS: usize = 256;
const LOCK_ID_BYTES: usize = 16;
/// How far the clock of the day and the clock since boot may part without having been set.
const CLOCKS_MAY_DRIFT: Duration = Duration::from_secs(60);

/// Who holds a lock. Unknown fields are ignored, missing ones are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockRecord {
    /// The format of the record, [`FORMAT`] in this version.
    #[serde(default)]
    pub format: u32,
    /// Random, 32 lower-case hex digits; another one for each time the lock is taken.
    pub lock_id: String,
    /// The holder's process id.
    pub pid: u32,
    /// When that process started, in clock ticks since boot (Linux).
    #[serde(default)]
    pub process_start: Option<u64>,
    /// The namespace in which the process id counts (Linux).
    #[serde(default)]
    pub pid_namespace: Option<String>,
    /// The namespace in which the start time counts (Linux).
    #[serde(default)]
    pub time_namespace: Option<String>,
    /// The name of the machine.
    #[serde(default)]
    pub host: String,
    /// The random id of that boot of the machine (Linux).
    #[serde(default)]
    pub boot_id: Option<String>,
    /// The holder's user name.
    #[serde(default)]
    pub user: String,
    /// What the holder is doing, in the words of its user.
    #[serde(default)]
    pub command: String,
    /// The version of its program.
    #[serde(default)]
    pub version: String,
    /// Since when it holds the lock (by its clock; written as RFC 3339, to the millisecond).
    pub since: Timestamp,
    /// How far it is, if it says.
    #[serde(default)]
    pub phase: String,
    /// Whether it also holds the operating system's lock on the file. If not, the lock is held
    /// by existence alone.
    pub os_lock: bool,
}

impl LockRecord {
    /// A record of this process, taking the lock now.
    pub(super) fn new(holder: &Holder<'_>, os_lock: bool) -> io::Result<LockRecord> {
        let me = Identity::current();
        let now = Timestamp::now();
        Ok(LockRecord {
            format: FORMAT,
            lock_id: random::hex::<LOCK_ID_BYTES>()?,
            pid: me.pid,
            process_start: me.start,
            pid_namespace: me.pid_namespace,
            time_namespace: me.time_namespace,
            host: clip(&process::host()),
            boot_id: me.boot_id,
            user: clip(&process::user()),
            command: clip(holder.command),
            version: clip(holder.version),
            since: Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now),
            phase: String::new(),
            os_lock,
        })
    }

    pub(super) fn in_phase(&self, phase: &str) -> LockRecord {
        LockRecord {
            phase: clip(phase),
            ..self.clone()
        }
    }

    /// How long ago the lock was taken; `None` when the clocks cannot both be right: it was taken in
    /// the future, or in this boot of the machine but before it. Only for people: nothing is decided
    /// by it.
    pub fn age(&self) -> Option<Duration> {
        let age: Duration = Timestamp::now()
            .duration_since(self.since)
            .try_into()
            .ok()?;
        let boot_id = Identity::current().boot_id;
        let this_boot = boot_id.is_some() && self.boot_id == boot_id;
        let longest = process::uptime().filter(|_| this_boot);
        longest
            .is_none_or(|uptime| age <= uptime.saturating_add(CLOCKS_MAY_DRIFT))
            .then_some(age)
    }

    /// Whether the process that the record names runs, seen from here.
    pub(super) fn liveness(&self) -> Liveness {
        Identity {
            pid: self.pid,
            start: self.process_start,
            boot_id: self.boot_id.clone(),
            pid_namespace: self.pid_namespace.clone(),
            time_namespace: self.time_namespace.clone(),
        }
        .liveness()
    }

    /// A hint, no proof: dead for sure, or from before a reboot of a machine of this name. A lock
    /// that is refused although its record looks dead is about to get a new record.
    pub(super) fn looks_dead(&self) -> bool {
        match self.liveness() {
            Liveness::Alive => false,
            Liveness::Dead => true,
            Liveness::Unknown => {
                let boot_id = Identity::current().boot_id;
                boot_id.is_some()
                    && self.boot_id.is_some()
                    && self.boot_id != boot_id
                    && self.host == process::host()
            }
        }
    }

    /// The record as a line of its own, the line break included.
    pub(super) fn to_line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

/// Why a lock is held by its existence alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The file is empty, as some older programs write it.
    Empty,
    /// The file holds the word `lock`, as other older programs write it.
    LegacyWord,
    /// The file holds something else.
    Foreign,
    /// The record is in a newer format: read, but not taken over.
    NewerFormat,
    /// There are no operating system's locks on this file system.
    NoOsLocks,
    /// The file may not be opened by this user.
    NotReadable,
    /// It is not the lock but what a process leaves beside it that began to remove one and did not
    /// come to its end; whether it still runs cannot be told.
    BeingRemoved,
    /// The file is ours, and its record is gone, as a power cut leaves it. Somebody has the
    /// operating system's lock on it, and has not written another record; or there is no such lock.
    Unrecorded,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Why::Empty => "it is empty, as an older version leaves it",
            Why::LegacyWord => "it holds the word `lock`, as an older version writes it",
            Why::Foreign => "it holds no owner record",
            Why::NewerFormat => "its owner record is in a newer format",
            Why::NoOsLocks => "its file system has no locks that end with their holder",
            Why::NotReadable => "it may not be opened",
            Why::BeingRemoved => "whoever began to remove the lock has not finished",
            Why::Unrecorded => "its owner record is lost, as after a power cut",
        })
    }
}

/// What was read from a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Ours(Box<LockRecord>),
    Newer(Box<LockRecord>),
    NotOurs(Why),
}

impl Content {
    pub(super) fn record(&self) -> Option<&LockRecord> {
        match self {
            Content::Ours(record) | Content::Newer(record) => Some(record),
            Content::NotOurs(_) => None,
        }
    }
}

/// Reads the last complete line of `file` that is no victim of a power cut, and the length of all
/// complete lines: behind them may be the torn line of a holder that died while writing it.
pub(super) fn read(file: &File) -> io::Result<(Content, u64)> {
    let metadata = file.metadata()?;
    let length = metadata.len();
    let start = length.saturating_sub(TAIL_BYTES);
    let mut tail = Vec::new();
    let mut buffer = [0_u8; 4096];
    loop {
        let read = file.read_at(&mut buffer, start + length_of(&tail))?;
        if read == 0 || length_of(&tail) > TAIL_BYTES {
            break;
        }
        tail.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    let (content, complete) = parse_tail(&tail, start == 0);
    if content.record().is_none() && mark::is_on(&metadata) && mark::is_remains(&tail) {
        return Ok((Content::NotOurs(Why::Unrecorded), 0));
    }
    Ok((content, start + complete))
}

/// `whole`: the tail is the whole file.
fn parse_tail(tail: &[u8], whole: bool) -> (Content, u64) {
    let not_ours = || {
        let why = match tail.trim_ascii() {
            [] if tail.is_empty() => Why::Empty,
            b"lock" if whole => Why::LegacyWord,
            _ => Why::Foreign,
        };
        Content::NotOurs(why)
    };
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else {
        return (not_ours(), 0);
    };
    let complete = tail.get(..=end).unwrap_or_default();
    // The first line of what is not the whole file has no beginning.
    let from = if whole {
        Some(0)
    } else {
        let first = tail.iter().position(|byte| *byte == b'\n');
        first.map(|first| first + 1)
    };
    // After a power cut there may be zeros where a line had not reached the disk.
    let line = from
        .and_then(|from| tail.get(from..end))
        .unwrap_or_default()
        .rsplit(|byte| *byte == b'\n')
        .find(|line| !line.contains(&0))
        .unwrap_or_default();
    let content = match serde_json::from_slice::<LockRecord>(line) {
        Ok(record) if record.format > FORMAT => Content::Newer(Box::new(record)),
        Ok(record) => Content::Ours(Box::new(record)),
        Err(_) => not_ours(),
    };
    (content, length_of(complete))
}

/// Writes `line` behind the first `length` bytes, which are complete lines, and returns the new
/// length. A torn line there goes first: a record appended to it would be unreadable. A failure
/// leaves the complete lines as they were.
pub(super) fn append_line(file: &File, length: u64, line: &[u8]) -> io::Result<u64> {
    file.set_len(length)?;
    if let Err(error) = file.write_all_at(line, length) {
        // What was written of it has no line break, so it does not count even if it stays.
        drop(file.set_len(length));
        return Err(error);
    }
    Ok(length + length_of(line))
}

pub(super) fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
