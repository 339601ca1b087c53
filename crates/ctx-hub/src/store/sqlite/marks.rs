//! What was acknowledged, remembered beside the database.
//!
//! The engine keeps the last commits in its write-ahead log alone. A log that is removed or cut
//! where a transaction ends is as good as any to it: it answers an older state, without a word. So
//! the writer appends a line to a file of its own after each commit, before anybody is answered:
//! how many commits there were, and the head. A store that has fewer lost something.
//!
//! The lines are not flushed. What a power cut takes from them makes them say less than the
//! database has, never more: no false alarm, and a commit costs no second flush.

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{DataDir, PRIVATE_FILE_MODE};
use ctx_io::append::AppendFile;
use ctx_io::atomic::{self, Mode};
use ctx_io::failpoint;
use sha2::{Digest as _, Sha256};

use crate::store::error::StoreError;
use crate::types::{HubId, Sequence};

/// Length of the file, in bytes, after which it is begun anew with its last line.
const BEGIN_ANEW_BYTES: u64 = 65_536;
/// No file of ours is longer.
const MAX_BYTES: u64 = 4 * BEGIN_ANEW_BYTES;

/// How far a store had got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// How many transactions had been committed.
    pub(super) commits: u64,
    /// The last sequence that had been handed out.
    pub(super) head: Sequence,
}

/// What the file says of a store that had got as far as `mark`, and no further.
pub(super) fn only(hub_id: &HubId, mark: Mark) -> String {
    line(hub_id, mark)
}

/// The file of marks of one store.
pub(super) struct Marks {
    path: Utf8PathBuf,
    hub_id: HubId,
    /// `None` until the first mark, and after one that failed.
    file: Option<AppendFile>,
    /// How long it is, in bytes.
    length: u64,
}

impl Marks {
    /// The marks of the store of `dir`, whose log is `hub_id`, and the furthest of them. Lines of
    /// another log and lines that are not whole do not count.
    ///
    /// # Errors
    /// The file cannot be read, or something else stands in its place.
    pub(super) fn open(dir: &DataDir, hub_id: &HubId) -> Result<(Self, Mark), StoreError> {
        let path = dir.marks();
        let furthest = furthest(&path, hub_id)?;
        let marks = Self {
            path,
            hub_id: hub_id.clone(),
            file: None,
            length: 0,
        };
        Ok((marks, furthest))
    }

    /// Remembers `mark`. A failure is no reason to take back what is on the disk: it is logged, and
    /// the next mark begins the file anew.
    pub(super) fn note(&mut self, mark: Mark) {
        if let Err(error) = self.try_note(mark) {
            self.file = None;
            tracing::warn!(path = %self.path, %error, "what was acknowledged is not remembered");
        }
    }

    fn try_note(&mut self, mark: Mark) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let line = line(&self.hub_id, mark);
        let bytes = u64::try_from(line.len())?;
        if let Some(file) = &mut self.file
            && self.length < BEGIN_ANEW_BYTES
        {
            file.append(line.as_bytes())?;
            self.length += bytes;
        } else {
            // The last line alone says it all: whatever else stood there is not needed any more.
            let mode = Mode::Exactly(PRIVATE_FILE_MODE);
            atomic::write(&self.path, line.as_bytes(), mode)?;
            self.file = Some(AppendFile::open(&self.path, PRIVATE_FILE_MODE)?);
            self.length = bytes;
        }
        failpoint::reach("store.marked")?;
        Ok(())
    }
}

fn furthest(path: &Utf8Path, hub_id: &HubId) -> Result<Mark, StoreError> {
    let bytes = ctx_io::read_optional_limited(path, MAX_BYTES);
    let bytes = bytes.map_err(StoreError::Marks)?.unwrap_or_default();
    let marks = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| parse(line, hub_id));
    Ok(marks.max().unwrap_or_default())
}

/// One line: the two numbers, and a sum over them and the log's identity.
fn line(hub_id: &HubId, mark: Mark) -> String {
    let Mark { commits, head } = mark;
    let text = format!("{commits} {head}");
    let digest: [u8; 32] = Sha256::digest(format!("{hub_id} {text}").as_bytes()).into();
    let [a, b, c, d, ..] = digest;
    let sum = u32::from_be_bytes([a, b, c, d]);
    format!("{text} {sum:08x}\n")
}

fn parse(bytes: &[u8], hub_id: &HubId) -> Option<Mark> {
    let mut words = std::str::from_utf8(bytes).ok()?.split_ascii_whitespace();
    let commits = words.next()?.parse().ok()?;
    let head = Sequence::new(words.next()?.parse().ok()?);
    let mark = Mark { commits, head };
    (line(hub_id, mark).as_bytes() == bytes).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(commits: u64, head: u64) -> Mark {
        Mark {
            commits,
            head: Sequence::new(head),
        }
    }

    fn setting() -> (tempfile::TempDir, DataDir, HubId) {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(Utf8Path::from_path(temp.path()).unwrap());
        (temp, dir, HubId::random().unwrap())
    }

    fn put(dir: &DataDir, bytes: &[u8]) {
        atomic::write(&dir.marks(), bytes, Mode::Exactly(PRIVATE_FILE_MODE)).unwrap();
    }

    fn read(dir: &DataDir, hub_id: &HubId) -> Mark {
        Marks::open(dir, hub_id).unwrap().1
    }

    #[test]
    fn the_furthest_mark_reads_back_and_the_file_stays_short() {
        let (_temp, dir, hub_id) = setting();
        assert_eq!(read(&dir, &hub_id), Mark::default());
        let (mut marks, _) = Marks::open(&dir, &hub_id).unwrap();
        let mut longest = 0;
        for n in 1..=10_000 {
            marks.note(mark(n, 2 * n));
            longest = longest.max(fs_err::metadata(dir.marks()).unwrap().len());
        }
        assert_eq!(read(&dir, &hub_id), mark(10_000, 20_000));
        assert!(longest < BEGIN_ANEW_BYTES + 100, "{longest}");
    }

    #[test]
    fn a_mark_cut_anywhere_or_with_one_byte_changed_does_not_count() {
        let (_temp, dir, hub_id) = setting();
        let good = line(&hub_id, mark(41, 7));
        let last = line(&hub_id, mark(42, 17));
        for length in 0..last.len() {
            let cut = last.get(..length).unwrap();
            put(&dir, format!("{good}{cut}").as_bytes());
            assert_eq!(read(&dir, &hub_id), mark(41, 7), "{cut:?}");
        }
        for place in 0..last.len() {
            let mut bytes = format!("{good}{last}").into_bytes();
            bytes[good.len() + place] ^= 1;
            put(&dir, &bytes);
            assert_eq!(read(&dir, &hub_id), mark(41, 7), "{place}");
        }
    }

    #[test]
    fn marks_of_another_log_do_not_count() {
        let (_temp, dir, hub_id) = setting();
        let (mut marks, _) = Marks::open(&dir, &hub_id).unwrap();
        marks.note(mark(5, 9));
        assert_eq!(read(&dir, &HubId::random().unwrap()), Mark::default());
        assert_eq!(read(&dir, &hub_id), mark(5, 9));
    }
}
