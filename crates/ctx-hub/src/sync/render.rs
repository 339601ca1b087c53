//! An entry as text. Pure: the same entry gives the same bytes, whoever writes them.

use std::fmt::Write as _;

use ctx_config::limits;
use jiff::Timestamp;
use jiff::tz::Offset;
use sha2::{Digest as _, Sha256};

use super::escape::{escape_inline, escape_to, is_break};
use crate::entry::Entry;

/// Begins the header of an entry.
pub(super) const HEADER: &str = "## [";
/// Begins the comment below the header; JSON follows.
pub(super) const COMMENT: &str = "<!-- ctx ";
/// Ends the comment.
pub(super) const COMMENT_END: &str = " -->";
/// Stands between the comment's line and the origin.
pub(super) const ORIGIN: &str = "\n**Origin**: ";
/// Ends an entry, after its content.
pub(super) const END: &str = "\n\n---\n\n";
/// Names in the comment what the client of the publisher said of itself: nobody vouches for it.
const CLIENT_REPORTED: &str = "client_reported";
/// What the same was called in mirrors that an earlier version wrote.
const CLIENT_REPORTED_BEFORE: &str = "meta";
/// The title of an entry in which nothing can be shown.
const EMPTY_TITLE: &str = "(empty)";
/// The date of a time that no calendar of four-digit years has.
const NO_DATE: &str = "0000-00-00";

/// The text of `entry` in its mirror file, all of it: what [`sync`](super::sync()) appends to
/// `<type>s.md`, byte for byte.
///
/// ```
/// use ctx_hub::entry::{Entry, EntryMeta};
/// use ctx_hub::sync::render;
/// use ctx_hub::types::{EntryId, EntryType, Sequence};
///
/// let entry = Entry {
///     id: EntryId::try_from("an-id".to_owned())?,
///     entry_type: EntryType::Decision,
///     content: "Use SQLite".to_owned(),
///     origin: "alpha".to_owned(),
///     timestamp: 1_781_136_000,
///     sequence: Sequence::new(42),
///     meta: EntryMeta::default(),
///     chain: None,
/// };
/// assert!(render(&entry).starts_with("## [2026-06-11] Use SQLite\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn render(entry: &Entry) -> String {
    let mut text = String::new();
    render_to(&mut text, entry);
    text
}

/// Writes [`render`] of `entry` behind `out`.
pub(super) fn render_to(out: &mut String, entry: &Entry) {
    render_with(out, entry, CLIENT_REPORTED);
}

/// Whether `segment` is the text of `entry`, as this version writes it or an earlier one did.
pub(super) fn is_text_of(segment: &[u8], entry: &Entry) -> bool {
    [CLIENT_REPORTED, CLIENT_REPORTED_BEFORE]
        .iter()
        .any(|name| {
            let mut text = String::new();
            render_with(&mut text, entry, name);
            text.as_bytes() == segment
        })
}

/// What an entry's text has besides its content, title and origin, in bytes, mostly.
const FRAME_BYTES: usize = 256;

fn render_with(out: &mut String, entry: &Entry, meta_name: &str) {
    let title = title(&entry.content);
    let origin = origin_line(&entry.origin);
    out.reserve(entry.content.len() + title.len() + origin.len() + FRAME_BYTES);
    out.push_str(HEADER);
    out.push_str(&date(entry.timestamp));
    out.push_str("] ");
    out.push_str(&title);
    out.push('\n');
    out.push_str(COMMENT);
    comment(out, entry, &origin, meta_name);
    out.push_str(COMMENT_END);
    out.push('\n');
    out.push_str(ORIGIN);
    out.push_str(&origin);
    out.push_str("\n\n");
    escape_to(out, &entry.content);
    out.push_str(END);
}

/// The day of `timestamp` (Unix seconds) in UTC.
pub(super) fn date(timestamp: i64) -> String {
    let day = Timestamp::from_second(timestamp).map(|time| Offset::UTC.to_datetime(time).date());
    match day {
        Ok(day) if day.year() >= 0 => {
            format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day())
        }
        _ => NO_DATE.to_owned(),
    }
}

/// The first line of `content` that shows something, cut to [`limits::TITLE_MAX_CHARS`].
pub(super) fn title(content: &str) -> String {
    let line = content
        .split(is_break)
        .map(visible)
        .find(|line| !line.is_empty());
    let Some(line) = line else {
        return EMPTY_TITLE.to_owned();
    };
    match line.char_indices().nth(limits::TITLE_MAX_CHARS) {
        None => escape_inline(&line),
        Some(_) => {
            let kept: String = line
                .chars()
                .take(limits::TITLE_MAX_CHARS.saturating_sub(1))
                .collect();
            format!("{}…", escape_inline(kept.trim_end()))
        }
    }
}

/// `origin` on one line.
fn origin_line(origin: &str) -> String {
    let one_line: String = origin
        .chars()
        .map(|c| if is_break(c) { ' ' } else { c })
        .collect();
    escape_inline(&visible(&one_line))
}

/// `line` without control characters and without white space around it.
fn visible(line: &str) -> String {
    let kept: String = line.chars().filter(|c| !c.is_control()).collect();
    kept.trim().to_owned()
}

