//! What git would commit of a project's folder.

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{self, ContextDir};
use ctx_io::atomic;

use crate::commands::convert;
use crate::env;
use crate::error::CliError;

/// What git keeps its own in, at the root of a work tree: a folder, or a file that names one.
const GIT_DIR: &str = ".git";

/// A work tree that holds a project.
#[derive(Debug)]
pub(super) struct WorkTree {
    root: Utf8PathBuf,
    lines: Vec<Line>,
}

/// Something that git should leave alone.
#[derive(Debug)]
struct Line {
    /// The line in the ignore file.
    pattern: String,
    /// A file that the line covers, from the root.
    probe: Utf8PathBuf,
}

impl WorkTree {
    /// The work tree around `context`, which exists; `None` when there is none.
    ///
    /// # Errors
    /// The folder cannot be found, or its path is not UTF-8.
    pub(super) fn around(context: &ContextDir) -> Result<Option<Self>, CliError> {
        let real = env::canonical(context.path())?;
        let root = real
            .ancestors()
            .skip(1)
            .find(|dir| dir.join(GIT_DIR).exists());
        let Some(root) = root.map(Utf8Path::to_owned) else {
            return Ok(None);
        };
        let inside = real.strip_prefix(&root).unwrap_or(&real);
        let mirror = inside.join(paths::MIRROR_DIR);
        let sealed = inside.join(paths::CONNECT_FILE);
        let lines = vec![
            Line {
                pattern: format!("{}/", escape(mirror.as_str())),
                probe: mirror.join(paths::DECISIONS_FILE),
            },
            Line {
                // And that of a registration that was cut off.
                pattern: format!("{}*", escape(sealed.as_str())),
                probe: sealed,
            },
        ];
        Ok(Some(Self { root, lines }))
    }

    /// The ignore file at the root.
    pub(super) fn ignore_file(&self) -> Utf8PathBuf {
        self.root.join(paths::GITIGNORE_FILE)
    }

    /// The lines that are missing: git would commit what they cover.
    ///
    /// # Errors
    /// Git is not there to be asked, and the ignore file cannot be read.
    pub(super) fn missing(&self) -> Result<Vec<String>, CliError> {
        let written = self.written()?;
        let covered = |line: &Line| match ask_git(&self.root, &line.probe) {
            Some(ignored) => ignored,
            None => is_listed(&written, &line.pattern),
        };
        let missing = self.lines.iter().filter(|line| !covered(line));
        Ok(missing.map(|line| line.pattern.clone()).collect())
    }

    /// Adds `lines` to the ignore file, those alone that it does not have.
    ///
    /// # Errors
    /// The file cannot be read or replaced; it is as it was then.
    pub(super) fn ignore(&self, lines: &[String]) -> Result<(), CliError> {
        let mut text = self.written()?;
        for line in lines {
            if has_line(&text, line) {
                continue;
            }
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(line);
            text.push('\n');
        }
        let mode = atomic::Mode::Keep {
            otherwise: paths::SHARED_FILE_MODE,
        };
        atomic::write(&self.ignore_file(), text.as_bytes(), mode).map_err(convert::write)
    }

    fn written(&self) -> Result<String, CliError> {
        let path = self.ignore_file();
        let bytes = ctx_io::read_optional(&path).map_err(convert::read)?;
        String::from_utf8(bytes.unwrap_or_default()).map_err(|error| {
            CliError::usage(format!("{path} is not UTF-8"))
                .because(error)
                .hint("add the lines to it by hand")
        })
    }
}

/// Whether git ignores `path`; `None` when git is not there or will not say.
fn ask_git(root: &Utf8Path, path: &Utf8Path) -> Option<bool> {
    let status = Command::new("git")
        .args([
            "-C",
            root.as_str(),
            "check-ignore",
            "--quiet",
            "--",
            path.as_str(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    match status.code() {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => None,
    }
}

/// Whether `text` has `pattern`, or a plain line that covers it.
fn is_listed(text: &str, pattern: &str) -> bool {
    let above = Utf8Path::new(pattern).ancestors().skip(1);
    let above = above
        .map(Utf8Path::as_str)
        .filter(|above| !above.is_empty());
    std::iter::once(pattern.trim_end_matches('/'))
        .chain(above)
        .any(|path| {
            let spellings = [
                path.to_owned(),
                format!("{path}/"),
                format!("/{path}"),
                format!("/{path}/"),
            ];
            spellings.iter().any(|line| has_line(text, line))
        })
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|has| has.trim_end() == line)
}

/// `path` as a pattern that means just that.
fn escape(path: &str) -> String {
    let mut pattern = String::new();
    for (at, c) in path.char_indices() {
        if matches!(c, '*' | '?' | '[' | '\\') || (at == 0 && matches!(c, '!' | '#')) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_path_alone() {
        assert_eq!(escape("a/b"), "a/b");
        assert_eq!(escape("!a*[b]\\"), "\\!a\\*\\[b]\\\\");
    }

    #[test]
    fn without_git_a_line_for_the_path_or_a_folder_above_it_covers_it() {
        let pattern = "p/notes/hub/";
        for text in ["p/notes/hub/", "/p/notes/hub", "x\np/notes/\n", "p\n"] {
            assert!(is_listed(text, pattern), "{text:?}");
        }
        for text in ["", "p/notes/hubs", "# p/notes/hub/"] {
            assert!(!is_listed(text, pattern), "{text:?}");
        }
    }
}
