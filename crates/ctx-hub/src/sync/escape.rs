//! Content as text that cannot be taken for structure of ours, and back.
//!
//! Backslashes directly in front of a dangerous token are doubled and one more is added, so an odd
//! number always stands there, which Markdown reads as "not special". A NUL becomes U+2400 behind
//! an even number, a real U+2400 keeps itself behind an odd one. Everything else stays as it is.

use crate::scan::plain_length;

/// Opens an HTML comment, and so might open one of ours.
const COMMENT: &str = "<!--";
/// Stands for NUL, which would make a text file look like a binary one.
const NUL_SIGN: char = '\u{2400}';
/// The bytes that something to be looked at begins with in the middle of a line, besides those less
/// than a space. (The breaks of two and three bytes and [`NUL_SIGN`] begin with the last two, which
/// stand nowhere else in UTF-8 but at the beginning of a character.)
const MARKS: [u8; 4] = [b'\\', b'<', 0xc2, 0xe2];

/// Whether some reader starts a new line after `c`.
pub(super) fn is_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Whether `c` is white space within a line, also to readers that take U+001F or U+FEFF for it.
fn is_blank(c: char) -> bool {
    (c.is_whitespace() && !is_break(c)) || matches!(c, '\u{1f}' | '\u{feff}')
}

/// Whether a line that goes on with `rest` would be a heading, a rule or an origin line.
fn is_line_token(rest: &str) -> bool {
    rest.starts_with('#')
        || rest.starts_with("---")
        || rest.starts_with("**Origin**:")
        || is_rule(rest)
}

/// Whether the line is made of one mark alone: a thematic break, or the underline of a heading.
fn is_rule(rest: &str) -> bool {
    let Some(mark @ ('-' | '*' | '_' | '=')) = rest.chars().next() else {
        return false;
    };
    rest.chars()
        .take_while(|&c| !is_break(c))
        .all(|c| c == mark || is_blank(c))
}

/// `text` as it may stand on lines of its own.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_to(&mut out, text);
    out
}

/// Writes [`escape`] of `text` behind `out`.
pub(super) fn escape_to(out: &mut String, text: &str) {
    walk(out, text, true, defuse);
}

/// `text`, which is one line, as it may stand behind something else on a line.
pub(super) fn escape_inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    walk(&mut out, text, false, defuse);
    out
}

/// What `text` was before [`escape`]. Text that `escape` never writes is mostly left as it is.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    walk(&mut out, text, true, restore);
    out
}

/// What stands behind a run of backslashes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    /// A line token or an opened comment.
    Dangerous,
    Nul,
    NulSign,
    None,
}

/// How many backslashes to write for `found` in front of a token, and what for its first character.
type Rewrite = fn(found: usize, token: Token, first: char) -> (usize, char);

fn defuse(found: usize, token: Token, first: char) -> (usize, char) {
    match token {
        Token::Dangerous | Token::NulSign => (found.saturating_mul(2).saturating_add(1), first),
        Token::Nul => (found.saturating_mul(2), NUL_SIGN),
        Token::None => (found, first),
    }
}

fn restore(found: usize, token: Token, first: char) -> (usize, char) {
    match token {
        Token::Dangerous | Token::NulSign if found % 2 == 1 => (found / 2, first),
        Token::NulSign => (found / 2, '\0'),
        Token::Dangerous | Token::Nul | Token::None => (found, first),
    }
}

