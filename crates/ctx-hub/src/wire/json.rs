//! What older peers expect of the JSON that serde would not do by itself.
//!
//! Five functions, named by the attributes of the generated messages: older peers write `null` for
//! what is empty and expect an empty array as `null` and an absent meta as `{}`. And one reader,
//! [`from_slice`], which is stricter than a derived one; a writer of entries, [`write_entry`], which is
//! as strict and faster.
//!
//! | in a message | outcome |
//! |---|---|
//! | unknown field | ignored |
//! | field absent or `null` | its empty value |
//! | known field twice | refused |
//! | name in another letter case | an unknown field: ignored |
//! | number with a fraction, out of range, or as a string | refused |
//! | lone surrogate in a field that is read | refused |
//! | invalid UTF-8 anywhere | refused |
//! | an array of more than 65,536 items | refused |
//! | an array or `null` in place of the document, nothing at all, something behind it | refused |

use std::fmt;
use std::io::Write as _;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::ITEMS_MAX;
use super::generated::EntryMeta;
use crate::entry::EntryView;
use crate::scan::plain_length;

/// A message that is not the JSON of its type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The bytes are no text.
    #[error("invalid UTF-8 at byte {at}")]
    NotUtf8 {
        /// How many bytes are valid.
        at: usize,
    },
    /// The text is no object; a derived reader would take an array for a struct.
    #[error("not a JSON object")]
    NotAnObject,
    /// The text is not JSON, or its values do not fit; the text says where.
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
}

/// Reads the message that `bytes` are.
///
/// # Errors
/// [`JsonError`] says where it goes wrong.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    if !text.trim_start().starts_with('{') {
        return Err(JsonError::NotAnObject);
    }
    Ok(serde_json::from_str(text)?)
}

/// Reads `null` as the empty value of a field.
///
/// # Errors
/// The value is neither `null` nor what the field holds.
pub fn null_as_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads `null` as an empty array.
///
/// # Errors
/// The value is neither `null` nor an array of what the field holds.
pub fn null_as_empty<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let items = Option::<Items<T>>::deserialize(deserializer)?;
    Ok(items.map_or_else(Vec::new, |Items(items)| items))
}

/// An array of at most [`ITEMS_MAX`] items.
struct Items<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor(PhantomData))
    }
}

struct ItemsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ItemsVisitor<T> {
    type Value = Items<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Items<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = array.next_element()? {
            if items.len() == ITEMS_MAX {
                return Err(A::Error::custom(format!("more than {ITEMS_MAX} items")));
            }
            items.push(item);
        }
        Ok(Items(items))
    }
}

/// Writes an empty array as `null`.
///
/// # Errors
/// The writer fails.
pub fn empty_as_null<T, S>(items: &[T], serializer: S) -> Result<S::Ok, S::Error>
where
    T: Serialize,
    S: Serializer,
{
    if items.is_empty() {
        serializer.serialize_none()
    } else {
        items.serialize(serializer)
    }
}

/// Whether a value is the empty one of its field, which is left out.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Writes an absent meta as `{}`.
///
/// # Errors
/// The writer fails.
pub fn meta_object<S: Serializer>(
    meta: &Option<EntryMeta>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match meta {
        Some(meta) => meta.serialize(serializer),
        None => serializer.serialize_map(Some(0))?.end(),
    }
}

