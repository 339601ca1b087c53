//! Looking for the few bytes of a text that matter, eight at a time.

/// Bytes that are looked at together.
const WORD_BYTES: usize = 8;
const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
/// What a control character of ASCII is less than.
const SPACE: u64 = 0x20;

/// How many bytes `text` begins with that are neither one of `marks` nor less than a space.
pub(crate) fn plain_length<const N: usize>(text: &[u8], marks: [u8; N]) -> usize {
    let (words, rest) = text.as_chunks::<WORD_BYTES>();
    for (number, word) in words.iter().enumerate() {
        let found = found_in(*word, marks);
        if found != 0 {
            return number * WORD_BYTES + first(found);
        }
    }
    let mut last = [b'x'; WORD_BYTES];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    // Where a mark is `x` itself, it is found behind the text at the earliest.
    let found = found_in(last, marks);
    let plain = if found == 0 {
        rest.len()
    } else {
        first(found).min(rest.len())
    };
    text.len() - rest.len() + plain
}

/// A bit in the highest place of the first byte of `word` that is looked for, and perhaps of some
/// behind it; 0 when there is none. ("Bit Twiddling Hacks": a subtraction borrows from a byte only
/// where the one before it was found.)
fn found_in<const N: usize>(word: [u8; WORD_BYTES], marks: [u8; N]) -> u64 {
    let word = u64::from_le_bytes(word);
    let less = word.wrapping_sub(EACH * SPACE) & !word;
    marks.into_iter().fold(less, |found, mark| {
        let differs = word ^ (EACH * u64::from(mark));
        found | (differs.wrapping_sub(EACH) & !differs)
    }) & HIGH
}

/// The number of the first byte that has its bit.
fn first(found: u64) -> usize {
    usize::try_from(found.trailing_zeros() / u8::BITS).unwrap_or(WORD_BYTES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARKS: [u8; 4] = [b'"', b'\\', 0xc2, 0xff];

    fn slowly(text: &[u8]) -> usize {
        let matters = |byte: &u8| *byte < 0x20 || MARKS.contains(byte);
        text.iter().position(matters).unwrap_or(text.len())
    }

    #[test]
    fn every_byte_is_judged_the_same_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for length in 1..20 {
                for at in 0..length {
                    for filler in [b' ', b'!', b'#', 0x7f, 0x80, 0xc1, 0xc3, 0xfe] {
                        let mut text = vec![filler; length];
                        text[at] = byte;
                        assert_eq!(plain_length(&text, MARKS), slowly(&text), "{text:?}");
                    }
                }
            }
        }
        assert_eq!(plain_length(b"", MARKS), 0);
        assert_eq!(plain_length(b"abc", [b'x']), 3);
    }

    proptest! {
        #[test]
        fn the_first_byte_that_matters_is_found(text in any::<Vec<u8>>()) {
            prop_assert_eq!(plain_length(&text, MARKS), slowly(&text));
        }
    }
}
