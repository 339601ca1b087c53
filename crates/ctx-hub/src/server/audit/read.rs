//! Reading a trail, all its files in order; and going on where it was left, when more is written.
//!
//! Works with and without a running hub, and changes nothing. A file that is being read is not lost
//! when it is rotated or removed meanwhile.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;

use camino::Utf8PathBuf;
use ctx_config::limits;
use ctx_config::paths::DataDir;
use fs_err::File;

use super::error::AuditError;
use super::files;
use super::line::{self, AuditLine};

/// Reads the trail of a data directory.
#[derive(Debug)]
pub struct AuditReader {
    dir: DataDir,
    held: Option<Held>,
    /// Files and lines up to this number are done with.
    done: Option<u64>,
}

/// What is found in a trail.
#[derive(Debug)]
pub enum Found {
    /// A line.
    Line {
        /// What it says.
        line: Box<AuditLine>,
        /// Itself, without its line break.
        text: String,
        /// Where it stands.
        place: Place,
    },
    /// Something that is no line.
    Damaged(AuditDamage),
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file.
    pub path: Utf8PathBuf,
    /// The line in it, from 1.
    pub line: u64,
}

/// Something in a trail that is no line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditDamage {
    /// The file.
    pub path: Utf8PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong with it; what stands there is not repeated.
    pub why: String,
}

/// A file that is being read.
#[derive(Debug)]
struct Held {
    path: Utf8PathBuf,
    file: BufReader<File>,
    inode: u64,
    /// The number in its name; `None` for the one that is written to.
    number: Option<u64>,
    /// Lines that were read.
    line: u64,
    partial: Vec<u8>,
    /// What is read belongs to a line that is too long.
    skipping: bool,
    /// Nothing is written to it any more: it was read up to its end after that was seen.
    is_final: bool,
}

/// What a file has next.
enum Piece {
    Line(Vec<u8>),
    TooLong,
    /// Nothing, or the beginning of a line.
    Nothing,
}

impl AuditReader {
    /// A reader that begins with the oldest line.
    #[must_use]
    pub fn new(dir: &DataDir) -> Self {
        Self {
            dir: dir.clone(),
            held: None,
            done: None,
        }
    }

    /// What comes next; `None` when there is nothing more at this moment. It may be asked again.
    ///
    /// # Errors
    /// The files cannot be listed or read.
    pub fn read_next(&mut self) -> Result<Option<Found>, AuditError> {
        loop {
            let Some(held) = &mut self.held else {
                self.held = self.open_next()?;
                if self.held.is_none() {
                    return Ok(None);
                }
                continue;
            };
            match held.piece()? {
                Piece::Line(bytes) if bytes.is_empty() => {}
                Piece::Line(bytes) => {
                    let found = held.read(&bytes);
                    if let Found::Line { line, .. } = &found {
                        self.done = self.done.max(Some(line.n));
                    }
                    return Ok(Some(found));
                }
                Piece::TooLong => return Ok(Some(held.damaged("it is too long"))),
                Piece::Nothing if held.is_final => {
                    let rest = std::mem::take(&mut held.partial);
                    let torn = (!rest.is_empty()).then(|| held.damaged("it is cut off"));
                    self.done = self.done.max(held.number);
                    self.held = None;
                    if torn.is_some() {
                        return Ok(torn);
                    }
                }
                // Whatever was written before it was moved is in it by now: once more to its end.
                Piece::Nothing if held.was_moved() => held.is_final = true,
                Piece::Nothing => return Ok(None),
            }
        }
    }

    /// The next file: the first of the older ones that is not done with, or the one that is written
    /// to.
    fn open_next(&self) -> Result<Option<Held>, AuditError> {
        loop {
            if let Some(older) = self.next_older()? {
                match Held::open(older.path.clone(), Some(older.first))? {
                    Some(held) => return Ok(Some(held)),
                    // Removed meanwhile, as the oldest one.
                    None => continue,
                }
            }
            let held = Held::open(self.dir.audit(), None)?;
            // It may have been moved, and begun anew, since the others were listed.
            if self.next_older()?.is_none() {
                return Ok(held);
            }
        }
    }

    /// The files that there are.
    pub(super) fn paths(&self) -> Result<Vec<Utf8PathBuf>, AuditError> {
        let older = files::older(&self.dir)?.into_iter().map(|part| part.path);
        let current = Some(self.dir.audit()).filter(|path| path.exists());
        Ok(older.chain(current).collect())
    }

