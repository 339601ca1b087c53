//! What `ctx` costs, beside the disk and the wire that it runs on.
//!
//! `cargo xtask bench` builds the release program and runs `ctx-bench table` with it; `cargo xtask
//! torture --only load` runs `ctx-bench load`; `cargo xtask count` runs `ctx-bench count`. Figures go to standard output, progress to standard
//! error. The exit code is 1 when something could not be measured or a promise was broken, and 2
//! when the program was called wrongly.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing figures is what this program is for"
)]

mod args;
mod bench;
mod child;
mod count;
mod document;
mod entries;
mod hub;
mod link;
mod load;
mod plot;
mod project;
mod rows;
mod samples;
mod sender;
mod table;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

use crate::args::{Args, Command};

/// That of `ctx`, so that no limit is slower for want of it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What can go wrong with the program itself.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Table(options) => table::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Count { path, rounds } => count::run(path, rounds),
        Command::Child { command } => child::run(&command),
        Command::Send { file } => sender::run(&file),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}
