//! Names of files, types and folders as the product's documentation fixes them: this program uses
//! no crate of the workspace, so it states them again.

/// The files of a mirror.
pub(crate) const MIRROR_FILES: [&str; 4] =
    ["conventions.md", "decisions.md", "learnings.md", "tasks.md"];
/// The types of entries.
pub(crate) const TYPES: [&str; 4] = ["convention", "decision", "learning", "task"];
/// The folder in a project.
pub(crate) const CONTEXT: &str = ".context";
/// The mirror's folder in it.
pub(crate) const MIRROR: &str = "hub";
/// The commit record of a mirror.
pub(crate) const STATE: &str = ".sync-state.json";
/// The sync lock.
pub(crate) const LOCK: &str = ".sync.lock";
/// Where a full sync builds.
pub(crate) const REBUILD: &str = ".rebuild";
/// Where entries wait for a hub.
pub(crate) const OUTBOX: &str = "outbox";
/// The sealed connection.
pub(crate) const CONNECTION: &str = ".connect.enc";
/// The key that seals it, under the home directory.
pub(crate) const KEY: &str = ".ctx/.ctx.key";
/// The admin token in a hub's data directory.
pub(crate) const ADMIN_TOKEN: &str = "admin.token";
/// The store in a hub's data directory, and the files that belong to it.
pub(crate) const STORE: &str = "hub.db";
pub(crate) const STORE_LOG: &str = "hub.db-wal";
pub(crate) const STORE_INDEX: &str = "hub.db-shm";
/// The lock of a hub's data directory.
pub(crate) const HUB_LOCK: &str = ".hub.lock";
/// What stands in the name of a file that a full sync kept.
pub(crate) const SET_ASIDE: &str = ".edited-";
