//! The admin token's hash, invitations, and registrations with them: each within somebody else's
//! transaction.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows::{self, client_columns};
use super::write;
use crate::secret::TokenHash;
use crate::store::{AdminRecord, Client, InvitationRecord, NewInvitation, NewToken, StoreError};
use crate::types::{ClientId, InvitationId, ProjectName};

/// The columns that [`invitation`] reads, in its order.
macro_rules! invitation_columns {
    () => {
        "id, project, uses, used, created_at, expires_at, ended_at"
    };
}
pub(super) use invitation_columns;

const ADMIN: &str = "SELECT token_hash, created_at FROM admin";
const SET_ADMIN: &str = "INSERT INTO admin (one, token_hash, created_at) VALUES (1, ?1, ?2) \
     ON CONFLICT (one) DO UPDATE SET token_hash = excluded.token_hash, \
     created_at = excluded.created_at";
const INVITE: &str = "INSERT INTO invitations \
     (id, token_hash, project, uses, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const INVITATIONS: &str = concat!(
    "SELECT ",
    invitation_columns!(),
    " FROM invitations ORDER BY number"
);
const INVITATION: &str = concat!(
    "SELECT ",
    invitation_columns!(),
    " FROM invitations WHERE id = ?1"
);
const END: &str = "UPDATE invitations SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL";
const END_OF_PROJECT: &str = "UPDATE invitations SET ended_at = ?2 \
     WHERE project = ?1 AND ended_at IS NULL AND used < uses AND expires_at > ?2";
/// The invitation is this project's, whatever became of it.
const OF_PROJECT: &str =
    "SELECT EXISTS (SELECT 1 FROM invitations WHERE token_hash = ?1 AND project = ?2)";
const STANDS: &str = "SELECT EXISTS (SELECT 1 FROM invitations WHERE token_hash = ?1 \
     AND project = ?2 AND used < uses AND expires_at > ?3 AND ended_at IS NULL)";
const USE: &str = "UPDATE invitations SET used = used + 1 WHERE token_hash = ?1 \
     AND project = ?2 AND used < uses AND expires_at > ?3 AND ended_at IS NULL";
/// The live client of a project that has this token.
const SAME: &str = concat!(
    "SELECT ",
    client_columns!(),
    " FROM tokens JOIN clients ON number = client \
       WHERE hash = ?2 AND project = ?1 AND revoked_at IS NULL"
);
const TOKEN_KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM tokens WHERE hash = ?1)";

/// What becomes of a registration.
pub(super) enum Registered {
    /// The client, new or asked for again.
    Client(Client),
    /// The project has a live client.
    ProjectExists,
    /// Another client has, or had, the token.
    TokenInUse,
    /// The invitation is not valid.
    NotInvited,
}

impl Registered {
    /// What it means to whoever wanted to register `project`.
    pub(super) fn settle(self, project: ProjectName) -> Result<Client, StoreError> {
        match self {
            Self::Client(client) => Ok(client),
            Self::ProjectExists => Err(StoreError::ProjectExists { project }),
            Self::TokenInUse => Err(StoreError::TokenInUse),
            Self::NotInvited => Err(StoreError::Invitation),
        }
    }
}

/// A client that is registered at `now`, or would be.
pub(super) fn new_client(project: ProjectName, now: i64) -> Result<Client, StoreError> {
    let id = ClientId::random().map_err(|source| StoreError::Random { source })?;
    Ok(Client {
        id,
        project,
        created_at: now,
        revoked_at: None,
    })
}

/// What is kept of the admin token.
pub(super) fn admin(connection: &Connection) -> rusqlite::Result<Option<AdminRecord>> {
    let record = |row: &Row<'_>| {
        Ok(AdminRecord {
            hash: TokenHash::from_bytes(row.get(0)?),
            created_at: row.get(1)?,
        })
    };
    connection
        .prepare_cached(ADMIN)?
        .query_row([], record)
        .optional()
}

/// Keeps the hash of the admin token.
pub(super) fn set_admin(connection: &Connection, record: &AdminRecord) -> rusqlite::Result<()> {
    let hash = record.hash.as_bytes().as_slice();
    connection
        .prepare_cached(SET_ADMIN)?
        .execute(params![hash, record.created_at])
        .map(drop)
}

