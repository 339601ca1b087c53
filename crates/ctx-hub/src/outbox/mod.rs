//! The outbox in `.context/hub/`: entries that wait for a hub that could not be reached.
//!
//! An entry is queued under its final id, in a file of its own, whole or not at all and on the disk
//! before anybody is told so. What is queued is sent before anything else is published, oldest
//! first, and its file is removed only after the hub has acknowledged the entry. A hub stores an id
//! once, so whatever is killed in between, and however many processes send the same outbox, every
//! entry is at the hub exactly once.
//!
//! - [`Outbox::publish`] sends what is queued, then an entry; or queues the entry.
//! - [`sync`](crate::sync::sync) and [`listen`](crate::sync::listen) send what is queued by
//!   themselves, [`Outbox::send`] does nothing else.
//! - [`Outbox::pending`] looks without changing anything.
//!
//! **Order.** An entry is queued behind every entry that was queued when its publisher began; clocks
//! play no part. Entries that are published at the same time have no order among them.
//!
//! **Which hub.** Entries go to the hub that the project is registered with when they are sent.

mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod name;
mod publish;
mod record;
mod send;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::limits;
use ctx_config::paths::{self, ContextDir, OutboxDir};
use ctx_io::{PathError, atomic, ensure_private_dir, failpoint, refuse_symlink};

use self::name::Name;
use crate::entry::EntryDraft;
use crate::types::{EntryId, EntryType};

pub use error::{OutboxError, PublishError, Unusable, Why};
pub use publish::{Delivery, Published, WhenAway};
pub use record::RecordError;
pub(crate) use send::Publisher;
pub use send::{Refused, SendReport, Sent};

/// How often a name is looked for. The second try finds one, unless somebody made a file whose
/// number is the last there is.
const QUEUE_ATTEMPTS: u32 = 16;

/// The outbox of a project. Only names it: every call looks at what is there.
#[derive(Clone, Debug)]
pub struct Outbox {
    context: ContextDir,
    dir: OutboxDir,
}

/// An entry that waits now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// Its file.
    pub path: Utf8PathBuf,
    /// Whether it was queued before, under the same id. Nothing was stored then.
    pub already: bool,
    /// How many entries wait, this one included.
    pub waiting: usize,
}

/// What waits in an outbox.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Pending {
    /// How many entries wait.
    pub entries: usize,
    /// How large their files are.
    pub bytes: u64,
    /// The one that is sent first.
    pub oldest: Option<Oldest>,
    /// What hubs refused for good, oldest first.
    pub refused: Vec<Refused>,
    /// Files that cannot be sent. They are not counted above.
    pub unusable: Vec<Unusable>,
}

/// The entry that is sent first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Oldest {
    /// Its id.
    pub id: EntryId,
    /// Its type.
    pub entry_type: EntryType,
    /// When it was published, in Unix seconds.
    pub timestamp: i64,
}

/// The names in a folder of entries.
#[derive(Debug, Default)]
struct Listing {
    /// Queued entries, oldest first.
    names: Vec<Name>,
    /// What has no business there.
    strange: Vec<Utf8PathBuf>,
    /// Whether there are names that begin with a dot: temporary files of ours, or files of some
    /// other program.
    litter: bool,
}

impl Outbox {
    /// The outbox of the project at `context`, which need not exist.
    #[must_use]
    pub fn of(context: &ContextDir) -> Self {
        Self {
            context: context.clone(),
            dir: context.mirror().outbox(),
        }
    }

