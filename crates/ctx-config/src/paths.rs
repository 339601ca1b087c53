//! File names, modes, and the typed folders that join them.

use camino::{Utf8Path, Utf8PathBuf};

/// The folder of a project that `ctx` keeps.
pub const CONTEXT_DIR: &str = ".context";

/// In [`CONTEXT_DIR`]: the sealed connection file.
pub const CONNECT_FILE: &str = ".connect.enc";

/// In [`CONTEXT_DIR`]: the sealed connection file of a registration that the hub has not answered yet.
pub const PENDING_CONNECT_FILE: &str = ".connect.enc.pending";

/// In [`CONTEXT_DIR`]: the lock of those who change the connection file. It is held while it exists.
pub const CONNECT_LOCK_FILE: &str = ".connect.lock";

/// In [`CONTEXT_DIR`]: the folder of the mirror.
pub const MIRROR_DIR: &str = "hub";

/// In the mirror: the sync lock. It is held while it exists.
pub const SYNC_LOCK_FILE: &str = ".sync.lock";

/// In the mirror: the commit record of what has been mirrored.
pub const SYNC_STATE_FILE: &str = ".sync-state.json";

/// In the mirror: where a full sync builds the new mirror before it takes the old one's place.
pub const REBUILD_DIR: &str = ".rebuild";

/// In the mirror: stands between the name of a changed file that a full sync kept and the time at
/// which it did.
pub const SET_ASIDE_MARK: &str = ".edited-";

/// In the mirror: entries that wait for a hub that could not be reached.
pub const OUTBOX_DIR: &str = "outbox";

/// In the outbox: entries that a hub refused for good.
pub const REFUSED_DIR: &str = "refused";

/// Ends the name of a queued entry.
pub const QUEUED_SUFFIX: &str = ".json";

/// Stands in place of [`QUEUED_SUFFIX`] in the name of the file that says why a hub refused an entry.
pub const REASON_SUFFIX: &str = ".reason";

/// In the mirror: entries of type `decision`.
pub const DECISIONS_FILE: &str = "decisions.md";

/// In the mirror: entries of type `learning`.
pub const LEARNINGS_FILE: &str = "learnings.md";

/// In the mirror: entries of type `convention`.
pub const CONVENTIONS_FILE: &str = "conventions.md";

/// In the mirror: entries of type `task`.
pub const TASKS_FILE: &str = "tasks.md";

/// In [`CONTEXT_DIR`]: the project's own decisions.
pub const OWN_DECISIONS_FILE: &str = "DECISIONS.md";

/// In [`CONTEXT_DIR`]: the project's own learnings.
pub const OWN_LEARNINGS_FILE: &str = "LEARNINGS.md";

/// In [`CONTEXT_DIR`]: the project's own conventions.
pub const OWN_CONVENTIONS_FILE: &str = "CONVENTIONS.md";

/// In [`CONTEXT_DIR`]: the project's own tasks.
pub const OWN_TASKS_FILE: &str = "TASKS.md";

/// Where git is told what to leave out of a repository.
pub const GITIGNORE_FILE: &str = ".gitignore";

/// In the home directory: the folder of the person.
pub const USER_DIR: &str = ".ctx";

/// In [`USER_DIR`]: the key that seals connection files.
pub const KEY_FILE: &str = ".ctx.key";

/// In [`USER_DIR`]: a hub's data directory unless told otherwise.
pub const HUB_DATA_DIR: &str = "hub-data";

/// In a data directory: the admin token.
pub const ADMIN_TOKEN_FILE: &str = "admin.token";

/// In a data directory: the process id of the hub that serves it, for people to read. Nothing is
/// ever signalled on its word; the hub's lock says who is alive.
pub const HUB_PID_FILE: &str = "hub.pid";

/// In a data directory: the lock of the hub that serves it.
pub const HUB_LOCK_FILE: &str = ".hub.lock";

/// In a data directory: the socket for administration on the hub's own machine.
pub const ADMIN_SOCKET_FILE: &str = "admin.sock";

/// In a data directory: the folder of a self-signed certificate.
pub const TLS_DIR: &str = "tls";

/// In [`TLS_DIR`]: the certificate, in PEM.
pub const TLS_CERT_FILE: &str = "cert.pem";

/// In [`TLS_DIR`]: its private key, in PEM.
pub const TLS_KEY_FILE: &str = "key.pem";

/// In a data directory: the log of a hub that runs in the background.
pub const HUB_LOG_FILE: &str = "hub.log";

/// In a data directory: the settings of its hub, which an operator writes.
pub const HUB_SETTINGS_FILE: &str = "hub.toml";

