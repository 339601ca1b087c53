//! The programs under torture: the one that people run, and one that can be told where to die.

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::CheckError;
use crate::program::{self, Kind};

/// Which of them a scenario runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// What people run.
    Plain,
    /// With failpoints.
    Failpoints,
    /// What people run, beside a program that puts load on it.
    Load,
}

/// Where they are.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    plain: Option<Utf8PathBuf>,
    failpoints: Option<Utf8PathBuf>,
    /// The steps at which the one with failpoints can be stopped.
    pub(crate) steps: Vec<String>,
    /// What puts load on a hub.
    pub(crate) load: Option<Utf8PathBuf>,
}

impl Programs {
    /// Takes `plain` if it is given, and builds what is wanted and missing. The plain one is built
    /// last: it is what cargo leaves in its place.
    pub(crate) fn new(
        root: &Utf8Path,
        release: bool,
        plain: Option<&Utf8Path>,
        wanted: &[Build],
    ) -> Result<Self, CheckError> {
        let kind = |failpoints| Kind {
            release,
            failpoints,
        };
        let mut programs = Self::default();
        if wanted.contains(&Build::Failpoints) {
            let built = program::build(root, kind(true))?;
            programs.steps = program::steps(&built)?;
            programs.failpoints = Some(built);
        }
        if wanted.contains(&Build::Load) {
            programs.load = Some(program::load(root, release)?);
        }
        if wanted.iter().any(|build| *build != Build::Failpoints) {
            programs.plain = Some(match plain {
                Some(given) => {
                    let given = given.canonicalize_utf8()?;
                    program::check(&given, false)?;
                    given
                }
                None => program::build(root, kind(false))?,
            });
        }
        Ok(programs)
    }

    /// The program that `build` names; it was wanted.
    pub(crate) fn of(&self, build: Build) -> &Utf8Path {
        let program = match build {
            Build::Plain | Build::Load => &self.plain,
            Build::Failpoints => &self.failpoints,
        };
        program.as_deref().unwrap_or(Utf8Path::new(""))
    }
}