    /// Where entries wait.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        self.dir.path()
    }

    /// Whether nothing waits. Costs the listing of one folder; files are not opened.
    ///
    /// # Errors
    /// [`OutboxError::Path`] and [`OutboxError::Io`].
    pub fn is_empty(&self) -> Result<bool, OutboxError> {
        Ok(self.waiting()?.names.is_empty())
    }

    /// Stores `draft` behind everything that waits. When this returns, it is on the disk. Killed in
    /// the middle of it, the entry is queued whole or not at all.
    ///
    /// ```
    /// use ctx_config::paths::ContextDir;
    /// use ctx_hub::entry::{EntryDraft, EntryMeta};
    /// use ctx_hub::outbox::Outbox;
    /// use ctx_hub::types::{EntryId, EntryType};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = camino::Utf8Path::from_path(dir.path()).ok_or("not UTF-8")?;
    /// let outbox = Outbox::of(&ContextDir::new(path));
    /// let text = "Dates are UTC everywhere".to_owned();
    /// let id = EntryId::random()?;
    /// let draft = EntryDraft::new(id, EntryType::Decision, text, 0, EntryMeta::default())?;
    /// assert_eq!(outbox.queue(&draft)?.waiting, 1);
    /// // The same id waits once.
    /// assert!(outbox.queue(&draft)?.already);
    /// assert_eq!(outbox.pending()?.entries, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OutboxError::Full`] beyond [`limits::OUTBOX_MAX_ENTRIES`] or [`limits::OUTBOX_MAX_BYTES`];
    /// [`OutboxError::NoContext`], [`OutboxError::Path`] and [`OutboxError::Write`]. Nothing was
    /// stored on any of them; only when the directory could not be flushed
    /// ([`atomic::Step::SyncDir`]) the entry is there and may be sent.
    pub fn queue(&self, draft: &EntryDraft) -> Result<Queued, OutboxError> {
        self.make_dirs()?;
        let bytes = record::write(draft).map_err(std::io::Error::from)?;
        atomic::sweep(self.path());
        for _ in 0..QUEUE_ATTEMPTS {
            let listing = self.waiting()?;
            let waiting = listing.names.len();
            if let Some(path) = self.find(&listing, draft.id()) {
                return Ok(Queued {
                    path,
                    already: true,
                    waiting,
                });
            }
            self.check_room(&listing, bytes.len())?;
            // The other folder comes second, so that an entry that moves there meanwhile is seen.
            let last = listing.names.into_iter().next_back();
            let last = last.max(self.refused_names()?.names.pop());
            let path = self.file(&Name::behind(last.as_ref(), draft.id()));
            failpoint::reach("outbox.queuing")?;
            if atomic::create_new(&path, &bytes, paths::PRIVATE_FILE_MODE)? {
                failpoint::reach("outbox.queued")?;
                return Ok(Queued {
                    path,
                    already: false,
                    waiting: waiting.saturating_add(1),
                });
            }
            // Another process queued the same id at the same moment: look again.
        }
        Err(std::io::Error::other(format!("{} has no name left", self.path())).into())
    }

    /// The file in which the entry `id` waits; not one that is damaged.
    fn find(&self, listing: &Listing, id: &EntryId) -> Option<Utf8PathBuf> {
        let names = listing.names.iter().filter(|name| name.is_of(id));
        let mut paths = names.map(|name| self.file(name));
        paths.find(|path| matches!(read(path), Ok(Some(_))))
    }

    /// What waits, what was refused, and what is damaged. Reads every file, one at a time, and
    /// changes nothing.
    ///
    /// # Errors
    /// [`OutboxError::Path`] and [`OutboxError::Io`].
    pub fn pending(&self) -> Result<Pending, OutboxError> {
        let Listing { names, strange, .. } = self.waiting()?;
        let mut pending = Pending::default();
        pending
            .unusable
            .extend(strange.into_iter().map(strange_file));
        for name in names {
            let path = self.file(&name);
            match read(&path) {
                Ok(None) => {}
                Ok(Some((draft, size))) => {
                    pending.entries += 1;
                    pending.bytes = pending.bytes.saturating_add(size);
                    pending.oldest.get_or_insert_with(|| Oldest {
                        id: draft.id().clone(),
                        entry_type: draft.entry_type(),
                        timestamp: draft.timestamp(),
                    });
                }
                Err(why) => pending.unusable.push(Unusable { path, why }),
            }
        }
        let refused = self.refused_names()?.names;
        pending.refused = refused.iter().map(|name| self.refused(name)).collect();
        Ok(pending)
    }

    /// The files of waiting entries.
    fn waiting(&self) -> Result<Listing, OutboxError> {
        refuse_symlink(self.context.mirror().path())?;
        list(self.path(), &[paths::REFUSED_DIR])
    }

    /// The files of refused entries; what else is in that folder is the business of people.
    fn refused_names(&self) -> Result<Listing, OutboxError> {
        list(&self.dir.refused(), &[])
    }

    fn file(&self, name: &Name) -> Utf8PathBuf {
        self.path().join(name.to_string())
    }

    fn make_dirs(&self) -> Result<(), OutboxError> {
        let context = self.context.path();
        if !context.is_dir() {
            return Err(OutboxError::NoContext {
                path: context.to_owned(),
            });
        }
        ensure_private_dir(self.context.mirror().path(), paths::PRIVATE_DIR_MODE)?;
        ensure_private_dir(self.path(), paths::PRIVATE_DIR_MODE)?;
        Ok(())
    }

    /// Publishers that look at the same time may each find room for one more.
    fn check_room(&self, listing: &Listing, more: usize) -> Result<(), OutboxError> {
        let size = |name: &Name| {
            let found = fs_err::symlink_metadata(self.file(name));
            found.map_or(0, |metadata| metadata.len())
        };
        let entries = listing.names.len();
        let bytes: u64 = listing.names.iter().map(size).sum();
        let after = bytes.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        if entries < limits::OUTBOX_MAX_ENTRIES && after <= limits::OUTBOX_MAX_BYTES {
            return Ok(());
        }
        Err(OutboxError::Full {
            path: self.path().to_owned(),
            entries,
            bytes,
        })
    }
}

/// The entry in the file at `path` and the file's size; `None` when it is gone.
fn read(path: &Utf8Path) -> Result<Option<(EntryDraft, u64)>, Why> {
    let bytes = ctx_io::read_optional_limited(path, limits::OUTBOX_FILE_MAX_BYTES)?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(Some((record::read(&bytes)?, size)))
}

/// The names in `dir`, which need not exist; `known` ones are left out.
fn list(dir: &Utf8Path, known: &[&str]) -> Result<Listing, OutboxError> {
    refuse_symlink(dir)?;
    let mut listing = Listing::default();
    let entries = match fs_err::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(listing),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            let path = dir.to_owned();
            return Err(PathError::NotADirectory { path }.into());
        }
        entries => entries?,
    };
    for entry in entries {
        let file = entry?.file_name();
        let file = file.to_string_lossy();
        match Name::parse(&file) {
            Some(name) => listing.names.push(name),
            None if file.starts_with('.') => listing.litter = true,
            None if known.contains(&file.as_ref()) => {}
            None => listing.strange.push(dir.join(file.as_ref())),
        }
    }
    listing.names.sort_unstable();
    listing.strange.sort_unstable();
    Ok(listing)
}

fn strange_file(path: Utf8PathBuf) -> Unusable {
    Unusable {
        path,
        why: Why::Name,
    }
}
