//! Entries: what is published, and what a hub has stored.

use ctx_config::limits;

use crate::types::{Chain, EntryId, EntryType, Sequence};
use crate::wire::json::string_bytes;

/// What a publisher says of itself. The hub does not vouch for it; empty means not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryMeta {
    /// Name to show for the publisher.
    pub display_name: String,
    /// Machine that it ran on.
    pub host: String,
    /// Program that wrote the entry.
    pub tool: String,
    /// What the entry came through.
    pub via: String,
}

impl EntryMeta {
    /// The fields with their names, in wire order.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, &str); 4] {
        [
            ("display_name", &self.display_name),
            ("host", &self.host),
            ("tool", &self.tool),
            ("via", &self.via),
        ]
    }

    /// The same, borrowed.
    #[must_use]
    pub fn view(&self) -> MetaView<'_> {
        let Self {
            display_name,
            host,
            tool,
            via,
        } = self;
        MetaView {
            display_name,
            host,
            tool,
            via,
        }
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields().iter().all(|(_, value)| value.is_empty())
    }

    fn check(&self) -> Result<(), DraftError> {
        for (field, value) in self.fields() {
            if value.len() > limits::META_FIELD_MAX_BYTES {
                return Err(DraftError::MetaFieldTooLong { field });
            }
            if value.chars().any(|c| c.is_control() && c != '\t') {
                return Err(DraftError::MetaControl { field });
            }
        }
        let total: usize = self.fields().iter().map(|(_, value)| value.len()).sum();
        if total > limits::META_TOTAL_MAX_BYTES {
            return Err(DraftError::MetaTooLong);
        }
        Ok(())
    }
}

/// What [`EntryMeta`] holds, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetaView<'a> {
    /// Name to show for the publisher.
    pub display_name: &'a str,
    /// Machine that it ran on.
    pub host: &'a str,
    /// Program that wrote the entry.
    pub tool: &'a str,
    /// What the entry came through.
    pub via: &'a str,
}

impl MetaView<'_> {
    /// The fields with their names, in wire order.
    #[must_use]
    pub const fn fields(&self) -> [(&'static str, &str); 4] {
        [
            ("display_name", self.display_name),
            ("host", self.host),
            ("tool", self.tool),
            ("via", self.via),
        ]
    }
}

/// What an [`Entry`] holds, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryView<'a> {
    /// Its name; not empty.
    pub id: &'a str,
    /// What kind of knowledge it is.
    pub entry_type: EntryType,
    /// The text.
    pub content: &'a str,
    /// The project that published it.
    pub origin: &'a str,
    /// When its publisher says that it was written, in Unix seconds.
    pub timestamp: i64,
    /// Its place in the log.
    pub sequence: Sequence,
    /// What the publisher says of itself.
    pub meta: MetaView<'a>,
    /// The rolling hash of the log at the entry, if it is known.
    pub chain: Option<Chain>,
}

/// An entry that may be published: every rule of the protocol has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryDraft {
    id: EntryId,
    entry_type: EntryType,
    content: String,
    timestamp: i64,
    meta: EntryMeta,
}

