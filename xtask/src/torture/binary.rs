//! The programs under torture: the one that people run, and one that can be told where to die.

use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

use super::trouble::Trouble;
use crate::error::CheckError;
use crate::program::{self, Kind};

/// Which of them a scenario runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Build {
    /// What people run.
    Plain,
    /// What people run, beside a program that puts load on it.
    Load,
    /// With failpoints.
    Failpoints,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: Utf8PathBuf,
    /// The steps at which it can be stopped; none of a plain one.
    pub(crate) steps: Vec<String>,
    /// What puts load on a hub.
    pub(crate) load: Option<Utf8PathBuf>,
}

/// All of them, each built when it is first asked for: while one is built, scenarios of another
/// can run.
#[derive(Debug)]
pub(crate) struct Programs {
    root: Utf8PathBuf,
    release: bool,
    given: Option<Utf8PathBuf>,
    plain: OnceLock<Result<Program, CheckError>>,
    load: OnceLock<Result<Program, CheckError>>,
    failpoints: OnceLock<Result<Program, CheckError>>,
}

impl Programs {
    /// Those of the workspace at `root`; the plain one is not built if it is `given`.
    pub(crate) fn new(root: &Utf8Path, release: bool, given: Option<&Utf8Path>) -> Self {
        Self {
            root: root.to_owned(),
            release,
            given: given.map(Utf8Path::to_owned),
            plain: OnceLock::new(),
            load: OnceLock::new(),
            failpoints: OnceLock::new(),
        }
    }

    /// The program that `build` names. One that does not build fails every scenario of it.
    pub(crate) fn get(&self, build: Build) -> Result<&Program, Trouble> {
        let built = match build {
            Build::Plain => self.plain.get_or_init(|| self.plain()),
            Build::Load => self.load.get_or_init(|| self.beside_load()),
            Build::Failpoints => self.failpoints.get_or_init(|| self.with_failpoints()),
        };
        built
            .as_ref()
            .map_err(|error| Trouble::Broken(error.explain()))
    }

    fn plain(&self) -> Result<Program, CheckError> {
        let path = match &self.given {
            Some(given) => given.canonicalize_utf8()?,
            None => program::build(&self.root, self.kind(false))?,
        };
        program::check(&path, false)?;
        Ok(Program {
            path,
            steps: Vec::new(),
            load: None,
        })
    }

    fn beside_load(&self) -> Result<Program, CheckError> {
        let load = Some(program::bench(&self.root, self.release)?);
        Ok(Program {
            load,
            ..self.plain()?
        })
    }

    fn with_failpoints(&self) -> Result<Program, CheckError> {
        let path = program::build(&self.root, self.kind(true))?;
        Ok(Program {
            steps: program::steps(&path)?,
            path,
            load: None,
        })
    }

    const fn kind(&self, failpoints: bool) -> Kind {
        Kind {
            release: self.release,
            failpoints,
        }
    }
}
