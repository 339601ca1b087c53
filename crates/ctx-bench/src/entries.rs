//! Entries to measure with: text like that of people, the same at every run.

use std::fmt::Write as _;

/// What content is made of. Quotes and line ends are written in two bytes on the wire.
const WORDS: [&str; 32] = [
    "the",
    "retry",
    "budget",
    "of",
    "each",
    "client",
    "is",
    "kept",
    "beside",
    "its",
    "cursor",
    "\"never\"",
    "in",
    "memory",
    "alone",
    "because",
    "a",
    "restart",
    "must",
    "not",
    "forget",
    "what",
    "was",
    "sent;",
    "see",
    "`hub/limits`",
    "and",
    "keep",
    "dates",
    "as",
    "UTC.\n",
    "So",
];

/// Content of exactly `bytes` bytes, the `number`th of its kind.
pub(crate) fn content(number: u64, bytes: usize) -> String {
    let mut text = format!("{number}:");
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < bytes {
        // A linear congruential generator (Knuth's MMIX constants): its high bits are mixed enough.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let word = usize::try_from(state >> 59).unwrap_or_default();
        text.push(' ');
        text.push_str(WORDS.get(word).copied().unwrap_or_default());
    }
    // Every character is one byte.
    text.truncate(bytes);
    text
}

/// The types in turn.
pub(crate) fn type_of(number: u64) -> &'static str {
    match number % 4 {
        0 => "decision",
        1 => "learning",
        2 => "convention",
        _ => "task",
    }
}

/// An id that no other number of the same `kind` has.
pub(crate) fn id(kind: &str, number: u64) -> String {
    let mut id = String::from(kind);
    // Writing to a string does not fail.
    write!(id, "-{number:024}").ok();
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_length_that_was_asked_for_and_is_the_same_every_time() {
        for bytes in [1, 16, 700, 5_000] {
            assert_eq!(content(7, bytes).len(), bytes);
        }
        assert_eq!(content(7, 700), content(7, 700));
        assert_ne!(content(7, 700), content(8, 700));
    }
}
