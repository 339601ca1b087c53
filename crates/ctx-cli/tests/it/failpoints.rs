//! The program stopped, failed and killed at every step that has a name.

mod admission;
mod backup;
mod broken_disk;
mod hub;
mod killed;
mod looking;
mod namespaces;
mod no_os_locks;
mod order;
mod rotate;
mod stage;
