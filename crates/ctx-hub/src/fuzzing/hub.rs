//! What a hub reads from whoever connects, for any bytes.

use std::cell::RefCell;

use super::letter::{Letter, replaced};
use super::served::Served;
use crate::wire::method;

thread_local! {
    /// One hub for all calls of a thread, stopped and removed with it.
    static HUB: RefCell<Option<Served>> = const { RefCell::new(None) };
}

/// The calls whose answer ends by itself.
const ENDING: [&str; 9] = [
    method::REGISTER,
    method::REVOKE,
    method::PUBLISH,
    method::SYNC,
    method::STATUS,
    method::HUB_STATUS,
    method::LIST_CLIENTS,
    method::REVOKE_CLIENT,
    method::SHUTDOWN,
];

/// Runs `ask` with a hub, unless there is no room for one.
fn with_hub(ask: impl FnOnce(&Served)) {
    HUB.with_borrow_mut(|hub| {
        if hub.is_none() {
            *hub = Served::start();
        }
        if let Some(hub) = hub {
            ask(hub);
        }
    });
}

/// Any bytes on a connection: it ends with its peer, whoever behaves is served all the same, and
/// nothing is stored. A target of its own begins them as HTTP/2 does, since chance does not.
pub fn hub_bytes(bytes: &[u8]) {
    with_hub(|hub| {
        hub.pour(bytes);
        assert_eq!(hub.entries(), hub.seen.get().0);
    });
}

/// As [`hub_bytes`], after the greeting of HTTP/2.
pub fn hub_frames(bytes: &[u8]) {
    const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    hub_bytes(&[GREETING, bytes].concat());
}

/// A request that is HTTP/2 and may make no sense otherwise, as a `Letter`; `$CLIENT` and `$ADMIN`
/// stand for credentials.
///
/// Whoever shows no credentials is answered with an error by every call, and changes nothing. No
/// answer repeats credentials, each call has one status, and whoever behaves is served meanwhile.
pub fn hub_request(bytes: &[u8]) {
    with_hub(|hub| {
        let text = replaced(bytes, b"$CLIENT", hub.client.as_bytes());
        let text = replaced(&text, b"$ADMIN", hub.admin.as_bytes());
        // A fuzzer that watches comparisons learns them.
        let secrets = [&hub.client, &hub.admin, &hub.owner];
        let stranger = !secrets.iter().any(|secret| holds(&text, secret));
        let letter = Letter::read(&text);
        let path = letter.first.split(|byte| *byte == b'?').next();
        let ours = ENDING.iter().any(|call| Some(call.as_bytes()) == path);
        if let Some(answer) = hub.ask(&letter, ours) {
            let code = answer.code();
            if ours && answer.http == 200 {
                assert!(code.is_some(), "an answer without a status");
                assert!(!stranger || code != Some(0), "a stranger was answered");
            }
            let everything = answer.everything();
            for secret in secrets {
                assert!(!holds(&everything, secret), "credentials");
            }
        }
        let (before, now) = (hub.seen.get(), (hub.entries(), hub.clients()));
        assert!(now.0 >= before.0, "entries were lost");
        assert!(!stranger || now == before, "a stranger changed something");
        hub.seen.set(now);
    });
}

fn holds(text: &[u8], part: &str) -> bool {
    text.windows(part.len())
        .any(|window| window == part.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a seed is answered: the code of its status, and how many entries there are then.
    fn answered(hub: &Served, seed: &[u8]) -> (Option<u32>, u64) {
        let text = replaced(seed, b"$CLIENT", hub.client.as_bytes());
        let text = replaced(&text, b"$ADMIN", hub.admin.as_bytes());
        let answer = hub.ask(&Letter::read(&text), true).unwrap();
        (answer.code(), hub.entries())
    }

    #[test]
    fn the_seeds_are_requests_that_are_answered() {
        let hub = Served::start().unwrap();
        let seeds: [(&[u8], u32, u64); 6] = [
            (
                include_bytes!("../../../../fuzz/seeds/hub_request/stranger"),
                16,
                0,
            ),
            (
                include_bytes!("../../../../fuzz/seeds/hub_request/status"),
                0,
                0,
            ),
            (
                include_bytes!("../../../../fuzz/seeds/hub_request/publish"),
                0,
                1,
            ),
            (
                include_bytes!("../../../../fuzz/seeds/hub_request/proto"),
                0,
                2,
            ),
            (
                include_bytes!("../../../../fuzz/seeds/hub_request/clients"),
                0,
                2,
            ),
            (
                include_bytes!("../../../../fuzz/seeds/hub_request/guess"),
                7,
                2,
            ),
        ];
        for (seed, code, entries) in seeds {
            let answered = answered(&hub, seed);
            assert_eq!(
                answered,
                (Some(code), entries),
                "{}",
                String::from_utf8_lossy(seed)
            );
        }
    }
}
