//! A mirror file, one entry at a time: memory is bounded by the largest entry, not by the file.

use std::io::{self, BufRead, Read as _};

use ctx_config::limits;

/// No text of ours is longer between two rules; what is longer is cut into foreign pieces.
/// (Escaping makes three bytes of one at most.)
pub(super) const SEGMENT_MAX_BYTES: usize = 4 * limits::CLIENT_MESSAGE_MAX_BYTES;

const RULE: &[u8] = b"---\n";

/// Cuts text behind every rule and the blank line that follows it. The pieces together are the
/// text; content never holds a rule, so one whole entry is one piece.
pub(super) struct Segments<R> {
    reader: R,
}

impl<R: BufRead> Segments<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader }
    }

    /// The next piece, or `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut segment = Vec::new();
        while segment.len() < SEGMENT_MAX_BYTES {
            let start = segment.len();
            let room = u64::try_from(SEGMENT_MAX_BYTES - start).unwrap_or(u64::MAX);
            let mut limited = self.reader.by_ref().take(room);
            if limited.read_until(b'\n', &mut segment)? == 0 {
                break;
            }
            if segment.get(start..) == Some(RULE) {
                if self.reader.fill_buf()?.first() == Some(&b'\n') {
                    self.reader.consume(1);
                    segment.push(b'\n');
                }
                break;
            }
        }
        Ok(Some(segment).filter(|segment| !segment.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_behind_rules_and_lose_nothing() {
        let text = b"a\n---\n\nb\n---\nc\n----\n\n---\n\n\nrest";
        let mut segments = Segments::new(&text[..]);
        let mut pieces = Vec::new();
        while let Some(piece) = segments.next().unwrap() {
            pieces.push(String::from_utf8(piece).unwrap());
        }
        assert_eq!(
            pieces,
            ["a\n---\n\n", "b\n---\n", "c\n----\n\n---\n\n", "\nrest"]
        );
        assert_eq!(pieces.concat().as_bytes(), text);
    }
}
