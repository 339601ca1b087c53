//! The lock held and the state read: what may change a mirror.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use ctx_config::paths::{self, ContextDir, MirrorDir};
use ctx_io::{AppendFile, FileLock, Holder, LockRecord, ensure_private_dir, failpoint};

use super::error::{Divergence, SyncError};
use super::mirror;
use super::plan::{Batch, plan};
use super::rebuild;
use super::recover;
use super::render::render_to;
use super::report::{SyncOptions, SyncWarning};
use super::state::{StateError, SyncState};
use crate::client::{HubIdentity, StreamStart};
use crate::types::{EntryType, HubId, Sequence, TypeSet};

/// What the lock says while entries are fetched, and while they are written.
const PULLING: &str = "pulling";
const APPENDING: &str = "appending";

/// Takes the sync lock of the project at `context`, then reads the state. Creates the mirror's
/// folder, finishes or sweeps an interrupted full sync. Does not talk to a hub.
///
/// ```
/// use ctx_config::paths::ContextDir;
/// use ctx_hub::sync::{SyncOptions, load_state};
/// use ctx_hub::types::{EntryType, Sequence};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = camino::Utf8Path::from_path(dir.path()).ok_or("not UTF-8")?;
/// let context = ContextDir::new(path);
/// let session = load_state(&context, &SyncOptions::default())?;
/// assert_eq!(session.cursor(EntryType::Decision), Sequence::START);
///
/// // Whoever comes second is told so.
/// let busy = load_state(&context, &SyncOptions::default()).unwrap_err();
/// assert_eq!(busy.io_kind(), std::io::ErrorKind::AlreadyExists);
///
/// session.release()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SyncError::NoContext`]; [`SyncError::Lock`], of kind `Busy` while somebody else holds the
/// lock; [`SyncError::State`] and [`SyncError::Mirror`] when what is there cannot be used, and
/// [`SyncError::Io`]. The lock is released on every one of them.
pub fn load_state(context: &ContextDir, options: &SyncOptions) -> Result<SyncSession, SyncError> {
    let (lock, home, mut warnings) = enter(context, options)?;
    let loaded = recover::load(&home)?;
    warnings.extend(loaded.warnings);
    Ok(SyncSession {
        lock,
        dir: home.clone(),
        home,
        state: loaded.state,
        recorded: loaded.recorded,
        warnings,
        present: TypeSet::default(),
        set_aside: Vec::new(),
    })
}

/// As [`load_state`], but for building the mirror anew: what is there is neither read nor touched
/// before [`SyncSession::finish_rebuild`].
pub(super) fn load_for_rebuild(
    context: &ContextDir,
    options: &SyncOptions,
) -> Result<SyncSession, SyncError> {
    let (lock, home, warnings) = enter(context, options)?;
    match recover::read_file(&home) {
        Err(
            error @ SyncError::State {
                source: StateError::Newer { .. },
                ..
            },
        ) => return Err(error),
        // Whatever else is wrong with it is what a rebuild is for.
        Ok(_) | Err(SyncError::State { .. }) => {}
        Err(error) => return Err(error),
    }
    let present = rebuild::files(&home)?;
    let dir = home.rebuild();
    ensure_private_dir(dir.path(), paths::PRIVATE_DIR_MODE)?;
    failpoint::reach("rebuild.begun")?;
    Ok(SyncSession {
        lock,
        home,
        dir,
        state: SyncState::default(),
        recorded: false,
        warnings,
        present,
        set_aside: Vec::new(),
    })
}

fn enter(
    context: &ContextDir,
    options: &SyncOptions,
) -> Result<(FileLock, MirrorDir, Vec<SyncWarning>), SyncError> {
    if !context.path().is_dir() {
        return Err(SyncError::NoContext {
            path: context.path().to_owned(),
        });
    }
    let home = context.mirror();
    ensure_private_dir(home.path(), paths::PRIVATE_DIR_MODE)?;
    let holder = Holder {
        command: &options.command,
        version: &options.version,
    };
    let lock = FileLock::acquire(&home.sync_lock(), &holder, options.wait)?;
    let mut warnings = Vec::new();
    if lock.took_over_unrecorded() {
        let path = lock.path().to_owned();
        warnings.push(SyncWarning::TookOverUnrecorded { path });
    }
    if let Some(set_aside) = rebuild::settle(&home)? {
        warnings.push(SyncWarning::FinishedRebuild { set_aside });
    }
    Ok((lock, home, warnings))
}

