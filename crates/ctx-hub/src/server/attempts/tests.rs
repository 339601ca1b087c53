//! Who is refused after how much guessing, and who is not.

use std::future::ready;

use super::*;
use crate::server::ManualClock;

const BURST: u32 = 5;

struct Setting {
    attempts: Attempts,
    clock: ManualClock,
}

impl Setting {
    fn new() -> Self {
        let limits = Limits {
            failures_burst: BURST,
            failures_per_minute: 6,
            ..Limits::default()
        };
        let clock = ManualClock::at(0);
        // Away from the beginning, as a clock that has been running.
        clock.advance(Duration::from_secs(1_000));
        let attempts = Attempts::new(&limits, clock.clone().into());
        Self { attempts, clock }
    }

    /// What is presented is looked at; whether it is good; the answer's code.
    async fn present(&self, from: &str, token: &str, good: bool) -> Code {
        let answer = match good {
            true => Ok(()),
            false => Err(status::unauthenticated()),
        };
        let from = Some(from.parse().unwrap());
        let presented = Some(TokenHash::of(token));
        let checked = self.attempts.check(from, presented, ready(answer)).await;
        checked.map_or_else(|status| status.code(), |()| Code::Ok)
    }

    async fn guess(&self, from: &str, times: u32) -> Vec<Code> {
        let mut codes = Vec::new();
        for guess in 0..times {
            codes.push(self.present(from, &format!("guess {guess}"), false).await);
        }
        codes.dedup();
        codes
    }
}

const LOOKED_AT: Code = Code::Unauthenticated;
const REFUSED: Code = Code::ResourceExhausted;

#[tokio::test]
async fn an_address_that_failed_too_often_is_refused_whatever_it_presents() {
    let s = Setting::new();
    assert_eq!(s.guess("192.0.2.1", BURST).await, [LOOKED_AT]);
    assert_eq!(s.guess("192.0.2.1", 100).await, [REFUSED]);
    assert_eq!(s.present("192.0.2.1", "good", true).await, REFUSED);
    assert_eq!(s.present("192.0.2.2", "good", true).await, Code::Ok);
    // One attempt comes back, and no more.
    s.clock.advance(Duration::from_secs(10));
    assert_eq!(s.guess("192.0.2.1", 2).await, [LOOKED_AT, REFUSED]);
}

#[tokio::test]
async fn a_token_that_proved_itself_from_there_is_not_shut_out_by_a_neighbour() {
    let s = Setting::new();
    assert_eq!(s.present("192.0.2.1", "good", true).await, Code::Ok);
    s.guess("192.0.2.1", 100).await;
    assert_eq!(s.present("192.0.2.1", "good", true).await, Code::Ok);
    // Only from where it proved itself, and only if it did.
    s.guess("192.0.2.2", 100).await;
    assert_eq!(s.present("192.0.2.2", "good", true).await, REFUSED);
    assert_eq!(s.present("192.0.2.1", "other", true).await, REFUSED);
    // Once it was revoked it counts as any other guess.
    assert_eq!(s.present("192.0.2.1", "good", false).await, LOOKED_AT);
    assert_eq!(s.present("192.0.2.1", "good", true).await, REFUSED);
}

#[tokio::test]
async fn what_proved_itself_long_ago_is_forgotten() {
    let s = Setting::new();
    assert_eq!(s.present("192.0.2.1", "good", true).await, Code::Ok);
    s.clock.advance(limits::PROVED_FOR);
    s.guess("192.0.2.1", 100).await;
    assert_eq!(s.present("192.0.2.1", "good", true).await, REFUSED);
}

#[tokio::test]
async fn guesses_that_were_under_way_together_are_paid_for_and_the_debt_ends() {
    let s = Setting::new();
    let from: IpAddr = "192.0.2.1".parse().unwrap();
    let rate = s.attempts.rate.unwrap();
    for _ in 0..100_000 {
        // As if all of them had been let in before the first one failed.
        s.attempts.failed(from, rate, None);
    }
    s.clock
        .advance(limits::FAILURES_LONGEST_WAIT - Duration::from_secs(1));
    assert_eq!(s.guess("192.0.2.1", 1).await, [REFUSED]);
    s.clock.advance(Duration::from_secs(11));
    assert_eq!(s.guess("192.0.2.1", 2).await, [LOOKED_AT, REFUSED]);
}

#[tokio::test]
async fn addresses_of_one_host_count_as_one() {
    let s = Setting::new();
    for (host, other) in [
        ("2001:db8::1", "2001:db8::ffff:0:0:1"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
    ] {
        s.guess(host, BURST).await;
        assert_eq!(s.guess(other, 1).await, [REFUSED], "{other}");
    }
    assert_eq!(s.guess("2001:db8:0:1::1", 1).await, [LOOKED_AT]);
}

#[tokio::test]
async fn many_addresses_and_many_tokens_take_no_more_memory() {
    let s = Setting::new();
    let rate = s.attempts.rate.unwrap();
    for number in 0..100_000_u32 {
        let from = IpAddr::from(number.to_be_bytes());
        s.attempts.failed(from, rate, None);
    }
    assert!(s.attempts.lock().failed.len() <= limits::FAILURES_MAX_ADDRESSES);
    for number in 0..100_u8 {
        s.attempts
            .proved(IpAddr::from([192, 0, 2, number]), &TokenHash::of("good"));
    }
    let seen = s.attempts.lock();
    let proofs: usize = seen.proved.values().map(Vec::len).sum();
    assert_eq!(proofs, limits::PROVED_ADDRESSES);
}

#[tokio::test]
async fn whoever_needs_no_proof_and_a_hub_without_the_limit_count_nothing() {
    let s = Setting::new();
    for _ in 0..100 {
        let wrong = ready(Err::<(), _>(status::unauthenticated()));
        let code = s
            .attempts
            .check(None, None, wrong)
            .await
            .unwrap_err()
            .code();
        assert_eq!(code, LOOKED_AT);
    }
    let limits = Limits {
        failures_burst: 0,
        ..Limits::default()
    };
    let s = Setting {
        attempts: Attempts::new(&limits, Clock::default()),
        ..s
    };
    assert_eq!(s.guess("192.0.2.1", 100).await, [LOOKED_AT]);
}
