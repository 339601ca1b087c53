//! Puts a hub under load and checks that nobody loses an entry.
//!
//! ```text
//! cargo run --release -p ctx-hub --example load -- --hub target/release/ctx
//! cargo run -p ctx-hub --example load -- --hub target/debug/ctx --small
//! ```
//!
//! Starts the hub as a process of its own in a temporary directory, on this machine only, and
//! drives it from this one: thousands of listeners, some of which read slowly or not at all, and
//! publishers that repeat each entry until it is acknowledged. Progress goes to standard error; one
//! JSON document goes to standard output. The exit code is 1 when a promise was broken, and 2 when
//! the program was called wrongly or could not do its work.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to its reader"
)]

mod figures;
mod hub;
mod ledger;
mod link;
mod listener;
mod plan;
mod publisher;
mod run;
mod scene;

use std::process::ExitCode;

use crate::plan::Plan;

/// What can go wrong with the program itself.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let plan = match Plan::from_args(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("{error}\n\n{}", plan::USAGE);
            return ExitCode::from(2);
        }
    };
    let figures = match run::run(&plan) {
        Ok(figures) => figures,
        Err(error) => {
            eprintln!("the load could not be put on: {error}");
            return ExitCode::from(2);
        }
    };
    match serde_json::to_string_pretty(&figures) {
        Ok(document) => println!("{document}"),
        Err(error) => eprintln!("the figures cannot be written: {error}"),
    }
    for violation in &figures.violations {
        eprintln!("violation: {violation}");
    }
    ExitCode::from(u8::from(!figures.violations.is_empty()))
}
