//! The maintainers' commands: `cargo xtask ci` and its parts.
//!
//! A check is a function over the root of the workspace that gives findings; it lists all of them
//! and never stops at the first. This program uses no other crate of the workspace, so that it
//! runs when they do not build.

mod args;
mod bench;
mod cargo;
mod ci;
mod codegen;
mod consts;
mod count;
mod deps;
mod drift;
mod error;
mod files;
mod finding;
mod licence;
mod markdown;
mod peer;
mod program;
mod run;
mod specs;
mod supply;
mod test;
#[cfg(test)]
mod testing;
mod tidy;
mod torture;

use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Parser;

use crate::args::{Args, Command};
use crate::error::CheckError;
use crate::finding::Finding;

fn main() -> ExitCode {
    let command = Args::parse().command;
    let outcome = workspace_root().and_then(|root| dispatch(&root, command));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", error.explain());
            ExitCode::FAILURE
        }
    }
}

/// Runs one command; true when it found nothing.
fn dispatch(root: &Utf8Path, command: Command) -> Result<bool, CheckError> {
    let findings = match command {
        Command::Ci => return ci::run(root),
        Command::Bench(options) => return bench::run(root, &options),
        Command::Torture(options) => return torture::run(root, &options),
        Command::Test => return test::run(root).map(|report| report.print()),
        Command::Codegen { check: false } => return codegen::write(root).map(|()| true),
        Command::Advisories { db } => {
            return supply::advisories::write(root, db.as_deref()).map(|()| true);
        }
        Command::Count { fix: true } => return count::fix(root).map(|()| true),
        Command::Drift { fix: true } => return drift::cli::fix(root).map(|()| true),
        Command::Fmt => cargo::fmt(root)?,
        Command::Clippy => cargo::clippy(root)?,
        Command::Doc => cargo::doc(root)?,
        Command::Deps => deps::check(root)?,
        Command::Tidy => tidy::check(root)?,
        Command::Specs => specs::check(root)?,
        Command::Drift { fix: false } => drift::check(root)?,
        Command::Codegen { check: true } => codegen::check(root)?,
        Command::Count { fix: false } => count::check(root)?,
        Command::Peer => peer::check(root)?,
    };
    Ok(report(findings))
}

/// Prints the findings; true when there is none.
fn report(findings: Vec<Finding>) -> bool {
    finding::print(findings) == 0
}

/// The directory of the workspace's `Cargo.toml`: the parent of xtask's own, as cargo tells it.
fn workspace_root() -> Result<Utf8PathBuf, CheckError> {
    std::env::var("CARGO_MANIFEST_DIR")
        .ok()
        .and_then(|own| Utf8PathBuf::from(own).parent().map(Utf8Path::to_owned))
        .ok_or_else(|| CheckError::Missing {
            what: "the workspace cannot be found: CARGO_MANIFEST_DIR is not set".to_owned(),
            hint: "run this as `cargo xtask …`".to_owned(),
        })
}
