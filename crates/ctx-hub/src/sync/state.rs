//! The commit record `.sync-state.json`: what has been mirrored, and how long each file is. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::types::{EntryType, HubId, InvalidId, LogMark, Sequence, UnknownType};

/// The format that this version writes. A higher one is never written over.
pub(super) const FORMAT: u64 = 2;
/// The first one, which knew nothing of the log but its hub. It is read, and written anew as [`FORMAT`].
const FORMAT_WITHOUT_LOG: u64 = 1;
/// No state of ours is longer.
pub(super) const STATE_MAX_BYTES: u64 = 65_536;

/// What has been mirrored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SyncState {
    /// The log that the mirror was made from; `None` until a hub has said.
    pub(super) hub_id: Option<HubId>,
    /// How far that log is known, and its rolling hash up to there; `None` until a hub has said.
    pub(super) log: Option<LogMark>,
    /// Each type that was ever mirrored.
    pub(super) types: BTreeMap<EntryType, TypeState>,
    /// Of a rebuild: nothing is missing, it may take the mirror's place.
    pub(super) complete: bool,
}

/// What has been mirrored of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TypeState {
    /// Every entry up to here is in the file.
    pub(super) cursor: Sequence,
    /// The bytes of the file that hold them.
    pub(super) length: u64,
    /// When the file was last written by us, in nanoseconds of Unix time.
    pub(super) modified_ns: Option<i64>,
}

