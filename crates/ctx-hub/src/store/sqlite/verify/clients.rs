//! What the database holds of clients and their tokens.

use rusqlite::Connection;

use super::super::rows::{self, client_columns};
use super::report::StoreFindingKind as Kind;
use super::scan::Scan;

/// Every client, its number, and how many tokens it has.
const CLIENTS: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", number, (SELECT count(*) FROM tokens WHERE client = number) \
       FROM clients ORDER BY number"
);
/// The same of a store of an earlier version.
const CLIENTS_WITH_ONE_TOKEN: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", number, length(token_hash) = 32 FROM clients ORDER BY number"
);
/// Tokens of nobody, and tokens that replace one of somebody else or the hash of none.
const STRAY: &str = "SELECT client FROM tokens AS new WHERE length(hash) <> 32 \
     OR NOT EXISTS (SELECT 1 FROM clients WHERE number = client) \
     OR (replaces IS NOT NULL AND (length(replaces) <> 32 OR replaces = hash \
         OR EXISTS (SELECT 1 FROM tokens AS old \
                    WHERE old.hash = new.replaces AND old.client <> new.client)))";
/// Clients of whose tokens not exactly one is the newest.
const FORKED: &str = "SELECT client, count(*) FROM tokens AS newest \
     WHERE NOT EXISTS (SELECT 1 FROM tokens AS later WHERE later.replaces = newest.hash) \
     GROUP BY client HAVING count(*) <> 1";

impl Scan<'_> {
    /// Every client, and its tokens.
    pub(super) fn clients(&mut self, snapshot: &Connection) {
        let read = self.each_client(snapshot);
        if let Err(error) = read.and_then(|()| self.usage(snapshot)) {
            let what = format!("clients cannot be read: {error}");
            self.found(Kind::Client, None, what);
        }
    }

    fn each_client(&mut self, snapshot: &Connection) -> rusqlite::Result<()> {
        let several = snapshot.table_exists(None, "tokens")?;
        let sql = if several {
            CLIENTS
        } else {
            CLIENTS_WITH_ONE_TOKEN
        };
        let mut statement = snapshot.prepare(sql)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            self.report.clients += 1;
            let number: i64 = row.get(4)?;
            let fault = match (rows::client(row), row.get::<_, i64>(5)) {
                (Ok(_), Ok(1..)) => continue,
                (Ok(client), _) => format!("client {} has no usable token", client.id),
                (Err(error), _) => format!("client number {number} cannot be used: {error}"),
            };
            self.found(Kind::Client, None, fault);
        }
        if several {
            self.tokens(snapshot)
        } else {
            Ok(())
        }
    }

    fn tokens(&mut self, snapshot: &Connection) -> rusqlite::Result<()> {
        let mut statement = snapshot.prepare(STRAY)?;
        let mut stray = statement.query([])?;
        while let Some(row) = stray.next()? {
            let number: i64 = row.get(0)?;
            let what = format!("a token of client number {number} cannot be used");
            self.found(Kind::Client, None, what);
        }
        let mut statement = snapshot.prepare(FORKED)?;
        let mut forked = statement.query([])?;
        while let Some(row) = forked.next()? {
            let (number, newest): (i64, i64) = (row.get(0)?, row.get(1)?);
            let what = format!("client number {number} has {newest} newest tokens");
            self.found(Kind::Client, None, what);
        }
        Ok(())
    }
}
