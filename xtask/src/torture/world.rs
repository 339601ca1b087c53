//! A world of its own for an episode: a home, hubs and projects in one directory.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use tempfile::TempDir;

use super::mirror::Mirror;
use super::names;
use super::ports;
use super::process::{BOUND, Ended, Process, no_input, until};
use super::trouble::Trouble;

const HOME: &str = "ada";

/// Where everything of an episode happens; removed with it unless it is kept.
#[derive(Debug)]
pub(crate) struct World {
    root: Utf8PathBuf,
    directory: Option<TempDir>,
    program: Utf8PathBuf,
    started: AtomicU64,
}

impl World {
    /// An empty world in the system's temporary directory, for the binary `program`.
    pub(crate) fn new(program: &Utf8Path, keep: bool) -> Result<Self, Trouble> {
        let directory = tempfile::Builder::new().prefix("ctx-torture-").tempdir()?;
        let root = Utf8PathBuf::from_path_buf(directory.path().to_owned())
            .map_err(|path| Trouble::Broken(format!("{} is not UTF-8", path.display())))?;
        fs_err::create_dir(root.join(HOME))?;
        fs_err::create_dir(root.join("logs"))?;
        let mut world = Self {
            root,
            directory: Some(directory),
            program: program.to_owned(),
            started: AtomicU64::new(0),
        };
        if keep {
            world.keep();
        }
        Ok(world)
    }

    /// Lets the directory stand when this is gone.
    pub(crate) fn keep(&mut self) {
        if let Some(directory) = self.directory.take() {
            self.root = Utf8PathBuf::from_path_buf(directory.keep()).unwrap_or_default();
        }
    }

    /// Where it is.
    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The home of its user.
    pub(crate) fn home(&self) -> Utf8PathBuf {
        self.root.join(HOME)
    }

    /// Starts the program in `dir`, with nothing of this process's environment.
    pub(crate) fn start(&self, dir: &Utf8Path, args: &[&str]) -> Result<Process, Trouble> {
        self.start_with(dir, args, no_input)
    }

    /// As [`World::start`], with more to it.
    pub(crate) fn start_with(
        &self,
        dir: &Utf8Path,
        args: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Result<Process, Trouble> {
        let mut command = Command::new(&self.program);
        command
            .current_dir(dir)
            .env_clear()
            .env("HOME", self.home())
            .env("USER", HOME)
            .args(args);
        change(&mut command);
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        Process::start(command, &self.root.join(format!("logs/{number}")))
    }

    /// A project that the hub at `address` knows, whose admin token is `token`.
    pub(crate) fn project(
        &self,
        name: &str,
        address: &str,
        token: &str,
    ) -> Result<Project<'_>, Trouble> {
        let dir = self.root.join(name);
        fs_err::create_dir(&dir)?;
        let project = Project { world: self, dir };
        project.ok(&["init"])?;
        project.ok(&["connect", "register", address, "--token", token])?;
        Ok(project)
    }
}

/// A project of the world.
#[derive(Debug, Clone)]
pub(crate) struct Project<'a> {
    pub(crate) world: &'a World,
    pub(crate) dir: Utf8PathBuf,
}

impl Project<'_> {
    /// The folder of its mirror.
    pub(crate) fn mirror_dir(&self) -> Utf8PathBuf {
        self.dir.join(names::CONTEXT).join(names::MIRROR)
    }

    /// Its mirror, as it stands.
    pub(crate) fn mirror(&self) -> Result<Mirror, Trouble> {
        Mirror::read(&self.mirror_dir())
    }

    /// Starts the program in it.
    pub(crate) fn start(&self, args: &[&str]) -> Result<Process, Trouble> {
        self.world.start(&self.dir, args)
    }

    /// Runs the program in it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Ended, Trouble> {
        self.start(args)?.finish()
    }

    /// Runs the program in it; it has to succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Result<Ended, Trouble> {
        self.run(args)?.expect_codes(&[0])
    }
}

/// A hub, and what it takes to start it again where it was.
#[derive(Debug)]
pub(crate) struct Hub<'a> {
    world: &'a World,
    data: Utf8PathBuf,
    process: Option<Process>,
    pub(crate) address: String,
    pub(crate) token: String,
}

impl<'a> Hub<'a> {
    /// Starts a hub on a free port.
    pub(crate) fn new(world: &'a World) -> Result<Self, Trouble> {
        let mut hub = Self {
            world,
            data: world.root().join("data"),
            process: None,
            address: ports::free()?,
            token: String::new(),
        };
        hub.start()?;
        let token = fs_err::read_to_string(hub.data.join(names::ADMIN_TOKEN))?;
        token.trim().clone_into(&mut hub.token);
        Ok(hub)
    }

    /// Starts it on its data directory and address; how long it took until it listened.
    pub(crate) fn start(&mut self) -> Result<Duration, Trouble> {
        let started = Instant::now();
        let address = self.address.clone();
        let args = [
            "--json",
            "hub",
            "start",
            "--bind",
            &address,
            "--data-dir",
            self.data.as_str(),
        ];
        let mut process = self.world.start(self.world.root(), &args)?;
        let found = until(BOUND, || {
            if !process.runs()? {
                let said = process.said();
                return Err(Trouble::Broken(format!("the hub did not start: {said}")));
            }
            let line = process.stdout()?;
            Ok(line.ends_with('\n').then_some(line))
        })?;
        let line = found.ok_or_else(|| Trouble::Wedged("the hub did not listen".to_owned()))?;
        self.address = text_of(&line, "address")?;
        self.process = Some(process);
        Ok(started.elapsed())
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) -> Result<Option<Ended>, Trouble> {
        self.process.take().map(Process::kill).transpose()
    }

    /// Asks it to end, which it has to do in order.
    pub(crate) fn terminate(&mut self) -> Result<Option<Ended>, Trouble> {
        let ended = self.process.take().map(Process::terminate).transpose()?;
        ended.map(|ended| ended.expect_codes(&[0])).transpose()
    }
}

/// A string of a JSON document that the program printed.
pub(crate) fn text_of(json: &str, name: &str) -> Result<String, Trouble> {
    let document = document(json)?;
    document[name]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Trouble::Broken(format!("no `{name}` in {document}")))
}

/// A JSON document that the program printed.
pub(crate) fn document(json: &str) -> Result<Value, Trouble> {
    serde_json::from_str(json).map_err(|error| Trouble::Broken(format!("{error}: {json}")))
}
