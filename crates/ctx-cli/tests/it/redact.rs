//! What differs from run to run, taken out of output before it is compared.

/// Replaces ids, ages, moments, addresses, process numbers and known values.
pub(crate) fn redact(text: &str, known: &[(String, &str)]) -> String {
    let mut text = text.to_owned();
    for (value, name) in known.iter().filter(|(value, _)| !value.is_empty()) {
        text = text.replace(value.as_str(), name);
    }
    let text = after(&text, "127.0.0.1:", "[port]", |c| c.is_ascii_digit());
    let text = after(&text, "process ", "[pid]", |c| c.is_ascii_digit());
    let text = after(&text, "legacy-", "[id]", |c| c.is_ascii_digit() || c == '-');
    let text = hex(&text);
    let text = age(&text);
    moments(&text)
}

/// Replaces the longest run of `belongs` that follows `mark`.
fn after(text: &str, mark: &str, name: &str, belongs: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(mark) {
        let (before, tail) = rest.split_at(at + mark.len());
        let end = tail.find(|c| !belongs(c)).unwrap_or(tail.len());
        out.push_str(before);
        if end > 0 {
            out.push_str(name);
        }
        rest = &tail[end..];
    }
    out + rest
}

/// Replaces every id of 32 hex digits.
fn hex(text: &str) -> String {
    let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_hex) {
        let (before, tail) = rest.split_at(at);
        let end = tail.find(|c| !is_hex(c)).unwrap_or(tail.len());
        out.push_str(before);
        out.push_str(if end == 32 { "[id]" } else { &tail[..end] });
        rest = &tail[end..];
    }
    out + rest
}

/// Replaces `for 3 s`, `after waiting 1 min 2 s` and the like.
fn age(text: &str) -> String {
    let mut out = text.to_owned();
    for mark in ["for ", "waiting "] {
        let mut next = String::new();
        let mut rest = out.as_str();
        while let Some(at) = rest.find(mark) {
            let (before, tail) = rest.split_at(at + mark.len());
            let length = spoken(tail);
            next.push_str(before);
            next.push_str(if length > 0 { "[age]" } else { "" });
            rest = &tail[length..];
        }
        out = next + rest;
    }
    out
}

/// How long the duration is that `text` begins with, in bytes.
fn spoken(text: &str) -> usize {
    const LEAST: &str = "less than a second";
    if text.starts_with(LEAST) {
        return LEAST.len();
    }
    const UNITS: [&str; 12] = [
        "s", "min", "h", "d", "second", "seconds", "minute", "minutes", "hour", "hours", "day",
        "days",
    ];
    let mut words = text.split_inclusive([' ', ',', ';', '.', '\n', '(']);
    let mut length = 0;
    while let (Some(number), Some(unit)) = (words.next(), words.next()) {
        let bare = |word: &str| word.trim_end_matches([' ', ',', ';', '.', '\n', '(']).len();
        let is_number = number.trim_end().bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || !UNITS.contains(&&unit[..bare(unit)]) {
            break;
        }
        let space = usize::from(length > 0);
        length += space + number.len() + bare(unit);
        if !unit.ends_with(' ') {
            break;
        }
    }
    length
}

/// Replaces `2026-06-11 10:11:12 UTC`.
fn moments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(" UTC") {
        let start = at.saturating_sub("2026-06-11 10:11:12".len());
        if rest.is_char_boundary(start) && rest[start..at].starts_with("20") {
            out.push_str(&rest[..start]);
            out.push_str("[time]");
        } else {
            out.push_str(&rest[..at]);
            out.push_str(" UTC");
        }
        rest = &rest[at + " UTC".len()..];
    }
    out + rest
}

#[test]
fn what_differs_from_run_to_run_is_replaced_and_the_rest_is_not() {
    let text = "process 12 on 127.0.0.1:80 for 3 s, 0123456789abcdef0123456789abcdef \
        since 2026-06-11 10:11:12 UTC; dates are UTC for all, face, legacy-1-2, for 1 min 2 s (x), for 2 days\n";
    assert_eq!(
        redact(text, &[("all".to_owned(), "[all]")]),
        "process [pid] on 127.0.0.1:[port] for [age], [id] since [time]; dates are UTC for [all], \
        face, legacy-[id], for [age] (x), for [age]\n"
    );
}
