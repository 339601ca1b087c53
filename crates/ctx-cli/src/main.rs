//! The command `ctx`: parse, run, show, exit.
//!
//! Four layers: [`args`] is data, a command in [`commands`] gives a report, [`ui`] writes it, and
//! [`exit`] is the one table of codes. What a library user would miss is not here but in
//! `ctx-hub`.

mod args;
mod commands;
mod env;
mod error;
mod exit;
mod logging;
mod signals;
mod ui;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

use crate::args::{Args, Colour};
use crate::commands::Cx;
use crate::env::Environment;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Screen;

/// What a sync reads on one thread it lets go of on another, which the C library's allocator makes
/// both wait for (specs/0030-allocator.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ctx_io::failpoint::start();
    let env = Environment::read();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(said) => return said_by_clap(&said, &env).into(),
    };
    let screen = Screen::new(&args.global, &env);
    let screen = screen.logging(logging::format(&args, &env));
    logging::start(&args, &env, &screen);
    let cx = Cx::new(&args.global, env, screen);
    match commands::run(args.command, &cx) {
        Ok(exit) => exit.into(),
        Err(error) => {
            cx.screen.error(&error);
            error.exit().into()
        }
    }
}

/// Help and version are results; the rest is wrong usage, as a document too where the command
/// line asks for one.
fn said_by_clap(said: &clap::Error, env: &Environment) -> Exit {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let screen = Screen::plain(json, false).coloured(Colour::Auto, env);
    if !said.use_stderr() {
        return match screen.styled(&said.render()) {
            Ok(()) => Exit::Done,
            Err(error) => error.exit(),
        };
    }
    screen.styled_error(&said.render());
    if json {
        // What is wrong stands in the first paragraph; usage and the like follow.
        let text = said.render().to_string();
        let paragraph = text.lines().take_while(|line| !line.is_empty());
        let message = paragraph.map(str::trim).collect::<Vec<_>>().join(" ");
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let failure = CliError::usage(message).hint("`ctx --help` shows the commands");
        // There is nothing to do about an error that cannot be written.
        screen.json(&ui::ErrorDocument::of(&failure)).ok();
    }
    Exit::Usage
}
