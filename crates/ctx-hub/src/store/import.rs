//! The files of an older hub, read one piece at a time. They are never changed.

use std::io::{self, BufRead, BufReader};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use fs_err::File;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::error::{ImportFault, StoreError};
use super::notice::Notice;
use crate::entry::{Entry, EntryMeta};
use crate::secret::TokenHash;
use crate::types::{ClientId, EntryId, Sequence};

/// The files of an older hub in a data directory.
pub(super) struct OldFiles {
    dir: DataDir,
}

/// A client of an older hub. Its token is known by its hash from here on.
pub(super) struct OldClient {
    pub(super) id: ClientId,
    pub(super) project: crate::types::ProjectName,
    pub(super) token: TokenHash,
}

/// What an older hub knew of its log.
pub(super) struct OldMeta {
    pub(super) sequence_counter: Sequence,
    pub(super) created_at: Option<i64>,
}

/// A line of the entries file.
#[derive(Deserialize)]
struct EntryLine {
    id: String,
    #[serde(rename = "type")]
    entry_type: String,
    #[serde(default, deserialize_with = "null_as_default")]
    content: String,
    #[serde(default, deserialize_with = "null_as_default")]
    origin: String,
    timestamp: String,
    sequence: u64,
    #[serde(default, deserialize_with = "null_as_default")]
    meta: MetaObject,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MetaObject {
    #[serde(deserialize_with = "null_as_default")]
    display_name: String,
    #[serde(deserialize_with = "null_as_default")]
    host: String,
    #[serde(deserialize_with = "null_as_default")]
    tool: String,
    #[serde(deserialize_with = "null_as_default")]
    via: String,
}

#[derive(Deserialize)]
struct ClientObject {
    id: String,
    project_name: String,
    token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct MetaFile {
    sequence_counter: u64,
    created_at: Option<String>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl OldFiles {
    /// The files in `dir`, if there is any of them.
    pub(super) fn find(dir: &DataDir) -> Result<Option<Self>, StoreError> {
        for path in [dir.old_entries(), dir.old_clients(), dir.old_meta()] {
            if open(&path)?.is_some() {
                return Ok(Some(Self { dir: dir.clone() }));
            }
        }
        Ok(None)
    }

    /// The directory that they are in.
    pub(super) fn path(&self) -> &Utf8Path {
        self.dir.path()
    }

    /// What the older hub knew of its log. Its counter may be ahead of its entries.
    pub(super) fn meta(&self) -> Result<OldMeta, StoreError> {
        let path = self.dir.old_meta();
        let text = read_whole(&path)?;
        let meta = text
            .map(|text| parse::<MetaFile>(&path, &text))
            .transpose()?;
        meta.unwrap_or_default().check(&path)
    }

    /// The clients, in the order of the file.
    pub(super) fn clients(&self) -> Result<Vec<OldClient>, StoreError> {
        let path = self.dir.old_clients();
        let text = read_whole(&path)?;
        text.map_or(Ok(Vec::new()), |text| read_clients(&path, &text))
    }

    /// An error that the clients file is to blame for.
    pub(super) fn client_fault(&self, fault: ImportFault) -> StoreError {
        import_error(&self.dir.old_clients(), fault)
    }

    /// The entries, in the order of the file.
    pub(super) fn entries(&self) -> Result<Entries, StoreError> {
        let path = self.dir.old_entries();
        let lines = open(&path)?.map(|file| -> Lines { Box::new(BufReader::new(file)) });
        Ok(Entries::new(path, lines))
    }
}

impl MetaFile {
    /// Of the file at `path`.
    pub(super) fn check(self, path: &Utf8Path) -> Result<OldMeta, StoreError> {
        let counter = storable(self.sequence_counter);
        Ok(OldMeta {
            sequence_counter: counter.map_err(|fault| import_error(path, fault))?,
            // A hub works without knowing when it was made.
            created_at: self.created_at.and_then(|time| unix_seconds(&time).ok()),
        })
    }
}

/// The clients that `text` lists, which is the file at `path`.
pub(super) fn read_clients(path: &Utf8Path, text: &[u8]) -> Result<Vec<OldClient>, StoreError> {
    let clients: Option<Vec<ClientObject>> = parse(path, text)?;
    let clients = clients.unwrap_or_default().into_iter().zip(1_usize..);
    clients
        .map(|(client, number)| client.check(number).map_err(|e| import_error(path, e)))
        .collect()
}

impl ClientObject {
    fn check(self, number: usize) -> Result<OldClient, ImportFault> {
        let token = Zeroizing::new(self.token);
        let id: ClientId = self
            .id
            .parse()
            .map_err(|source| ImportFault::ClientId { number, source })?;
        if token.is_empty() {
            return Err(ImportFault::NotItsOwn { id: self.id });
        }
        let project = self
            .project_name
            .parse()
            .map_err(|source| ImportFault::Project {
                id: self.id,
                source,
            })?;
        Ok(OldClient {
            id,
            project,
            token: TokenHash::of(&token),
        })
    }
}

/// What entries are read from.
type Lines = Box<dyn BufRead>;

/// The entries of an older hub: one line in memory at a time.
pub(super) struct Entries {
    path: Utf8PathBuf,
    lines: Option<Lines>,
    line: u64,
    previous: Sequence,
    buffer: Vec<u8>,
    torn: Option<Notice>,
}

impl Entries {
    /// The entries in `lines`, which are those of the file at `path`.
    pub(super) fn new(path: Utf8PathBuf, lines: Option<Lines>) -> Self {
        Self {
            path,
            lines,
            line: 0,
            previous: Sequence::START,
            buffer: Vec::new(),
            torn: None,
        }
    }

    /// The next entry, under the sequence that it has: projects have cursors past it. `None` at the
    /// end, or where the last line breaks off.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        let Some(lines) = &mut self.lines else {
            return Ok(None);
        };
        loop {
            self.buffer.clear();
            self.line += 1;
            let read = lines.read_until(b'\n', &mut self.buffer);
            if read.map_err(|error| fault(&self.path, self.line, error.into()))? == 0 {
                return Ok(None);
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        match serde_json::from_slice::<EntryLine>(&self.buffer) {
            Ok(line) => {
                let entry = check(line, self.previous)
                    .map_err(|error| fault(&self.path, self.line, error))?;
                self.previous = entry.sequence;
                Ok(Some(entry))
            }
            // A complete document of another shape is no torn one.
            Err(error) if !error.is_data() && !self.buffer.ends_with(b"\n") => {
                self.torn = Some(Notice::TornLine {
                    path: self.path.clone(),
                    line: self.line,
                    bytes: u64::try_from(self.buffer.len()).unwrap_or(u64::MAX),
                });
                Ok(None)
            }
            Err(error) => Err(fault(&self.path, self.line, error.into())),
        }
    }

    /// What the operator should know of the file.
    pub(super) fn into_notice(self) -> Option<Notice> {
        self.torn
    }
}

/// A line as an entry. Limits are not checked: what was accepted once is kept.
fn check(line: EntryLine, previous: Sequence) -> Result<Entry, ImportFault> {
    let sequence = storable(line.sequence)?;
    if sequence <= previous {
        return Err(ImportFault::NotRising {
            previous,
            found: sequence,
        });
    }
    Ok(Entry {
        sequence,
        id: EntryId::try_from(line.id)?,
        entry_type: line.entry_type.parse()?,
        origin: line.origin,
        timestamp: unix_seconds(&line.timestamp)?,
        meta: EntryMeta {
            display_name: line.meta.display_name,
            host: line.meta.host,
            tool: line.meta.tool,
            via: line.meta.via,
        },
        content: line.content,
        chain: None,
    })
}

fn unix_seconds(given: &str) -> Result<i64, ImportFault> {
    given
        .parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_second)
        .map_err(|source| ImportFault::Time {
            given: given.to_owned(),
            source,
        })
}

fn storable(sequence: u64) -> Result<Sequence, ImportFault> {
    i64::try_from(sequence)
        .map(|_| Sequence::new(sequence))
        .map_err(|_| ImportFault::SequenceTooLarge { found: sequence })
}

/// The text of a small file, if there is one.
fn read_whole(path: &Utf8Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let Some(mut file) = open(path)? else {
        return Ok(None);
    };
    let mut text = Zeroizing::new(Vec::new());
    io::Read::read_to_end(&mut file, &mut text)
        .map_err(|error| import_error(path, error.into()))?;
    Ok(Some(text))
}

/// Reads `text`, which is the file at `path`, as one document. What it holds is not repeated.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(
    path: &Utf8Path,
    text: &[u8],
) -> Result<T, StoreError> {
    serde_json::from_slice(text).map_err(|error| {
        import_error(
            path,
            ImportFault::Shape {
                line: error.line(),
                column: error.column(),
            },
        )
    })
}

fn open(path: &Utf8Path) -> Result<Option<File>, StoreError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(import_error(path, error.into())),
    }
}

fn import_error(path: &Utf8Path, source: ImportFault) -> StoreError {
    StoreError::Import {
        path: path.to_owned(),
        line: None,
        source,
    }
}

fn fault(path: &Utf8Path, line: u64, source: ImportFault) -> StoreError {
    StoreError::Import {
        path: path.to_owned(),
        line: Some(line),
        source,
    }
}
