//! What every row is measured with: the program, hubs with so many entries, projects.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use tempfile::TempDir;

use crate::Failure;
use crate::args::Table;
use crate::entries;
use crate::hub::Hub;
use crate::project::Project;

/// The content of an entry, in bytes, wherever a row does not say otherwise.
pub(crate) const CONTENT: usize = 700;

/// What every row is measured with.
#[derive(Debug)]
pub(crate) struct Bench {
    ctx: Utf8PathBuf,
    workspace: Option<Utf8PathBuf>,
    quick: bool,
    temp: TempDir,
    /// Data directories with so many entries, which rows copy.
    made: BTreeMap<u64, Utf8PathBuf>,
}

/// A hub in a folder of its own, which goes with it.
#[derive(Debug)]
pub(crate) struct OwnHub {
    // Dropped in this order: the hub ends before its folder goes.
    hub: Hub,
    _folder: TempDir,
}

impl Bench {
    /// Measures what `options` name, and keeps everything in a folder that is removed in the end.
    pub(crate) fn new(options: &Table) -> Result<Self, Failure> {
        fs_err::create_dir_all(&options.dir)?;
        Ok(Self {
            ctx: options.ctx.canonicalize_utf8()?,
            workspace: options.workspace.clone(),
            quick: options.quick,
            temp: tempfile::tempdir_in(options.dir.canonicalize_utf8()?)?,
            made: BTreeMap::new(),
        })
    }

    /// The workspace, when there is one and time to build it.
    pub(crate) fn workspace_to_build(&self) -> Option<&Utf8Path> {
        self.workspace.as_deref().filter(|_| !self.quick)
    }

    /// The program that is measured.
    pub(crate) fn ctx(&self) -> &Utf8Path {
        &self.ctx
    }

    /// The program that is measured, with nothing of this process' environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.ctx);
        command.env_clear().args(arguments);
        command
    }

    /// `full`, or `quick` when the sizes are to be small.
    pub(crate) const fn size(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// How often something is measured: `full` times, or `quick` times.
    pub(crate) const fn rounds(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// A folder of its own on the file system that is measured; it goes when it is dropped.
    pub(crate) fn folder(&self) -> Result<TempDir, Failure> {
        Ok(tempfile::tempdir_in(self.temp.path())?)
    }

    /// A hub that serves, with `entries` entries of [`CONTENT`] bytes.
    pub(crate) fn hub(&mut self, entries: u64) -> Result<OwnHub, Failure> {
        let folder = self.hub_folder(entries)?;
        let hub = Hub::start(&self.ctx, utf8(&folder)?)?;
        Ok(OwnHub {
            hub,
            _folder: folder,
        })
    }

    /// The folder of a hub with `entries` entries that has ended, for [`Hub::start`].
    pub(crate) fn hub_folder(&mut self, entries: u64) -> Result<TempDir, Failure> {
        let made = self.made(entries)?;
        let folder = self.folder()?;
        copy(&made, Hub::data_dir(utf8(&folder)?).path())?;
        Ok(folder)
    }

    /// A project that is registered with `hub` as `name` and mirrors every type.
    pub(crate) fn project(&self, hub: &Hub, name: &str) -> Result<Project, Failure> {
        Project::new(&self.ctx, self.folder()?, hub, name)
    }

    /// A data directory with `entries` entries, made once and never served again.
    fn made(&mut self, entries: u64) -> Result<Utf8PathBuf, Failure> {
        if let Some(made) = self.made.get(&entries) {
            return Ok(made.clone());
        }
        eprintln!("  making a hub with {entries} entries");
        let folder = self.folder()?.keep();
        let folder = Utf8Path::from_path(&folder).ok_or("the folder is not UTF-8")?;
        let data = Hub::data_dir(folder);
        if entries > 0 {
            std::fs::DirBuilder::new().mode(0o700).create(data.path())?;
            write_old(&data, entries)?;
        }
        let hub = Hub::start(&self.ctx, folder)?;
        if let Some(fault) = hub.stop()? {
            return Err(fault.into());
        }
        if entries > 0 {
            fs_err::remove_file(data.old_entries())?;
            fs_err::remove_file(data.old_meta())?;
        }
        self.made.insert(entries, data.path().to_owned());
        Ok(data.path().to_owned())
    }
}

impl std::ops::Deref for OwnHub {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

/// The path of a temporary folder.
pub(crate) fn utf8(folder: &TempDir) -> Result<&Utf8Path, Failure> {
    Utf8Path::from_path(folder.path()).ok_or_else(|| "the folder is not UTF-8".into())
}

/// Writes the files of an older hub, which a new one imports: much faster than publishing.
fn write_old(data: &ctx_config::paths::DataDir, entries: u64) -> Result<(), Failure> {
    let mut file = BufWriter::new(fs_err::File::create_new(data.old_entries())?);
    for number in 1..=entries {
        let entry = json!({
            "id": entries::id("old", number), "type": entries::type_of(number),
            "content": entries::content(number, CONTENT), "origin": "elsewhere",
            "timestamp": "2026-01-01T00:00:00Z", "sequence": number, "meta": {},
        });
        serde_json::to_writer(&mut file, &entry)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    let meta = json!({ "sequence_counter": entries }).to_string();
    fs_err::File::create_new(data.old_meta())?.write_all(meta.as_bytes())?;
    Ok(())
}

/// Copies a folder with everything in it and its modes.
fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<(), Failure> {
    let mut command = Command::new("cp");
    let status = command.args(["-a", from.as_str(), to.as_str()]).status()?;
    if !status.success() {
        return Err(format!("{command:?} ended with {status}").into());
    }
    Ok(())
}