/// Writes the JSON of the comment: what the text around it does not say, or not exactly.
fn comment(out: &mut String, entry: &Entry, origin_line: &str, meta_name: &str) {
    // Writing to a String cannot fail.
    write!(out, "{{\"seq\":{},\"id\":", entry.sequence).ok();
    quoted(out, entry.id.as_str());
    write!(out, ",\"ts\":{}", entry.timestamp).ok();
    let fields = entry.meta.fields();
    let said = fields.iter().filter(|(_, value)| !value.is_empty());
    let mut before = format!(",\"{meta_name}\":{{");
    for (name, value) in said.clone() {
        write!(out, "{before}\"{name}\":").ok();
        quoted(out, value);
        ",".clone_into(&mut before);
    }
    if said.count() > 0 {
        out.push('}');
    }
    if entry.origin != origin_line {
        out.push_str(",\"origin\":");
        quoted(out, &entry.origin);
    }
    write!(out, ",\"check\":\"{:016x}\"}}", digest(entry)).ok();
}

/// Writes `text` as a JSON string of printable ASCII in which nothing ends a comment: no `<`, no
/// `>`, no two hyphens in a row.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '-' if before != '-' => out.push(c),
            ' '..='~' if !matches!(c, '<' | '>' | '-') => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").ok();
                }
            }
        }
        before = c;
    }
    out.push('"');
}

/// The first 64 bits of a SHA-256 over every field of `entry`, each behind its length.
pub(super) fn digest(entry: &Entry) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(entry.sequence.get().to_be_bytes());
    hasher.update(entry.timestamp.to_be_bytes());
    let named = [
        entry.entry_type.as_str(),
        entry.id.as_str(),
        &entry.origin,
        &entry.content,
    ];
    let meta = entry.meta.fields().map(|(_, value)| value);
    for field in named.into_iter().chain(meta) {
        let length = u64::try_from(field.len()).unwrap_or(u64::MAX);
        hasher.update(length.to_be_bytes());
        hasher.update(field.as_bytes());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::types::EntryType;

    fn check(entry: &Entry) -> String {
        format!("{:016x}", digest(entry))
    }

    #[test]
    fn an_entry_has_the_shape_that_older_readers_know_and_a_comment_below_its_header() {
        let mut entry = samples::entry(42, EntryType::Decision, "Use SQLite\n\nIt is enough.");
        entry.id = samples::id("0190-ab");
        entry.timestamp = 1_781_136_000;
        let check = check(&entry);
        assert_eq!(
            render(&entry),
            format!(
                "## [2026-06-11] Use SQLite\n\
                 <!-- ctx {{\"seq\":42,\"id\":\"0190-ab\",\"ts\":1781136000,\"check\":\"{check}\"}} -->\n\
                 \n**Origin**: project\n\nUse SQLite\n\nIt is enough.\n\n---\n\n"
            )
        );
    }

    #[test]
    fn the_check_covers_every_field() {
        let entry = samples::entry(1, EntryType::Task, "text");
        let mut others = vec![entry.clone(); 7];
        others[0].content.push('x');
        others[1].origin.push('x');
        others[2].timestamp += 1;
        others[3].sequence = crate::types::Sequence::new(2);
        others[4].entry_type = EntryType::Learning;
        others[5].meta.via.push('x');
        others[6].id = samples::id("other");
        for other in others {
            assert_ne!(check(&other), check(&entry));
        }
    }

    #[test]
    fn every_time_has_a_date() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(253_402_207_199), "9999-12-30");
        assert_eq!(date(-62_167_219_200), "0000-01-01");
        for out in [-62_167_219_201, i64::MIN, i64::MAX] {
            assert_eq!(date(out), NO_DATE);
        }
    }

    #[test]
    fn a_title_is_one_short_line_that_opens_no_comment() {
        assert_eq!(title("one\ntwo"), "one");
        assert_eq!(title("one\u{2028}two"), "one");
        assert_eq!(title("\r\n \t\n\0 x \u{7} y"), "x  y");
        assert_eq!(title(""), "(empty)");
        assert_eq!(title("\n\0\n"), "(empty)");
        assert_eq!(title("a <!-- b"), "a \\<!-- b");
        assert_eq!(title(&"ü".repeat(200)), "ü".repeat(200));
        assert_eq!(title(&"ü".repeat(201)), format!("{}…", "ü".repeat(199)));
    }

    #[test]
    fn the_comment_is_printable_ascii_that_nothing_ends_early() {
        let mut entry = samples::entry(1, EntryType::Task, "x");
        entry.id = samples::id("--> <!-- a\"b\\c\n🦀");
        entry.origin = "two\nlines".to_owned();
        let text = render(&entry);
        let line = text.lines().nth(1).unwrap();
        assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)));
        let json = line
            .strip_prefix(COMMENT)
            .unwrap()
            .strip_suffix(COMMENT_END)
            .unwrap();
        assert!(!json.contains("--") && !json.contains('>') && !json.contains('<'));
        assert!(text.contains("\n**Origin**: two lines\n\n"));
        assert!(json.contains("\"origin\":\"two\\u000alines\""));
    }
}
