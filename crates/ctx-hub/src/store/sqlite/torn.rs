//! Whether the write-ahead log lost something that had been committed.
//!
//! After a crash the engine takes the log up to the first page that does not add up, and says
//! nothing of what comes behind it. Behind a torn end that is at most the one transaction that was
//! being written, which nobody was told of: every commit is flushed before the next one begins. So
//! two ends of transactions behind the break were committed once, and the log was damaged since.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};

use camino::Utf8Path;
use fs_err::File;

use super::file;
use crate::store::error::StoreError;
use crate::store::notice::Notice;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The two ways a log may begin: its sums are over little-endian or big-endian words.
const LITTLE: u32 = 0x377f_0682;
const BIG: u32 = 0x377f_0683;

/// What the operator should know of the log of the database at `path`, before the engine reads it.
///
/// # Errors
/// The log cannot be read.
pub(super) fn look(path: &Utf8Path) -> Result<Option<Notice>, StoreError> {
    let Log { lost, .. } = read(path)?;
    let path = file::wal(path);
    Ok((lost > 1).then_some(Notice::LogDamaged { path, lost }))
}

/// What a log holds.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// How many transactions end behind the place where it stops adding up.
    lost: u64,
    /// The pages that the engine takes from it, by their numbers from 1.
    pub(super) pages: BTreeSet<u32>,
    /// How many pages the database has after its last transaction; `None` when there is none.
    pub(super) database_pages: Option<u32>,
}

/// Reads the log of the database at `path`, which is short, and the database not at all. No log is
/// an empty one.
///
/// # Errors
/// The log cannot be read.
pub(super) fn read(path: &Utf8Path) -> Result<Log, StoreError> {
    let wal = file::wal(path);
    let opened = match File::open(&wal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Log::default()),
        opened => opened,
    };
    opened
        .and_then(|log| frames(&mut BufReader::new(log)))
        .map_err(file::io_error(&wal, "read"))
}

fn frames(log: &mut impl Read) -> io::Result<Log> {
    let mut found = Log::default();
    let mut header = [0; HEADER];
    if !fill(log, &mut header)? {
        return Ok(found);
    }
    let mut sums = match word(&header, 0) {
        LITTLE => Sums::new(false),
        BIG => Sums::new(true),
        _ => return Ok(found),
    };
    let (begun, _) = header.split_at(FRAME_HEADER);
    sums.add(begun);
    let salts = (word(&header, 16), word(&header, 20));
    let page_size = usize::try_from(word(&header, 8)).unwrap_or_default();
    if !sums.are(word(&header, 24), word(&header, 28)) || !(512..=65_536).contains(&page_size) {
        return Ok(found);
    }
    let mut frame = vec![0; FRAME_HEADER + page_size];
    let (mut whole, mut uncommitted) = (true, Vec::new());
    while fill(log, &mut frame)? {
        // A frame of an earlier round of the log has other salts.
        let ours = (word(&frame, 8), word(&frame, 12)) == salts;
        let (head, page) = frame.split_at(FRAME_HEADER);
        sums.add(head.get(..8).unwrap_or_default());
        sums.add(page);
        whole = whole && ours && sums.are(word(head, 16), word(head, 20));
        let (number, pages_after) = (word(head, 0), word(head, 4));
        let ends_a_transaction = pages_after != 0;
        if whole {
            uncommitted.push(number);
        }
        match (ends_a_transaction, whole) {
            (true, true) => {
                found.pages.extend(uncommitted.drain(..));
                found.database_pages = Some(pages_after);
            }
            (true, false) if ours => found.lost += 1,
            _ => {}
        }
    }
    Ok(found)
}

/// The engine's running sums, which each frame continues.
struct Sums {
    big: bool,
    a: u32,
    b: u32,
}

impl Sums {
    const fn new(big: bool) -> Self {
        Self { big, a: 0, b: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<4>();
        for pair in words.chunks_exact(2) {
            if let [x, y] = *pair {
                self.a = self.a.wrapping_add(self.word(x)).wrapping_add(self.b);
                self.b = self.b.wrapping_add(self.word(y)).wrapping_add(self.a);
            }
        }
    }

    fn word(&self, bytes: [u8; 4]) -> u32 {
        if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    fn are(&self, a: u32, b: u32) -> bool {
        (self.a, self.b) == (a, b)
    }
}

/// The big-endian number at `at`.
fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Fills `buffer`; false when the log ends before that.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