/// In a data directory: the embedded store.
pub const STORE_FILE: &str = "hub.db";

/// In a data directory: the embedded store while it is being made. It takes the name of
/// [`STORE_FILE`] once it is whole.
pub const STORE_NEW_FILE: &str = "hub.db.new";

/// In a data directory: what the embedded store had acknowledged, one line a commit.
pub const STORE_MARKS_FILE: &str = "hub.marks";

/// In a data directory: the audit trail that is written to, one JSON document a line.
pub const AUDIT_FILE: &str = "audit.jsonl";

/// In a data directory: begins the name of an older part of the audit trail; the number of its first
/// line follows, in [`AUDIT_NUMBER_DIGITS`] digits.
pub const AUDIT_OLDER_PREFIX: &str = "audit-";

/// Digits of the number in the name of an older part of the audit trail, so that names sort as
/// numbers do.
pub const AUDIT_NUMBER_DIGITS: usize = 16;

/// Ends the name of an older part of the audit trail.
pub const AUDIT_OLDER_SUFFIX: &str = ".jsonl";

/// In a backup: what it holds, and how to tell that it is whole.
pub const BACKUP_MANIFEST_FILE: &str = "manifest.json";

/// In a data directory of an older hub: its entries, one JSON document a line.
pub const OLD_ENTRIES_FILE: &str = "entries.jsonl";

/// In a data directory of an older hub: its clients.
pub const OLD_CLIENTS_FILE: &str = "clients.json";

/// In a data directory of an older hub: its sequence counter.
pub const OLD_META_FILE: &str = "meta.json";

/// Mode of files that only their owner may read: keys, tokens, locks, sealed files.
pub const PRIVATE_FILE_MODE: u32 = 0o600;

/// Mode of folders that only their owner may enter.
pub const PRIVATE_DIR_MODE: u32 = 0o700;

/// Mode of files that are meant to be read: the mirror and the project's own files.
pub const SHARED_FILE_MODE: u32 = 0o644;

/// The `.context/` folder of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextDir {
    path: Utf8PathBuf,
}

impl ContextDir {
    /// Names the folder at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<Utf8PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The sealed connection file.
    #[must_use]
    pub fn connect_file(&self) -> Utf8PathBuf {
        self.path.join(CONNECT_FILE)
    }

    /// The sealed connection file of a registration under way.
    #[must_use]
    pub fn pending_connect_file(&self) -> Utf8PathBuf {
        self.path.join(PENDING_CONNECT_FILE)
    }

    /// The lock of those who change the connection file.
    #[must_use]
    pub fn connect_lock(&self) -> Utf8PathBuf {
        self.path.join(CONNECT_LOCK_FILE)
    }

    /// The folder of the mirror.
    #[must_use]
    pub fn mirror(&self) -> MirrorDir {
        MirrorDir {
            path: self.path.join(MIRROR_DIR),
        }
    }
}

/// The mirror: `.context/hub/`, or the folder in which a full sync builds its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorDir {
    path: Utf8PathBuf,
}

impl MirrorDir {
    /// Names the folder at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<Utf8PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The sync lock.
    #[must_use]
    pub fn sync_lock(&self) -> Utf8PathBuf {
        self.path.join(SYNC_LOCK_FILE)
    }

    /// The commit record.
    #[must_use]
    pub fn state(&self) -> Utf8PathBuf {
        self.path.join(SYNC_STATE_FILE)
    }

    /// Where entries wait for a hub.
    #[must_use]
    pub fn outbox(&self) -> OutboxDir {
        OutboxDir {
            path: self.path.join(OUTBOX_DIR),
        }
    }

    /// Where a full sync builds the new mirror.
    #[must_use]
    pub fn rebuild(&self) -> MirrorDir {
        MirrorDir {
            path: self.path.join(REBUILD_DIR),
        }
    }
}

/// The folder of entries that wait for a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxDir {
    path: Utf8PathBuf,
}

impl OutboxDir {
    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The folder of entries that a hub refused for good.
    #[must_use]
    pub fn refused(&self) -> Utf8PathBuf {
        self.path.join(REFUSED_DIR)
    }
}

/// The folder of the person, `~/.ctx/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDir {
    path: Utf8PathBuf,
}

