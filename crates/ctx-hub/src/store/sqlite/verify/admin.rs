//! What the database holds of the admin token and of invitations.

use rusqlite::Connection;

use super::super::admin::{self, invitation_columns};
use super::folder::Kept;
use super::report::StoreFindingKind as Kind;
use super::scan::{Scan, TOKEN_HASH_BYTES};

const INVITATIONS: &str = concat!(
    "SELECT ",
    invitation_columns!(),
    ", length(token_hash), number FROM invitations ORDER BY number"
);

impl Scan<'_> {
    /// What is kept of the admin token.
    pub(super) fn admin(&mut self, snapshot: &Connection) {
        match admin::admin(snapshot) {
            Ok(record) => self.admin = Kept::Hash(record.map(|record| record.hash)),
            Err(error) => {
                let what = format!("what is kept of the admin token cannot be read: {error}");
                self.found(Kind::Token, None, what);
            }
        }
    }

    /// Every invitation.
    pub(super) fn invitations(&mut self, snapshot: &Connection) {
        if let Err(error) = self.each_invitation(snapshot) {
            let what = format!("invitations cannot be read: {error}");
            self.found(Kind::Client, None, what);
        }
    }

    fn each_invitation(&mut self, snapshot: &Connection) -> rusqlite::Result<()> {
        let mut statement = snapshot.prepare(INVITATIONS)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let number: i64 = row.get(8)?;
            let fault = match (admin::invitation(row), row.get::<_, i64>(7)) {
                (Ok(invitation), Ok(TOKEN_HASH_BYTES)) if invitation.used <= invitation.uses => {
                    continue;
                }
                (Ok(invitation), _) => format!("invitation {} cannot be used", invitation.id),
                (Err(error), _) => format!("invitation number {number} cannot be used: {error}"),
            };
            self.found(Kind::Client, None, fault);
        }
        Ok(())
    }
}