/// What a state file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// There is no file, it is empty, or it is an older one that begins at 0.
    Nothing,
    /// One cursor for all types, as an older `ctx` keeps it.
    Older(Sequence),
    /// What this version writes.
    Current(SyncState),
}

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// It is not a JSON object of the known shape, perhaps because it was cut off.
    #[error("it is not a state file")]
    Json(#[from] serde_json::Error),
    /// A newer version wrote it.
    #[error("it was written by a newer ctx (format {found}, this one knows {FORMAT})")]
    Newer {
        /// Its format.
        found: u64,
    },
    /// Its format is none.
    #[error("its format {found} is none")]
    Format {
        /// Its format.
        found: Value,
    },
    /// It names a type that does not exist.
    #[error("it names a type that does not exist")]
    Type(#[from] UnknownType),
    /// The identity of its hub is none.
    #[error("the identity of its hub is none")]
    HubId(#[source] InvalidId),
    /// The hash of its hub's log is none.
    #[error("the hash of its hub's log is none")]
    Chain(#[source] InvalidId),
    /// It is far longer than a state can be.
    #[error("it is longer than {STATE_MAX_BYTES} bytes")]
    TooLong,
}

#[derive(Serialize, Deserialize)]
struct StateJson {
    format: u64,
    hub_id: Option<String>,
    #[serde(default)]
    log: Option<LogJson>,
    /// For an older `ctx`, which knows nothing else.
    #[serde(default)]
    last_sequence: u64,
    types: BTreeMap<String, TypeJson>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    complete: bool,
}

#[derive(Serialize, Deserialize)]
struct LogJson {
    sequence: u64,
    chain: String,
}

impl LogJson {
    fn check(self) -> Result<LogMark, StateError> {
        Ok(LogMark {
            sequence: Sequence::new(self.sequence),
            chain: self.chain.parse().map_err(StateError::Chain)?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct TypeJson {
    cursor: u64,
    length: u64,
    modified_ns: Option<i64>,
}

#[derive(Deserialize)]
struct OlderJson {
    #[serde(default)]
    last_sequence: u64,
}

impl SyncState {
    /// What is recorded of `entry_type`; nothing, if it was never mirrored.
    pub(super) fn of(&self, entry_type: EntryType) -> TypeState {
        self.types.get(&entry_type).copied().unwrap_or_default()
    }

    /// The hub's log reached that far once: the largest cursor, or what is known of the log.
    pub(super) fn reached(&self) -> Sequence {
        let cursors = self.types.values().map(|of_type| of_type.cursor);
        let known = self.log.map(|mark| mark.sequence);
        cursors.chain(known).max().unwrap_or_default()
    }

    /// What is known of the log when `mark` is learned of it too.
    pub(super) fn log_with(&self, mark: Option<LogMark>) -> Option<LogMark> {
        self.log
            .into_iter()
            .chain(mark)
            .max_by_key(|mark| mark.sequence)
    }

    /// The bytes of the file.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let types = self.types.iter().map(|(entry_type, of_type)| {
            let TypeState {
                cursor,
                length,
                modified_ns,
            } = *of_type;
            let json = TypeJson {
                cursor: cursor.get(),
                length,
                modified_ns,
            };
            (entry_type.as_str().to_owned(), json)
        });
        // The smallest one: an older ctx that reads it may repeat entries, never skip any.
        let last = self.types.values().map(|of_type| of_type.cursor).min();
        let mut bytes = serde_json::to_vec(&StateJson {
            format: FORMAT,
            hub_id: self.hub_id.as_ref().map(ToString::to_string),
            log: self.log.map(|LogMark { sequence, chain }| LogJson {
                sequence: sequence.get(),
                chain: chain.to_string(),
            }),
            last_sequence: last.unwrap_or_default().get(),
            types: types.collect(),
            complete: self.complete,
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Reads the bytes of a state file.
pub(super) fn read(bytes: &[u8]) -> Result<Recorded, StateError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Recorded::Nothing);
    }
    let object: Map<String, Value> = serde_json::from_slice(bytes)?;
    let Some(format) = object.get("format") else {
        let older: OlderJson = serde_json::from_value(Value::Object(object))?;
        return Ok(match older.last_sequence {
            0 => Recorded::Nothing,
            last => Recorded::Older(Sequence::new(last)),
        });
    };
    match format.as_u64() {
        Some(FORMAT_WITHOUT_LOG | FORMAT) => {}
        Some(found) if found > FORMAT => return Err(StateError::Newer { found }),
        _ => {
            return Err(StateError::Format {
                found: format.clone(),
            });
        }
    }
    current(serde_json::from_value(Value::Object(object))?).map(Recorded::Current)
}

fn current(json: StateJson) -> Result<SyncState, StateError> {
    let hub_id = json.hub_id.map(|id| id.parse().map_err(StateError::HubId));
    let log = json.log.map(LogJson::check);
    let mut types = BTreeMap::new();
    for (name, of_type) in json.types {
        let TypeJson {
            cursor,
            length,
            modified_ns,
        } = of_type;
        let cursor = Sequence::new(cursor);
        types.insert(
            name.parse()?,
            TypeState {
                cursor,
                length,
                modified_ns,
            },
        );
    }
    Ok(SyncState {
        hub_id: hub_id.transpose()?,
        log: log.transpose()?,
        types,
        complete: json.complete,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(sequence: u64) -> LogMark {
        LogMark {
            sequence: Sequence::new(sequence),
            chain: "00112233445566778899aabbccddeeff".parse().unwrap(),
        }
    }

    fn state() -> SyncState {
        let of_type = |cursor| TypeState {
            cursor: Sequence::new(cursor),
            length: 10 * cursor,
            modified_ns: Some(-5),
        };
        SyncState {
            hub_id: Some("0123456789abcdef0123456789abcdef".parse().unwrap()),
            log: Some(mark(8)),
            types: [
                (EntryType::Task, of_type(7)),
                (EntryType::Decision, of_type(3)),
            ]
            .into(),
            complete: false,
        }
    }

    #[test]
    fn a_state_reads_back_and_shows_an_older_ctx_its_smallest_cursor() {
        let json = String::from_utf8(state().to_json().unwrap()).unwrap();
        assert_eq!(
            json,
            "{\"format\":2,\"hub_id\":\"0123456789abcdef0123456789abcdef\",\
             \"log\":{\"sequence\":8,\"chain\":\"00112233445566778899aabbccddeeff\"},\
             \"last_sequence\":3,\"types\":{\"decision\":{\"cursor\":3,\"length\":30,\"modified_ns\":-5},\
             \"task\":{\"cursor\":7,\"length\":70,\"modified_ns\":-5}}}\n"
        );
        assert_eq!(read(json.as_bytes()).unwrap(), Recorded::Current(state()));
        assert_eq!(state().reached(), Sequence::new(8));
        let log = None;
        assert_eq!(SyncState { log, ..state() }.reached(), Sequence::new(7));
        assert_eq!(state().log_with(Some(mark(7))), Some(mark(8)));
        assert_eq!(state().log_with(Some(mark(9))), Some(mark(9)));
        assert_eq!(state().log_with(None), Some(mark(8)));
    }

    #[test]
    fn nothing_older_and_newer_are_told_apart() {
        for nothing in ["", " \n", "{}", "{\"last_sequence\":0}"] {
            assert_eq!(read(nothing.as_bytes()).unwrap(), Recorded::Nothing);
        }
        let older = read(b"{\"last_sequence\": 42}").unwrap();
        assert_eq!(older, Recorded::Older(Sequence::new(42)));
        let newer = read(b"{\"format\":3,\"types\":[]}").unwrap_err();
        assert_eq!(
            newer.to_string(),
            "it was written by a newer ctx (format 3, this one knows 2)"
        );
    }

    #[test]
    fn the_first_format_reads_as_one_that_knows_nothing_of_the_log() {
        let first = "{\"format\":1,\"hub_id\":\"0123456789abcdef0123456789abcdef\",\"last_sequence\":3,\
             \"types\":{\"decision\":{\"cursor\":3,\"length\":30,\"modified_ns\":-5},\
             \"task\":{\"cursor\":7,\"length\":70,\"modified_ns\":-5}}}\n";
        let expected = SyncState {
            log: None,
            ..state()
        };
        assert_eq!(
            read(first.as_bytes()).unwrap(),
            Recorded::Current(expected.clone())
        );
        let again = expected.to_json().unwrap();
        assert_eq!(read(&again).unwrap(), Recorded::Current(expected));
    }

    #[test]
    fn a_state_cut_off_anywhere_is_no_state() {
        let json = state().to_json().unwrap();
        for length in 1..json.len() - 1 {
            assert!(read(&json[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for text in [
            "null",
            "[]",
            "[1]",
            "7",
            "\"x\"",
            "{\"last_sequence\":-1}",
            "{\"format\":0}",
            "{\"format\":\"1\"}",
            "{\"format\":1}",
            "\u{0}",
            "{\"format\":1,\"hub_id\":null,\"types\":{\"x\":{\"cursor\":1,\"length\":1}}}",
            "{\"format\":1,\"hub_id\":\"x\",\"types\":{}}",
            "{\"format\":2,\"hub_id\":null,\"types\":{},\"log\":{\"sequence\":1,\"chain\":\"x\"}}",
            "{\"format\":2,\"hub_id\":null,\"types\":{},\"log\":{\"sequence\":1}}",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
