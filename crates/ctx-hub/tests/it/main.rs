//! The integration tests of ctx-hub, one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::as_conversions,
    reason = "tests panic to fail"
)]

#[cfg(feature = "server")]
mod attack;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "fuzzing")]
mod fuzzing;
#[cfg(all(feature = "sync", feature = "server"))]
mod harness;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "store")]
mod store;
#[cfg(feature = "sync")]
mod sync;
