//! What operators are told about a hub.

use std::collections::BTreeMap;

use crate::types::{ClientId, Fingerprint, HubId, Sequence};

/// Health and figures of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubHealth {
    /// The identity of its log.
    pub hub_id: HubId,
    /// The version of the program that serves it.
    pub version: String,
    /// The process that serves it; 0 when none does.
    pub pid: u32,
    /// When that process began to serve, in Unix seconds; 0 when none does.
    pub started_at: i64,
    /// Addresses that it listens on.
    pub addresses: Vec<String>,
    /// Its data directory, as the hub's own machine names it.
    pub data_dir: String,
    /// Whether it ends TLS itself.
    pub encrypted: bool,
    /// The fingerprint of the certificate that it shows; `None` when it shows none.
    pub fingerprint: Option<Fingerprint>,
    /// Until when the certificate is valid, in Unix seconds.
    pub certificate_expires_at: Option<i64>,
    /// The last sequence handed out; [`Sequence::START`] when none was.
    pub head: Sequence,
    /// How many entries there are.
    pub total_entries: u64,
    /// Open `Listen` streams.
    pub connected_clients: u32,
    /// Clients whose token has not been ended.
    pub registered_clients: u64,
    /// Entries of each type that has any, by name.
    pub entries_by_type: BTreeMap<String, u64>,
    /// Entries of each project that has any, by name.
    pub entries_by_project: BTreeMap<String, u64>,
}

/// A client that was registered once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRecord {
    /// Its identity.
    pub id: ClientId,
    /// The name of its project.
    pub project: String,
    /// When it registered, in Unix seconds; `None` when unknown (imported from an older hub).
    pub created_at: Option<i64>,
    /// When its token was ended, in Unix seconds; `None` while it lives.
    pub revoked_at: Option<i64>,
    /// Entries of its project.
    pub entries: u64,
}
