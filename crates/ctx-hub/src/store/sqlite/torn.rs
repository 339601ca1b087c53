//! Whether the write-ahead log lost something that had been committed.
//!
//! After a crash the engine takes the log up to the first page that does not add up, and says
//! nothing of what comes behind it. Behind a torn end that is at most the one transaction that was
//! being written, which nobody was told of: every commit is flushed before the next one begins. So
//! two ends of transactions behind the break were committed once, and the log was damaged since.

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
/// Reads the log, which is short, and the database not at all.
///
/// # Errors
/// The log cannot be read.
pub(super) fn look(path: &Utf8Path) -> Result<Option<Notice>, StoreError> {
    let wal = file::wal(path);
    let failed = file::io_error(&wal, "read");
    let opened = match File::open(&wal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened,
    };
    let lost = opened
        .and_then(|log| lost(&mut BufReader::new(log)))
        .map_err(failed)?;
    Ok((lost > 1).then_some(Notice::LogDamaged { path: wal, lost }))
}

/// How many transactions end behind the place where the log stops adding up.
fn lost(log: &mut impl Read) -> io::Result<u64> {
    let mut header = [0; HEADER];
    if !fill(log, &mut header)? {
        return Ok(0);
    }
    let mut sums = match word(&header, 0) {
        LITTLE => Sums {
            big: false,
            a: 0,
            b: 0,
        },
        BIG => Sums {
            big: true,
            a: 0,
            b: 0,
        },
        _ => return Ok(0),
    };
    let (begun, _) = header.split_at(FRAME_HEADER);
    sums.add(begun);
    let salts = (word(&header, 16), word(&header, 20));
    let page_size = usize::try_from(word(&header, 8)).unwrap_or_default();
    if !sums.are(word(&header, 24), word(&header, 28)) || !(512..=65_536).contains(&page_size) {
        return Ok(0);
    }
    let mut frame = vec![0; FRAME_HEADER + page_size];
    let (mut whole, mut lost) = (true, 0);
    while fill(log, &mut frame)? {
        // A frame of an earlier round of the log has other salts.
        let ours = (word(&frame, 8), word(&frame, 12)) == salts;
        let (head, page) = frame.split_at(FRAME_HEADER);
        sums.add(head.get(..8).unwrap_or_default());
        sums.add(page);
        whole = whole && ours && sums.are(word(head, 16), word(head, 20));
        let ends_a_transaction = word(head, 4) != 0;
        if !whole && ours && ends_a_transaction {
            lost += 1;
        }
    }
    Ok(lost)
}

/// The engine's running sums, which each frame continues.
struct Sums {
    big: bool,
    a: u32,
    b: u32,
}

impl Sums {
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
