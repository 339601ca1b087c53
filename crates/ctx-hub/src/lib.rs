//! Entries, the wire, the client and the sync engine of `ctx`; behind features, the hub itself.
//!
//! | feature | what it adds |
//! |---|---|
//! | `sync` (default) | the mirror in `.context/hub/`: `sync::load_state`, `sync::sync`, `sync::listen`, the sealed connection file, `outbox::Outbox` |
//! | `client` | dialling a hub: `client::HubClient`, `client::AdminClient` |
//! | `store` | the trait `store::Store` and the embedded store |
//! | `server` | the service: `server::Hub` |
//! | `fuzzing` | what must hold of every reader, for the fuzz targets and the tests; no part of the product |
//!
//! With default features neither the server nor its store is compiled. A program that keeps a
//! mirror needs `connection::Connection`, `client::HubClient` and `sync::sync`, which has an
//! example; the names that they take are those of [`ctx_config`], the locks those of `ctx_io`, and
//! both are re-exported.

pub use ctx_config;
#[cfg(any(feature = "sync", feature = "store"))]
pub use ctx_io;

pub mod entry;
mod fingerprint;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod lifetime;
mod scan;
pub mod secret;
pub mod types;
pub mod wire;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "store")]
pub mod clock;
#[cfg(feature = "sync")]
pub mod connection;
#[cfg(feature = "sync")]
pub mod outbox;
#[cfg(feature = "sync")]
pub mod rotation;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "sync")]
pub mod sync;