    fn next_older(&self) -> Result<Option<files::Older>, AuditError> {
        let next = self.listed_next()?;
        let follows = self.done.map_or(1, |done| done.saturating_add(1));
        if next.as_ref().is_none_or(|next| next.first == follows) {
            return Ok(next);
        }
        // Something is missing, or was given its name while the directory was listed, which may show
        // what came after it and not it. Whatever came before what was shown is there by now.
        self.listed_next()
    }

    /// The first of the older files, as the directory lists them, that is not done with.
    fn listed_next(&self) -> Result<Option<files::Older>, AuditError> {
        let mut older = files::older(&self.dir)?.into_iter();
        Ok(older.find(|part| self.done.is_none_or(|done| part.first > done)))
    }
}

impl Held {
    fn open(path: Utf8PathBuf, number: Option<u64>) -> Result<Option<Self>, AuditError> {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AuditError::io("read", path)(error)),
        };
        let inode = file
            .metadata()
            .map_err(AuditError::io("read", &path))?
            .ino();
        Ok(Some(Self {
            file: BufReader::new(file),
            path,
            inode,
            number,
            line: 0,
            partial: Vec::new(),
            skipping: false,
            is_final: number.is_some(),
        }))
    }

    /// Whether its path names another file by now, or none.
    fn was_moved(&self) -> bool {
        let there = fs_err::symlink_metadata(&self.path);
        !there.is_ok_and(|there| there.ino() == self.inode)
    }

    fn piece(&mut self) -> Result<Piece, AuditError> {
        let most = limits::AUDIT_LINE_MAX_BYTES;
        loop {
            let room = most.saturating_sub(self.partial.len());
            let room = u64::try_from(room).unwrap_or(u64::MAX);
            let mut bounded = self.file.by_ref().take(room);
            let read = bounded.read_until(b'\n', &mut self.partial);
            read.map_err(AuditError::io("read", &self.path))?;
            if self.partial.last() == Some(&b'\n') {
                let mut line = std::mem::take(&mut self.partial);
                line.pop();
                self.line += 1;
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                return Ok(Piece::Line(line));
            }
            if self.partial.len() < most {
                return Ok(Piece::Nothing);
            }
            self.partial.clear();
            if !std::mem::replace(&mut self.skipping, true) {
                return Ok(Piece::TooLong);
            }
        }
    }

    fn read(&self, bytes: &[u8]) -> Found {
        match line::parse(bytes) {
            Ok(parsed) => Found::Line {
                line: Box::new(parsed.line),
                text: String::from_utf8_lossy(bytes).into_owned(),
                place: Place {
                    path: self.path.clone(),
                    line: self.line,
                },
            },
            Err(why) => self.damage(self.line, why),
        }
    }

    /// Damage in the line that is being read.
    fn damaged(&self, why: &str) -> Found {
        self.damage(self.line + 1, why.to_owned())
    }

    fn damage(&self, line: u64, why: String) -> Found {
        Found::Damaged(AuditDamage {
            path: self.path.clone(),
            line,
            why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::TrailFile;
    use super::super::line::AuditRecord;
    use super::*;
    use crate::server::settings::AuditSettings;

    #[test]
    fn whoever_reads_while_it_is_written_and_rotated_misses_no_line() {
        const LINES: u64 = 6_000;
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::new(camino::Utf8Path::from_path(temp.path()).unwrap());
        let rotation = AuditSettings {
            file_bytes: 1_024,
            files: u32::MAX,
        };
        let mut file = TrailFile::open(&dir, rotation).unwrap();
        let writing = std::thread::spawn(move || {
            for _ in 0..LINES {
                file.write([&AuditRecord::new("call")]).unwrap();
            }
        });
        let mut reader = AuditReader::new(&dir);
        let mut last = 0;
        let mut calls = 0;
        while calls < LINES {
            match reader.read_next().unwrap() {
                Some(Found::Line { line, .. }) => {
                    assert_eq!(line.n, last + 1);
                    last = line.n;
                    calls += u64::from(line.record.event == "call");
                }
                Some(Found::Damaged(damage)) => panic!("{damage:?}"),
                None => assert!(!writing.is_finished() || calls > 0, "nothing is read"),
            }
        }
        writing.join().unwrap();
        assert_eq!(files::older(&dir).unwrap()[0].first, 1);
    }
}
