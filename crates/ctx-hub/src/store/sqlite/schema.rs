//! The format of the database: migrations, added and never edited.

use rusqlite::{Connection, TransactionBehavior};

use super::{messages, rehash, wal};

/// The mark in the file's header by which a store of ours is known: `ctxh`.
pub(super) const APPLICATION_ID: u32 = 0x6374_7868;

/// A step from one format to the next.
pub(super) struct Migration {
    sql: &'static str,
    /// Computes what SQL cannot, and answers how many entries it wrote anew.
    compute: Option<fn(&Connection) -> rusqlite::Result<u64>>,
}

macro_rules! sql {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $file))
    };
}

/// The migrations, in order. A database that has the first N of them has format N.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        sql: sql!("0001_entries.sql"),
        compute: None,
    },
    Migration {
        sql: sql!("0002_chain.sql"),
        compute: Some(rehash::compute),
    },
    Migration {
        sql: sql!("0003_commits.sql"),
        compute: None,
    },
    Migration {
        sql: sql!("0004_usage.sql"),
        compute: None,
    },
    Migration {
        sql: sql!("0005_admin.sql"),
        compute: None,
    },
    Migration {
        sql: sql!("0006_tokens.sql"),
        compute: None,
    },
    Migration {
        sql: sql!("0007_messages.sql"),
        compute: Some(messages::compute),
    },
    Migration {
        sql: sql!("0008_message_indexes.sql"),
        compute: None,
    },
];

/// The newest format that is known.
pub(super) fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The format of an open database.
pub(super) fn format(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Applies the `migrations` that the database does not have, each in a transaction of its own
/// together with its number: a crash leaves the database at one format or the next. Answers how many
/// entries were written anew, or `None` when there was nothing to apply.
pub(super) fn migrate(
    connection: &mut Connection,
    migrations: &[Migration],
) -> rusqlite::Result<Option<u64>> {
    let mut computed = None;
    for (migration, number) in migrations.iter().zip(1_u32..) {
        if number <= format(connection)? {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration.sql)?;
        let entries = migration.compute.map_or(Ok(0), |work| work(&transaction))?;
        computed = computed.max(Some(entries));
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
        if entries > 0 {
            // What was written anew stands in the write-ahead log, and is not to stand there for longer
            // than it has to: it takes as much room again.
            wal::empty(connection);
        }
    }
    Ok(computed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_applied_once_and_a_failed_one_leaves_the_format_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let sql = |sql| Migration { sql, compute: None };
        let first = || sql("CREATE TABLE a (x)");
        assert_eq!(migrate(&mut connection, &[first()]).unwrap(), Some(0));
        assert_eq!(migrate(&mut connection, &[first()]).unwrap(), None);
        assert_eq!(format(&connection).unwrap(), 1);

        let broken = sql("CREATE TABLE b (x); CREATE TABLE a (x)");
        migrate(&mut connection, &[first(), broken]).unwrap_err();
        assert_eq!(format(&connection).unwrap(), 1);

        let stops = Migration {
            sql: "CREATE TABLE b (x)",
            compute: Some(|_| Err(rusqlite::Error::InvalidQuery)),
        };
        migrate(&mut connection, &[first(), stops]).unwrap_err();
        assert_eq!(format(&connection).unwrap(), 1);

        let whole = Migration {
            sql: "CREATE TABLE b (x)",
            compute: Some(|_| Ok(7)),
        };
        assert_eq!(
            migrate(&mut connection, &[first(), whole]).unwrap(),
            Some(7)
        );
        assert_eq!(format(&connection).unwrap(), 2);
    }
}
