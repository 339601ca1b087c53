//! What a client is charged, and what it is told.

use ctx_config::wire::RETRY_AFTER_HEADER;
use tonic::Code;

use super::*;
use crate::entry::EntryMeta;
use crate::server::ManualClock;
use crate::types::{EntryId, EntryType};

struct Setting {
    budget: Budget,
    clock: ManualClock,
    one: ClientId,
    two: ClientId,
}

impl Setting {
    fn new(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let clock = ManualClock::at(DAY * 20_000 + DAY - 90);
        Self {
            budget: Budget::new(&limits, clock.clone().into()),
            clock,
            one: ClientId::random().unwrap(),
            two: ClientId::random().unwrap(),
        }
    }
}

/// Entries whose ids and contents take so many bytes each.
fn drafts(count: usize, bytes: usize) -> Vec<EntryDraft> {
    let draft = |_| {
        let id = EntryId::random().unwrap();
        let content = "x".repeat(bytes - id.as_str().len());
        EntryDraft::new(id, EntryType::Task, content, 0, EntryMeta::default()).unwrap()
    };
    (0..count).map(draft).collect()
}

/// The code, and what the hint says in milliseconds.
fn told(refused: Result<impl Sized, Status>) -> (Code, Option<u64>) {
    let Err(status) = refused else {
        panic!("not refused");
    };
    let hint = status.metadata().get(RETRY_AFTER_HEADER);
    let hint = hint.map(|hint| hint.to_str().unwrap().parse().unwrap());
    (status.code(), hint)
}

#[test]
fn a_client_over_its_rate_is_told_when_to_come_back_and_another_one_notices_nothing() {
    let s = Setting::new(|limits| {
        limits.entries_per_second = 10;
        limits.entries_burst = 20;
    });
    s.budget.charge(&s.one, &drafts(20, 64)).unwrap();
    let refused = s.budget.charge(&s.one, &drafts(5, 64));
    assert_eq!(told(refused), (Code::ResourceExhausted, Some(500)));
    // Before its message is read, too.
    assert_eq!(
        told(s.budget.check(&s.one)),
        (Code::ResourceExhausted, Some(100))
    );
    s.budget.check(&s.two).unwrap();
    s.budget.charge(&s.two, &drafts(20, 64)).unwrap();
    // Whoever does not wait loses nothing by it, and gains nothing.
    for _ in 0..1_000 {
        told(s.budget.charge(&s.one, &drafts(5, 64)));
    }
    s.clock.advance(Duration::from_millis(500));
    s.budget.charge(&s.one, &drafts(5, 64)).unwrap();
}

#[test]
fn bytes_are_counted_with_the_id_and_the_meta() {
    let s = Setting::new(|limits| {
        limits.bytes_per_second = 1_000;
        limits.burst_bytes = 4_000;
    });
    s.budget.charge(&s.one, &drafts(4, 1_000)).unwrap();
    let refused = s.budget.charge(&s.one, &drafts(1, 1_000));
    assert_eq!(told(refused), (Code::ResourceExhausted, Some(1_000)));
    // The entries that were refused for their bytes were not charged as entries either.
    s.clock.advance(Duration::from_secs(1));
    s.budget.charge(&s.one, &drafts(1, 1_000)).unwrap();
}

#[test]
fn what_can_never_pass_is_not_told_to_wait() {
    let s = Setting::new(|limits| limits.entries_burst = 3);
    assert_eq!(
        told(s.budget.charge(&s.one, &drafts(4, 64))),
        (Code::InvalidArgument, None)
    );
    let s = Setting::new(|limits| limits.daily_bytes = 100);
    assert_eq!(
        told(s.budget.charge(&s.one, &drafts(2, 64))),
        (Code::InvalidArgument, None)
    );
}

#[test]
fn the_day_is_that_of_utc_and_its_end_is_the_hint() {
    let s = Setting::new(|limits| limits.daily_bytes = 1_000);
    let quota = s.budget.charge(&s.one, &drafts(1, 64)).unwrap();
    let expected = Quota {
        day: 20_000,
        bytes: 64,
        most: Some(1_000),
    };
    assert_eq!(quota, expected);
    let refused = Err::<(), _>(s.budget.day_is_over());
    assert_eq!(told(refused), (Code::ResourceExhausted, Some(90_000)));
    s.clock.advance(Duration::from_secs(90));
    let quota = s.budget.charge(&s.one, &drafts(1, 64)).unwrap();
    assert_eq!(quota.day, 20_001);
}

#[test]
fn without_limits_nothing_is_refused_or_counted() {
    let s = Setting::new(|limits| {
        limits.entries_per_second = 0;
        limits.bytes_per_second = 0;
        limits.daily_bytes = 0;
    });
    for _ in 0..100 {
        let quota = s.budget.charge(&s.one, &drafts(1_000, 64)).unwrap();
        assert_eq!(quota.most, None);
    }
}
