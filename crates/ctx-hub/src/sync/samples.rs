//! Entries for tests, rich in what is dangerous.

use proptest::prelude::*;

use crate::entry::{Entry, EntryMeta};
use crate::types::{EntryId, EntryType, Sequence};

pub(super) fn id(text: &str) -> EntryId {
    EntryId::try_from(text.to_owned()).unwrap()
}

pub(super) fn entry(sequence: u64, entry_type: EntryType, content: &str) -> Entry {
    Entry {
        id: id(&format!("id-{sequence}")),
        entry_type,
        content: content.to_owned(),
        origin: "project".to_owned(),
        timestamp: 1_781_136_000,
        sequence: Sequence::new(sequence),
        meta: EntryMeta::default(),
        chain: None,
    }
}

const PIECES: &[&str] = &[
    "#",
    "##",
    "## [2026-01-01] x",
    "# ",
    "---",
    "--",
    "-",
    "- - -",
    "***",
    "___",
    "_",
    "===",
    "=",
    "**Origin**: x",
    "**Origin**:",
    "<!--",
    "<!-- ctx {\"seq\":1} -->",
    "-->",
    "<",
    ">",
    "\\",
    "\\\\",
    "\\#",
    "\\<!--",
    "\\---",
    "\0",
    "\u{2400}",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\n\n---\n\n",
    "\u{b}",
    "\u{c}",
    "\u{1c}",
    "\u{1f}",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    " ",
    "\t",
    "\u{feff}",
    "\u{3000}",
    "a",
    "ü",
    "🦀",
    "```",
    "text ",
];

/// Text made of dangerous pieces.
pub(super) fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::collection::vec(proptest::sample::select(PIECES), 0..14)
            .prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

/// Entries of type decision with rising sequences.
pub(super) fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let meta = (content(), content(), content(), content());
    let fields = (
        content(),
        content(),
        content(),
        any::<i64>(),
        1..1000_u64,
        meta,
    );
    proptest::collection::vec(fields, 0..5).prop_map(|all| {
        let mut sequence = 0;
        all.into_iter()
            .map(|(name, content, origin, timestamp, step, meta)| {
                sequence += step;
                let (display_name, host, tool, via) = meta;
                Entry {
                    id: id(&format!("{name}i")),
                    entry_type: EntryType::Decision,
                    content,
                    origin,
                    timestamp,
                    sequence: Sequence::new(sequence),
                    meta: EntryMeta {
                        display_name,
                        host,
                        tool,
                        via,
                    },
                    chain: None,
                }
            })
            .collect()
    })
}
