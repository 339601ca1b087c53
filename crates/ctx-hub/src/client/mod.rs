//! Dialling a hub: register a project, publish, pull, listen, ask for figures, administer.
//!
//! [`HubClient`] is what projects use, [`AdminClient`] what operators use. Both speak JSON, which
//! every hub understands, and wait for nothing without a bound: see [`Timeouts`].
//!
//! A [`Route`] says where a hub is and who vouches for it. Over TLS nothing is sent to a hub that is
//! not proven to be the one that is meant; in the clear no token goes beyond this machine unless
//! [`Route::insecure`] allows it.
//!
//! Calls that are safe to repeat are repeated when the hub could not be reached or broke off:
//! `publish` (an id is stored once, so a repeated entry gets its first sequence), `status`, and the
//! opening of `sync` and `listen`. `register` is sent once: an older hub, asked again after a lost
//! answer, only says that the project exists. A caller that keeps the token that it proposes
//! ([`HubClient::register_as`]) can ask again itself.
//!
//! A hub that takes no more of something for now says when it will. That is waited for if it is
//! within the time that a call has; else the call fails with [`ClientError::Limited`], and until then
//! the connection does not ask again, whoever tries.

mod address;
mod admin;
pub(crate) mod backoff;
mod connector;
mod distrust;
mod error;
mod hub;
mod json_service;
mod limited;
mod register;
mod route;
mod status;
mod stream;
mod tls;
mod transport;
mod trust;

use std::fmt;
use std::time::Duration;

use camino::Utf8PathBuf;
use ctx_config::limits;

pub use crate::wire::admin::{
    ClientRecord, ClientState, HubHealth, InvitationInfo, InvitationState, NewlyInvited,
};
pub use address::{AddressError, HubAddress, Scheme};
pub use admin::AdminClient;
pub use distrust::Distrust;
pub use error::{Cause, ClientError, ClientErrorKind, Violation};
pub use hub::{HubClient, HubStatus, TokenRotation};
pub use register::{Admission, Registration};
pub use route::{Route, RouteError};
pub use stream::{EntryStream, HubIdentity, StreamStart};
pub use trust::{CA_CERTIFICATES_MAX_BYTES, CaCertificates, CaError, Trust};

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To open a connection, the name looked up included.
    pub connect: Duration,
    /// For a call with one answer, repetitions included, and for a `sync` stream to begin.
    pub call: Duration,
    /// Between two messages of a `sync` stream.
    pub sync_idle: Duration,
    /// For a `listen` stream to begin and between two of its messages. Silence is normal there, so
    /// the end of this wait is [`ClientError::Idle`]: dial again.
    pub listen_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: limits::CONNECT_TIMEOUT,
            call: limits::CALL_DEADLINE,
            sync_idle: limits::SYNC_IDLE_LIMIT,
            listen_idle: limits::LISTEN_IDLE_LIMIT,
        }
    }
}

/// Where a hub was dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// On the network.
    Address(HubAddress),
    /// On this machine, at its admin socket.
    Socket(Utf8PathBuf),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket(path) => path.fmt(f),
        }
    }
}
