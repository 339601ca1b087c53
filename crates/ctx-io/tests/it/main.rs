//! What ctx-io promises, seen from outside: by threads, by processes, and by what a killed one
//! leaves behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::as_conversions,
    reason = "tests panic to fail"
)]

mod append;
mod atomic;
mod child;
mod contained;
mod contention;
mod crash;
#[cfg(feature = "failpoints")]
mod failpoint;
mod harness;
mod limits;
mod lock;
mod model;
mod power_cut;
mod read;