impl UserDir {
    /// Names the folder of the person whose home directory is `home`.
    #[must_use]
    pub fn under_home(home: &Utf8Path) -> Self {
        Self {
            path: home.join(USER_DIR),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The key that seals connection files.
    #[must_use]
    pub fn key(&self) -> Utf8PathBuf {
        self.path.join(KEY_FILE)
    }

    /// A hub's data directory unless told otherwise.
    #[must_use]
    pub fn hub_data(&self) -> DataDir {
        DataDir {
            path: self.path.join(HUB_DATA_DIR),
        }
    }
}

/// The data directory of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir {
    path: Utf8PathBuf,
}

impl DataDir {
    /// Names the folder at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<Utf8PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The admin token.
    #[must_use]
    pub fn admin_token(&self) -> Utf8PathBuf {
        self.path.join(ADMIN_TOKEN_FILE)
    }

    /// The process id of the hub.
    #[must_use]
    pub fn pid(&self) -> Utf8PathBuf {
        self.path.join(HUB_PID_FILE)
    }

    /// The lock of the hub.
    #[must_use]
    pub fn lock(&self) -> Utf8PathBuf {
        self.path.join(HUB_LOCK_FILE)
    }

    /// The socket for administration.
    #[must_use]
    pub fn admin_socket(&self) -> Utf8PathBuf {
        self.path.join(ADMIN_SOCKET_FILE)
    }

    /// The folder of a self-signed certificate.
    #[must_use]
    pub fn tls(&self) -> Utf8PathBuf {
        self.path.join(TLS_DIR)
    }

    /// A self-signed certificate.
    #[must_use]
    pub fn tls_cert(&self) -> Utf8PathBuf {
        self.tls().join(TLS_CERT_FILE)
    }

    /// The private key of a self-signed certificate.
    #[must_use]
    pub fn tls_key(&self) -> Utf8PathBuf {
        self.tls().join(TLS_KEY_FILE)
    }

    /// The log of a hub in the background.
    #[must_use]
    pub fn log(&self) -> Utf8PathBuf {
        self.path.join(HUB_LOG_FILE)
    }

    /// The settings of the hub.
    #[must_use]
    pub fn settings(&self) -> Utf8PathBuf {
        self.path.join(HUB_SETTINGS_FILE)
    }

    /// The embedded store.
    #[must_use]
    pub fn store(&self) -> Utf8PathBuf {
        self.path.join(STORE_FILE)
    }

    /// The embedded store while it is being made.
    #[must_use]
    pub fn store_new(&self) -> Utf8PathBuf {
        self.path.join(STORE_NEW_FILE)
    }

    /// What the embedded store had acknowledged.
    #[must_use]
    pub fn marks(&self) -> Utf8PathBuf {
        self.path.join(STORE_MARKS_FILE)
    }

    /// The audit trail that is written to.
    #[must_use]
    pub fn audit(&self) -> Utf8PathBuf {
        self.path.join(AUDIT_FILE)
    }

    /// The part of the audit trail that began with line `first` and is not written to any more.
    #[must_use]
    pub fn older_audit(&self, first: u64) -> Utf8PathBuf {
        let number = format!("{first:0width$}", width = AUDIT_NUMBER_DIGITS);
        self.path
            .join(format!("{AUDIT_OLDER_PREFIX}{number}{AUDIT_OLDER_SUFFIX}"))
    }

    /// The entries of an older hub.
    #[must_use]
    pub fn old_entries(&self) -> Utf8PathBuf {
        self.path.join(OLD_ENTRIES_FILE)
    }

    /// The clients of an older hub.
    #[must_use]
    pub fn old_clients(&self) -> Utf8PathBuf {
        self.path.join(OLD_CLIENTS_FILE)
    }

    /// The sequence counter of an older hub.
    #[must_use]
    pub fn old_meta(&self) -> Utf8PathBuf {
        self.path.join(OLD_META_FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sync_lock_stands_in_the_hub_folder_of_the_context_directory() {
        let context = ContextDir::new("/p/.context");
        assert_eq!(context.mirror().sync_lock(), "/p/.context/hub/.sync.lock");
        assert_eq!(context.mirror().state(), "/p/.context/hub/.sync-state.json");
        assert_eq!(context.connect_file(), "/p/.context/.connect.enc");
    }

    #[test]
    fn a_person_s_files_stand_under_their_home() {
        let user = UserDir::under_home(Utf8Path::new("/people/ada"));
        assert_eq!(user.key(), "/people/ada/.ctx/.ctx.key");
        assert_eq!(
            user.hub_data().admin_token(),
            "/people/ada/.ctx/hub-data/admin.token"
        );
    }
    #[test]
    fn the_name_of_an_older_part_of_the_audit_trail_sorts_by_its_number() {
        let dir = DataDir::new("/d");
        assert_eq!(dir.audit(), "/d/audit.jsonl");
        assert_eq!(dir.older_audit(9), "/d/audit-0000000000000009.jsonl");
        assert!(dir.older_audit(9) < dir.older_audit(10));
    }
}
