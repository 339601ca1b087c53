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
use super::torn::{self, Tail};
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
    if facts.length > length {
        let tail = read_tail(&mut file, length)?;
        if tail.is_none_or(|tail| !torn::is_ours(&tail, entry_type, record.cursor)) {
            return Err(fail(MirrorFault::Edited { offset: length }));
        }
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

/// What the file holds behind its first `length` bytes; `None` when that is more than any append
/// of ours leaves.
pub(super) fn read_tail(file: &mut File, length: u64) -> Result<Option<Vec<u8>>, SyncError> {
    let limit = torn::TAIL_MAX_BYTES;
    file.seek(SeekFrom::Start(length))?;
    let mut tail = Vec::new();
    // One byte beyond the limit tells that there is more.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut tail)?;
    Ok(Some(tail).filter(|tail| tail.len() <= limit))
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

/// Appends `text` to what `record` says of the file at `path`; not durable before
/// [`AppendFile::sync`]. The file is created if it is not there. What an append that was killed left
/// of the same text is written over, or kept where it is all there; anything else is refused.
pub(super) fn append(
    path: &Utf8Path,
    entry_type: EntryType,
    record: TypeState,
    text: &str,
) -> Result<AppendFile, SyncError> {
    let TypeState { length, cursor, .. } = record;
    let mut file = AppendFile::open(path, paths::SHARED_FILE_MODE)?;
    if file.len()? != length {
        let tail = read_tail(&mut File::open(path)?, length)?;
        let judge = |tail: Vec<u8>| torn::judge(&tail, text.as_bytes(), entry_type, cursor);
        match tail.map_or(Tail::Foreign, judge) {
            Tail::Written => return Ok(file),
            Tail::Torn => file.truncate_to(length)?,
            Tail::Foreign => {
                return Err(damaged(
                    path.to_owned(),
                    MirrorFault::Edited { offset: length },
                ));
            }
        }
    }
    file.append(text.as_bytes())?;
    Ok(file)
}
