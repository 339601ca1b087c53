//! Temporary files beside their target, which never stay behind.
//!
//! A temporary file lives in the directory of its target (a rename does not cross file systems),
//! is named `.<target>.<16 hex digits>.tmp`, and is locked with the operating system's lock for
//! as long as its owner lives. An owner that fails removes it; an owner that was killed cannot,
//! so whoever writes the same target next finds it unlocked and [`sweep`]s it away.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::file_id::FileId;
use crate::os_lock::{self, OsLock};
use crate::{dir, failpoint, open, random};

const SUFFIX: &str = ".tmp";
const RANDOM_BYTES: usize = 8;
/// A creation is disturbed only by a sweep that looks in the instant between create and lock.
const CREATE_ATTEMPTS: usize = 100;

/// Removes the name when dropped, unless the file found its place.
#[derive(Debug)]
struct TempName {
    path: Utf8PathBuf,
    keep: bool,
}

impl Drop for TempName {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing to report it to; the next sweep removes what this could not.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// A temporary file with mode 0600, removed when dropped. The fields drop in this order: the
/// name goes while the file is still locked.
#[derive(Debug)]
pub(crate) struct TempFile {
    name: TempName,
    file: File,
    os_lock: OsLock,
    /// As it was when it was created.
    metadata: Metadata,
}

impl TempFile {
    /// Creates a temporary file for `target`, empty and locked. (Model: TempCreate, TempFlock,
    /// TempStat, TempDiscard.)
    pub(crate) fn create(target: &Utf8Path) -> io::Result<TempFile> {
        TempFile::create_as(target, 0o600)
    }

    /// The same with another mode, which the system may keep to or not.
    pub(crate) fn create_as(target: &Utf8Path, mode: u32) -> io::Result<TempFile> {
        let prefix = prefix(target)?;
        for _ in 0..CREATE_ATTEMPTS {
            let name = format!("{prefix}{}{SUFFIX}", random::hex::<RANDOM_BYTES>()?);
            let path = dir::parent(target).join(name);
            let opened = open::options()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path);
            let file = match opened {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let name = TempName { path, keep: false };
            failpoint::reach_at("temp.created", target)?;
            let os_lock = os_lock::try_exclusive(&file)?;
            // A sweep may have come between create and lock: it then has the lock, or has
            // already removed the name.
            let metadata = file.metadata()?;
            let ours = FileId::of_path(&name.path)? == Some(FileId::of(&metadata));
            if os_lock != OsLock::Refused && ours {
                failpoint::reach_at("temp.locked", target)?;
                return Ok(TempFile {
                    name,
                    file,
                    os_lock,
                    metadata,
                });
            }
        }
        Err(io::Error::other(
            "temporary files are removed as fast as they are created",
        ))
    }

    /// Another name for the same file and as random as its own, with `suffix` at its end.
    pub(crate) fn sibling(&self, suffix: &str) -> Utf8PathBuf {
        let name = self.name.path.as_str();
        let stem = name.strip_suffix(SUFFIX).unwrap_or(name);
        Utf8PathBuf::from(format!("{stem}{suffix}"))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// As it was when it was created; what file it is does not change.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Whether the operating system's lock is held on it; not so only where there are none.
    pub(crate) fn is_os_locked(&self) -> bool {
        self.os_lock == OsLock::Granted
    }

    /// Moves the file to `target`, whatever is there. The file stays open and locked.
    pub(crate) fn replace(mut self, target: &Utf8Path) -> io::Result<File> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where atomic::write renames"
        )]
        std::fs::rename(&self.name.path, target)?;
        self.name.keep = true;
        Ok(self.file)
    }

    /// Moves the file to `target` if nothing is there, in one step that has one winner. `None`
    /// when something was there. The file stays open and locked. (Model: Publish.)
    pub(crate) fn publish_new(mut self, target: &Utf8Path) -> io::Result<Option<File>> {
        match rename_new(&self.name.path, target) {
            Ok(()) => {
                self.name.keep = true;
                Ok(Some(self.file))
            }
            Err(Errno::EXIST) => Ok(None),
            // What older kernels and some network file systems answer to the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                Ok(link_new(&self.name.path, target)?.then_some(self.file))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Write for TempFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Moves the file at `from` to `to` if nothing is there, in one step; `false` when something was.
/// Not durable before [`sync_parent`](crate::sync_parent).
///
/// # Errors
/// The system refuses.
pub fn move_new(from: &Utf8Path, to: &Utf8Path) -> io::Result<bool> {
    match rename_new(from, to) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let linked = link_new(from, to)?;
            if linked {
                std::fs::remove_file(from)?;
            }
            Ok(linked)
        }
        Err(error) => Err(error.into()),
    }
}

fn rename_new(from: &Utf8Path, to: &Utf8Path) -> Result<(), Errno> {
    failpoint::reach_at("temp.rename-new", to)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    rustix::fs::renameat_with(CWD, from.as_str(), CWD, to.as_str(), RenameFlags::NOREPLACE)
}

