//! What things are called and how large they may be.
//!
//! Every path, file name, mode, limit, default and timeout that `ctx` lives by stands here once.
//! The crate knows names; it touches nothing: no file is opened, no variable is read, no clock is
//! asked. Mechanisms (locking a path, replacing a file) are in `ctx-io`, which is told the names.
//!
//! There is no sentinel for the sync lock: the lock is the file's existence, not its content.
//!
//! - [`paths`]: file names, modes, and the typed folders that join them.
//! - [`limits`]: sizes, counts and waiting times; the unit is in the name or in the type.
//! - [`wire`]: the names that cross the network.
//! - [`mod@env`]: the environment variables that are read (by `ctx-cli` alone).

pub mod env;
pub mod limits;
pub mod paths;
pub mod wire;