/// The right to change a mirror, and what is known of it. Dropping it releases the lock.
#[derive(Debug)]
#[must_use = "the lock is released as soon as the session is dropped"]
pub struct SyncSession {
    lock: FileLock,
    /// The mirror that the lock is of.
    home: MirrorDir,
    /// Where files are written: `home`, or the folder of a rebuild.
    dir: MirrorDir,
    state: SyncState,
    /// The state file says what `state` says of lengths.
    recorded: bool,
    warnings: Vec<SyncWarning>,
    /// Of a rebuild: the types that have a file in the old mirror.
    pub(super) present: TypeSet,
    /// Of a finished rebuild: the old files that were kept.
    pub(super) set_aside: Vec<Utf8PathBuf>,
}

/// How many entries of each type a batch appended.
pub type Applied = BTreeMap<EntryType, u64>;

impl SyncSession {
    /// Up to where `entry_type` is mirrored.
    #[must_use]
    pub fn cursor(&self, entry_type: EntryType) -> Sequence {
        self.state.of(entry_type).cursor
    }

    /// Up to where each type that was ever mirrored is.
    #[must_use]
    pub fn cursors(&self) -> BTreeMap<EntryType, Sequence> {
        let cursors = self.state.types.iter();
        cursors
            .map(|(&entry_type, of_type)| (entry_type, of_type.cursor))
            .collect()
    }

    /// The hub that the mirror was made from, if one has said who it is.
    #[must_use]
    pub const fn hub_id(&self) -> Option<&HubId> {
        self.state.hub_id.as_ref()
    }

    /// The record of the dead holder from whom the lock was taken over, if it was.
    #[must_use]
    pub fn took_over(&self) -> Option<&LockRecord> {
        self.lock.took_over()
    }

    /// What was noticed so far.
    #[must_use]
    pub fn warnings(&self) -> &[SyncWarning] {
        &self.warnings
    }

    pub(super) const fn state(&self) -> &SyncState {
        &self.state
    }

    /// Compares the files of `types` with what is recorded of them. Costs the same for every size
    /// of a mirror that nobody touched; a file touched since the last commit is read whole.
    ///
    /// # Errors
    /// [`SyncError::Mirror`] for a file that was edited so that nothing can be appended to it.
    pub fn check(&mut self, types: &TypeSet) -> Result<(), SyncError> {
        for entry_type in types.iter() {
            let path = self.dir.path().join(entry_type.mirror_file());
            for warning in mirror::check(&path, entry_type, self.state.of(entry_type))? {
                if !self.warnings.contains(&warning) {
                    self.warnings.push(warning);
                }
            }
        }
        Ok(())
    }

    /// Checks that `hub` is the log that the mirror was made from; the first that says who it is
    /// becomes it. `hub` has to have answered after this session began: it may have grown since.
    ///
    /// # Errors
    /// [`SyncError::Diverged`]. Nothing was changed.
    pub fn check_hub(&mut self, hub: &HubIdentity) -> Result<(), SyncError> {
        if let Some(how) = Divergence::between(&self.state, hub) {
            return Err(SyncError::Diverged { how });
        }
        if self.state.hub_id.is_none() {
            self.state.hub_id.clone_from(&hub.id);
        }
        Ok(())
    }

    /// The error of a `hub` that refused what is known of its log.
    pub(super) fn refused_by(&self, hub: &HubIdentity) -> SyncError {
        let how = Divergence::of_refusal(&self.state, hub);
        SyncError::Diverged { how }
    }

    /// Where a stream begins that goes on after `since`.
    pub(super) fn start(&self, since: Sequence) -> StreamStart {
        StreamStart {
            since,
            known: self.state.log,
        }
    }

    /// Says in the lock that entries are being fetched.
    pub(super) fn pulling(&mut self) -> Result<(), SyncError> {
        Ok(self.lock.set_phase(PULLING)?)
    }

