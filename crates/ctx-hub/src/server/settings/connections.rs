//! `[connections]`: how many there may be, and how long a peer may draw things out.

use std::time::Duration;

use ctx_config::limits;
use serde::{Deserialize, Serialize};

use super::{HumanDuration, Invalid, Section};

/// Shortest time that may be set: below it, peers on a slow network would be cut off.
const SHORTEST: Duration = Duration::from_millis(10);

/// Longest time that may be set.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Bounds of `headers_bytes`: below, no call would pass; above, ten thousand of them would not fit.
const HEADERS_BYTES: [u32; 2] = [4_096, 1_048_576];

/// How many connections there may be, and how long a peer may draw things out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Connections {
    /// Connections at the address of the hub; fewer when the system allows fewer open files.
    pub most: usize,
    /// Connections with one address, or with one /64 of IPv6; never more than half of all.
    pub per_address: usize,
    /// Time for the handshake before HTTP/2.
    pub handshake: HumanDuration,
    /// Time from the handshake to the first call.
    pub first_call: HumanDuration,
    /// Time that a connection stays open without a call.
    pub idle: HumanDuration,
    /// Time for the message of a call to arrive, unless it is a publish.
    pub message: HumanDuration,
    /// Time for the message of a publish to arrive.
    pub publish: HumanDuration,
    /// Time that an answer may remain unread.
    pub stalled: HumanDuration,
    /// Time between two pings.
    pub ping_interval: HumanDuration,
    /// Time for the answer to a ping.
    pub ping_timeout: HumanDuration,
    /// Calls and streams at a time on one connection.
    pub calls: u32,
    /// Calls on one connection that may be taken back in a minute before they are answered.
    pub taken_back_per_minute: u32,
    /// Bytes of the headers of a call.
    pub headers_bytes: u32,
    /// Bytes of messages that clients are sending at a time.
    pub receiving_bytes: usize,
    /// Bytes of messages that one client is sending at a time.
    pub receiving_client_bytes: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            most: limits::CONNECTIONS,
            per_address: limits::ADDRESS_CONNECTIONS,
            handshake: HumanDuration::new(limits::HANDSHAKE_LIMIT),
            first_call: HumanDuration::new(limits::FIRST_CALL_LIMIT),
            idle: HumanDuration::new(limits::CONNECTION_IDLE_LIMIT),
            message: HumanDuration::new(limits::MESSAGE_LIMIT),
            publish: HumanDuration::new(limits::PUBLISH_LIMIT),
            stalled: HumanDuration::new(limits::STALLED_LIMIT),
            ping_interval: HumanDuration::new(limits::PING_INTERVAL),
            ping_timeout: HumanDuration::new(limits::PING_TIMEOUT),
            calls: limits::CONNECTION_MAX_CALLS,
            taken_back_per_minute: limits::CONNECTION_MAX_TAKEN_BACK,
            headers_bytes: limits::HEADERS_MAX_BYTES,
            receiving_bytes: limits::RECEIVING_BYTES,
            receiving_client_bytes: limits::RECEIVING_CLIENT_BYTES,
        }
    }
}

impl Section for Connections {
    fn validate(&self) -> Result<(), Invalid> {
        for (key, value) in [("most", self.most), ("per_address", self.per_address)] {
            if value == 0 {
                return Err(Invalid::new(key, "is 0; it has to be at least 1"));
            }
        }
        if self.calls == 0 {
            return Err(Invalid::new("calls", "is 0; it has to be at least 1"));
        }
        let [least, most] = HEADERS_BYTES;
        if !(least..=most).contains(&self.headers_bytes) {
            let why = format!(
                "is {}; it has to be at least {least} and at most {most}",
                self.headers_bytes
            );
            return Err(Invalid::new("headers_bytes", why));
        }
        // Else the largest message could never be received.
        let least = limits::SERVER_MESSAGE_MAX_BYTES;
        for (key, value) in [
            ("receiving_bytes", self.receiving_bytes),
            ("receiving_client_bytes", self.receiving_client_bytes),
        ] {
            if value < least {
                let why = format!("is {value}; it has to be at least {least}");
                return Err(Invalid::new(key, why));
            }
        }
        self.times().into_iter().try_for_each(check_time)
    }
}

impl Connections {
    fn times(&self) -> [(&'static str, HumanDuration); 8] {
        [
            ("handshake", self.handshake),
            ("first_call", self.first_call),
            ("idle", self.idle),
            ("message", self.message),
            ("publish", self.publish),
            ("stalled", self.stalled),
            ("ping_interval", self.ping_interval),
            ("ping_timeout", self.ping_timeout),
        ]
    }
}

fn check_time((key, time): (&'static str, HumanDuration)) -> Result<(), Invalid> {
    if (SHORTEST..=LONGEST).contains(&time.get()) {
        return Ok(());
    }
    let (least, most) = (HumanDuration::new(SHORTEST), HumanDuration::new(LONGEST));
    let why = format!("is {time}; it has to be at least {least} and at most {most}");
    Err(Invalid::new(key, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Connections)) -> String {
        let mut connections = Connections::default();
        change(&mut connections);
        let invalid = connections.validate().unwrap_err();
        format!("{} {}", invalid.key, invalid.why)
    }

    #[test]
    fn what_would_shut_everybody_out_is_refused() {
        Connections::default().validate().unwrap();
        assert_eq!(
            refused(|c| c.most = 0),
            "most is 0; it has to be at least 1"
        );
        assert_eq!(
            refused(|c| c.calls = 0),
            "calls is 0; it has to be at least 1"
        );
        assert_eq!(
            refused(|c| c.headers_bytes = 100),
            "headers_bytes is 100; it has to be at least 4096 and at most 1048576"
        );
        assert_eq!(
            refused(|c| c.receiving_client_bytes = 1),
            "receiving_client_bytes is 1; it has to be at least 16777216"
        );
        assert_eq!(
            refused(|c| c.idle = HumanDuration::default()),
            "idle is 0s; it has to be at least 10ms and at most 30days"
        );
    }
}
