//! The file of a queued entry.

use serde::{Deserialize, Serialize};

use crate::entry::{DraftError, EntryDraft, EntryMeta};
use crate::types::EntryId;

/// The format that is written. A higher one is left alone.
const FORMAT: u32 = 1;

/// What a file says before anything else is read of it.
#[derive(Debug, Deserialize)]
struct Head {
    format: u32,
}

/// A queued entry, with nothing left to decide when it is sent.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format: u32,
    id: String,
    #[serde(rename = "type")]
    entry_type: String,
    timestamp: i64,
    #[serde(default)]
    meta: Meta,
    content: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Meta {
    #[serde(skip_serializing_if = "String::is_empty")]
    display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tool: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    via: String,
}

/// Why a file does not say what to send.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is cut, changed, or something else.
    #[error("it is not a queued entry")]
    Json(#[from] serde_json::Error),
    /// A newer `ctx` wrote it.
    #[error("a newer ctx wrote it, in format {found}")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// What it holds cannot be published.
    #[error("it holds an entry that cannot be published")]
    Draft(#[from] DraftError),
}

/// The bytes of the file for `draft`.
///
/// # Errors
/// None that is known: every text can be written as JSON.
pub(super) fn write(draft: &EntryDraft) -> Result<Vec<u8>, serde_json::Error> {
    let EntryMeta {
        display_name,
        host,
        tool,
        via,
    } = draft.meta().clone();
    let record = Record {
        format: FORMAT,
        id: draft.id().as_str().to_owned(),
        entry_type: draft.entry_type().as_str().to_owned(),
        timestamp: draft.timestamp(),
        meta: Meta {
            display_name,
            host,
            tool,
            via,
        },
        content: draft.content().to_owned(),
    };
    let mut bytes = serde_json::to_vec_pretty(&record)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads the bytes of a file.
///
/// # Errors
/// [`RecordError`].
pub(super) fn read(bytes: &[u8]) -> Result<EntryDraft, RecordError> {
    let Head { format } = serde_json::from_slice(bytes)?;
    if format > FORMAT {
        return Err(RecordError::Newer { found: format });
    }
    let record: Record = serde_json::from_slice(bytes)?;
    let Meta {
        display_name,
        host,
        tool,
        via,
    } = record.meta;
    let meta = EntryMeta {
        display_name,
        host,
        tool,
        via,
    };
    let id = EntryId::try_from(record.id).map_err(DraftError::from)?;
    let entry_type = record.entry_type.parse().map_err(DraftError::from)?;
    Ok(EntryDraft::new(
        id,
        entry_type,
        record.content,
        record.timestamp,
        meta,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::EntryType;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_reads_back_the_same(
            id in ".{1,40}", content in "(?s).{0,200}", timestamp: i64, host in "[^\\p{Cc}]{0,40}",
        ) {
            let id = EntryId::try_from(id).unwrap();
            let meta = EntryMeta { host, ..EntryMeta::default() };
            let draft = EntryDraft::new(id, EntryType::Task, content, timestamp, meta).unwrap();
            prop_assert_eq!(read(&write(&draft).unwrap()).unwrap(), draft);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            drop(read(&bytes));
        }
    }

    #[test]
    fn the_largest_entry_there_can_be_is_no_larger_than_what_is_read() {
        let largest = "\u{1}".repeat(ctx_config::limits::ENTRY_CONTENT_MAX_BYTES);
        let id = EntryId::try_from("\u{1}".repeat(256)).unwrap();
        let draft = EntryDraft::new(id, EntryType::Task, largest, i64::MIN, EntryMeta::default());
        let bytes = write(&draft.unwrap()).unwrap();
        let size = u64::try_from(bytes.len()).unwrap();
        assert!(size + 100_000 < ctx_config::limits::OUTBOX_FILE_MAX_BYTES);
    }

    #[test]
    fn every_file_cut_short_is_told_from_a_whole_one_and_a_newer_format_from_both() {
        let id = EntryId::try_from("a".to_owned()).unwrap();
        let draft = EntryDraft::new(id, EntryType::Task, "x".into(), 1, EntryMeta::default());
        let bytes = write(&draft.unwrap()).unwrap();
        // The last byte is the line break, and the one before it the last brace.
        for length in 0..bytes.len() - 1 {
            assert!(matches!(read(&bytes[..length]), Err(RecordError::Json(_))));
        }
        let newer = br#"{"format":2,"anything":["else"]}"#;
        assert!(matches!(read(newer), Err(RecordError::Newer { found: 2 })));
        let none = br#"{"format":1,"id":"","type":"task","timestamp":1,"content":"x"}"#;
        assert!(matches!(read(none), Err(RecordError::Draft(_))));
    }
}
