//! A project that is measured: its folder, its home, and the program that runs in it.

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use crate::Failure;
use crate::bench::utf8;
use crate::child::{self, Took};
use crate::hub::Hub;

/// A project that is registered with a hub and mirrors every type.
#[derive(Debug)]
pub(crate) struct Project {
    ctx: Utf8PathBuf,
    folder: TempDir,
}

impl Project {
    /// Registers `name` with `hub`, with everything in `folder`.
    pub(crate) fn new(
        ctx: &Utf8Path,
        folder: TempDir,
        hub: &Hub,
        name: &str,
    ) -> Result<Self, Failure> {
        let project = Self {
            ctx: ctx.to_owned(),
            folder,
        };
        let address = hub.address().to_string();
        project.run(&["init"])?;
        let mut register =
            project.command(&["connect", "register", &address, "--project", name])?;
        register.env(ctx_config::env::ADMIN_TOKEN, hub.admin_token()?);
        finish(&mut register)?;
        project.run(&["connect", "subscribe", "--all"])?;
        Ok(project)
    }

    /// The folder that holds the project's `.context`.
    pub(crate) fn path(&self) -> Result<&Utf8Path, Failure> {
        utf8(&self.folder)
    }

    /// The program, to be run in the project with a home of its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command, Failure> {
        let mut command = Command::new(&self.ctx);
        command
            .env_clear()
            .env(ctx_config::env::HOME, self.path()?)
            .current_dir(self.path()?)
            .args(arguments);
        Ok(command)
    }

    /// Runs the program to its end, which has to be a good one.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<(), Failure> {
        finish(&mut self.command(arguments)?)
    }

    /// Runs the program to its end and answers what it took.
    pub(crate) fn measured(&self, arguments: &[&str]) -> Result<Took, Failure> {
        child::measured(&self.command(arguments)?)
    }
}

/// Runs a program to its end, which has to be a good one.
pub(crate) fn finish(command: &mut Command) -> Result<(), Failure> {
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {}", output.status, said.trim()).into());
    }
    Ok(())
}
