//! `ctx hub backup` and `ctx hub restore`: a data directory as a copy, and made again of one.

use std::io::{self, Write};

use camino::Utf8PathBuf;
use ctx_hub::store::backup::{self, BackupError, BackupProgress, Manifest};
use serde::Serialize;

use super::verify;
use crate::args::{BackupArgs, RestoreArgs};
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::ui::{Report, count, when};

/// A backup that was made.
#[derive(Debug, Serialize)]
pub(super) struct BackupReport {
    backup: Utf8PathBuf,
    data_dir: Utf8PathBuf,
    #[serde(flatten)]
    manifest: Manifest,
}

impl Report for BackupReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}: {}", self.backup, in_words(&self.manifest))
    }
}

/// A data directory that was made of a backup.
#[derive(Debug, Serialize)]
pub(super) struct RestoreReport {
    data_dir: Utf8PathBuf,
    backup: Utf8PathBuf,
    #[serde(flatten)]
    manifest: Manifest,
}

impl Report for RestoreReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (what, made) = (in_words(&self.manifest), when(self.manifest.created_at));
        writeln!(out, "{}: {what}, as of {made}", self.data_dir)
    }
}

/// Makes a backup.
///
/// # Errors
/// There is no hub, the directory is taken, the store is damaged, or there is no room.
pub(super) fn back_up(args: &BackupArgs, cx: &Cx) -> Result<BackupReport, CliError> {
    let data = cx.env.data_dir(args.at.data_dir.as_deref())?;
    let dir = env::absolute(&args.dir)?;
    let manifest = backup::back_up(&data, &dir, &mut |progress| show(progress, cx));
    cx.screen.progress("");
    Ok(BackupReport {
        manifest: manifest.map_err(convert::backup)?,
        backup: dir,
        data_dir: data.path().to_owned(),
    })
}

/// Makes a data directory of a backup.
///
/// # Errors
/// It is no backup or not what was made, something is in the data directory, or there is no room.
pub(super) fn restore(args: &RestoreArgs, cx: &Cx) -> Result<RestoreReport, CliError> {
    let data = cx.env.data_dir(args.at.data_dir.as_deref())?;
    let dir = env::absolute(&args.backup)?;
    let manifest = backup::restore(&dir, &data, &mut |progress| show(progress, cx));
    cx.screen.progress("");
    let manifest = manifest.map_err(|error| {
        let taken = matches!(&error, BackupError::Place(_)) && error.is_usage();
        let error = convert::backup(error);
        if taken {
            error.hint(
                "name a directory that does not exist yet; to put the backup in place of a hub's, \
                 run `ctx hub stop` and move the old directory away",
            )
        } else {
            error
        }
    })?;
    Ok(RestoreReport {
        manifest,
        backup: dir,
        data_dir: data.path().to_owned(),
    })
}

fn in_words(manifest: &Manifest) -> String {
    let bytes = manifest.files.iter().map(|file| file.bytes).sum::<u64>();
    format!(
        "{}, {}, {}",
        count(manifest.entries, "entry", "entries"),
        count(manifest.clients, "client", "clients"),
        size(bytes)
    )
}

/// Bytes, for people.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1_024;
    match bytes {
        0..KIB => format!("{bytes} bytes"),
        KIB..1_048_576 => format!("{} KiB", bytes / KIB),
        _ => format!("{} MiB", bytes / (KIB * KIB)),
    }
}

fn show(progress: BackupProgress, cx: &Cx) {
    let text = match progress {
        BackupProgress::Copying { done, of } => {
            format!("copying: {} of {}", size(done), size(of))
        }
        BackupProgress::Checking(progress) => verify::in_words(progress),
        _ => return,
    };
    cx.screen.progress(&text);
}
