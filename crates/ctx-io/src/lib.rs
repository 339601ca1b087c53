//! Locks and safe writes: the mechanisms under `ctx` that must hold when a process dies in the
//! middle of them.
//!
//! | module | promise |
//! |---|---|
//! | [`lock`] | of N contenders exactly one wins; a dead holder never blocks anyone; a held lock explains itself |
//! | [`atomic`] | a file holds its old content or its new content, never a mixture, also after a power cut |
//! | [`StagedDir`] | a directory appears under its name whole, or not at all |
//! | [`append`] | what was appended and synced stays; what failed is cut back |
//! | [`read`] | absence is `None`, everything else that is not a readable regular file is an error |
//! | [`contained`] | a name cannot leave its directory; a symbolic link in place of a file of ours is refused |
//! | [`private`] | what others may open is told, and taken from them |
//! | [`process`] | what this machine and its user are called |
//! | [`failpoint`] | steps at which a test can stop, fail or kill a process; nothing in a normal build |
//!
//! The crate knows no names: which path, which mode and how long to wait arrive as arguments. It
//! is written for Unix; where the system does not tell something (no `/proc`), the answer is
//! unknown, never a guess.
//!
//! ```
//! use camino::Utf8Path;
//! use ctx_io::{FileLock, Holder, Wait, atomic};
//! # let dir = tempfile::tempdir()?;
//! # let dir = Utf8Path::from_path(dir.path()).ok_or("temporary directory is not UTF-8")?;
//! let holder = Holder { command: "example", version: "1.0.0" };
//! let lock = FileLock::acquire(&dir.join("notes.lock"), &holder, Wait::No)?;
//! atomic::write(&dir.join("notes.txt"), b"one\n", atomic::Mode::Keep { otherwise: 0o644 })?;
//! lock.release()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod append;
pub mod atomic;
pub mod contained;
mod dir;
pub mod failpoint;
mod file_id;
mod flush;
mod hint;
pub mod lock;
mod open;
mod os_lock;
pub mod private;
pub mod process;
mod random;
pub mod read;
mod room;
mod staged;
mod temp;

pub use append::{AppendError, AppendFile};
pub use atomic::{AtomicFile, WriteError, sync_parent};
pub use contained::{PathError, ensure_private_dir, join_contained, refuse_symlink};
pub use lock::{FileLock, Holder, LockError, LockRecord, LockStatus, Removed, Wait, Why};
pub use open::FileKind;
pub use read::{ReadError, read_optional, read_optional_limited, read_private};
pub use room::free_bytes;
pub use staged::{StageError, StagedDir};
pub use temp::{is_abandoned, move_new, sweep_temporaries, temporary_target};
