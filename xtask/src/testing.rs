//! A throwaway checkout with git, for the tests of the checks.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use crate::finding::Finding;

/// A temporary directory that is a git repository; gone when dropped.
pub(crate) struct Sandbox {
    root: Utf8PathBuf,
    _directory: TempDir,
}

impl Sandbox {
    /// Makes an empty repository.
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let root = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        let sandbox = Self {
            root,
            _directory: directory,
        };
        sandbox.git(&["init", "--quiet", "--initial-branch=main"]);
        sandbox
    }

    /// Where the repository is.
    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// Writes a file, its directories included.
    pub(crate) fn write(&self, path: &str, text: &str) {
        crate::files::replace(&self.root.join(path), text.as_bytes()).unwrap();
    }

    /// Commits everything that stands in the directory.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Runs git with no configuration but our own, and gives what it printed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(&self.root)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The findings as they are printed, in order.
pub(crate) fn lines(mut findings: Vec<Finding>) -> Vec<String> {
    findings.sort();
    findings.iter().map(ToString::to_string).collect()
}
