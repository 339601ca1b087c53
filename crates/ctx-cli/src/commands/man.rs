//! `ctx man`: a manual page for every command.

use std::io::{self, Write};

use camino::Utf8Path;
use clap::CommandFactory as _;
use clap_mangen::Man;
use ctx_config::paths;
use ctx_io::atomic;
use serde::Serialize;

use crate::args::{Args, ManArgs};
use crate::commands::{Cx, convert};
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Report;

/// The pages that were written.
#[derive(Debug, Serialize)]
struct ManReport {
    pages: Vec<String>,
}

impl Report for ManReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.pages
            .iter()
            .try_for_each(|page| writeln!(out, "wrote {page}"))
    }
}

/// Writes the pages.
///
/// # Errors
/// The directory cannot be made or takes no file.
pub(crate) fn run(args: &ManArgs, cx: &Cx) -> Result<Exit, CliError> {
    let mut report = ManReport { pages: Vec::new() };
    // `help` would have a page for every command once more.
    let mut root = Args::command().disable_help_subcommand(true);
    // Tells every command its whole name.
    root.build();
    fs_err::create_dir_all(&args.dir).map_err(|error| {
        CliError::new(Exit::Failed, "cannot write the manual pages").because(error)
    })?;
    write_page(&root, &args.dir, &mut report)?;
    cx.screen.show(&report)?;
    Ok(Exit::Done)
}

/// Writes the page of one command, and those of the commands below it.
fn write_page(
    command: &clap::Command,
    dir: &Utf8Path,
    report: &mut ManReport,
) -> Result<(), CliError> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = dir.join(format!("{name}.1"));
    let page = Man::new(command.clone());
    let mut bytes = Vec::new();
    page.render(&mut bytes).map_err(|error| {
        CliError::new(Exit::Failed, "cannot write a manual page").because(error)
    })?;
    let mode = atomic::Mode::Keep {
        otherwise: paths::SHARED_FILE_MODE,
    };
    atomic::write(&path, &bytes, mode).map_err(convert::write)?;
    report.pages.push(path.into_string());
    for child in command
        .get_subcommands()
        .filter(|child| !child.is_hide_set())
    {
        write_page(child, dir, report)?;
    }
    Ok(())
}
