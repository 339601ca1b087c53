//! The record and its lines: whatever the bytes, no panic, and what was written reads back.

use proptest::prelude::*;

use super::*;

fn record(command: &str) -> LockRecord {
    LockRecord::new(
        &Holder {
            command,
            version: "1.2.3",
        },
        true,
    )
    .unwrap()
}

fn parse(bytes: &[u8]) -> (Content, u64) {
    parse_tail(bytes, true)
}

fn file_with(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn contents(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn an_older_or_newer_program_may_know_fewer_or_more_fields() {
    let few = br#"{"lock_id":"ab","pid":7,"since":"2026-06-11T10:00:00Z","os_lock":true}"#;
    let (Content::Ours(record), _) = parse(&[&few[..], b"\n"].concat()) else {
        panic!("not read as ours")
    };
    assert_eq!(
        (record.lock_id.as_str(), record.pid, record.os_lock),
        ("ab", 7, true)
    );
    let more = br#"{"x":[1],"lock_id":"ab","pid":7,"since":"2026-06-11T10:00:00Z","os_lock":true}"#;
    assert_eq!(parse(&[&more[..], b"\n"].concat()).0, Content::Ours(record));
}

#[test]
fn a_newer_format_is_told_apart() {
    let newer = LockRecord {
        format: FORMAT + 1,
        ..record("sync")
    };
    let (content, _) = parse(&newer.to_line().unwrap());
    assert_eq!(content, Content::Newer(Box::new(newer)));
}

#[test]
fn what_is_not_ours_is_named() {
    for (bytes, why) in [
        (&b""[..], Why::Empty),
        (b"lock", Why::LegacyWord),
        (b"lock\n", Why::LegacyWord),
        (b"\n", Why::Foreign),
        (b"4711\n", Why::Foreign),
        (b"{}\n", Why::Foreign),
        (b"\0\0\0\0", Why::Foreign),
    ] {
        assert_eq!(parse(bytes).0, Content::NotOurs(why), "{bytes:?}");
    }
}

#[test]
fn the_largest_record_is_far_smaller_than_the_tail_that_is_read() {
    let worst = "\u{1}".repeat(100_000);
    let mut largest = LockRecord::new(
        &Holder {
            command: &worst,
            version: &worst,
        },
        true,
    )
    .unwrap();
    largest = largest.in_phase(&worst);
    (largest.user, largest.host) = (clip(&worst), clip(&worst));
    assert!(length_of(&largest.to_line().unwrap()) < TAIL_BYTES / 4);
}

#[test]
fn the_last_line_of_a_long_file_is_found() {
    let last = record("last");
    let mut bytes = record("filler").to_line().unwrap().repeat(1_000);
    assert!(length_of(&bytes) > 2 * TAIL_BYTES);
    bytes.extend(last.to_line().unwrap());
    let expected = (Content::Ours(Box::new(last)), length_of(&bytes));
    assert_eq!(read(&file_with(&bytes)).unwrap(), expected);
}

/// What a power cut may make of a phase that had not reached the disk.
#[test]
fn a_line_that_was_lost_to_a_power_cut_gives_way_to_the_one_before_it() {
    let (holder, next) = (record("holder"), record("next"));
    let lost = [&[0; 100][..], br#""phase":"pull"}"#, b"\n"].concat();
    let bytes = [holder.to_line().unwrap(), lost].concat();
    let file = file_with(&bytes);
    let (content, length) = read(&file).unwrap();
    assert_eq!(content, Content::Ours(Box::new(holder)));
    append_line(&file, length, &next.to_line().unwrap()).unwrap();
    assert_eq!(read(&file).unwrap().0, Content::Ours(Box::new(next)));
}

#[test]
fn one_line_longer_than_the_tail_is_foreign() {
    let mut bytes = vec![b' '; 100_000];
    bytes.extend(record("padded").to_line().unwrap());
    assert_eq!(
        read(&file_with(&bytes)).unwrap().0,
        Content::NotOurs(Why::Foreign)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        whole: bool,
    ) {
        let (content, complete) = parse_tail(&bytes, whole);
        prop_assert!(complete <= length_of(&bytes));
        prop_assert!(content.record().is_none());
    }

    #[test]
    fn what_was_written_reads_back(command: String, version: String, phase: String) {
        let written = LockRecord::new(&Holder { command: &command, version: &version }, true)
            .unwrap()
            .in_phase(&phase);
        let line = written.to_line().unwrap();
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert_eq!(parse(&line), (Content::Ours(Box::new(written)), length_of(&line)));
    }

    /// The dead record stays recoverable wherever its successor died in the middle of its own.
    #[test]
    fn a_torn_last_line_is_ignored_and_cut_before_the_next(cut in 1_usize..200) {
        let (dead, torn, next) = (record("dead"), record("torn"), record("next"));
        let line = dead.to_line().unwrap();
        let mut bytes = line.clone();
        bytes.extend(&torn.to_line().unwrap()[..cut]);
        let file = file_with(&bytes);
        let (content, complete) = read(&file).unwrap();
        prop_assert_eq!(content, Content::Ours(Box::new(dead)));
        prop_assert_eq!(complete, length_of(&line));

        let next_line = next.to_line().unwrap();
        let length = append_line(&file, complete, &next_line).unwrap();
        prop_assert_eq!(contents(&file), [line, next_line].concat());
        prop_assert_eq!(read(&file).unwrap(), (Content::Ours(Box::new(next)), length));
    }
}
