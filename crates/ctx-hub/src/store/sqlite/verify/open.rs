//! Opening a store so that nothing in its directory changes.
//!
//! | the hub | the write-ahead log | opened |
//! |---|---|---|
//! | runs | belongs to it | read-only, beside it: the engine lets many processes read |
//! | does not | none, or empty | as a file that never changes: no lock, no companion is made |
//! | does not | of a hub that was killed | without locks, its index kept in memory: no `-shm` is made |

use camino::Utf8Path;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::super::connection;

/// The engine's way to files without any locks.
const NO_LOCKS: &str = "unix-none";

/// Who else may have the store open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Company {
    /// A hub serves it, or that cannot be told.
    Hub,
    /// Nobody, and there is no write-ahead log.
    Nobody,
    /// Nobody, and there is a write-ahead log.
    NobodyAndLog,
}

/// Opens the store at `path`.
pub(in crate::store::sqlite) fn open(
    path: &Utf8Path,
    company: Company,
) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match company {
        Company::Hub => connection::reader(path)?,
        Company::Nobody => {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(uri(path), flags)?
        }
        Company::NobodyAndLog => {
            let opened = Connection::open_with_flags_and_vfs(path.as_std_path(), flags, NO_LOCKS);
            let connection = opened?;
            connection.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))?;
            connection
        }
    };
    // The last to close would otherwise move the log into the database.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// `path` as a name of a file that does not change.
fn uri(path: &Utf8Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_str().bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.push_str(&format!("%{byte:02x}")),
            _ if byte.is_ascii() => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?mode=ro&immutable=1");
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_what_it_is_in_a_uri() {
        assert_eq!(
            uri(Utf8Path::new("/a b/50%?#ü")),
            "file:/a b/50%25%3f%23%c3%bc?mode=ro&immutable=1"
        );
    }
}
