//! What each client has stored today, in the transaction that stores it.

use rusqlite::{Connection, params};

use crate::store::Quota;
use crate::types::ClientId;

/// Counts, if the day has room for it. A day that is not the one counted last begins at nothing.
const SPEND: &str = "INSERT INTO usage (client, day, bytes) SELECT ?1, ?2, ?3 WHERE ?3 <= ?4 \
     ON CONFLICT (client) DO UPDATE SET \
         bytes = iif(day = excluded.day, bytes, 0) + excluded.bytes, day = excluded.day \
     WHERE iif(day = excluded.day, bytes, 0) + excluded.bytes <= ?4";

/// Counts `quota` towards the day of `client`; false, and nothing counted, when that would be more
/// than the day allows.
pub(super) fn spend(
    connection: &Connection,
    client: &ClientId,
    quota: Quota,
) -> rusqlite::Result<bool> {
    let Some(most) = quota.most else {
        return Ok(true);
    };
    // Half of the largest number, so that no sum of two is beyond it.
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX).min(i64::MAX / 2);
    let counted = connection.prepare_cached(SPEND)?.execute(params![
        client.as_str(),
        quota.day,
        number(quota.bytes),
        number(most),
    ])?;
    Ok(counted > 0)
}
