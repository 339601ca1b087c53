//! The mirror: lock, state, append, crash. What needs no hub is fed straight to a session.

mod crashes;
mod edits;
#[cfg(feature = "server")]
mod hub;
mod killed;
mod lock;
#[cfg(feature = "server")]
mod restored;
mod states;

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{CONTEXT_DIR, ContextDir, MirrorDir};
use ctx_hub::entry::{Entry, EntryMeta};
use ctx_hub::sync::{Batch, SyncError, SyncOptions, SyncSession, load_state};
use ctx_hub::types::{EntryId, EntryType, Sequence, TypeSet};

/// A project without a hub.
pub(crate) struct Project {
    pub(crate) context: ContextDir,
    _temp: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let context = ContextDir::new(Utf8Path::from_path(temp.path()).unwrap().join(CONTEXT_DIR));
        fs::create_dir(context.path()).unwrap();
        Self {
            context,
            _temp: temp,
        }
    }

    pub(crate) fn mirror(&self) -> MirrorDir {
        self.context.mirror()
    }

    pub(crate) fn file(&self, entry_type: EntryType) -> Utf8PathBuf {
        self.mirror().path().join(entry_type.mirror_file())
    }

    pub(crate) fn text(&self, entry_type: EntryType) -> String {
        fs::read_to_string(self.file(entry_type)).unwrap()
    }

    pub(crate) fn load(&self) -> Result<SyncSession, SyncError> {
        load_state(&self.context, &SyncOptions::default())
    }

    /// Loads, applies, releases.
    pub(crate) fn apply(&self, batch: &Batch) -> Result<u64, SyncError> {
        let (session, applied) = self.load()?.apply(batch)?;
        session.release()?;
        Ok(applied.values().sum())
    }

    /// Puts `bytes` in the place of a file of the mirror, as a test may.
    pub(crate) fn put(&self, path: &Utf8Path, bytes: impl AsRef<[u8]>) {
        fs::create_dir_all(self.mirror().path()).unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "a test lays out what it finds later"
        )]
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn put_state(&self, text: &str) {
        self.put(&self.mirror().state(), text);
    }

    /// The state file, without the modification times, which differ from run to run.
    pub(crate) fn state_without_times(&self) -> serde_json::Value {
        let bytes = fs::read(self.mirror().state()).unwrap();
        let mut state: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        for of_type in state["types"].as_object_mut().unwrap().values_mut() {
            of_type.as_object_mut().unwrap().remove("modified_ns");
        }
        state
    }

    /// Every file of the mirror by name.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = self.mirror().path().read_dir_utf8().unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn entry(sequence: u64, entry_type: EntryType, content: &str) -> Entry {
    Entry {
        id: EntryId::try_from(format!("id-{sequence}")).unwrap(),
        entry_type,
        content: content.to_owned(),
        origin: "other-project".to_owned(),
        timestamp: 1_781_136_000,
        sequence: Sequence::new(sequence),
        meta: EntryMeta::default(),
        chain: None,
    }
}

/// Everything of every type after `after`.
pub(crate) fn batch(after: u64, entries: Vec<Entry>) -> Batch {
    batch_of(TypeSet::all(), after, entries)
}

pub(crate) fn batch_of(types: TypeSet, after: u64, entries: Vec<Entry>) -> Batch {
    Batch {
        types,
        after: Sequence::new(after),
        entries,
        complete_to: None,
        chain: None,
    }
}

pub(crate) fn types<const N: usize>(types: [EntryType; N]) -> TypeSet {
    types.into_iter().collect()
}