/// Writes the message of `entry` behind `out`, byte for byte as the derived writer of
/// [`EntryMsg`](super::generated::EntryMsg) does. Entries are what a hub writes most of; this copies
/// each text once, and looks at several bytes at a time for what has to be escaped.
pub fn write_entry(out: &mut Vec<u8>, entry: &EntryView<'_>) {
    let EntryView {
        id,
        entry_type,
        content,
        origin,
        timestamp,
        sequence,
        meta,
        chain,
    } = entry;
    out.extend_from_slice(b"{\"id\":");
    write_string(out, id);
    out.extend_from_slice(b",\"type\":");
    write_string(out, entry_type.as_str());
    out.extend_from_slice(b",\"content\":");
    write_string(out, content);
    out.extend_from_slice(b",\"origin\":");
    write_string(out, origin);
    // Writing to a Vec cannot fail.
    write!(
        out,
        ",\"timestamp\":{timestamp},\"sequence\":{sequence},\"meta\":{{"
    )
    .ok();
    let fields = meta.fields().into_iter();
    let said = fields.filter(|(_, value)| !value.is_empty());
    for ((name, value), comma) in said.zip(["", ",", ",", ","]) {
        write!(out, "{comma}\"{name}\":").ok();
        write_string(out, value);
    }
    out.push(b'}');
    if let Some(chain) = chain {
        write!(out, ",\"chain\":\"{chain}\"").ok();
    }
    out.push(b'}');
}

