//! A mirror file in pieces that each are one thing: an entry, or text between two.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use crate::sync::parse::{Segment, classify, read_comment};
use crate::sync::render::HEADER;
use crate::sync::segments::Segments;
use crate::types::EntryType;

/// A piece and where it is.
#[derive(Debug)]
pub(super) struct Piece {
    /// The line, from 1, where it begins.
    pub(super) line: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) is: Segment,
}

/// Reads a file piece by piece.
pub(super) struct Pieces<R> {
    segments: Segments<R>,
    entry_type: EntryType,
    line: u64,
    cut: VecDeque<Vec<u8>>,
}

impl<R: BufRead> Pieces<R> {
    pub(super) const fn new(reader: R, entry_type: EntryType) -> Self {
        Self {
            segments: Segments::new(reader),
            entry_type,
            line: 1,
            cut: VecDeque::new(),
        }
    }

    /// The line that the next piece begins at.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// The next piece, or `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        if self.cut.is_empty() {
            let Some(segment) = self.segments.next()? else {
                return Ok(None);
            };
            let is = classify(&segment, self.entry_type);
            if matches!(is, Segment::Ours(_)) {
                return Ok(Some(self.place(segment, is)));
            }
            self.cut = cut(&segment);
        }
        let Some(bytes) = self.cut.pop_front() else {
            return Ok(None);
        };
        let is = classify(&bytes, self.entry_type);
        Ok(Some(self.place(bytes, is)))
    }

    fn place(&mut self, bytes: Vec<u8>, is: Segment) -> Piece {
        let line = self.line;
        let breaks = bytes.iter().filter(|&&byte| byte == b'\n').count();
        self.line += u64::try_from(breaks).unwrap_or(u64::MAX);
        Piece { line, bytes, is }
    }
}

/// Cuts what is no entry before each header that has our comment below it: content holds none.
fn cut(segment: &[u8]) -> VecDeque<Vec<u8>> {
    let mut pieces = VecDeque::new();
    let mut piece: Vec<u8> = Vec::new();
    let mut lines = segment.split_inclusive(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let below = lines.peek().and_then(|next| next.strip_suffix(b"\n"));
        let begins = line.starts_with(HEADER.as_bytes())
            && below.is_some_and(|below| read_comment(below).is_some());
        if begins && !piece.is_empty() {
            pieces.push_back(std::mem::take(&mut piece));
        }
        piece.extend_from_slice(line);
    }
    pieces.push_back(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::super::render::render;
    use super::super::super::samples;
    use super::*;
    use proptest::prelude::*;

    const TYPE: EntryType = EntryType::Decision;

    fn read(text: &str) -> Vec<(u64, Segment)> {
        let mut pieces = Pieces::new(text.as_bytes(), TYPE);
        let mut found = Vec::new();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            bytes.extend(piece.bytes);
            found.push((piece.line, piece.is));
        }
        assert_eq!(bytes, text.as_bytes(), "no byte is lost");
        found
    }

    #[test]
    fn text_in_front_of_an_entry_is_told_from_it() {
        let (one, two) = (samples::entry(1, TYPE, "a"), samples::entry(2, TYPE, "b"));
        let found = read(&format!("{}note\n\n{}", render(&one), render(&two)));
        let ours = |entry| Segment::Ours(Box::new(entry));
        assert_eq!(
            found,
            [(1, ours(one)), (10, Segment::Foreign), (12, ours(two))]
        );
    }

    #[test]
    fn an_entry_that_lost_its_rule_does_not_take_the_next_one_with_it() {
        let (one, two) = (samples::entry(1, TYPE, "a"), samples::entry(2, TYPE, "b"));
        let torn = render(&one).replace("\n---\n\n", "");
        let found = read(&(torn + &render(&two)));
        let sequence = crate::types::Sequence::new(1);
        assert_eq!(
            found,
            [
                (1, Segment::Edited(sequence)),
                (7, Segment::Ours(Box::new(two)))
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_last_byte(text in samples::content()) {
            read(&text);
        }
    }
}