/// The other way to create-or-fail: a hard link. The first name is then removed by its guard.
/// (Model: Publish, TempUnlink.)
fn link_new(from: &Utf8Path, to: &Utf8Path) -> io::Result<bool> {
    match std::fs::hard_link(from, to) {
        Ok(()) => {
            // Nothing that can fail happens here.
            failpoint::reach_at("temp.linked", to).ok();
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// `.<name>.`, one leading dot also when the name has one already.
fn prefix(target: &Utf8Path) -> io::Result<String> {
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    Ok(prefix_of(name))
}

pub(crate) fn prefix_of(name: &str) -> String {
    format!(".{}.", name.strip_prefix('.').unwrap_or(name))
}

fn is_temp_name(candidate: &str, prefix: &str) -> bool {
    is_sibling(candidate, prefix, SUFFIX)
}

/// The files beside `target` that have been made for it under a random name with `suffix`.
pub(crate) fn siblings(target: &Utf8Path, suffix: &str) -> io::Result<Vec<Utf8PathBuf>> {
    let prefix = prefix(target)?;
    let mut found = Vec::new();
    for entry in dir::parent(target).read_dir_utf8()? {
        let entry = entry?;
        if is_sibling(entry.file_name(), &prefix, suffix) {
            found.push(dir::parent(target).join(entry.file_name()));
        }
    }
    Ok(found)
}

fn is_sibling(candidate: &str, prefix: &str, suffix: &str) -> bool {
    candidate
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(suffix))
        .is_some_and(|middle| {
            middle.len() == RANDOM_BYTES * 2 && middle.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

/// The files that `candidate` may be a temporary file for, one leading dot having been lost; none
/// when it is no temporary file.
fn targets_of(candidate: &str) -> Vec<String> {
    let name = temporary_target(candidate);
    name.map_or_else(Vec::new, |name| vec![name.to_owned(), format!(".{name}")])
}

/// What the temporary file called `name` was to become, but for a dot in front; `None` when it is no
/// name of a temporary file of ours.
pub fn temporary_target(name: &str) -> Option<&str> {
    let target = name
        .strip_prefix('.')?
        .rsplit_once('.')?
        .0
        .rsplit_once('.')?
        .0;
    (!target.is_empty() && is_temp_name(name, &prefix_of(target))).then_some(target)
}

/// Removes the temporary files for the file `name` in `dir` whose owners are dead, and returns
/// how many. Those of live owners stay, and so do all of them on a file system without OS locks,
/// where nothing tells the two apart. What cannot be opened or removed is passed over.
fn sweep(dir: &Utf8Path, name: &str) -> io::Result<usize> {
    let prefix = prefix_of(name);
    sweep_those(dir, |candidate| {
        let is_ours = is_temp_name(candidate, &prefix);
        is_ours.then(|| name.to_owned()).into_iter().collect()
    })
}

/// As [`sweep`], but the temporary files for every file in `dir`.
pub(crate) fn sweep_all(dir: &Utf8Path) -> io::Result<usize> {
    sweep_those(dir, targets_of)
}

/// Removes the files in `dir` that are temporary files for something, as `targets` says.
fn sweep_those(dir: &Utf8Path, targets: impl Fn(&str) -> Vec<String>) -> io::Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        let targets = targets(name);
        if targets.is_empty() {
            continue;
        }
        let path = dir.join(name);
        let is_second = |target: &String| remove_if_second_name(&path, &dir.join(target));
        let is_gone = targets
            .iter()
            .any(|target| is_second(target).unwrap_or(false))
            || remove_if_dead(&path).unwrap_or(false);
        removed += usize::from(is_gone);
    }
    Ok(removed)
}

/// Removes what dead processes left of writes of `target`; what live ones are writing stays. Litter
/// does no harm, so a failure is none.
pub fn sweep_temporaries(target: &Utf8Path) {
    sweep_for(target);
}

/// Sweeps what is left of earlier writes of `target`.
pub(crate) fn sweep_for(target: &Utf8Path) {
    if let Some(name) = target.file_name() {
        drop(sweep(dir::parent(target), name));
    }
}

/// Whoever put a file in place by a hard link may have been killed before it removed the first name.
/// The file is locked by whoever holds it at its place, so its lock says nothing about the name.
/// (Model: Work looks, then SweepUnlink.)
fn remove_if_second_name(path: &Utf8Path, target: &Utf8Path) -> io::Result<bool> {
    let found = FileId::of_path(path)?;
    if found.is_none() || found != FileId::of_path(target)? {
        return Ok(false);
    }
    std::fs::remove_file(path)?;
    Ok(true)
}

/// Whether the temporary file at `path` is of a process that is dead. Where that cannot be told, or
/// the file is gone, it is not. Nor is an empty one: it may be of a process that has created it and
/// has not locked it yet.
pub fn is_abandoned(path: &Utf8Path) -> bool {
    let found = open_if_dead(path).and_then(|file| file.map(|file| file.metadata()).transpose());
    matches!(found, Ok(Some(metadata)) if metadata.len() > 0)
}

/// (Model: Work opens it, then SweepFlock, SweepStat, SweepUnlink, SweepClose.)
fn remove_if_dead(path: &Utf8Path) -> io::Result<bool> {
    // Locked until it is removed.
    let Some(_locked) = open_if_dead(path)? else {
        return Ok(false);
    };
    std::fs::remove_file(path)?;
    Ok(true)
}

/// The file at `path`, locked, if nobody else has it locked.
fn open_if_dead(path: &Utf8Path) -> io::Result<Option<File>> {
    let Ok((file, metadata)) = open::regular(path, open::options().read(true).write(true)) else {
        return Ok(None);
    };
    if os_lock::try_exclusive(&file)? != OsLock::Granted {
        return Ok(None);
    }
    // It may have been renamed into place since it was opened.
    let is_there = FileId::of_path(path)? == Some(FileId::of(&metadata));
    Ok(is_there.then_some(file))
}

#[cfg(test)]
mod tests;
