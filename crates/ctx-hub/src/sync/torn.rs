//! What stands behind the recorded length of a mirror file: the trace of an append of ours that
//! was not finished, or somebody's edit? Pure.
//!
//! Its shape alone ([`is_ours`]) turns most edits away before anything is asked of a hub, and cannot
//! tell the beginning of a header from a line that a person has not finished. What is about to be
//! appended tells ([`judge`]): nothing is cut off but what is written again with the next byte.

use std::ops::ControlFlow;

use ctx_config::limits;

use super::escape::{escape, unescape};
use super::parse::{Segment, classify, read_comment};
use super::render::{COMMENT, HEADER, ORIGIN, date};
use super::segments::Segments;
use crate::types::{EntryType, Sequence};

/// No batch of ours is longer as text; what is longer is not ours. (A batch ends with the entry
/// that fills it, and escaping makes three bytes of one at most.)
pub(super) const TAIL_MAX_BYTES: usize =
    4 * (limits::SYNC_CHUNK_BYTES + limits::CLIENT_MESSAGE_MAX_BYTES);

/// [`super::render::END`] without its very last byte.
const END_BUT_ONE: &[u8] = b"\n\n---\n";
/// Bytes of a date.
const DATE_BYTES: usize = 10;

/// What is to be done with a tail before entries are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// It begins with what is to be appended: that is written already, and what follows it stays
    /// for the next entries to be compared with.
    Written,
    /// It is an append that broke off: it is cut, and nothing is lost with it.
    Torn,
    /// It is none of ours.
    Foreign,
}

/// What `tail`, found in the mirror file of `entry_type` behind what was recorded up to `cursor`,
/// is, when `text` is to be appended. An append that was killed began with the same bytes, for what
/// follows a cursor does not change. Should it have changed after all (the hub was set back), whole
/// entries are still known by their check.
pub(super) fn judge(tail: &[u8], text: &[u8], entry_type: EntryType, cursor: Sequence) -> Tail {
    let written = written(tail);
    if text.starts_with(written) {
        Tail::Torn
    } else if written.starts_with(text) {
        Tail::Written
    } else if is_whole(written, entry_type, cursor) {
        Tail::Torn
    } else {
        Tail::Foreign
    }
}

/// What was written of `tail`: from the first NUL on, which neither we nor people write, it is disk
/// that a power cut left unwritten.
pub(super) fn written(tail: &[u8]) -> &[u8] {
    tail.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Whether `written` is nothing but whole entries with rising sequences after `last`.
pub(super) fn is_whole(written: &[u8], entry_type: EntryType, mut last: Sequence) -> bool {
    let mut segments = Segments::new(written);
    // Reading from memory does not fail.
    while let Ok(Some(segment)) = segments.next() {
        match classify(&segment, entry_type) {
            Segment::Ours(entry) if entry.sequence > last => last = entry.sequence,
            _ => return false,
        }
    }
    true
}

/// Whether `tail`, found in the mirror file of `entry_type` behind what was recorded up to
/// `cursor`, has the shape of an append of ours: whole entries with rising sequences after the
/// cursor, then at most the beginning of one, then at most what a power cut left unwritten.
pub(super) fn is_ours(tail: &[u8], entry_type: EntryType, cursor: Sequence) -> bool {
    let mut last = cursor;
    let mut segments = Segments::new(written(tail));
    // Reading from memory does not fail.
    while let Ok(Some(segment)) = segments.next() {
        match classify(&segment, entry_type) {
            Segment::Ours(entry) if entry.sequence > last => last = entry.sequence,
            // Only the last piece can be torn: the others end with a rule.
            _ => return matches!(segments.next(), Ok(None)) && is_beginning(&segment, last),
        }
    }
    true
}

/// Whether `text` has the shape of the beginning of an entry of ours after sequence `last`.
pub(super) fn is_beginning(text: &[u8], last: Sequence) -> bool {
    matches!(read(text, last), ControlFlow::Break(true))
}

/// Reads as far as `text` goes and breaks with the verdict.
fn read(text: &[u8], last: Sequence) -> ControlFlow<bool> {
    let rest = expect(text, HEADER.as_bytes())?;
    let Some((header, rest)) = line(rest) else {
        let date = rest.get(..DATE_BYTES).unwrap_or(rest);
        return ControlFlow::Break(date.iter().all(|&b| b == b'-' || b.is_ascii_digit()));
    };
    let Some((comment, rest)) = line(rest) else {
        let json = expect(rest, COMMENT.as_bytes())?;
        return ControlFlow::Break(json.iter().all(|byte| (b' '..=b'~').contains(byte)));
    };
    let fits = read_comment(comment).is_some_and(|comment| {
        Sequence::new(comment.seq) > last
            && header.starts_with(format!("{}] ", date(comment.ts)).as_bytes())
    });
    if !fits {
        return ControlFlow::Break(false);
    }
    let rest = expect(rest, ORIGIN.as_bytes())?;
    let Some((_origin, rest)) = line(rest) else {
        return ControlFlow::Break(true);
    };
    let content = expect(rest, b"\n")?;
    ControlFlow::Break(is_beginning_of_content(content))
}

/// Whether every whole line of `content` is as escaping leaves it.
fn is_beginning_of_content(content: &[u8]) -> bool {
    let content = content.strip_suffix(END_BUT_ONE).unwrap_or(content);
    let end = content
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    content
        .get(..end)
        .and_then(|whole| std::str::from_utf8(whole).ok())
        .is_some_and(|whole| escape(&unescape(whole)) == whole)
}

/// What follows `literal`; otherwise breaks with whether `text` is a beginning of it.
fn expect<'a>(text: &'a [u8], literal: &[u8]) -> ControlFlow<bool, &'a [u8]> {
    match text.strip_prefix(literal) {
        Some(rest) => ControlFlow::Continue(rest),
        None => ControlFlow::Break(literal.starts_with(text)),
    }
}

