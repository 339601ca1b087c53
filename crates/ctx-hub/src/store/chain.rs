//! The rolling hash of a log: how it is computed.
//!
//! The format is published in `docs/reference/protocol.md` and never changes: what was computed
//! once stands in stores and in the state of projects.

use sha2::{Digest as _, Sha256};

use crate::entry::{Entry, EntryView};
use crate::types::{Chain, HubId};

impl Chain {
    /// The hash of the log `hub` before its first entry. Two logs never agree by accident, not
    /// even about the same entries.
    #[must_use]
    pub fn genesis(hub: &HubId) -> Self {
        first_half(Sha256::new().chain_update(hub.as_str()))
    }

    /// The hash at `entry`, when this is the one at the entry before it (or the genesis, before
    /// the first one). What the entry says of its own hash is not looked at.
    #[must_use]
    pub fn after(self, entry: &Entry) -> Self {
        self.link(&entry.view())
    }

    /// [`Chain::after`] of an entry that is borrowed.
    pub(super) fn link(self, entry: &EntryView<'_>) -> Self {
        let EntryView {
            id,
            entry_type,
            content,
            origin,
            timestamp,
            sequence,
            meta,
            chain: _,
        } = *entry;
        let [display_name, host, tool, via] = meta.fields().map(|(_, value)| value);
        let mut hash = Sha256::new()
            .chain_update(self.to_bytes())
            .chain_update(sequence.get().to_be_bytes())
            .chain_update(timestamp.to_be_bytes());
        for text in [
            id,
            entry_type.as_str(),
            origin,
            display_name,
            host,
            tool,
            via,
            content,
        ] {
            // With its length before it, no text can pass for the end of another one.
            let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
            hash.update(length.to_be_bytes());
            hash.update(text);
        }
        first_half(hash)
    }
}

/// The first 128 bits of what was hashed.
fn first_half(hash: Sha256) -> Chain {
    let digest: [u8; 32] = hash.finalize().into();
    let (half, _) = digest.as_chunks::<16>();
    Chain::from_bytes(half.first().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::EntryMeta;
    use crate::types::{EntryId, EntryType, Sequence};

    fn hub() -> HubId {
        "00112233445566778899aabbccddeeff".parse().unwrap()
    }

    fn entry() -> Entry {
        Entry {
            id: EntryId::try_from("0123456789abcdef0123456789abcdef".to_owned()).unwrap(),
            entry_type: EntryType::Decision,
            content: "Use UTC everywhere\n\nGrüße".to_owned(),
            origin: "api".to_owned(),
            timestamp: 1_781_136_000,
            sequence: Sequence::new(1),
            meta: EntryMeta {
                display_name: "Ada".to_owned(),
                tool: "ctx".to_owned(),
                ..EntryMeta::default()
            },
            chain: None,
        }
    }

    /// The published example. It was computed by another program, from the description alone.
    #[test]
    fn the_published_example_is_reproduced() {
        let genesis = Chain::genesis(&hub());
        assert_eq!(genesis.to_string(), "5947d7c33d783f94b3b4c1a96ebc8991");
        let first = genesis.after(&entry());
        assert_eq!(first.to_string(), "155ba9825bbde4b8e158b1029f1ed90e");
        let second = Entry {
            id: EntryId::try_from("b".to_owned()).unwrap(),
            entry_type: EntryType::Task,
            content: String::new(),
            origin: String::new(),
            timestamp: -1,
            sequence: Sequence::new(3),
            meta: EntryMeta::default(),
            chain: None,
        };
        assert_eq!(
            first.after(&second).to_string(),
            "a2775afb2e6d72586f92b3e03d755839"
        );
    }

    #[test]
    fn whatever_differs_in_an_entry_or_before_it_makes_another_hash() {
        let genesis = Chain::genesis(&hub());
        let other = |change: &dyn Fn(&mut Entry)| {
            let mut changed = entry();
            change(&mut changed);
            genesis.after(&changed)
        };
        let id = |text: &str| EntryId::try_from(text.to_owned()).unwrap();
        let mut hashes = vec![
            genesis,
            genesis.after(&entry()),
            genesis.after(&entry()).after(&entry()),
            Chain::genesis(&HubId::random().unwrap()).after(&entry()),
            other(&|e| e.sequence = Sequence::new(2)),
            other(&|e| e.timestamp += 1),
            other(&|e| e.id = id("x")),
            other(&|e| e.entry_type = EntryType::Task),
            other(&|e| e.origin = "apj".to_owned()),
            other(&|e| e.meta.display_name = String::new()),
            other(&|e| e.meta.host = "h".to_owned()),
            other(&|e| e.meta.tool = String::new()),
            other(&|e| e.meta.via = "v".to_owned()),
            other(&|e| e.content.push('.')),
            // The same bytes, divided otherwise.
            other(&|e| {
                e.meta.display_name = "Ad".to_owned();
                e.meta.host = "a".to_owned();
            }),
        ];
        let count = hashes.len();
        hashes.sort_by_key(|hash| hash.to_bytes());
        hashes.dedup();
        assert_eq!(hashes.len(), count);
        let known = Entry {
            chain: Some(genesis),
            ..entry()
        };
        assert_eq!(genesis.after(&known), genesis.after(&entry()));
    }
}
