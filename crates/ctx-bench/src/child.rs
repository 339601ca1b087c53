//! What a program took: wall time, and the most memory that it had.
//!
//! The kernel counts the peak of a child from the moment of the fork, when the child still has its
//! parent's memory. So the program is started by a small process that does nothing else: this one,
//! called anew.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// What a program took.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Took {
    /// From before it was started until it had ended, in seconds.
    pub(crate) seconds: f64,
    /// The most memory that it had, in MiB.
    pub(crate) peak_mib: f64,
}

/// Runs `command` to its end in a process between, and answers what it took.
pub(crate) fn measured(command: &Command) -> Result<Took, Failure> {
    let mut between = Command::new(std::env::current_exe()?);
    between
        .args(["child", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        between.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => between.env(name, value),
            None => between.env_remove(name),
        };
    }
    let output = between.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {}", output.status, said.trim()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The process between: runs `command`, prints what it took, and fails when it failed.
pub(crate) fn run(command: &[String]) -> Result<ExitCode, Failure> {
    let (program, arguments) = command.split_first().ok_or("no program is named")?;
    let since = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    let took = since.elapsed();
    if !status.success() {
        return Err(format!("{program} ended with {status}").into());
    }
    println!("{}", serde_json::to_string(&took_by(took)?)?);
    Ok(ExitCode::SUCCESS)
}

fn took_by(took: Duration) -> Result<Took, Failure> {
    // Linux counts in KiB, and answers that of the largest child.
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    Ok(Took {
        seconds: took.as_secs_f64(),
        peak_mib: f64::from(u32::try_from(peak)?) / 1024.0,
    })
}
