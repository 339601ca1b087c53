//! The hub's service, from outside: a peer that is not our client, down to the bytes.

pub(crate) mod hub;
pub(crate) mod peer;

mod admin;
mod json;
mod life;
mod proto;
mod rules;
mod streams;
