//! One mirror file: compared with what is recorded of it, cut back, appended to.

use std::io::{BufReader, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::time::UNIX_EPOCH;

use camino::Utf8Path;
use ctx_config::paths;
use ctx_io::{AppendFile, refuse_symlink};
use fs_err::File;

use super::error::{MirrorFault, SyncError, damaged};
use super::parse::{Segment, classify};
use super::report::SyncWarning;
use super::segments::Segments;
use super::state::TypeState;
use super::torn;
use crate::types::{EntryType, Sequence};

/// What every entry of every version ends with.
pub(super) const LAST_BYTES: &[u8] = b"\n---\n\n";

/// What the file system says of a mirror file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) length: u64,
    /// `None` when the time cannot be told in nanoseconds.
    pub(super) modified_ns: Option<i64>,
}

/// Looks at the file at `path`; `None` when there is none.
pub(super) fn look(path: &Utf8Path) -> Result<Option<Facts>, SyncError> {
    refuse_symlink(path)?;
    let metadata = match fs_err::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !metadata.is_file() {
        return Err(damaged(path.to_owned(), MirrorFault::NotAFile));
    }
    let modified_ns = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_nanos()).ok());
    Ok(Some(Facts {
        length: metadata.len(),
        modified_ns,
    }))
}

/// Compares the file at `path` with its record. What it holds beyond the record is ours, or this
/// fails. Reads a few bytes of a file that nobody touched since the last commit, and a file whose
/// modification time differs as a whole.
pub(super) fn check(
    path: &Utf8Path,
    entry_type: EntryType,
    record: TypeState,
) -> Result<Vec<SyncWarning>, SyncError> {
    let fail = |fault| damaged(path.to_owned(), fault);
    let length = record.length;
    let Some(facts) = look(path)? else {
        return match length {
            0 => Ok(Vec::new()),
            _ => Err(fail(MirrorFault::Missing { length })),
        };
    };
    if facts.length < length {
        return Err(fail(MirrorFault::Short {
            length,
            found: facts.length,
        }));
    }
    let mut file = File::open(path)?;
    check_end(&mut file, length)?
        .then_some(())
        .ok_or(fail(MirrorFault::Edited { offset: length }))?;
    if facts.length > length && !is_tail_ours(&mut file, entry_type, record)? {
        return Err(fail(MirrorFault::Edited { offset: length }));
    }
    match record.modified_ns {
        // The first length of an older mirror: nothing is known of what it held.
        None => Ok(Vec::new()),
        known if known == facts.modified_ns => Ok(Vec::new()),
        Some(_) => {
            file.seek(SeekFrom::Start(0))?;
            let survey = survey(file.take(length), entry_type)?;
            Ok(survey.warnings(path))
        }
    }
}

/// Whether what the file holds beyond its record is the trace of an append of ours.
fn is_tail_ours(
    file: &mut File,
    entry_type: EntryType,
    record: TypeState,
) -> Result<bool, SyncError> {
    let limit = torn::TAIL_MAX_BYTES;
    file.seek(SeekFrom::Start(record.length))?;
    let mut tail = Vec::new();
    // One byte beyond the limit tells that there is more.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut tail)?;
    Ok(tail.len() <= limit && torn::is_ours(&tail, entry_type, record.cursor))
}

/// Whether the first `length` bytes end with a rule.
fn check_end(file: &mut File, length: u64) -> Result<bool, SyncError> {
    let mut last = [0; LAST_BYTES.len()];
    let Some(start) = length.checked_sub(u64::try_from(last.len()).unwrap_or(u64::MAX)) else {
        return Ok(length == 0);
    };
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut last)?;
    Ok(last == LAST_BYTES)
}

/// What a mirror file holds.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The last sequence that a comment names.
    pub(super) last: Sequence,
    /// The bytes up to the end of the last whole piece.
    pub(super) length: u64,
    /// Entries with a comment that were changed.
    pub(super) edited: Vec<Sequence>,
    /// Whether there are entries of an older `ctx`.
    pub(super) older: bool,
    /// Whether there is text of somebody else.
    pub(super) foreign: bool,
    /// Whether sequences do not rise.
    pub(super) disorder: bool,
    /// The piece at the end, if it does not end with a rule.
    pub(super) rest: Vec<u8>,
}

/// Reads a whole mirror file, an entry at a time.
pub(super) fn survey(
    reader: impl std::io::Read,
    entry_type: EntryType,
) -> Result<Survey, SyncError> {
    let mut survey = Survey::default();
    let mut segments = Segments::new(BufReader::new(reader));
    while let Some(segment) = segments.next()? {
        if !segment.ends_with(LAST_BYTES) {
            survey.rest = segment;
            continue;
        }
        // A piece without a rule in front of this one was cut off for its length.
        survey.foreign |= !std::mem::take(&mut survey.rest).is_empty();
        let sequence = match classify(&segment, entry_type) {
            Segment::Ours(entry) => Some(entry.sequence),
            Segment::Edited(sequence) => {
                survey.edited.push(sequence);
                Some(sequence)
            }
            Segment::Older => {
                survey.older = true;
                None
            }
            Segment::Foreign => {
                survey.foreign = true;
                None
            }
        };
        if let Some(sequence) = sequence {
            survey.disorder |= sequence <= survey.last;
            survey.last = survey.last.max(sequence);
        }
        survey.length += u64::try_from(segment.len()).unwrap_or(u64::MAX);
    }
    Ok(survey)
}

impl Survey {
    /// What a person should know of the file at `path`. An older entry may hold rules in its
    /// content, so that beside older entries nothing can be said of foreign text.
    fn warnings(self, path: &Utf8Path) -> Vec<SyncWarning> {
        let mut warnings = Vec::new();
        let foreign = self.foreign || !self.rest.is_empty();
        if !self.edited.is_empty() {
            warnings.push(SyncWarning::Edited {
                path: path.to_owned(),
                sequences: self.edited,
            });
        }
        if foreign && !self.older {
            warnings.push(SyncWarning::Foreign {
                path: path.to_owned(),
            });
        }
        warnings
    }
}

/// Cuts the file at `path` to `length` bytes and appends `text`, which is not durable before
/// [`AppendFile::sync`]. The file is created if it is not there.
pub(super) fn append(path: &Utf8Path, length: u64, text: &str) -> Result<AppendFile, SyncError> {
    let mut file = AppendFile::open(path, paths::SHARED_FILE_MODE)?;
    if file.len()? != length {
        file.truncate_to(length)?;
    }
    file.append(text.as_bytes())?;
    Ok(file)
}
