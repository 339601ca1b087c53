//! What happens on connections that is no call: refused, given up, closed for cause.
//!
//! A flood must not become a flood of lines. Of each kind one line is written, and then none for
//! [`QUIET`]; the next one says how many there were meanwhile.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
#[derive(Debug, Default)]
pub(super) struct Incidents([Mutex<Tally>; Incident::ALL.len()]);

#[derive(Debug, Default)]
struct Tally {
    untold: u64,
    told_at: Option<Instant>,
}

impl Incidents {
    /// Notes that `incident` happened to a connection from `address`.
    pub(super) fn note(&self, incident: Incident, address: Option<SocketAddr>) {
        if incident.is_usual() {
            tracing::debug!(?address, "connection {incident}");
            return;
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
            .0
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
