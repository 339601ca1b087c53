//! `cargo xtask bench`: the release program measured beside the disk and the wire.
//!
//! The figures are taken by `ctx-bench`; this builds both and keeps `docs/performance.md` together.

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::error::CheckError;
use crate::program::{self, Kind};
use crate::{deps, files, run};

/// The page with the latest table, and the plot that it shows.
const PAGE: &str = "docs/performance.md";
const PLOT: &str = "docs/performance.svg";
/// The lines of the page that the generated table stands between.
const BEGIN: &str = "<!-- table: cargo xtask bench --docs -->";
const END: &str = "<!-- end of table -->";

/// What is measured and where the figures go.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Smaller sizes and fewer rounds: under two minutes
    #[arg(long)]
    quick: bool,
    /// Only the rows of this name; can be repeated (an unknown name lists those that there are)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write the rows to a file as one JSON document
    #[arg(long, value_name = "FILE")]
    json: Option<Utf8PathBuf>,
    /// Put the table into docs/performance.md and the plot beside it
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    docs: bool,
}

/// Builds, measures and prints the table; true when everything could be measured.
pub(crate) fn run(root: &Utf8Path, options: &Options) -> Result<bool, CheckError> {
    eprintln!("building the release program and ctx-bench");
    let release = Kind {
        release: true,
        failpoints: false,
    };
    let ctx = program::build(root, release)?;
    let bench = program::bench(root, true)?;
    let dir = deps::metadata(root)?.target_directory.join("bench");
    let table = dir.join("table.md");
    let mut command = Command::new(&bench);
    command
        .args(["table", "--ctx", ctx.as_str(), "--dir", dir.as_str()])
        .args(["--workspace", root.as_str()])
        .stdin(Stdio::null());
    if options.quick {
        command.arg("--quick");
    }
    for name in &options.only {
        command.args(["--only", name]);
    }
    if let Some(path) = &options.json {
        command.args(["--json", path.as_str()]);
    }
    if options.docs {
        command.args(["--markdown", table.as_str()]);
        command.args(["--plot", root.join(PLOT).as_str()]);
    }
    let status = command.status().map_err(|source| CheckError::Spawn {
        program: run::program(&command),
        source,
    })?;
    if status.success() && options.docs {
        put(root, &fs_err::read_to_string(&table)?)?;
    }
    Ok(status.success())
}

/// Puts the table between its two lines.
fn put(root: &Utf8Path, table: &str) -> Result<(), CheckError> {
    let page = files::read(root, PAGE, "the page is part of the workspace")?;
    let new = replaced(&page, table).ok_or_else(|| CheckError::Missing {
        what: format!("{PAGE} has no place for the table"),
        hint: format!("write the lines `{BEGIN}` and `{END}` where it belongs"),
    })?;
    Ok(files::replace(&root.join(PAGE), new.as_bytes())?)
}

/// The page with `table` between its two lines, in place of what was there.
fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_takes_the_place_of_the_one_before_and_nothing_else_changes() {
        let page = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let new = replaced(&page, "| a |\n").unwrap();
        assert_eq!(new, format!("above\n{BEGIN}\n\n| a |\n\n{END}\nbelow\n"));
        assert_eq!(replaced(&new, "| a |\n").unwrap(), new);
        assert!(replaced("no place", "| a |\n").is_none());
    }
}
