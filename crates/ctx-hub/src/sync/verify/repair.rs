//! Mending what a verification found.

use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{self, ContextDir, MirrorDir, UserDir};
use ctx_io::{AppendFile, FileLock, Holder, atomic, sync_parent};
use fs_err::File;

use super::report::{Finding, FindingKind as Kind, HubCheck, VerifyProgress, VerifyReport};
use super::{Listener, blocking, run};
use crate::client::HubClient;
use crate::sync::engine;
use crate::sync::error::SyncError;
use crate::sync::rebuild::{self, aside, move_aside};
use crate::sync::report::{SyncEvent, SyncOptions};
use crate::sync::source::Source;
use crate::sync::state::Recorded;
use crate::sync::worker::Worker;
use crate::sync::{mirror, recover, torn};
use crate::types::{EntryType, TypeSet};

/// One thing that a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mend {
    /// A private file or the mirror's folder was closed to others.
    Closed {
        /// The file or folder.
        path: Utf8PathBuf,
    },
    /// Something was moved to a name beside it.
    MovedAside {
        /// What stood in the way.
        path: Utf8PathBuf,
        /// Where it is now.
        to: Utf8PathBuf,
    },
    /// What a killed process left was removed or finished.
    Swept {
        /// What it was.
        path: Utf8PathBuf,
    },
    /// Bytes behind what was mirrored were cut off.
    Cut {
        /// The mirror file.
        path: Utf8PathBuf,
        /// A copy of them, unless they were an append of ours.
        kept: Option<Utf8PathBuf>,
    },
    /// The state was made again from the mirror.
    StateMade {
        /// The state file.
        path: Utf8PathBuf,
    },
    /// The mirror was built anew from the hub.
    Rebuilt {
        /// Changed files that were kept beside the new ones.
        set_aside: Vec<Utf8PathBuf>,
    },
}

/// What a repair found, did and left.
#[derive(Debug)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was wrong.
    pub before: VerifyReport,
    /// What was done about it, in order. Empty when nothing was wrong.
    pub done: Vec<Mend>,
    /// What is wrong still.
    pub after: VerifyReport,
}

/// Verifies the mirror of the project at `context`, mends it, and verifies it again. Nothing that a
/// person wrote is lost: it is moved or copied to a name beside it.
///
/// With `hub`, wrong entries and a wrong state are mended by building the mirror of `types`, and of
/// those that have a file, anew, as [`SyncOptions::full`] does. Without it, what needs no entries is
/// mended: modes, leftovers, what stands in the way, bytes behind what was mirrored, a lost state if
/// every file reads back clean. A hub whose log is another one is not rebuilt from.
///
/// Killed at any instruction, it leaves what the next sync or repair goes on from; repeated on a
/// clean mirror, it changes nothing.
///
/// # Errors
/// [`SyncError::Lock`] while a sync is at work ([`SyncOptions::wait`]); what the full sync fails
/// with; what the file system refuses.
pub async fn repair(
    context: &ContextDir,
    user: Option<&UserDir>,
    types: &TypeSet,
    hub: Option<&HubClient>,
    options: &SyncOptions,
    on_progress: &mut (dyn FnMut(VerifyProgress) + Send),
) -> Result<RepairReport, SyncError> {
    run_repair(context, user, types, hub, options, on_progress).await
}

/// [`repair`] from any source.
pub(super) async fn run_repair<S: Source>(
    context: &ContextDir,
    user: Option<&UserDir>,
    types: &TypeSet,
    hub: Option<&S>,
    options: &SyncOptions,
    on_progress: Listener<'_>,
) -> Result<RepairReport, SyncError> {
    let before = run(context, user, hub, on_progress).await?;
    let mut done = Vec::new();
    if !before.is_clean() {
        let from_hub = hub.filter(|_| is_rebuildable(&before));
        let job = Job {
            dir: context.mirror(),
            findings: before.findings.clone(),
            options: options.clone(),
            local: from_hub.is_none(),
            done: Vec::new(),
        };
        done = blocking(move || job.run()).await??;
        if let Some(source) = from_hub {
            let full = SyncOptions {
                full: true,
                ..options.clone()
            };
            let mut ignore = |_: SyncEvent| {};
            let worker = &mut Worker::default();
            let report = engine::run(source, context, types, &full, &mut ignore, worker).await?;
            let set_aside = report.set_aside;
            done.push(Mend::Rebuilt { set_aside });
        }
    }
    let after = run(context, user, hub, on_progress).await?;
    Ok(RepairReport {
        before,
        done,
        after,
    })
}

/// Whether entries from the hub are needed, and it gives them: one that is away, or whose log is
/// another one, does not.
fn is_rebuildable(report: &VerifyReport) -> bool {
    let mut findings = report.findings.iter();
    let answers = !matches!(report.hub, HubCheck::Failed(_));
    answers && findings.any(|finding| finding.kind.is_of_content())
}

/// What is mended under the lock, without the hub.
struct Job {
    dir: MirrorDir,
    findings: Vec<Finding>,
    options: SyncOptions,
    /// No full sync follows.
    local: bool,
    done: Vec<Mend>,
}

impl Job {
    fn run(mut self) -> Result<Vec<Mend>, SyncError> {
        // Nobody can hold a lock that is no file.
        let lock_path = self.dir.sync_lock();
        self.move_what_is(&lock_path, Kind::NotAFile)?;
        self.close()?;
        let Some(lock) = self.lock(&lock_path)? else {
            return Ok(self.done);
        };
        self.clear_the_way()?;
        self.sweep()?;
        if self.local {
            self.cut_tails()?;
            self.make_state()?;
        }
        lock.release()?;
        Ok(self.done)
    }