    /// Appends what is new in `batch` and commits it: when this returns, the entries and the
    /// cursors are on the disk. A batch that changes nothing writes nothing.
    ///
    /// Killed in the middle of it, the next session cuts off what was not committed. On an error
    /// nothing is committed, and the session, which can no longer be relied on, is gone and the
    /// lock released.
    ///
    /// # Errors
    /// [`SyncError::Batch`] when entries are missing before the batch; [`SyncError::Mirror`] when a
    /// file was edited; [`SyncError::Lock`] when the lock was taken away; [`SyncError::Io`].
    pub fn apply(mut self, batch: &Batch) -> Result<(Self, Applied), SyncError> {
        let plan = plan(&self.state, batch)?;
        let log = self.state.log_with(batch.mark());
        let is_known = |(entry_type, cursor): (&EntryType, &Sequence)| {
            self.state.of(*entry_type).cursor == *cursor
        };
        let nothing_new = plan.new.is_empty() && plan.cursors.iter().all(is_known);
        if nothing_new && log == self.state.log {
            return Ok((self, Applied::new()));
        }
        self.lock.set_phase(APPENDING)?;
        self.check(&plan.new.keys().copied().collect())?;
        if !self.recorded {
            self.record_start()?;
        }
        let mut next = SyncState {
            log,
            ..self.state.clone()
        };
        for (&entry_type, &cursor) in &plan.cursors {
            next.types.entry(entry_type).or_default().cursor = cursor;
        }
        let mut files = Vec::new();
        let mut applied = Applied::new();
        for (&entry_type, entries) in &plan.new {
            let mut text = String::new();
            entries.iter().for_each(|entry| render_to(&mut text, entry));
            files.push((entry_type, self.append(entry_type, &text)?));
            failpoint::reach("sync.appended")?;
            applied.insert(entry_type, u64::try_from(entries.len()).unwrap_or(u64::MAX));
        }
        for (entry_type, (mut file, length)) in files {
            file.sync()?;
            let facts = mirror::look(file.path())?;
            let of_type = next.types.entry(entry_type).or_default();
            of_type.length = length;
            of_type.modified_ns = facts.and_then(|facts| facts.modified_ns);
        }
        failpoint::reach("sync.committing")?;
        self.write(next)?;
        failpoint::reach("sync.committed")?;
        Ok((self, applied))
    }

    fn append(&self, entry_type: EntryType, text: &str) -> Result<(AppendFile, u64), SyncError> {
        let path = self.dir.path().join(entry_type.mirror_file());
        let record = self.state.of(entry_type);
        let file = mirror::append(&path, entry_type, record, text)?;
        let added = u64::try_from(text.len()).unwrap_or(u64::MAX);
        Ok((file, record.length.saturating_add(added)))
    }

    /// Writes down the lengths from which entries will be appended, so that a crash leaves tails
    /// that the next session recognises, not files of unknown length.
    fn record_start(&mut self) -> Result<(), SyncError> {
        for (entry_type, of_type) in &self.state.types {
            if of_type.length > 0 {
                let path = self.dir.path().join(entry_type.mirror_file());
                AppendFile::open(&path, paths::SHARED_FILE_MODE)?.sync()?;
            }
        }
        self.write(self.state.clone())?;
        Ok(failpoint::reach("sync.start-recorded")?)
    }

    fn write(&mut self, state: SyncState) -> Result<(), SyncError> {
        rebuild::write_state(&self.dir, &state)?;
        self.state = state;
        self.recorded = true;
        Ok(())
    }

    /// Puts the rebuilt mirror, which holds everything of `types`, in the place of the old one.
    pub(super) fn finish_rebuild(mut self, types: &TypeSet) -> Result<Self, SyncError> {
        let mut state = self.state.clone();
        for entry_type in types.iter() {
            state.types.entry(entry_type).or_default();
        }
        state.complete = true;
        self.write(state)?;
        failpoint::reach("rebuild.complete")?;
        self.set_aside = rebuild::swap(&self.home, self.state.clone())?;
        self.state.complete = false;
        self.dir = self.home.clone();
        Ok(self)
    }

    /// Releases the lock. Everything is committed already.
    ///
    /// # Errors
    /// [`SyncError::Lock`] when the lock was no longer ours, or cannot be removed.
    pub fn release(self) -> Result<(), SyncError> {
        Ok(self.lock.release()?)
    }
}