/// The first whole line and what follows it.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::render::render;
    use super::super::samples;
    use super::*;

    const TYPE: EntryType = EntryType::Decision;

    fn ours(tail: &[u8], cursor: u64) -> bool {
        is_ours(tail, TYPE, Sequence::new(cursor))
    }

    fn two_entries() -> String {
        let mut second = samples::entry(9, TYPE, "# head\n---\n<!-- x\n\n\\---\nend\n\n");
        second.origin = "ü\nx".to_owned();
        render(&samples::entry(5, TYPE, "first")) + &render(&second)
    }

    #[test]
    fn an_append_torn_at_any_byte_is_ours() {
        let text = two_entries();
        for length in 0..=text.len() {
            assert!(ours(&text.as_bytes()[..length], 4), "{length}");
        }
    }

    #[test]
    fn entries_up_to_the_cursor_are_not_a_tail_of_ours() {
        let text = two_entries();
        assert!(!ours(text.as_bytes(), 5));
        let torn = &text.as_bytes()[..text.len() - 3];
        assert!(!ours(torn, 9));
        let twice = text.repeat(2);
        assert!(!ours(twice.as_bytes(), 4));
    }

    #[test]
    fn what_people_append_is_not_ours() {
        let entry = render(&samples::entry(5, TYPE, "first\nsecond\n"));
        let note = "\nremember this\n";
        for tail in [
            "\n".to_owned(),
            "x".to_owned(),
            "notes\n".to_owned(),
            "## mine\n".to_owned(),
            "## [2026-06-11] Title\n\n**Origin**: p\n\nTitle\n\n---\n\n".to_owned(),
            format!("{entry}{note}"),
            format!("{note}{entry}"),
            entry.replace("second", "2nd"),
            entry
                .replace("second\n", "# second\n# third\n")
                .replace("\n\n---\n\n", "\n"),
            entry.replace("\n\n---\n\n", "\n\n---\n\n\n"),
        ] {
            assert!(!ours(tail.as_bytes(), 0), "{tail:?}");
        }
    }

    #[test]
    fn blocks_that_a_power_cut_left_unwritten_end_the_tail() {
        let text = two_entries();
        for length in [0, 3, 40, 100, text.len()] {
            let mut tail = text.as_bytes()[..length].to_vec();
            tail.extend([0; 512]);
            assert!(ours(&tail, 4), "{length}");
        }
        assert!(!ours(b"notes\0\0", 4));
    }

    #[test]
    fn a_torn_append_is_known_by_what_comes_again() {
        let (tail, cursor) = (two_entries(), Sequence::new(4));
        let first = render(&samples::entry(5, TYPE, "first"));
        for length in 0..=tail.len() {
            let torn = &tail.as_bytes()[..length];
            let all = judge(torn, tail.as_bytes(), TYPE, cursor);
            assert_eq!(all, Tail::Torn, "{length}: all of it comes again");
            let one = judge(torn, first.as_bytes(), TYPE, cursor);
            let expected = if length > first.len() {
                Tail::Written
            } else {
                Tail::Torn
            };
            assert_eq!(one, expected, "{length}: the first of it comes again");
        }
        let other = render(&samples::entry(5, TYPE, "another log"));
        let whole = judge(first.as_bytes(), other.as_bytes(), TYPE, cursor);
        assert_eq!(
            whole,
            Tail::Torn,
            "a whole entry is ours, whatever comes now"
        );
    }

    #[test]
    fn a_line_that_only_begins_as_ours_do_is_a_person_s() {
        let text = two_entries();
        for line in [
            "## [2026-01-02] words",
            "## [2026-06-11] wor",
            "## [1",
            "## [2026-06-11] first\n<!-- ctx {\"seq\":6",
        ] {
            assert!(ours(line.as_bytes(), 4), "{line}: its shape does not tell");
            let cursor = Sequence::new(4);
            assert_eq!(
                judge(line.as_bytes(), text.as_bytes(), TYPE, cursor),
                Tail::Foreign,
                "{line}"
            );
        }
        let after = judge(
            (text.clone() + "## [2026-01-02] words").as_bytes(),
            text.as_bytes(),
            TYPE,
            Sequence::new(4),
        );
        assert_eq!(after, Tail::Written, "it stays behind what is committed");
    }

    proptest! {
        #[test]
        fn every_beginning_of_what_we_write_is_ours(
            entries in samples::entries(),
            at in any::<proptest::sample::Index>(),
        ) {
            let text: String = entries.iter().map(render).collect();
            let length = at.index(text.len() + 1);
            prop_assert!(ours(&text.as_bytes()[..length], 0));
        }

        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            ours(&bytes, 0);
        }
    }
}