    /// Takes the lock; `None` when there is no mirror to lock.
    fn lock(&mut self, path: &Utf8Path) -> Result<Option<FileLock>, SyncError> {
        if !self.dir.path().is_dir() {
            return Ok(None);
        }
        let holder = Holder {
            command: &self.options.command,
            version: &self.options.version,
        };
        let lock = FileLock::acquire(path, &holder, self.options.wait)?;
        if lock.took_over().is_some() || lock.took_over_unrecorded() {
            let path = path.to_owned();
            self.done.push(Mend::Swept { path });
        }
        Ok(Some(lock))
    }

    fn paths(&self, kind: Kind) -> Vec<Utf8PathBuf> {
        let of_kind = self.findings.iter().filter(|finding| finding.kind == kind);
        of_kind.map(|finding| finding.path.clone()).collect()
    }

    /// Takes from others what they may do with private files.
    fn close(&mut self) -> Result<(), SyncError> {
        for path in self.paths(Kind::Mode) {
            let metadata = fs_err::symlink_metadata(&path)?;
            let mode = match metadata.is_dir() {
                true => paths::PRIVATE_DIR_MODE,
                false => paths::PRIVATE_FILE_MODE,
            };
            if metadata.is_symlink() {
                continue;
            }
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            self.done.push(Mend::Closed { path });
        }
        Ok(())
    }

    /// Moves aside what stands in the place of files of ours, and what nobody knows.
    fn clear_the_way(&mut self) -> Result<(), SyncError> {
        for kind in [Kind::NotAFile, Kind::Unknown] {
            for path in self.paths(kind) {
                if path.starts_with(self.dir.path()) {
                    self.move_what_is(&path, kind)?;
                }
            }
        }
        Ok(())
    }

    fn move_what_is(&mut self, path: &Utf8Path, kind: Kind) -> Result<(), SyncError> {
        let found = self.findings.iter();
        let mut found = found.filter(|finding| finding.kind == kind && finding.path == path);
        if found.next().is_none() || fs_err::symlink_metadata(path).is_err() {
            return Ok(());
        }
        let to = move_aside(path)?;
        sync_parent(path)?;
        let path = path.to_owned();
        self.findings.retain(|finding| finding.path != path);
        self.done.push(Mend::MovedAside { path, to });
        Ok(())
    }

    fn sweep(&mut self) -> Result<(), SyncError> {
        for path in self.paths(Kind::Leftover) {
            if let Some(target) = path.file_name().and_then(ctx_io::temporary_target) {
                ctx_io::sweep_temporaries(&self.dir.path().join(target));
            } else if let Some(set_aside) = rebuild::settle(&self.dir)? {
                self.done.push(Mend::Rebuilt { set_aside });
                continue;
            }
            self.done.push(Mend::Swept { path });
        }
        Ok(())
    }

    /// Cuts off what stands behind the recorded part of each file; what is no append of ours is
    /// copied first.
    fn cut_tails(&mut self) -> Result<(), SyncError> {
        let Ok(Recorded::Current(state)) = recover::read_file(&self.dir) else {
            return Ok(());
        };
        for of in EntryType::ALL {
            let record = state.of(of);
            let path = self.dir.path().join(of.mirror_file());
            let more = mirror::look(&path)?.is_some_and(|facts| facts.length > record.length);
            if !more {
                continue;
            }
            let mut file = File::open(&path)?;
            let tail = mirror::read_tail(&mut file, record.length)?;
            let is_ours = tail
                .as_ref()
                .is_some_and(|tail| torn::is_whole(torn::written(tail), of, record.cursor));
            let kept = match tail {
                _ if is_ours => None,
                Some(tail) => Some(keep(&path, &tail)?),
                // Too long for any append of ours: the whole file is kept in the next full sync.
                None => continue,
            };
            let mut file = AppendFile::open(&path, paths::SHARED_FILE_MODE)?;
            file.truncate_to(record.length)?;
            file.sync()?;
            self.done.push(Mend::Cut { path, kept });
        }
        Ok(())
    }

    /// Makes a state that is lost or damaged again, when every file reads back clean.
    fn make_state(&mut self) -> Result<(), SyncError> {
        let path = self.dir.state();
        let wrong = self.findings.iter().any(|finding| {
            finding.path == path && matches!(finding.kind, Kind::State | Kind::NotAFile)
        }) || self
            .done
            .iter()
            .any(|mend| matches!(mend, Mend::MovedAside { path: moved, .. } if *moved == path));
        let newer = matches!(recover::read_file(&self.dir), Err(error) if is_newer(&error));
        if !wrong || newer {
            return Ok(());
        }
        let Ok(loaded) = recover::from_mirror(&self.dir) else {
            return Ok(());
        };
        if loaded.state.types.is_empty() || loaded.has_edits() {
            return Ok(());
        }
        if fs_err::metadata(&path).is_ok_and(|found| found.len() > 0) {
            let (path, to) = (path.clone(), move_aside(&path)?);
            self.done.push(Mend::MovedAside { path, to });
        }
        rebuild::write_state(&self.dir, &loaded.state)?;
        self.done.push(Mend::StateMade { path });
        self.cut_tails()
    }
}

/// Writes `bytes` to a new file beside `path`, durably.
fn keep(path: &Utf8Path, bytes: &[u8]) -> Result<Utf8PathBuf, SyncError> {
    loop {
        let free = aside(path);
        if atomic::create_new(&free, bytes, paths::SHARED_FILE_MODE)? {
            return Ok(free);
        }
    }
}

fn is_newer(error: &SyncError) -> bool {
    use crate::sync::state::StateError;
    matches!(
        error,
        SyncError::State {
            source: StateError::Newer { .. },
            ..
        }
    )
}
