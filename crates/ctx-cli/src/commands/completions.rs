//! `ctx completions`: the command line, as a shell completes it.

use clap::CommandFactory as _;

use crate::args::{Args, CompletionsArgs};
use crate::commands::Cx;
use crate::error::CliError;
use crate::exit::Exit;

/// Prints the script.
///
/// # Errors
/// Standard output does not take it.
pub(crate) fn run(args: &CompletionsArgs, cx: &Cx) -> Result<Exit, CliError> {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    if cx.screen.is_json() {
        let script = String::from_utf8_lossy(&script).into_owned();
        cx.screen.json(&serde_json::json!({ "script": script }))?;
    } else {
        cx.screen.raw(&script)?;
    }
    Ok(Exit::Done)
}
