//! The integration tests of ctx-cli, one binary: the real program, real hubs on loopback,
//! temporary directories.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::as_conversions,
    reason = "tests panic to fail"
)]

mod audit;
mod contention;
mod damage;
mod demo;
#[cfg(feature = "failpoints")]
mod failpoints;
mod files;
mod harness;
mod hub;
mod hub_backup;
mod hub_limits;
mod hub_log;
mod hub_service;
mod hub_settings;
mod hub_verify;
mod init;
mod input;
mod invite;
mod outbox;
mod output;
mod patience;
mod proxy;
mod redact;
mod restored;
mod rotate;
mod story;
mod sync;
mod tls;
mod unlock;
mod unreachable;
mod verify;
