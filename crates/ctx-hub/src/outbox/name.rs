//! The names of queued entries: sortable in the order in which they were queued, without a clock
//! and without a lock.

use std::fmt;

use ctx_config::paths;
use sha2::{Digest as _, Sha256};

use crate::types::EntryId;

/// Digits of the number in a name.
const DIGITS: usize = 16;
/// The largest number that has no more.
const LARGEST: u64 = 9_999_999_999_999_999;
/// Bytes of the hash of the id in a name; twice as many hex digits.
const HASH_BYTES: usize = 16;

/// `NNNNNNNNNNNNNNNN-HHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH.json`.
///
/// The number is one more than the largest that was seen in the outbox, so an entry comes behind
/// every one that was there when its publisher looked. Two publishers that look at the same time
/// may choose the same number: the hash of the id keeps their files apart, and makes sure that a
/// name never comes to mean another entry. (With a number alone a sender that is slow to remove
/// what it has sent could remove a later entry to which the number was given again.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    number: u64,
    hash: String,
}

impl Name {
    /// The name of the entry `id` behind `last`. When numbers have come to their end, as they do
    /// only where somebody made a file with such a name, the hash alone decides.
    pub(super) fn behind(last: Option<&Self>, id: &EntryId) -> Self {
        let number = last.map_or(0, |last| last.number).saturating_add(1);
        Self {
            number: number.min(LARGEST),
            hash: hash(id),
        }
    }

    /// Whether it is a name of the entry `id`.
    pub(super) fn is_of(&self, id: &EntryId) -> bool {
        self.hash == hash(id)
    }

    /// Reads the name of a file.
    pub(super) fn parse(file: &str) -> Option<Self> {
        let (number, hash) = file.strip_suffix(paths::QUEUED_SUFFIX)?.split_once('-')?;
        let is_number = number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || !crate::secret::is_lower_hex(hash, HASH_BYTES) {
            return None;
        }
        Some(Self {
            number: number.parse().ok()?,
            hash: hash.to_owned(),
        })
    }

    /// The name of the file that says why a hub refused the entry.
    pub(super) fn reason(&self) -> String {
        format!("{}{}", self.stem(), paths::REASON_SUFFIX)
    }

    fn stem(&self) -> String {
        format!("{:0DIGITS$}-{}", self.number, self.hash)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.stem(), paths::QUEUED_SUFFIX)
    }
}

fn hash(id: &EntryId) -> String {
    let digest = Sha256::digest(id.as_str().as_bytes());
    let bytes = digest.iter().take(HASH_BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> EntryId {
        EntryId::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_name_reads_back_and_sorts_behind_the_one_before_it() {
        let mut names = vec![Name::behind(None, &id("../../an id\n"))];
        for number in 0..12 {
            let next = Name::behind(names.last(), &id(&number.to_string()));
            names.push(next);
        }
        let files: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert!(names.is_sorted() && files.is_sorted(), "{files:?}");
        for (name, file) in names.iter().zip(&files) {
            assert_eq!(Name::parse(file).as_ref(), Some(name));
        }
        assert!(names[0].is_of(&id("../../an id\n")) && !names[0].is_of(&id("0")));
    }

    #[test]
    fn numbers_that_have_come_to_their_end_overflow_nothing() {
        let hash = "0".repeat(32);
        let last = Name::parse(&format!("{LARGEST}-{hash}.json")).unwrap();
        let next = Name::behind(Some(&last), &id("a"));
        assert_eq!(next.number, LARGEST);
        assert_eq!(Name::parse(&next.to_string()), Some(next));
    }

    #[test]
    fn other_names_are_none_of_ours() {
        let hash = "0".repeat(32);
        for name in [
            String::new(),
            format!("1-{hash}.json"),
            format!("+000000000000001-{hash}.json"),
            format!("0000000000000001-{hash}"),
            format!("0000000000000001-{hash}.json~"),
            "0000000000000001-x.json".to_owned(),
            format!("0000000000000001{hash}.json"),
        ] {
            assert_eq!(Name::parse(&name), None, "{name}");
        }
    }
}