/// Stores an invitation; false when its project has a client that lives.
pub(super) fn invite(connection: &Connection, new: &NewInvitation) -> rusqlite::Result<bool> {
    if write::project_lives(connection, &new.project)? {
        return Ok(false);
    }
    connection
        .prepare_cached(INVITE)?
        .execute(params![
            new.id.as_str(),
            new.hash.as_bytes().as_slice(),
            new.project.as_str(),
            new.uses,
            new.created_at,
            new.expires_at
        ])
        .map(|_| true)
}

/// Every invitation.
pub(super) fn invitations(connection: &Connection) -> rusqlite::Result<Vec<InvitationRecord>> {
    connection
        .prepare_cached(INVITATIONS)?
        .query_map([], invitation)?
        .collect()
}

/// Ends an invitation at `now` and answers it.
pub(super) fn end_invitation(
    connection: &Connection,
    id: &InvitationId,
    now: i64,
) -> rusqlite::Result<Option<InvitationRecord>> {
    connection
        .prepare_cached(END)?
        .execute(params![id.as_str(), now])?;
    connection
        .prepare_cached(INVITATION)?
        .query_row([id.as_str()], invitation)
        .optional()
}

/// Ends what is open of the invitations of a project at `now`.
pub(super) fn end_invitations_of(
    connection: &Connection,
    project: &ProjectName,
    now: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(END_OF_PROJECT)?
        .execute(params![project.as_str(), now])
        .map(drop)
}

/// Whether [`register_invited`] would find the invitation valid at `now`.
pub(super) fn is_invited(
    connection: &Connection,
    project: &ProjectName,
    token: &TokenHash,
    invitation: &TokenHash,
    now: i64,
) -> rusqlite::Result<bool> {
    let invitation = invitation.as_bytes().as_slice();
    let stands: bool = connection
        .prepare_cached(STANDS)?
        .query_row(params![invitation, project.as_str(), now], |row| row.get(0))?;
    if stands {
        return Ok(true);
    }
    let of_project: bool = connection
        .prepare_cached(OF_PROJECT)?
        .query_row(params![invitation, project.as_str()], |row| row.get(0))?;
    Ok(of_project && registered_before(connection, project, token)?.is_some())
}

/// Registers `new` with `token`, or answers the live client of its project that has this token.
pub(super) fn register(
    connection: &Connection,
    new: &Client,
    token: &NewToken,
) -> rusqlite::Result<Registered> {
    if let Some(client) = registered_before(connection, &new.project, &token.hash)? {
        return Ok(Registered::Client(client));
    }
    let in_use: bool = connection
        .prepare_cached(TOKEN_KNOWN)?
        .query_row([token.hash.as_bytes().as_slice()], |row| row.get(0))?;
    if in_use {
        return Ok(Registered::TokenInUse);
    }
    let registered = write::register(connection, &new.id, &new.project, token, new.created_at)?;
    Ok(if registered {
        Registered::Client(new.clone())
    } else {
        Registered::ProjectExists
    })
}

/// The same for whoever has the invitation, one use of which is counted when it registers anew.
pub(super) fn register_invited(
    connection: &Connection,
    new: &Client,
    token: &NewToken,
    invitation: &TokenHash,
) -> rusqlite::Result<Registered> {
    let now = new.created_at;
    if !is_invited(connection, &new.project, &token.hash, invitation, now)? {
        return Ok(Registered::NotInvited);
    }
    let registered = register(connection, new, token)?;
    if matches!(&registered, Registered::Client(client) if client.id == new.id) {
        let invitation = invitation.as_bytes().as_slice();
        let used = connection.prepare_cached(USE)?.execute(params![
            invitation,
            new.project.as_str(),
            now
        ])?;
        // It stood a moment ago, in this very transaction.
        if used != 1 {
            return Err(rusqlite::Error::StatementChangedRows(used));
        }
    }
    Ok(registered)
}

/// The registration that is asked for again, if it is one.
fn registered_before(
    connection: &Connection,
    project: &ProjectName,
    token: &TokenHash,
) -> rusqlite::Result<Option<Client>> {
    connection
        .prepare_cached(SAME)?
        .query_row(
            params![project.as_str(), token.as_bytes().as_slice()],
            rows::client,
        )
        .optional()
}

/// A row of [`invitation_columns`].
pub(super) fn invitation(row: &Row<'_>) -> rusqlite::Result<InvitationRecord> {
    Ok(InvitationRecord {
        id: row
            .get::<_, String>(0)?
            .parse()
            .map_err(|e| rows::unfit(0, e))?,
        project: row.get(1)?,
        uses: row.get(2)?,
        used: row.get(3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        ended_at: row.get(6)?,
    })
}