fn walk(out: &mut String, text: &str, starts_line: bool, rewrite: Rewrite) {
    let mut rest = text;
    let mut starts_line = starts_line;
    while !rest.is_empty() {
        let skipped = if starts_line {
            rest.len() - rest.trim_start_matches(is_blank).len()
        } else {
            plain_length(rest.as_bytes(), MARKS)
        };
        // Both end where a character begins.
        let (plain, found) = rest.split_at_checked(skipped).unwrap_or((rest, ""));
        out.push_str(plain);
        let after = found.trim_start_matches('\\');
        let backslashes = found.len() - after.len();
        let Some(first) = after.chars().next() else {
            out.push_str(found);
            break;
        };
        let token = match first {
            '\0' => Token::Nul,
            NUL_SIGN => Token::NulSign,
            _ if after.starts_with(COMMENT) || (starts_line && is_line_token(after)) => {
                Token::Dangerous
            }
            _ => Token::None,
        };
        let (backslashes, written) = rewrite(backslashes, token, first);
        out.extend(std::iter::repeat_n('\\', backslashes));
        out.push(written);
        starts_line = is_break(first);
        rest = after.get(first.len_utf8()..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples;
    use super::*;

    #[test]
    fn what_would_be_structure_is_defused_by_one_backslash() {
        for (content, escaped) in [
            (
                "# one\n## [2026-01-01] two",
                "\\# one\n\\## [2026-01-01] two",
            ),
            ("a\n---\nb", "a\n\\---\nb"),
            ("---\ntitle: x\n---", "\\---\ntitle: x\n\\---"),
            (
                "- - -\n***\n_ _ _\n===\n-",
                "\\- - -\n\\***\n\\_ _ _\n\\===\n\\-",
            ),
            ("**Origin**: me", "\\**Origin**: me"),
            ("a <!-- ctx {} --> b", "a \\<!-- ctx {} --> b"),
            ("<!--", "\\<!--"),
            (" \t\u{3000}# x", " \t\u{3000}\\# x"),
            (
                "a\u{2028}# b\r## c\u{b}---",
                "a\u{2028}\\# b\r\\## c\u{b}\\---",
            ),
        ] {
            assert_eq!(escape(content), escaped);
            assert_eq!(unescape(escaped), content);
        }
    }

    #[test]
    fn what_is_harmless_stays_byte_for_byte() {
        for content in [
            "",
            "a # b --- c **Origin**: d",
            "one\r\ntwo\r\n",
            "\\n \\\\ C:\\dir\\",
            "- item\n* item\n**bold**\n-- x",
            "a --> b <! <- <!-",
            "größe 漢字 🦀 \u{200b}",
        ] {
            assert_eq!(escape(content), content);
        }
    }

    #[test]
    fn an_odd_number_of_backslashes_stands_before_every_comment() {
        assert_eq!(escape("\\<!--"), "\\\\\\<!--");
        assert_eq!(escape("\\\\# x"), "\\\\\\\\\\# x");
        assert_eq!(unescape("\\\\\\<!--"), "\\<!--");
    }

    #[test]
    fn nul_and_its_sign_are_told_apart() {
        assert_eq!(escape("a\0b"), "a\u{2400}b");
        assert_eq!(escape("\\\0"), "\\\\\u{2400}");
        assert_eq!(escape("\u{2400}"), "\\\u{2400}");
        assert_eq!(escape("\\\u{2400}"), "\\\\\\\u{2400}");
    }

    #[test]
    fn no_character_that_has_to_be_looked_at_begins_with_a_plain_byte() {
        for c in '\0'..=char::MAX {
            let matters = is_break(c) || matches!(c, '\\' | '<' | '\0' | NUL_SIGN);
            let plain = plain_length(c.to_string().as_bytes(), MARKS);
            assert!(!matters || plain == 0, "{c:?}");
        }
    }

    /// Where some reader or other begins a line.
    const BREAKS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];

    /// What a reader of Markdown or of ours would take for structure, told without the code above.
    fn forges(line: &str) -> bool {
        let blank = |c: char| c.is_whitespace() || c == '\u{feff}' || c == '\u{1f}';
        let line: String = line.trim_start_matches(blank).to_owned();
        let marks: String = line.chars().filter(|&c| !blank(c)).collect();
        let is_rule = |mark| !marks.is_empty() && marks.trim_matches(mark).is_empty();
        ["#", "---", "**Origin**:"]
            .iter()
            .any(|token| line.starts_with(token))
            || ['-', '*', '_', '='].into_iter().any(is_rule)
    }

    proptest! {
        #[test]
        fn escaping_reverses(content in samples::content()) {
            let escaped = escape(&content);
            prop_assert_eq!(unescape(&escaped), content);
        }

        #[test]
        fn escaped_text_has_no_line_and_no_comment_of_ours(content in samples::content()) {
            let escaped = escape(&content);
            prop_assert!(!escaped.contains('\0'));
            for line in escaped.split(BREAKS) {
                prop_assert!(!forges(line), "{line:?}");
            }
            for (at, _) in escaped.match_indices(COMMENT) {
                let before = &escaped[..at];
                let backslashes = before.len() - before.trim_end_matches('\\').len();
                prop_assert_eq!(backslashes % 2, 1);
            }
        }

        #[test]
        fn unescaping_any_text_does_not_panic(text in any::<String>()) {
            unescape(&text);
        }
    }
}
