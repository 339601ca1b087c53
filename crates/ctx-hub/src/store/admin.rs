//! What a store keeps of the admin token and of invitations.

use crate::secret::TokenHash;
use crate::types::{InvitationId, ProjectName};

/// What is kept of an admin token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminRecord {
    /// Its hash.
    pub hash: TokenHash,
    /// When it was made, or taken over from a file, in Unix seconds.
    pub created_at: i64,
}

/// An invitation that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInvitation {
    /// Its name among operators.
    pub id: InvitationId,
    /// Its hash.
    pub hash: TokenHash,
    /// The one project that it registers.
    pub project: ProjectName,
    /// How often it may be used, at least once.
    pub uses: u32,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// From when on it is worth nothing, in Unix seconds.
    pub expires_at: i64,
}

/// An invitation that was stored once. Its hash is not part of it: nobody needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationRecord {
    /// Its name among operators.
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
