//! One segment of a mirror file (see `segments.rs`) as what it is. Pure, and total: any bytes have
//! an answer.

use serde::Deserialize;

use super::escape::unescape;
use super::render::{COMMENT, COMMENT_END, END, HEADER, ORIGIN, is_text_of};
use crate::entry::{Entry, EntryMeta};
use crate::types::{EntryId, EntryType, Sequence};

/// What a segment of a mirror file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// An entry exactly as we write it.
    Ours(Box<Entry>),
    /// An entry that carries our comment and was changed since.
    Edited(Sequence),
    /// An entry as an older `ctx` wrote it, without a comment.
    Older,
    /// Anything else.
    Foreign,
}

/// What the comment below a header says.
#[derive(Debug, Deserialize)]
pub(super) struct Comment {
    pub(super) seq: u64,
    id: String,
    pub(super) ts: i64,
    /// Called `meta` by earlier versions.
    #[serde(default, alias = "meta")]
    client_reported: CommentMeta,
    origin: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CommentMeta {
    display_name: String,
    host: String,
    tool: String,
    via: String,
}

/// What `segment`, of the mirror file of `entry_type`, is.
pub(super) fn classify(segment: &[u8], entry_type: EntryType) -> Segment {
    let mut lines = segment.splitn(3, |&byte| byte == b'\n');
    let is_header = lines
        .next()
        .is_some_and(|line| line.starts_with(HEADER.as_bytes()));
    let second = lines.next().unwrap_or_default();
    if !is_header {
        return Segment::Foreign;
    }
    if let Some(comment) = read_comment(second) {
        let sequence = Sequence::new(comment.seq);
        let entry = lines
            .next()
            .and_then(|rest| read_entry(rest, comment, entry_type));
        return match entry {
            // The text of an entry is a function of it, so equal bytes mean that nothing was touched.
            Some(entry) if is_text_of(segment, &entry) => Segment::Ours(Box::new(entry)),
            _ => Segment::Edited(sequence),
        };
    }
    let is_older = second.is_empty()
        && lines
            .next()
            .is_some_and(|rest| rest.starts_with(ORIGIN.trim_start().as_bytes()));
    if is_older {
        Segment::Older
    } else {
        Segment::Foreign
    }
}

/// Reads the line below a header.
pub(super) fn read_comment(line: &[u8]) -> Option<Comment> {
    let json = line
        .strip_prefix(COMMENT.as_bytes())?
        .strip_suffix(COMMENT_END.as_bytes())?;
    // A struct would also be read from an array.
    if json.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(json).ok()
}

fn read_entry(rest: &[u8], comment: Comment, entry_type: EntryType) -> Option<Entry> {
    let rest = std::str::from_utf8(rest).ok()?.strip_prefix(ORIGIN)?;
    let (origin, rest) = rest.split_once('\n')?;
    let content = rest.strip_prefix('\n')?.strip_suffix(END)?;
    let Comment {
        seq,
        id,
        ts,
        client_reported,
        origin: exact_origin,
    } = comment;
    let CommentMeta {
        display_name,
        host,
        tool,
        via,
    } = client_reported;
    Some(Entry {
        id: EntryId::try_from(id).ok()?,
        entry_type,
        content: unescape(content),
        origin: exact_origin.unwrap_or_else(|| origin.to_owned()),
        timestamp: ts,
        sequence: Sequence::new(seq),
        meta: EntryMeta {
            display_name,
            host,
            tool,
            via,
        },
        chain: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::render::render;
    use super::super::samples;
    use super::super::segments::Segments;
    use super::*;

    fn parse(text: &[u8]) -> Vec<Segment> {
        let mut segments = Segments::new(text);
        let mut found = Vec::new();
        while let Some(segment) = segments.next().unwrap() {
            found.push(classify(&segment, EntryType::Decision));
        }
        found
    }

    /// A reader that knows only the older shape, and splits lines wherever one might.
    fn naive(text: &str) -> Vec<(String, String)> {
        let mut entries: Vec<(String, String)> = Vec::new();
        let mut inside = false;
        for line in text.split(crate::sync::escape::is_break) {
            if let Some(title) = line.trim_start().strip_prefix("## [") {
                assert!(!inside, "an entry within an entry: {line:?}");
                inside = true;
                entries.push((title.to_owned(), String::new()));
            } else if let Some(origin) = line.trim_start().strip_prefix("**Origin**: ") {
                let (_, known) = entries.last_mut().unwrap();
                assert!(known.is_empty(), "a second origin: {line:?}");
                origin.clone_into(known);
            } else if line.trim() == "---" {
                assert!(std::mem::take(&mut inside), "a rule of nobody");
            }
        }
        entries
    }

    fn rendered(entries: &[Entry]) -> String {
        entries.iter().map(render).collect()
    }

    #[test]
    fn what_a_client_said_of_itself_is_called_so_and_read_under_its_earlier_name() {
        let mut entry = samples::entry(7, EntryType::Decision, "the text");
        entry.meta.host = "host".to_owned();
        let text = render(&entry);
        let named = r#","client_reported":{"host":"host"},"#;
        assert!(text.contains(named), "{text}");
        let before = text.replace(named, r#","meta":{"host":"host"},"#);
        for text in [&text, &before] {
            let [Segment::Ours(read)] = &*parse(text.as_bytes()) else {
                panic!("not ours: {text}");
            };
            assert_eq!(**read, entry);
        }
        let forged = before.replace(r#""host":"host""#, r#""host":"another""#);
        assert_eq!(parse(forged.as_bytes()), [Segment::Edited(entry.sequence)]);
    }

    #[test]
    fn a_changed_entry_is_told_by_its_sequence() {
        let text = render(&samples::entry(7, EntryType::Decision, "the text\nmore"));
        for (from, to) in [
            ("the text\nmore", "the text\nless"),
            ("project", "another"),
            ("] the text", "] another title"),
            ("## [2", "## [3"),
            ("more\n\n---", "more\n---"),
        ] {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text);
            assert_eq!(
                classify(edited.as_bytes(), EntryType::Decision),
                Segment::Edited(Sequence::new(7)),
                "{edited}"
            );
        }
        assert_eq!(
            classify(text.as_bytes(), EntryType::Task),
            Segment::Edited(Sequence::new(7)),
            "an entry in the file of another type"
        );
    }

    #[test]
    fn an_entry_of_an_older_ctx_and_foreign_text_are_told_apart() {
        let older = "## [2026-06-11] Title\n\n**Origin**: p\n\nTitle\n\n---\n\n";
        assert_eq!(parse(older.as_bytes()), [Segment::Older]);
        assert_eq!(parse(b"# Notes\n"), [Segment::Foreign]);
        assert_eq!(
            parse(b"## [x] y\n<!-- ctx [1,\"a\",2] -->\n"),
            [Segment::Foreign]
        );
    }

    proptest! {
        #[test]
        fn what_was_rendered_reads_back_the_same(entries in samples::entries()) {
            let read: Vec<Entry> = parse(rendered(&entries).as_bytes())
                .into_iter()
                .map(|segment| match segment {
                    Segment::Ours(entry) => *entry,
                    other => panic!("{other:?}"),
                })
                .collect();
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn a_reader_of_the_older_shape_sees_the_same_entries(entries in samples::entries()) {
            let seen = naive(&rendered(&entries));
            prop_assert_eq!(seen.len(), entries.len());
            for (entry, (header, _)) in entries.iter().zip(&seen) {
                let title = super::super::render::title(&entry.content);
                let date = super::super::render::date(entry.timestamp);
                prop_assert_eq!(header, &format!("{date}] {title}"));
            }
        }

        #[test]
        fn plain_origins_are_seen_as_they_are(origin in "[a-zäö_.-]{1,20}") {
            let mut entry = samples::entry(1, EntryType::Decision, "x");
            entry.origin = origin.clone();
            prop_assert_eq!(&naive(&render(&entry))[0].1, &origin);
        }

        #[test]
        fn any_bytes_have_an_answer(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            pieces in samples::content(),
        ) {
            parse(&bytes);
            parse(pieces.as_bytes());
            parse(format!("{HEADER}1] x\n{COMMENT}{pieces}{COMMENT_END}\n{pieces}").as_bytes());
        }
    }
}
