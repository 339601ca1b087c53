//! Small pieces of text.

use std::time::Duration;

/// `text` on one line, with nothing in it that would steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect()
}

/// As [`printable`], but lines stay lines.
pub(crate) fn printable_lines(text: &str) -> String {
    let keep = |c: char| c == '\n' || c == '\t' || !steers(c);
    text.chars()
        .map(|c| if keep(c) { c } else { '\u{fffd}' })
        .collect()
}

/// Control characters, and those that turn the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `1 task`, `2 tasks`.
pub(crate) fn count(number: u64, singular: &str, plural: &str) -> String {
    if number == 1 {
        format!("1 {singular}")
    } else {
        format!("{number} {plural}")
    }
}

/// `a`, `a, b`; `none` for nothing.
pub(crate) fn list<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let items: Vec<String> = items
        .into_iter()
        .map(|item| item.as_ref().to_owned())
        .collect();
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}

/// A duration in its largest unit.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => count(seconds, "second", "seconds"),
        (0, 0, minutes) => count(minutes, "minute", "minutes"),
        (0, hours, _) => count(hours, "hour", "hours"),
        (days, _, _) => count(days, "day", "days"),
    }
}

/// A moment, given in Unix seconds, in UTC; `unknown` for 0, which stands for that.
pub(crate) fn when(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(moment) if seconds != 0 => moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_printed() {
        assert_eq!(
            printable("a\x1b[31m\nb\u{202e}c"),
            "a\u{fffd}[31m\u{fffd}b\u{fffd}c"
        );
        assert_eq!(printable_lines("a\nb\r"), "a\nb\u{fffd}");
        assert_eq!(printable("größe 🦀"), "größe 🦀");
    }

    #[test]
    fn numbers_dates_and_ages_read_well() {
        assert_eq!(count(1, "entry", "entries"), "1 entry");
        assert_eq!(count(0, "entry", "entries"), "0 entries");
        assert_eq!(age(Duration::from_secs(59)), "59 seconds");
        assert_eq!(age(Duration::from_secs(3_700)), "1 hour");
        assert_eq!(when(0), "unknown");
        assert_eq!(when(1_781_136_000), "2026-06-11 00:00:00 UTC");
        assert_eq!(list(["a", "b"]), "a, b");
        assert_eq!(list::<&str>([]), "none");
    }
}
