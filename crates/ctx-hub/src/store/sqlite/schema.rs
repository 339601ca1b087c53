//! The format of the database: migrations, added and never edited.

use rusqlite::{Connection, TransactionBehavior};

/// The mark in the file's header by which a store of ours is known: `ctxh`.
pub(super) const APPLICATION_ID: u32 = 0x6374_7868;

/// The migrations, in order. A database that has the first N of them has format N.
pub(super) const MIGRATIONS: &[&str] = &[include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/migrations/0001_entries.sql"
))];

/// The newest format that is known.
pub(super) fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The format of an open database.
pub(super) fn format(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Applies the `migrations` that the database does not have, each in a transaction of its own
/// together with its number: a crash leaves the database at one format or the next.
pub(super) fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    for (migration, number) in migrations.iter().zip(1_u32..) {
        if number <= format(connection)? {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_applied_once_and_a_failed_one_leaves_the_format_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let first = "CREATE TABLE a (x)";
        migrate(&mut connection, &[first]).unwrap();
        migrate(&mut connection, &[first]).unwrap();
        assert_eq!(format(&connection).unwrap(), 1);

        let broken = "CREATE TABLE b (x); CREATE TABLE a (x)";
        migrate(&mut connection, &[first, broken]).unwrap_err();
        assert_eq!(format(&connection).unwrap(), 1);

        migrate(&mut connection, &[first, "CREATE TABLE b (x)"]).unwrap();
        assert_eq!(format(&connection).unwrap(), 2);
    }
}
