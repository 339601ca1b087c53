//! The trail on the disk: appended to, looked after, rotated.
//!
//! Nothing is ever overwritten or cut but what a write of our own left unfinished. Before each write
//! the file is looked at: one that was removed, replaced or cut by somebody else is told of in the
//! trail itself, by a line `begun` that names the hash of the line before it.

use std::borrow::Cow;

use ctx_config::limits;
use ctx_config::paths::{self, DataDir};
use ctx_io::{AppendFile, failpoint, move_new, sync_parent};
use jiff::Timestamp;

use super::error::AuditError;
use super::files;
use super::line::{self, AuditRecord, Tip, Word};
use crate::server::settings::AuditSettings;

/// The trail, open for appending. One at a time: whoever has it holds the lock of the directory.
#[derive(Debug)]
pub(super) struct TrailFile {
    dir: DataDir,
    rotation: AuditSettings,
    file: AppendFile,
    /// The number of its first line.
    first: u64,
    /// How long it should be, in bytes.
    length: u64,
    /// How long it may become before the next one is begun, in bytes.
    full_at: u64,
    /// Up to where the file system keeps room, in bytes.
    room: u64,
    tip: Tip,
    /// The next write begins with a line `begun`.
    begin: Option<Begin>,
    unflushed: bool,
}

/// Why a part of the trail begins.
#[derive(Debug, Default)]
struct Begin {
    /// Bytes before it that are no line.
    torn: u64,
    damage: Option<&'static str>,
}

impl TrailFile {
    /// Opens the trail of `dir`, or begins it. What a killed process left unfinished stays, and the
    /// next line stands behind it.
    pub(super) fn open(dir: &DataDir, rotation: AuditSettings) -> Result<Self, AuditError> {
        let path = dir.audit();
        let file = AppendFile::open(&path, paths::PRIVATE_FILE_MODE)?;
        let length = file.len()?;
        let end = files::end(&path, length)?;
        let tip = match end.tip {
            Some(tip) => tip,
            None => older_tip(dir)?,
        };
        let begin = (length == 0 || end.torn > 0).then_some(Begin {
            torn: end.torn,
            damage: None,
        });
        Ok(Self {
            dir: dir.clone(),
            rotation,
            first: files::first(&path)?.unwrap_or(tip.next),
            file,
            length,
            full_at: rotation.file_bytes,
            room: 0,
            tip,
            begin,
            unflushed: false,
        })
    }

