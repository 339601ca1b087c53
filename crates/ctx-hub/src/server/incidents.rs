//! What happens on connections that is no call: refused, given up, closed for cause.
//!
//! A flood must not become a flood of lines. Of each kind one line is written, and then none for
//! [`QUIET`]; the next one says how many there were meanwhile.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::audit::{Audit, Event};

/// How long further incidents of a kind are only counted.
const QUIET: Duration = Duration::from_secs(10);

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incident {
    /// Refused: every place is taken.
    TooManyConnections,
    /// Refused: its address has all the places that one may have.
    TooManyOfOneAddress,
    /// The handshake went wrong.
    HandshakeFailed,
    /// The handshake did not come to its end in time.
    HandshakeSlow,
    /// No call came.
    NoCall,
    /// No call came any more.
    Idle,
    /// An answer was not read.
    Stalled,
    /// Too many calls were taken back.
    TakenBack,
}

impl Incident {
    const ALL: [Self; 8] = [
        Self::TooManyConnections,
        Self::TooManyOfOneAddress,
        Self::HandshakeFailed,
        Self::HandshakeSlow,
        Self::NoCall,
        Self::Idle,
        Self::Stalled,
        Self::TakenBack,
    ];

    /// What the audit trail calls it: what happened, and why.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::TooManyConnections => ("connection_refused", "too_many"),
            Self::TooManyOfOneAddress => ("connection_refused", "too_many_of_address"),
            Self::HandshakeFailed => ("handshake_failed", "failed"),
            Self::HandshakeSlow => ("handshake_failed", "slow"),
            Self::NoCall => ("connection_closed", "no_call"),
            Self::Idle => ("connection_closed", "idle"),
            Self::Stalled => ("connection_closed", "stalled"),
            Self::TakenBack => ("connection_closed", "taken_back"),
        }
    }

    /// Whether a peer that means well gets there in the course of a day.
    const fn is_usual(self) -> bool {
        matches!(self, Self::Idle)
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyConnections => "refused: too many connections",
            Self::TooManyOfOneAddress => "refused: too many connections from this address",
            Self::HandshakeFailed => "the handshake failed",
            Self::HandshakeSlow => "the handshake took too long",
            Self::NoCall => "closed: no call came",
            Self::Idle => "closed: idle",
            Self::Stalled => "closed: an answer was not read",
            Self::TakenBack => "closed: too many calls were taken back",
        })
    }
}

/// Counts incidents, and tells of them.
#[derive(Default)]
pub(super) struct Incidents {
    tallies: [Mutex<Tally>; Incident::ALL.len()],
    audit: Option<Arc<Audit>>,
}

#[derive(Debug, Default)]
struct Tally {
    untold: u64,
    told_at: Option<Instant>,
}

impl Incidents {
    /// Incidents that are put on record, too.
    pub(super) fn on_record(audit: Arc<Audit>) -> Self {
        Self {
            audit: Some(audit),
            ..Self::default()
        }
    }

    /// Notes that `incident` happened to a connection from `address`.
    pub(super) fn note(&self, incident: Incident, address: Option<SocketAddr>) {
        if incident.is_usual() {
            tracing::debug!(?address, "connection {incident}");
            return;
        }
        if let Some(audit) = &self.audit {
            let address = address.map(|address| address.ip());
            audit.event(Event::Connection(incident), address);
        }
        if let Some(count) = self.count(incident, Instant::now()) {
            let address = address.map(tracing::field::display);
            tracing::warn!(address, count, "connection {incident}");
        }
    }

    /// Counts one more; answers how many there were since the last line when another is due.
    fn count(&self, incident: Incident, now: Instant) -> Option<u64> {
        let at = Incident::ALL.iter().position(|known| *known == incident)?;
        let mut tally = self
            .tallies
            .get(at)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        tally.untold += 1;
        let due = tally
            .told_at
            .is_none_or(|told| now.duration_since(told) >= QUIET);
        due.then(|| {
            tally.told_at = Some(now);
            std::mem::take(&mut tally.untold)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_one_line_in_a_while_and_hides_no_other_kind() {
        let incidents = Incidents::default();
        let start = Instant::now();
        let flood = Incident::TooManyOfOneAddress;
        assert_eq!(incidents.count(flood, start), Some(1));
        for _ in 0..1_000 {
            assert_eq!(incidents.count(flood, start), None);
        }
        assert_eq!(incidents.count(Incident::Stalled, start), Some(1));
        assert_eq!(incidents.count(flood, start + QUIET), Some(1_001));
    }
}
