//! Puts a hub under load and checks that nobody loses an entry.
//!
//! Starts the hub as a process of its own in a temporary directory, on this machine only, and
//! drives it from this one: thousands of listeners, some of which read slowly or not at all, and
//! publishers that repeat each entry until it is acknowledged. Progress goes to standard error; one
//! JSON document goes to standard output. The exit code is 1 when a promise was broken, and 2 when
//! the program could not do its work.

mod figures;
mod ledger;
mod listener;
mod plan;
mod publisher;
mod run;
mod scene;

use std::process::ExitCode;

use crate::Failure;

pub(crate) use plan::Options;

/// Runs the load that was asked for, and prints what was measured and found.
pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let figures = run::run(&plan::Plan::new(options)?)?;
    println!("{}", serde_json::to_string_pretty(&figures)?);
    for violation in &figures.violations {
        eprintln!("violation: {violation}");
    }
    Ok(ExitCode::from(u8::from(!figures.violations.is_empty())))
}
