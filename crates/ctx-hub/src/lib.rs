//! Entries, the wire, the client and the sync engine of `ctx`; behind features, the hub itself.
//!
//! | feature | what it adds |
//! |---|---|
//! | `sync` (default) | the mirror in `.context/hub/`: `sync::load_state`, `sync::sync`, `sync::listen`, the sealed connection file |
//! | `client` | dialling a hub: `client::HubClient`, `client::AdminClient` |
//! | `store` | the trait `store::Store` and the embedded store |

pub mod entry;
pub mod secret;
pub mod types;
pub mod wire;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "sync")]
pub mod connection;
#[cfg(feature = "store")]
pub mod store;