/// How many bytes `text` is between the quotes of a JSON string.
#[must_use]
pub fn string_bytes(text: &str) -> usize {
    let written = |byte| match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(written).sum()
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, behind) = rest.split_at(plain_length(rest, [b'"', b'\\']));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = behind.split_first() else {
            break;
        };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            // Writing to a Vec cannot fail.
            _ => write!(out, "\\u{byte:04x}").unwrap_or_default(),
        }
        rest = behind;
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::generated::*;

    /// `message` is written as `text`, byte for byte, and `text` reads as `message`.
    #[track_caller]
    fn written<T>(message: &T, text: &str)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        assert_eq!(serde_json::to_string(message).unwrap(), text);
        assert_eq!(&from_slice::<T>(text.as_bytes()).unwrap(), message);
    }

    /// `{}`, and every field as `null`, read as the empty message.
    #[track_caller]
    fn empty_fields_read<T>()
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug + Default,
    {
        assert_eq!(from_slice::<T>(b"{}").unwrap(), T::default());
        let mut value = serde_json::to_value(T::default()).unwrap();
        for field in value.as_object_mut().unwrap().values_mut() {
            *field = serde_json::Value::Null;
        }
        value["unknown"] = serde_json::json!({"nested": [1, null]});
        assert_eq!(
            from_slice::<T>(value.to_string().as_bytes()).unwrap(),
            T::default()
        );
    }

    fn refusal<T: DeserializeOwned + Debug>(text: impl AsRef<[u8]>) -> String {
        from_slice::<T>(text.as_ref()).unwrap_err().to_string()
    }

    fn s(text: &str) -> String {
        text.to_owned()
    }

    fn meta() -> EntryMeta {
        EntryMeta {
            display_name: s("Ada"),
            host: s("h"),
            tool: s("t"),
            via: s("v"),
        }
    }

    #[test]
    fn registration_is_written_as_older_peers_write_it() {
        written(
            &RegisterRequest {
                admin_token: s("a"),
                project_name: s("größe"),
                ..RegisterRequest::default()
            },
            r#"{"admin_token":"a","project_name":"größe"}"#,
        );
        written(
            &RegisterRequest {
                admin_token: s(""),
                project_name: s("p"),
                invitation: s("i"),
                token_hash: s("h"),
            },
            r#"{"admin_token":"","project_name":"p","invitation":"i","token_hash":"h"}"#,
        );
        written(
            &RegisterResponse {
                client_id: s("i"),
                client_token: s("t"),
                expires_at: 0,
            },
            r#"{"client_id":"i","client_token":"t"}"#,
        );
        written(
            &RotateTokenRequest {
                new_token_hash: s("h"),
            },
            r#"{"new_token_hash":"h"}"#,
        );
        written(
            &RotateTokenResponse {
                expires_at: 1,
                previous_ends_at: 2,
            },
            r#"{"expires_at":1,"previous_ends_at":2}"#,
        );
        written(
            &RevokeRequest {
                admin_token: s("a"),
                client_id: s("i"),
            },
            r#"{"admin_token":"a","client_id":"i"}"#,
        );
        written(&RevokeResponse {}, "{}");
    }

    #[test]
    fn publishing_is_written_as_older_peers_write_it() {
        let entry = PublishEntry {
            id: s("i"),
            r#type: s("task"),
            content: s("a\"\\\n\u{0}<&>\u{2028}"),
            origin: s("o"),
            timestamp: -1,
            meta: Some(meta()),
        };
        written(
            &PublishRequest {
                entries: vec![entry],
            },
            concat!(
                r#"{"entries":[{"id":"i","type":"task","content":"a\"\\\n\u0000<&>"#,
                "\u{2028}",
                r#"","origin":"o","timestamp":-1,"meta":"#,
                r#"{"display_name":"Ada","host":"h","tool":"t","via":"v"}}]}"#
            ),
        );
        written(&PublishRequest::default(), r#"{"entries":null}"#);
        written(
            &PublishResponse {
                sequences: vec![1, u64::MAX],
            },
            r#"{"sequences":[1,18446744073709551615]}"#,
        );
        written(&PublishResponse::default(), r#"{"sequences":null}"#);
    }

    #[test]
    fn pulling_is_written_as_older_peers_write_it() {
        let types = vec![s("decision"), s("task")];
        written(
            &SyncRequest {
                types: types.clone(),
                since_sequence: 7,
                ..SyncRequest::default()
            },
            r#"{"types":["decision","task"],"since_sequence":7}"#,
        );
        written(
            &SyncRequest {
                known_sequence: 8,
                known_chain: s("c"),
                ..SyncRequest::default()
            },
            r#"{"types":null,"since_sequence":0,"known_sequence":8,"known_chain":"c"}"#,
        );
        written(
            &SyncRequest::default(),
            r#"{"types":null,"since_sequence":0}"#,
        );
        written(
            &ListenRequest {
                types,
                since_sequence: 7,
                ..ListenRequest::default()
            },
            r#"{"types":["decision","task"],"since_sequence":7}"#,
        );
        written(
            &ListenRequest {
                known_sequence: 8,
                known_chain: s("c"),
                ..ListenRequest::default()
            },
            r#"{"types":null,"since_sequence":0,"known_sequence":8,"known_chain":"c"}"#,
        );
        written(
            &ListenRequest::default(),
            r#"{"types":null,"since_sequence":0}"#,
        );
        let entry = EntryMsg {
            id: s("i"),
            r#type: s("learning"),
            content: s("c"),
            origin: s("o"),
            timestamp: i64::MIN,
            sequence: 9,
            meta: Some(EntryMeta {
                tool: s("t"),
                ..EntryMeta::default()
            }),
            chain: String::new(),
        };
        written(
            &entry,
            concat!(
                r#"{"id":"i","type":"learning","content":"c","origin":"o","#,
                r#""timestamp":-9223372036854775808,"sequence":9,"meta":{"tool":"t"}}"#
            ),
        );
        written(
            &EntryMsg {
                chain: s("h"),
                meta: Some(EntryMeta::default()),
                ..EntryMsg::default()
            },
            concat!(
                r#"{"id":"","type":"","content":"","origin":"","timestamp":0,"sequence":0,"#,
                r#""meta":{},"chain":"h"}"#
            ),
        );
    }

    #[test]
    fn figures_are_written_as_older_peers_write_them() {
        written(&StatusRequest {}, "{}");
        written(
            &StatusResponse {
                total_entries: 3,
                connected_clients: 2,
                entries_by_type: [(s("task"), 3)].into(),
                entries_by_project: [(s("a"), 1), (s("b"), 2)].into(),
            },
            concat!(
                r#"{"total_entries":3,"connected_clients":2,"entries_by_type":{"task":3},"#,
                r#""entries_by_project":{"a":1,"b":2}}"#
            ),
        );
        written(
            &StatusResponse::default(),
            concat!(
                r#"{"total_entries":0,"connected_clients":0,"entries_by_type":{},"#,
                r#""entries_by_project":{}}"#
            ),
        );
    }

    #[test]
    fn administration_is_written_field_by_field() {
        written(&HubStatusRequest {}, "{}");
        written(&ListClientsRequest {}, "{}");
        written(&ShutdownRequest {}, "{}");
        written(&ShutdownResponse { pid: 7 }, r#"{"pid":7}"#);
        written(
            &RevokeClientRequest { client_id: s("i") },
            r#"{"client_id":"i"}"#,
        );
        written(
            &RevokeClientResponse {
                project_name: s("p"),
            },
            r#"{"project_name":"p"}"#,
        );
        let client = ClientInfo {
            client_id: s("i"),
            project_name: s("p"),
            created_at: 1,
            revoked_at: 0,
            entries: 2,
            last_seen_at: 3,
            last_address: s("a"),
            expires_at: 4,
            state: s("live"),
            open_streams: 5,
        };
        written(
            &ListClientsResponse {
                clients: vec![client],
            },
            concat!(
                r#"{"clients":[{"client_id":"i","project_name":"p","created_at":1,"#,
                r#""revoked_at":0,"entries":2,"last_seen_at":3,"last_address":"a","#,
                r#""expires_at":4,"state":"live","open_streams":5}]}"#
            ),
        );
        written(
            &HubStatusResponse {
                hub_id: s("h"),
                addresses: vec![s("a:1")],
                ..Default::default()
            },
            concat!(
                r#"{"hub_id":"h","version":"","pid":0,"started_at":0,"addresses":["a:1"],"#,
                r#""data_dir":"","head":0,"total_entries":0,"connected_clients":0,"#,
                r#""registered_clients":0,"entries_by_type":{},"entries_by_project":{},"#,
                r#""fingerprint":"","encrypted":false,"certificate_expires_at":0,"#,
                r#""troubles":null,"self_signed":false}"#
            ),
        );
    }

    #[test]
    fn an_absent_meta_is_written_as_an_empty_object() {
        for text in [
            serde_json::to_string(&EntryMsg::default()).unwrap(),
            serde_json::to_string(&PublishEntry::default()).unwrap(),
        ] {
            assert!(text.ends_with(r#","meta":{}}"#), "{text}");
        }
    }

    #[test]
    fn what_is_absent_or_null_reads_as_empty_and_the_unknown_is_ignored() {
        empty_fields_read::<RegisterRequest>();
        empty_fields_read::<RegisterResponse>();
        empty_fields_read::<RevokeRequest>();
        empty_fields_read::<RevokeResponse>();
        empty_fields_read::<PublishRequest>();
        empty_fields_read::<PublishEntry>();
        empty_fields_read::<EntryMeta>();
        empty_fields_read::<PublishResponse>();
        empty_fields_read::<SyncRequest>();
        empty_fields_read::<ListenRequest>();
        empty_fields_read::<EntryMsg>();
        empty_fields_read::<StatusRequest>();
        empty_fields_read::<StatusResponse>();
        empty_fields_read::<HubStatusResponse>();
        empty_fields_read::<ListClientsResponse>();
        empty_fields_read::<ClientInfo>();
        empty_fields_read::<RevokeClientResponse>();
        empty_fields_read::<ShutdownResponse>();
    }

    #[test]
    fn escapes_of_older_peers_read_as_what_they_mean() {
        let text = r#"{"content":"\u003cb\u003e \u0026 \ud83d\ude00 \/"}"#;
        let entry: EntryMsg = from_slice(text.as_bytes()).unwrap();
        assert_eq!(entry.content, "<b> & 😀 /");
    }

    #[test]
    fn a_field_written_twice_is_refused() {
        assert_eq!(
            refusal::<EntryMsg>(r#"{"id":"a","id":"b"}"#),
            "duplicate field `id` at line 1 column 14"
        );
        // What is not read cannot contradict itself.
        assert!(from_slice::<EntryMsg>(br#"{"x":1,"x":2}"#).is_ok());
    }

    #[test]
    fn a_name_in_another_letter_case_is_another_name() {
        let entry: EntryMsg = from_slice(br#"{"ID":"a","Type":"task"}"#).unwrap();
        assert_eq!(entry, EntryMsg::default());
    }

    #[test]
    fn text_that_is_no_unicode_is_refused() {
        for text in [r#"{"content":"\ud800"}"#, r#"{"content":"\udc00 "}"#] {
            let refusal = refusal::<EntryMsg>(text);
            assert!(refusal.contains("hex escape at line 1 column"), "{refusal}");
        }
        assert_eq!(
            refusal::<EntryMsg>(b"{\"content\":\"a\xff\"}"),
            "invalid UTF-8 at byte 13"
        );
        assert_eq!(
            refusal::<EntryMsg>(b"{\"unknown\":\"\xc3\"}"),
            "invalid UTF-8 at byte 12"
        );
    }

    #[test]
    fn a_document_that_is_no_object_is_refused() {
        for text in [
            "",
            " ",
            "null",
            "[]",
            r#"["ctx_adm_0","p"]"#,
            r#""ctx_adm_0""#,
            "7",
        ] {
            assert_eq!(
                refusal::<RegisterRequest>(text),
                "not a JSON object",
                "{text}"
            );
        }
        assert!(refusal::<EntryMsg>("{").starts_with("EOF while parsing"));
        assert!(refusal::<EntryMsg>("{}{}").starts_with("trailing characters"));
    }

    #[test]
    fn numbers_are_whole_in_range_and_not_text() {
        for value in ["1.0", "1e3", "\"1\"", "-1", "18446744073709551616", "true"] {
            let text = format!(r#"{{"sequence":{value}}}"#);
            assert!(refusal::<EntryMsg>(text).contains("at line 1"), "{value}");
        }
    }

    #[test]
    fn nesting_without_end_does_not_overflow_the_stack() {
        let deep = format!(r#"{{"unknown":{}"#, "[".repeat(100_000));
        assert!(refusal::<EntryMsg>(deep).starts_with("EOF while parsing"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
            from_slice::<PublishRequest>(&bytes).ok();
        }

        #[test]
        fn whatever_an_entry_holds_reads_back_the_same(
            texts in any::<[String; 6]>(),
            timestamp in any::<i64>(),
            sequence in any::<u64>(),
        ) {
            let [id, r#type, content, origin, host, chain] = texts;
            let meta = Some(EntryMeta { host, ..EntryMeta::default() });
            let entry = EntryMsg {
                id, r#type, content, origin, timestamp, sequence, meta, chain,
            };
            let text = serde_json::to_vec(&entry).unwrap();
            prop_assert_eq!(from_slice::<EntryMsg>(&text).unwrap(), entry);
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_written_as_its_derived_writer_writes_it(
            texts in prop::array::uniform7("(?s).{0,40}|[ -~\\x00-\\x1f]{0,200}"),
            timestamp in any::<i64>(),
            sequence in any::<u64>(),
            chain in any::<Option<[u8; 16]>>(),
        ) {
            let [id, content, origin, display_name, host, tool, via] = &texts;
            let entry = EntryView {
                id,
                entry_type: crate::types::EntryType::Task,
                content,
                origin,
                timestamp,
                sequence: crate::types::Sequence::new(sequence),
                meta: crate::entry::MetaView { display_name, host, tool, via },
                chain: chain.map(crate::types::Chain::from_bytes),
            };
            let mut written = Vec::new();
            write_entry(&mut written, &entry);
            let message = super::super::convert::entry_to_wire(&entry);
            prop_assert_eq!(written, serde_json::to_vec(&message).unwrap());
            let quoted = serde_json::to_vec(content).unwrap();
            prop_assert_eq!(string_bytes(content) + 2, quoted.len());
        }
    }
}
