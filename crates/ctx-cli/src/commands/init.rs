//! `ctx init`: the project's folder and its files.

use std::io::{self, Write};

use camino::Utf8PathBuf;
use ctx_config::paths;
use ctx_io::atomic;
use serde::Serialize;

use crate::args::InitArgs;
use crate::commands::git::WorkTree;
use crate::commands::{Cx, convert};
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::Report;

/// Mode of the folder: its files are shared with everybody who has the repository.
const CONTEXT_DIR_MODE: u32 = 0o755;

/// The project's own files, and what a new one says.
const FILES: [(&str, &str); 4] = [
    (
        paths::OWN_DECISIONS_FILE,
        "# Decisions\n\nWhat was decided in this project, and why. Newest first; a decision that \
        no longer holds\nis marked, not removed.\n",
    ),
    (
        paths::OWN_LEARNINGS_FILE,
        "# Learnings\n\nWhat was found out the hard way: the surprise, its cause, and what to do \
        about it.\n",
    ),
    (
        paths::OWN_CONVENTIONS_FILE,
        "# Conventions\n\nHow things are done here: names, layout, style, habits. One rule a line, \
        with its reason.\n",
    ),
    (
        paths::OWN_TASKS_FILE,
        "# Tasks\n\nWhat is to be done next.\n\n- [ ] the first task\n",
    ),
];

/// What was made and what was there.
#[derive(Debug, Serialize)]
pub(crate) struct InitReport {
    context_dir: Utf8PathBuf,
    created: Vec<Utf8PathBuf>,
    kept: Vec<Utf8PathBuf>,
    git: Option<GitReport>,
}

/// What git would do with the project's folder.
#[derive(Debug, Serialize)]
struct GitReport {
    ignore_file: Utf8PathBuf,
    /// Lines that are missing still.
    missing: Vec<String>,
    /// Lines that were added.
    added: Vec<String>,
}

impl Report for InitReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for path in &self.created {
            writeln!(out, "created {path}")?;
        }
        for path in &self.kept {
            writeln!(out, "kept    {path}")?;
        }
        if let Some(git) = &self.git {
            for line in &git.added {
                writeln!(out, "added   {line} to {}", git.ignore_file)?;
            }
        }
        Ok(())
    }
}

/// Makes what is missing.
///
/// # Errors
/// Something is in the way, or the disk does not take it. What was made stays; repeating goes on
/// from there.
pub(crate) fn run(args: &InitArgs, cx: &Cx) -> Result<InitReport, CliError> {
    let dir = cx.context.path();
    let mut report = InitReport {
        context_dir: dir.to_owned(),
        created: Vec::new(),
        kept: Vec::new(),
        git: None,
    };
    let made = ctx_io::ensure_private_dir(dir, CONTEXT_DIR_MODE).map_err(convert::path)?;
    report.note(made, dir.to_owned());
    for (name, text) in FILES {
        let path = dir.join(name);
        let made = atomic::create_new(&path, text.as_bytes(), paths::SHARED_FILE_MODE)
            .map_err(convert::write)?;
        report.note(made, path);
    }
    report.git = WorkTree::around(&cx.context)?
        .map(|tree| look_at_git(&tree, args.gitignore))
        .transpose()?;
    if args.gitignore && report.git.is_none() {
        return Err(
            CliError::new(Exit::Failed, format!("{dir} is in no git work tree"))
                .hint("run it without --gitignore"),
        );
    }
    Ok(report)
}

/// Writes the report, and warns of what git would commit.
///
/// # Errors
/// Standard output does not take it.
pub(crate) fn show(report: &InitReport, cx: &Cx) -> Result<(), CliError> {
    cx.screen.show(report)?;
    if let Some(git) = report.git.as_ref().filter(|git| !git.missing.is_empty()) {
        let lines = git.missing.join("\n  ");
        cx.screen.warning(
            &format!(
                "git would commit what other projects shared, or this project's token:\n  {lines}"
            ),
            Some(&format!(
                "add these lines to {}, or run `ctx init --gitignore`",
                git.ignore_file
            )),
        );
    }
    Ok(())
}

impl InitReport {
    fn note(&mut self, made: bool, path: Utf8PathBuf) {
        if made {
            self.created.push(path);
        } else {
            self.kept.push(path);
        }
    }
}

fn look_at_git(tree: &WorkTree, write: bool) -> Result<GitReport, CliError> {
    let missing = tree.missing()?;
    let mut report = GitReport {
        ignore_file: tree.ignore_file(),
        missing: Vec::new(),
        added: Vec::new(),
    };
    if write && !missing.is_empty() {
        tree.ignore(&missing)?;
        report.added = missing;
    } else {
        report.missing = missing;
    }
    Ok(report)
}
