//! A world of its own for an episode: a home and projects in one directory.

use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use tempfile::TempDir;

use super::binary::Program;
use super::mirror::Mirror;
use super::names;
use super::process::{Ended, Process};
use super::tools;
use super::trouble::Trouble;

const HOME: &str = "ada";

/// Where everything of an episode happens; removed with it unless it is kept.
#[derive(Debug)]
pub(crate) struct World {
    root: Utf8PathBuf,
    directory: Option<TempDir>,
    program: Utf8PathBuf,
    /// The steps at which the program can be stopped; none of a plain one.
    pub(crate) steps: Vec<String>,
    /// What puts load on a hub.
    pub(crate) load: Option<Utf8PathBuf>,
    started: AtomicU64,
    /// Surroundings of every process, and a copy of the program that can be run in them.
    confined: OnceLock<(Setting, Utf8PathBuf)>,
}

impl World {
    /// An empty world in the system's temporary directory, for `program`.
    pub(crate) fn new(program: &Program, keep: bool) -> Result<Self, Trouble> {
        let directory = tempfile::Builder::new().prefix("ctx-torture-").tempdir()?;
        let root = Utf8PathBuf::from_path_buf(directory.path().to_owned())
            .map_err(|path| Trouble::Broken(format!("{} is not UTF-8", path.display())))?;
        fs_err::create_dir(root.join(HOME))?;
        fs_err::create_dir(root.join("logs"))?;
        let mut world = Self {
            root,
            directory: Some(directory),
            program: program.path.clone(),
            steps: program.steps.clone(),
            load: program.load.clone(),
            started: AtomicU64::new(0),
            confined: OnceLock::new(),
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

    /// The program that is started in it.
    pub(crate) fn program(&self) -> &Utf8Path {
        &self.program
    }

    /// The home of its user.
    pub(crate) fn home(&self) -> Utf8PathBuf {
        self.root.join(HOME)
    }

    /// Puts everything that is started from now on into `setting`, once for all.
    pub(crate) fn confine(&self, setting: Setting) -> Result<(), Trouble> {
        // The program may stand where only its builder may look. Another process copies it: were
        // it open for writing here, a process that another thread starts at that instant would
        // have it open, too, and nobody could run it.
        let copy = self.root.join("ctx");
        tools::copy_tree(&self.program, &copy)?;
        let again = self.confined.set((setting, copy)).is_err();
        match again {
            true => Err(Trouble::Broken("confined twice".to_owned())),
            false => Ok(()),
        }
    }

    /// Starts the program in `dir`, with nothing of this process's environment but what `setting`
    /// adds, and with `input` as its standard input.
    pub(crate) fn start(
        &self,
        dir: &Utf8Path,
        setting: &Setting,
        args: &[&str],
        input: impl Into<Stdio>,
    ) -> Result<Process, Trouble> {
        let (setting, program) = match self.confined.get() {
            Some((around, program)) => (around.clone().and(setting), program),
            None => (setting.clone(), &self.program),
        };
        let mut words = setting.launcher.iter().map(String::as_str);
        let mut command = Command::new(words.next().unwrap_or(program.as_str()));
        command.args(words);
        if !setting.launcher.is_empty() {
            command.arg(program);
        }
        command
            .current_dir(dir)
            .env_clear()
            .env("HOME", self.home())
            .env("USER", HOME)
            .envs(setting.variables)
            .args(args)
            .stdin(input);
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
        let project = Project {
            world: self,
            dir,
            setting: Setting::default(),
        };
        project.ok(&["init"])?;
        project.ok(&["connect", "register", address, "--token", token])?;
        Ok(project)
    }
}

/// What surrounds a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    /// A command that runs the program and its arguments, which are put behind it.
    pub(crate) launcher: Vec<String>,
    /// Variables of its environment.
    pub(crate) variables: Vec<(String, String)>,
}

impl Setting {
    /// The surroundings that `launcher` makes.
    pub(crate) fn launched_by<T: Into<String>>(launcher: impl IntoIterator<Item = T>) -> Self {
        Self {
            launcher: launcher.into_iter().map(Into::into).collect(),
            variables: Vec::new(),
        }
    }

    /// These surroundings with those of `other` in them; variables of the same name are joined.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.launcher.extend(other.launcher.iter().cloned());
        for (name, value) in &other.variables {
            match self.variables.iter_mut().find(|(known, _)| known == name) {
                Some((_, rules)) => *rules = format!("{rules};{value}"),
                None => self.variables.push((name.clone(), value.clone())),
            }
        }
        self
    }

    /// An environment with one variable.
    pub(crate) fn with_variable(name: &str, value: impl Into<String>) -> Self {
        Self {
            launcher: Vec::new(),
            variables: vec![(name.to_owned(), value.into())],
        }
    }
}

/// A project of the world.
#[derive(Debug, Clone)]
pub(crate) struct Project<'a> {
    pub(crate) world: &'a World,
    pub(crate) dir: Utf8PathBuf,
    pub(crate) setting: Setting,
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

    /// The same project in other surroundings.
    pub(crate) fn within(&self, setting: Setting) -> Self {
        Self {
            setting,
            ..self.clone()
        }
    }

    /// Starts the program in it.
    pub(crate) fn start(&self, args: &[&str]) -> Result<Process, Trouble> {
        self.start_on(args, Stdio::null())
    }

    /// Starts the program in it, with `input` as its standard input.
    pub(crate) fn start_on(
        &self,
        args: &[&str],
        input: impl Into<Stdio>,
    ) -> Result<Process, Trouble> {
        self.world.start(&self.dir, &self.setting, args, input)
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
