//! What operators are told about a hub.

use std::collections::BTreeMap;

use crate::lifetime::Lifetime;
use crate::types::{ClientId, Fingerprint, HubId, InvitationId, Sequence};

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
    /// Whether the hub made the certificate itself, so that no authority vouches for it.
    pub self_signed: bool,
    /// The last sequence handed out; [`Sequence::START`] when none was.
    pub head: Sequence,
    /// How many entries there are.
    pub total_entries: u64,
    /// Open `Listen` streams.
    pub connected_clients: u32,
    /// Clients that have not been revoked.
    pub registered_clients: u64,
    /// Entries of each type that has any, by name.
    pub entries_by_type: BTreeMap<String, u64>,
    /// Entries of each project that has any, by name.
    pub entries_by_project: BTreeMap<String, u64>,
    /// What keeps it from storing, in words for the operator; empty while it can, and from a hub
    /// that does not say.
    pub troubles: Vec<String>,
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
    /// When its tokens were ended, in Unix seconds; `None` while nobody has ended them.
    pub revoked_at: Option<i64>,
    /// Entries of its project.
    pub entries: u64,
    /// When it last called, in Unix seconds; `None` when it never did or that is not known.
    pub last_seen_at: Option<i64>,
    /// From where it last called; `None` when that is not known.
    pub last_address: Option<String>,
    /// When its newest token expires, in Unix seconds; `None` when it does not.
    pub expires_at: Option<i64>,
    /// How it stands with its newest token.
    pub state: ClientState,
    /// `Sync` and `Listen` streams that it has open; 0 when no hub runs.
    pub open_streams: u32,
}

/// How it stands with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientState {
    /// It may call.
    Live,
    /// It may call, and its token expires soon.
    Expiring,
    /// Its token has expired.
    Expired,
    /// Its tokens were ended.
    Revoked,
}

impl ClientState {
    const ALL: [Self; 4] = [Self::Live, Self::Expiring, Self::Expired, Self::Revoked];

    /// The state of a client that was revoked or not, and whose newest token lives so long.
    #[must_use]
    pub fn at(now: i64, is_revoked: bool, token: Option<Lifetime>) -> Self {
        match token {
            _ if is_revoked => Self::Revoked,
            Some(token) if token.is_over(now) => Self::Expired,
            Some(token) if token.ends_soon(now) => Self::Expiring,
            _ => Self::Live,
        }
    }

    /// The state of this name; `None` for others, as that of an older hub, which sends none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// An invitation that was made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationInfo {
    /// Its name among operators; it proves nothing.
    pub id: InvitationId,
    /// The one project that it registers.
    pub project: String,
    /// How often it may be used.
    pub uses: u32,
    /// How often it was used.
    pub used: u32,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// From when on it is worth nothing, in Unix seconds.
    pub expires_at: i64,
    /// When it was ended, in Unix seconds; `None` unless it was.
    pub ended_at: Option<i64>,
}

/// What an invitation is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvitationState {
    /// It can be used.
    Open,
    /// It was used as often as it may be.
    Used,
    /// An operator ended it, or revoked a client of its project.
    Ended,
    /// Its time is over.
    Expired,
}

impl InvitationInfo {
    /// What it is worth at `now`, in Unix seconds.
    #[must_use]
    pub const fn state(&self, now: i64) -> InvitationState {
        if self.ended_at.is_some() {
            InvitationState::Ended
        } else if self.used >= self.uses {
            InvitationState::Used
        } else if self.expires_at <= now {
            InvitationState::Expired
        } else {
            InvitationState::Open
        }
    }

    /// How often it can still be used at `now`, in Unix seconds.
    #[must_use]
    pub fn uses_left(&self, now: i64) -> u32 {
        match self.state(now) {
            InvitationState::Open => self.uses.saturating_sub(self.used),
            _ => 0,
        }
    }
}

impl InvitationState {
    /// The name for programs and people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Ended => "ended",
            Self::Expired => "expired",
        }
    }
}

/// An invitation as it was just made: the one time that it can be had. `Debug` does not show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewlyInvited {
    /// What registers the project.
    pub invitation: crate::secret::Invitation,
    /// What it is good for.
    pub info: InvitationInfo,
    /// Where projects reach the hub, if its settings say so.
    pub public_address: Option<String>,
}
