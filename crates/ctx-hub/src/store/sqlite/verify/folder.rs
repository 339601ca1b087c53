//! What stands beside the store in its data directory.

use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;
use ctx_config::paths::DataDir;
use ctx_io::{ReadError, read_private};
use zeroize::Zeroizing;

use super::super::file;
use super::report::{StoreFindingKind as Kind, StoreReport};
use crate::secret::AdminToken;

/// Permission bits that let others in.
const OTHERS: u32 = 0o077;
/// Largest file that is read as an admin token, in bytes.
const TOKEN_FILE_MAX_BYTES: u64 = 1_024;

/// Looks at everything but the store itself.
pub(super) fn look(dir: &DataDir, report: &mut StoreReport) {
    token(dir, report);
    for path in file::all(&dir.store()) {
        mode(&path, report);
    }
    mode(&dir.tls_key(), report);
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

fn token(dir: &DataDir, report: &mut StoreReport) {
    let path = dir.admin_token();
    let (kind, what) = match read_private(&path, TOKEN_FILE_MAX_BYTES) {
        Ok(Some(bytes)) => {
            let bytes = Zeroizing::new(bytes);
            match AdminToken::parse(&String::from_utf8_lossy(&bytes)) {
                Ok(_) => return,
                Err(_) => (
                    Kind::Token,
                    "holds no admin token, so no hub starts".to_owned(),
                ),
            }
        }
        Ok(None) => (
            Kind::Token,
            "is not there; the next hub that starts makes another admin token".to_owned(),
        ),
        Err(ReadError::Exposed { mode, .. }) => (
            Kind::Mode,
            format!("can be opened by others (mode {mode:04o}): run chmod 600"),
        ),
        Err(ReadError::NotAFile { found, .. }) => (Kind::NotAFile, format!("is {found}")),
        Err(ReadError::Io { source, .. }) => (Kind::Token, format!("cannot be read: {source}")),
        Err(error) => (Kind::Token, error.to_string()),
    };
    report.found(&path, kind, None, what);
}

fn mode(path: &Utf8Path, report: &mut StoreReport) {
    let Ok(found) = fs_err::symlink_metadata(path) else {
        return;
    };
    let mode = found.permissions().mode() & 0o7777;
    if found.is_file() && mode & OTHERS != 0 {
        let what = format!("can be opened by others (mode {mode:04o}): run chmod 600");
        report.found(path, Kind::Mode, None, what);
    }
}

fn exists(path: &Utf8Path) -> bool {
    fs_err::symlink_metadata(path).is_ok()
}
