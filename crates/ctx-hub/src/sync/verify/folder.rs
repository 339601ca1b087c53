//! What else is in the mirror's folder, and who may write there.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{self, ContextDir, MirrorDir, UserDir};

use super::report::{Finding, FindingKind as Kind};
use super::snapshot::{not_a_file, unreadable};
use crate::connection::{Connection, ConnectionError, ConnectionErrorKind};
use crate::outbox::{Outbox, Unusable, Why};
use crate::types::EntryType;

/// Permission bits that let others in, and that let others write.
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

/// What the folder holds beside mirror files, state and lock.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) findings: Vec<Finding>,
    /// Of these, what a process at work has there rightly.
    pub(super) passing: Vec<Finding>,
    pub(super) set_aside: Vec<Utf8PathBuf>,
}

/// Looks at the folder of the mirror.
pub(super) fn look(dir: &MirrorDir) -> Folder {
    let mut folder = Folder::default();
    let entries = match dir.path().read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return folder,
        Err(error) => {
            folder.findings.push(unreadable(dir.path(), &error));
            return folder;
        }
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_owned()))
        .collect();
    names.sort();
    for name in names {
        folder.take(dir, &name);
    }
    if let Some(mode) = mode_beyond(dir.path(), OTHERS_WRITE) {
        let what = format!("others may write into it (mode {mode:04o})");
        folder
            .findings
            .push(Finding::new(dir.path(), Kind::Mode, what));
    }
    folder
}

impl Folder {
    fn take(&mut self, dir: &MirrorDir, name: &str) {
        let path = dir.path().join(name);
        if is_known(name) {
            return;
        }
        if name == paths::REBUILD_DIR {
            let finding = not_a_folder(&path).unwrap_or_else(|| {
                Finding::new(
                    &path,
                    Kind::Leftover,
                    "a full sync was killed while it built this",
                )
            });
            self.passing.push(finding);
        } else if ctx_io::temporary_target(name).is_some() {
            if is_left(&path) {
                let what = "a temporary file of a process that was killed";
                self.passing.push(Finding::new(&path, Kind::Leftover, what));
            }
        } else if name.contains(paths::SET_ASIDE_MARK) {
            self.set_aside.push(path);
        } else {
            let what = "nothing that ctx knows";
            self.findings.push(Finding::new(&path, Kind::Unknown, what));
        }
    }
}

/// Whether what a dead process seems to have left at `path` is there, and nobody's.
pub(super) fn is_left(path: &Utf8Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    match ctx_io::temporary_target(name) {
        Some(_) => ctx_io::is_abandoned(path),
        None => fs_err::symlink_metadata(path).is_ok(),
    }
}

fn is_known(name: &str) -> bool {
    let of_type = EntryType::ALL.iter().any(|of| of.mirror_file() == name);
    let others = [
        paths::SYNC_LOCK_FILE,
        paths::SYNC_STATE_FILE,
        paths::OUTBOX_DIR,
    ];
    of_type || others.contains(&name)
}

fn not_a_folder(path: &Utf8Path) -> Option<Finding> {
    let found = fs_err::symlink_metadata(path).ok()?;
    let what = "is not a directory";
    (!found.is_dir()).then(|| Finding::new(path, Kind::NotAFile, what))
}

/// The mode of `path` when it has one of `bits`.
fn mode_beyond(path: &Utf8Path, bits: u32) -> Option<u32> {
    let mode = fs_err::symlink_metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & bits != 0).then_some(mode)
}

/// Looks at what waits for a hub.
pub(super) fn outbox(context: &ContextDir) -> Vec<Finding> {
    let outbox = Outbox::of(context);
    match outbox.pending() {
        Ok(pending) => pending.unusable.iter().map(unsendable).collect(),
        Err(error) => {
            let path = outbox.path();
            let found = not_a_folder(path).unwrap_or_else(|| unreadable(path, &error));
            let kind = Kind::Unsendable;
            vec![Finding { kind, ..found }]
        }
    }
}

fn unsendable(file: &Unusable) -> Finding {
    let what = match &file.why {
        Why::Name => "is not a queued entry by its name".to_owned(),
        why @ Why::Record(_) => format!("cannot be sent: {why}"),
        why => {
            let finding = unreadable(&file.path, why);
            format!("cannot be sent: {}", finding.detail)
        }
    };
    Finding::new(&file.path, Kind::Unsendable, what)
}

/// Looks at the connection file of a project and the key that seals it.
pub(super) fn connection(context: &ContextDir, user: &UserDir) -> Vec<Finding> {
    let mut findings = Vec::new();
    let path = context.connect_file();
    if let Some(finding) = not_a_file(&path) {
        let kind = Kind::Connection;
        return vec![Finding { kind, ..finding }];
    }
    if let Some(mode) = mode_beyond(&path, OTHERS) {
        findings.push(exposed(&path, mode));
    }
    let key = user.key();
    match Connection::load(context, user) {
        Ok(_) => {}
        Err(ConnectionError::Read(ctx_io::ReadError::Exposed { path, mode })) => {
            findings.push(exposed(&path, mode));
        }
        Err(ConnectionError::NotRegistered { .. }) => {
            let what = "is gone: this project is not registered with a hub";
            findings.push(Finding::new(&path, Kind::Connection, what));
        }
        Err(error) => {
            let of_key = matches!(
                error,
                ConnectionError::NoKey { .. } | ConnectionError::KeySize { .. }
            );
            let path = if of_key { key } else { path };
            findings.push(match error.kind() {
                ConnectionErrorKind::Io => unreadable(&path, &error),
                _ => Finding::new(&path, Kind::Connection, unusable(&error)),
            });
        }
    }
    findings
}

fn exposed(path: &Utf8Path, mode: u32) -> Finding {
    let what = format!("can be opened by others (mode {mode:04o})");
    Finding::new(path, Kind::Mode, what)
}

/// Without the path, which stands beside it.
fn unusable(error: &ConnectionError) -> String {
    match error {
        ConnectionError::NoKey { .. } => "the key is gone".to_owned(),
        ConnectionError::KeySize { bytes, .. } => format!("{bytes} bytes are no key"),
        ConnectionError::Truncated { bytes, .. } => {
            format!("is cut short: {bytes} bytes hold no sealed connection")
        }
        ConnectionError::NotAuthentic { .. } => {
            "cannot be opened: it was changed or cut short, or sealed with another key".to_owned()
        }
        ConnectionError::Document { source, .. } => {
            format!("opens but does not describe a connection: {source}")
        }
        other => other.to_string(),
    }
}
