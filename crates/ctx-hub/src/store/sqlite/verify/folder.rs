//! What stands beside the store in its data directory.

use ctx_config::paths::DataDir;
use ctx_io::private::Exposure;
use ctx_io::{ReadError, read_private};
use zeroize::Zeroizing;

use super::report::{StoreFindingKind as Kind, StoreReport};
use crate::secret::{AdminToken, TokenHash};
use crate::store::guard;

/// Largest file that is read as an admin token, in bytes.
const TOKEN_FILE_MAX_BYTES: u64 = 1_024;

/// What the store says of the admin token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is of an earlier version, or cannot be read: the file is all there is.
    Nothing,
    /// It has this hash, or none yet.
    Hash(Option<TokenHash>),
}

/// Looks at everything but the store itself.
pub(super) fn look(dir: &DataDir, report: &mut StoreReport) {
    for (path, exposure) in guard::exposures(dir) {
        let (kind, what) = match exposure {
            Exposure::Open { mode } => {
                let right = if path == dir.path() { "700" } else { "600" };
                let what = format!("can be opened by others (mode {mode:04o}): run chmod {right}");
                (Kind::Mode, what)
            }
            Exposure::Foreign { owner } => {
                let what = format!("belongs to user {owner}, and the directory does not");
                (Kind::Mode, what)
            }
            // Of the store itself, the store's own look tells it.
            _ if path == dir.store() => continue,
            _ => (Kind::NotAFile, "is a symbolic link".to_owned()),
        };
        report.found(&path, kind, None, what);
    }
    let building = dir.store_new();
    if exists(&building) {
        let what = "a store that was being made when its process was killed; it was never used";
        report.found(&building, Kind::Leftover, None, what);
    }
    let old = [dir.old_entries(), dir.old_clients(), dir.old_meta()];
    for path in old.iter().filter(|path| exists(path)) {
        let clear = *path == dir.old_clients() && exists(&dir.store());
        let what = if clear {
            "is an older hub's, which is imported, and still holds tokens in the clear: delete it \
             once the hub runs well"
        } else {
            "is an older hub's; it is imported when a hub starts without a store"
        };
        report.notes.push(format!("{path} {what}"));
    }
}

/// Looks at the file of the admin token, against what the store has of it.
pub(super) fn token(dir: &DataDir, kept: &Kept, report: &mut StoreReport) {
    let path = dir.admin_token();
    let decides = !matches!(kept, Kept::Hash(Some(_)));
    let what = match (read_private(&path, TOKEN_FILE_MAX_BYTES), kept) {
        (Ok(Some(bytes)), kept) => {
            let bytes = Zeroizing::new(bytes);
            match (AdminToken::parse(&String::from_utf8_lossy(&bytes)), kept) {
                (Ok(token), Kept::Hash(Some(hash))) if token.hash() != *hash => {
                    "holds a token that the hub does not accept: remove it".to_owned()
                }
                (Ok(_), _) => return,
                (Err(_), _) if decides => "holds no admin token, so no hub starts".to_owned(),
                (Err(_), _) => "holds no admin token: remove it".to_owned(),
            }
        }
        // The store has what counts, or the next hub makes one.
        (Ok(None), Kept::Hash(_)) => return,
        (Ok(None), Kept::Nothing) => {
            "is not there; the next hub that starts makes another admin token".to_owned()
        }
        // Told with the modes of all files.
        (Err(ReadError::Exposed { .. }), _) => return,
        (Err(ReadError::NotAFile { found, .. }), _) => {
            if found != ctx_io::FileKind::Symlink {
                report.found(&path, Kind::NotAFile, None, format!("is {found}"));
            }
            return;
        }
        (Err(ReadError::Io { source, .. }), _) => format!("cannot be read: {source}"),
        (Err(error), _) => error.to_string(),
    };
    report.found(&path, Kind::Token, None, what);
}

fn exists(path: &camino::Utf8Path) -> bool {
    fs_err::symlink_metadata(path).is_ok()
}