    /// Appends `records`, all of them or none, in one write. They are the operating system's when
    /// this returns, and durable after [`TrailFile::flush`].
    ///
    /// # Errors
    /// Nothing was written, or nothing whole; the next write begins on a line of its own.
    pub(super) fn write<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a AuditRecord>,
    ) -> Result<(), AuditError> {
        self.look()?;
        if self.length >= self.full_at {
            self.rotate()?;
        }
        let time = line::time(Timestamp::now());
        let (mut tip, mut out) = (self.tip, Vec::with_capacity(4_096));
        if let Some(begin) = &self.begin {
            if self.length > 0 {
                out.push(b'\n');
            }
            tip.write(&begin.record(tip), &time, &mut out);
        }
        for record in records {
            tip.write(record, &time, &mut out);
        }
        let bytes = u64::try_from(out.len()).unwrap_or(u64::MAX);
        self.keep_room(bytes);
        failpoint::reach("audit.writing").map_err(AuditError::io("append to", self.file.path()))?;
        self.file.append(&out)?;
        self.length = self.length.saturating_add(bytes);
        self.tip = tip;
        self.begin = None;
        self.unflushed = true;
        Ok(())
    }

    /// Where it is.
    pub(super) fn path(&self) -> &camino::Utf8Path {
        self.file.path()
    }

    /// Whether the next write begins another file, which takes longer.
    pub(super) const fn is_full(&self) -> bool {
        self.length >= self.full_at
    }

    /// Whether something was written since the last flush.
    pub(super) const fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Makes what was written durable.
    pub(super) fn flush(&mut self) -> Result<(), AuditError> {
        self.file.sync()?;
        self.unflushed = false;
        Ok(())
    }

    /// Makes everything durable and lets go of what is kept ahead.
    pub(super) fn close(&mut self) -> Result<(), AuditError> {
        self.flush()?;
        Ok(self.file.give_back()?)
    }

    /// Looks whether the file is still the one that is written to, and as long as it should be.
    fn look(&mut self) -> Result<(), AuditError> {
        let damage = match self.file.len_in_place()? {
            Some(length) if length == self.length => return Ok(()),
            Some(length) if length < self.length => {
                self.length = length;
                Begin {
                    torn: 0,
                    damage: Some("cut"),
                }
            }
            Some(length) => {
                // A write that failed and could not be cut back, or somebody else's.
                let torn = length - self.length;
                self.length = length;
                Begin { torn, damage: None }
            }
            None => self.reopen()?,
        };
        if let Some(what) = damage.damage {
            tracing::error!(path = %self.file.path(), what, "somebody changed the audit trail");
        }
        self.begin = Some(damage);
        Ok(())
    }

    /// Opens what the path names now, or a new file.
    fn reopen(&mut self) -> Result<Begin, AuditError> {
        let path = self.dir.audit();
        let missing = fs_err::symlink_metadata(&path).is_err();
        // Moved away by a rotation of ours that came no further.
        let moved = self.dir.older_audit(self.first).exists();
        self.file = AppendFile::open(&path, paths::PRIVATE_FILE_MODE)?;
        self.length = self.file.len()?;
        self.first = self.tip.next;
        self.full_at = self.rotation.file_bytes;
        self.room = 0;
        let damage = match (missing, moved && self.length == 0) {
            (_, true) => None,
            (true, false) => Some("missing"),
            (false, false) => Some("replaced"),
        };
        Ok(Begin { torn: 0, damage })
    }

    /// Gives the full file the name of an older part and begins the next one. Killed anywhere, the
    /// trail is whole: a file has one name or the other, and a missing one is begun when it is
    /// written to.
    fn rotate(&mut self) -> Result<(), AuditError> {
        self.flush()?;
        self.file.give_back()?;
        let path = self.dir.audit();
        let older = self.dir.older_audit(self.first);
        let failed = || AuditError::io("rotate", &path);
        failpoint::reach("audit.rotating").map_err(failed())?;
        if !move_new(&path, &older).map_err(failed())? {
            tracing::warn!(path = %older, "what is there keeps the audit trail from being rotated");
            self.full_at = self.length.saturating_add(self.rotation.file_bytes);
            return Ok(());
        }
        failpoint::reach("audit.moved").map_err(failed())?;
        sync_parent(&path)?;
        let file = AppendFile::open(&path, paths::PRIVATE_FILE_MODE)?;
        failpoint::reach("audit.begun").map_err(failed())?;
        self.file = file;
        self.length = self.file.len()?;
        self.first = self.tip.next;
        self.full_at = self.rotation.file_bytes;
        self.room = 0;
        self.begin = Some(Begin::default());
        self.prune();
        Ok(())
    }

    /// Removes the oldest parts beyond the number that is kept.
    fn prune(&self) {
        let older = files::older(&self.dir).unwrap_or_default();
        let kept = usize::try_from(self.rotation.files.saturating_sub(1)).unwrap_or(usize::MAX);
        for part in older.iter().take(older.len().saturating_sub(kept)) {
            if let Err(error) = fs_err::remove_file(&part.path) {
                tracing::warn!(%error, "cannot remove an old part of the audit trail");
            }
        }
    }

    /// Keeps room ahead for what is written and for calls that come when the disk is full.
    fn keep_room(&mut self, bytes: u64) {
        let wanted = self.length.saturating_add(bytes);
        if self.room >= wanted.saturating_add(limits::AUDIT_ROOM_BYTES / 2) {
            return;
        }
        let ahead = bytes.saturating_add(limits::AUDIT_ROOM_BYTES);
        if self.file.keep_room(ahead) {
            self.room = self.length.saturating_add(ahead);
        }
    }
}

impl Begin {
    fn record(&self, tip: Tip) -> AuditRecord {
        AuditRecord {
            prev: Some(tip.chain.to_string()),
            torn: (self.torn > 0).then_some(self.torn),
            damage: self.damage.map(|word| -> Word { Cow::Borrowed(word) }),
            ..AuditRecord::new("begun")
        }
    }
}

/// Where the newest of the older parts ends.
fn older_tip(dir: &DataDir) -> Result<Tip, AuditError> {
    for part in files::older(dir)?.iter().rev() {
        let length = fs_err::metadata(&part.path)
            .map_err(AuditError::io("read", &part.path))?
            .len();
        if let Some(tip) = files::end(&part.path, length)?.tip {
            return Ok(tip);
        }
    }
    Ok(Tip::genesis())
}