/// Why an entry cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// There is no id.
    #[error(transparent)]
    Id(#[from] crate::types::EmptyId),
    /// The id is too long.
    #[error("entry ID exceeds {} bytes", limits::ENTRY_ID_MAX_BYTES)]
    IdTooLong,
    /// The type is none that is known.
    #[error(transparent)]
    Type(#[from] crate::types::UnknownType),
    /// The content is too large. The wording is the protocol's.
    #[error("entry content exceeds 1MB limit")]
    ContentTooLong,
    /// A field of the meta is too long.
    #[error("meta field {field} exceeds {} bytes", limits::META_FIELD_MAX_BYTES)]
    MetaFieldTooLong {
        /// The field.
        field: &'static str,
    },
    /// A field of the meta holds a control character other than a tab.
    #[error("meta field {field} holds a control character")]
    MetaControl {
        /// The field.
        field: &'static str,
    },
    /// The meta is too long altogether.
    #[error("meta exceeds {} bytes", limits::META_TOTAL_MAX_BYTES)]
    MetaTooLong,
}

impl EntryDraft {
    /// An entry with this id, type, content, time (Unix seconds) and meta.
    ///
    /// # Errors
    /// [`DraftError`] names the rule that it breaks.
    pub fn new(
        id: EntryId,
        entry_type: EntryType,
        content: String,
        timestamp: i64,
        meta: EntryMeta,
    ) -> Result<Self, DraftError> {
        if id.as_str().len() > limits::ENTRY_ID_MAX_BYTES {
            return Err(DraftError::IdTooLong);
        }
        if content.len() > limits::ENTRY_CONTENT_MAX_BYTES {
            return Err(DraftError::ContentTooLong);
        }
        meta.check()?;
        Ok(Self {
            id,
            entry_type,
            content,
            timestamp,
            meta,
        })
    }

    /// The id.
    #[must_use]
    pub const fn id(&self) -> &EntryId {
        &self.id
    }

    /// The type.
    #[must_use]
    pub const fn entry_type(&self) -> EntryType {
        self.entry_type
    }

    /// How many bytes its id, content and meta take where they are stored, which is as JSON: that
    /// writes a quote and the end of a line as two bytes, and other control characters as up to six.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let meta = self.meta.fields().map(|(_, value)| value);
        let texts = [self.id.as_str(), &self.content].into_iter().chain(meta);
        let bytes: usize = texts.map(string_bytes).sum();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The content, at most [`limits::ENTRY_CONTENT_MAX_BYTES`] bytes.
    #[must_use]
    pub fn content(&self) -> &str {
        &self.content
    }

    /// When it was written, in Unix seconds.
    #[must_use]
    pub const fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// What the publisher says of itself.
    #[must_use]
    pub const fn meta(&self) -> &EntryMeta {
        &self.meta
    }
}

/// An entry as a hub stores it; immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, unique in the hub.
    pub id: EntryId,
    /// What kind it is.
    pub entry_type: EntryType,
    /// Its text.
    pub content: String,
    /// The project that published it, as the hub says.
    pub origin: String,
    /// When it was written, in Unix seconds, as the publisher says.
    pub timestamp: i64,
    /// Its place in the hub's log.
    pub sequence: Sequence,
    /// What the publisher says of itself.
    pub meta: EntryMeta,
    /// The rolling hash of the hub's log at this entry; `None` when it is not known: an older hub
    /// has none, and no mirror file keeps it.
    pub chain: Option<Chain>,
}

impl Entry {
    /// The same, borrowed.
    #[must_use]
    pub fn view(&self) -> EntryView<'_> {
        EntryView {
            id: self.id.as_str(),
            entry_type: self.entry_type,
            content: &self.content,
            origin: &self.origin,
            timestamp: self.timestamp,
            sequence: self.sequence,
            meta: self.meta.view(),
            chain: self.chain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(content: &str, meta: EntryMeta) -> Result<EntryDraft, DraftError> {
        let id = EntryId::try_from("id".to_owned()).unwrap();
        EntryDraft::new(id, EntryType::Task, content.to_owned(), 0, meta)
    }

    #[test]
    fn content_up_to_one_mebibyte_is_accepted_and_one_byte_more_is_not() {
        assert!(draft(&"x".repeat(1_048_576), EntryMeta::default()).is_ok());
        let error = draft(&"x".repeat(1_048_577), EntryMeta::default()).unwrap_err();
        assert_eq!(error.to_string(), "entry content exceeds 1MB limit");
    }

    #[test]
    fn meta_fields_are_bounded_and_hold_no_control_character_but_tab() {
        let meta = |host: String| EntryMeta {
            host,
            ..EntryMeta::default()
        };
        assert!(draft("", meta("a\tb".to_owned())).is_ok());
        assert!(draft("", meta("x".repeat(256))).is_ok());
        assert_eq!(
            draft("", meta("x".repeat(257))),
            Err(DraftError::MetaFieldTooLong { field: "host" })
        );
        assert_eq!(
            draft("", meta("a\nb".to_owned())),
            Err(DraftError::MetaControl { field: "host" })
        );
    }

    #[test]
    fn an_id_is_bounded() {
        let id = EntryId::try_from("i".repeat(257)).unwrap();
        let result = EntryDraft::new(id, EntryType::Task, String::new(), 0, EntryMeta::default());
        assert_eq!(result, Err(DraftError::IdTooLong));
    }
}
