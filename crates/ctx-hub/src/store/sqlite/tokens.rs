//! The changes that are made to tokens and to what is known of who shows them, each within somebody
//! else's transaction.

use ctx_config::limits;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows;
use crate::secret::TokenHash;
use crate::store::{Authenticated, NewToken, Rotated, Sighting, TokenFault};

const ISSUE: &str = "INSERT INTO tokens (hash, client, issued_at, expires_at, replaces) \
     VALUES (?1, ?2, ?3, ?4, ?5)";
/// The token that replaces another one.
const SUCCESSOR: &str = "SELECT hash, expires_at FROM tokens WHERE replaces = ?1";
/// When the token ends that another one replaces.
const PREDECESSOR: &str = "SELECT old.expires_at FROM tokens AS old \
     JOIN tokens AS new ON new.replaces = old.hash WHERE new.hash = ?1";
const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM tokens WHERE hash = ?1)";
const OWNER: &str = "SELECT client FROM tokens WHERE hash = ?1";
const FORGET: &str = "DELETE FROM tokens WHERE client = ?1 AND expires_at <= ?2";
const COUNT: &str = "SELECT count(*) FROM tokens WHERE client = ?1";
const SHORTEN: &str =
    "UPDATE tokens SET expires_at = min(coalesce(expires_at, ?2), ?2) WHERE hash = ?1";
const SEEN: &str = "UPDATE clients SET last_seen_at = ?2, \
     last_address = coalesce(?3, last_address) WHERE id = ?1 AND coalesce(last_seen_at, 0) <= ?2";

/// Issues a token of the client with this number.
pub(super) fn issue(
    connection: &Connection,
    client: i64,
    token: &NewToken,
    replaces: Option<&TokenHash>,
    now: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(ISSUE)?
        .execute(params![
            bytes(&token.hash),
            client,
            now,
            token.expires_at,
            replaces.map(bytes)
        ])
        .map(drop)
}

/// Puts `new` in the place of `old`, if `old` lives at `now` and nothing else has taken its place.
pub(super) fn rotate(
    connection: &Connection,
    old: &TokenHash,
    new: &NewToken,
    overlap_ends_at: i64,
    now: i64,
) -> rusqlite::Result<Result<Rotated, TokenFault>> {
    let Some(shown) = super::read::authenticate(connection, old, now)? else {
        return Ok(Err(TokenFault::Ended));
    };
    let Authenticated { client, expires_at } = shown;
    if *old == new.hash {
        return Ok(Ok(Rotated {
            client,
            expires_at,
            previous_ends_at: predecessor_ends(connection, old)?,
        }));
    }
    if let Some((hash, successor_expires_at)) = successor(connection, old)? {
        let repeated = hash == new.hash.as_bytes().as_slice();
        return Ok(if repeated {
            Ok(Rotated {
                client,
                expires_at: successor_expires_at,
                previous_ends_at: expires_at,
            })
        } else {
            Err(TokenFault::Replaced)
        });
    }
    let is_known = connection
        .prepare_cached(EXISTS)?
        .query_row([bytes(&new.hash)], |row| row.get(0))?;
    if is_known {
        return Ok(Err(TokenFault::Taken));
    }
    let owner: i64 = connection
        .prepare_cached(OWNER)?
        .query_row([bytes(old)], |row| row.get(0))?;
    connection
        .prepare_cached(FORGET)?
        .execute(params![owner, now])?;
    let live = connection
        .prepare_cached(COUNT)?
        .query_row([owner], |row| rows::count(row, 0))?;
    if live >= u64::from(limits::CLIENT_MAX_LIVE_TOKENS) {
        return Ok(Err(TokenFault::TooMany));
    }
    issue(connection, owner, new, Some(old), now)?;
    // Nobody gains by an old token that outlives the new one.
    let ends = overlap_ends_at.min(new.expires_at.unwrap_or(i64::MAX));
    connection
        .prepare_cached(SHORTEN)?
        .execute(params![bytes(old), ends])?;
    Ok(Ok(Rotated {
        client,
        expires_at: new.expires_at,
        previous_ends_at: Some(expires_at.unwrap_or(i64::MAX).min(ends)),
    }))
}

fn successor(
    connection: &Connection,
    token: &TokenHash,
) -> rusqlite::Result<Option<(Vec<u8>, Option<i64>)>> {
    connection
        .prepare_cached(SUCCESSOR)?
        .query_row([bytes(token)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

fn predecessor_ends(connection: &Connection, token: &TokenHash) -> rusqlite::Result<Option<i64>> {
    let found = connection
        .prepare_cached(PREDECESSOR)?
        .query_row([bytes(token)], |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// Notes who has called.
pub(super) fn note_seen(connection: &Connection, sightings: &[Sighting]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(SEEN)?;
    for Sighting {
        client,
        at,
        address,
    } in sightings
    {
        statement.execute(params![client.as_str(), at, address])?;
    }
    Ok(())
}

fn bytes(token: &TokenHash) -> &[u8] {
    token.as_bytes().as_slice()
}
