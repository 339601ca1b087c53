//! A sync that is stopped at a named step while it holds the lock, and what others may do meanwhile.

use camino::Utf8PathBuf;

use super::process::{BOUND, Ended, Process, until};
use super::scratch::remove;
use super::steps;
use super::trouble::Trouble;
use super::world::{Project, Setting};

/// A sync that is told that the lock is held does not wait here.
pub(crate) const AT_ONCE: [&str; 2] = ["connect", "sync"];
const UNLOCK: [&str; 2] = ["connect", "unlock"];
const BUSY: i32 = 3;
/// Entries are appended and not committed: the middle of what the lock protects.
const STEP: &str = "sync.appended";

/// A holder of the lock that goes on when it is told to.
#[derive(Debug)]
pub(crate) struct Held {
    process: Process,
    gate: Utf8PathBuf,
}

impl Held {
    /// Starts a sync of `project` in `setting`, and waits until it has the lock and has appended;
    /// there has to be something for it to append.
    pub(crate) fn start(project: &Project<'_>, setting: Setting) -> Result<Self, Trouble> {
        Self::at(project, setting, STEP)
    }

    /// The same, waiting until it stands at `step`.
    pub(crate) fn at(project: &Project<'_>, setting: Setting, step: &str) -> Result<Self, Trouble> {
        let gate = project.world.root().join(format!("gate-{step}"));
        let setting = setting.and(&steps::at(step, 1, &format!("hold:{gate}")));
        let mut process = project.within(setting).start(&AT_ONCE)?;
        let stands = until(BOUND, || match gate.exists() {
            true => Ok(Some(())),
            false if process.runs()? => Ok(None),
            false => Err(Trouble::Broken(format!(
                "the holder ended: {}",
                process.said()
            ))),
        })?;
        stands.ok_or_else(|| Trouble::Wedged("the holder never got there".to_owned()))?;
        Ok(Self { process, gate })
    }

    /// Lets it go on; it has to end well.
    pub(crate) fn go_on(self) -> Result<Ended, Trouble> {
        self.ends_with(0)
    }

    /// Lets it go on; it has to be told that the lock is held.
    pub(crate) fn refused(self) -> Result<Ended, Trouble> {
        self.ends_with(BUSY)
    }

    fn ends_with(self, code: i32) -> Result<Ended, Trouble> {
        remove(&self.gate)?;
        self.process.finish()?.expect_codes(&[code])
    }

    /// Kills it where it stands.
    pub(crate) fn kill(self) -> Result<(), Trouble> {
        self.process.kill()?.killed_or(&[])?;
        remove(&self.gate)
    }
}

/// Everybody in `projects` is told that the lock is held, and nobody can remove it as stale.
pub(crate) fn is_held_for(projects: &[&Project<'_>]) -> Result<(), Trouble> {
    for project in projects {
        project.run(&AT_ONCE)?.expect_codes(&[BUSY])?;
        project.run(&UNLOCK)?.expect_codes(&[BUSY])?;
    }
    Ok(())
}
